//! Connections that come about, and those that do not.

use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;

use super::*;
use crate::upstream::{IDLE_TIMEOUT, Lookups, MAX_AGE, Trust};

fn target(host: &str, port: u16, connect_timeout: Duration) -> Target {
    let (idle_timeout, max_age) = (IDLE_TIMEOUT, MAX_AGE);
    Target {
        host: host.into(),
        port,
        lookups: Lookups::default(),
        trust: Trust::default(),
        tls: None,
        connect_timeout,
        max_answer: 1024,
        max_idle: 4,
        idle_timeout,
        max_age,
    }
}

fn within(attempt: u64, deadline: u64) -> Until {
    let now = Instant::now();
    Until { attempt: now + Duration::from_millis(attempt), deadline: now + Duration::from_millis(deadline) }
}

/// An address that swallows what is sent to it: a listener whose queue is full, so the kernel drops further requests
/// to connect. It lasts as long as the sockets do.
fn black_hole() -> (SocketAddr, Vec<Socket>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut sockets = vec![listener];
    for _ in 0..4 {
        let filler = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        filler.set_nonblocking(true).unwrap();
        // In progress: nobody waits for it.
        drop(filler.connect(&address));
        sockets.push(filler);
    }
    (address.as_socket().unwrap(), sockets)
}

#[tokio::test]
async fn nothing_is_delayed_to_be_gathered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let stream = connect(&target("127.0.0.1", port, Duration::from_secs(1)), within(900, 950)).await.unwrap();
    let Stream::Plain(tcp) = stream else { panic!("TLS without being asked for") };
    assert!(tcp.nodelay().unwrap());
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_dns() {
    // No name at all, so that no resolver is asked.
    let failure =
        connect(&target("no name", 80, Duration::from_secs(5)), within(8000, 9000)).await.unwrap_err();
    assert_eq!((failure.reason, failure.sent, failure.reused), (Reason::Dns, false, false));
    assert!(matches!(failure.detail, Detail::Resolver(_)), "{failure:?}");
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let failure =
        connect(&target("127.0.0.1", port, Duration::from_secs(5)), within(8000, 9000)).await.unwrap_err();
    assert_eq!((failure.reason, failure.sent), (Reason::Refused, false));
    assert!(
        matches!(failure.detail, Detail::Io(fault) if fault.kind() == io::ErrorKind::ConnectionRefused),
        "{failure:?}"
    );
}

#[test]
fn a_lack_of_our_own_is_not_the_fault_of_the_api() {
    let system = |code: i32| io::Error::from_raw_os_error(code);
    let cases = [
        (io::ErrorKind::AddrNotAvailable.into(), true),
        (io::ErrorKind::OutOfMemory.into(), true),
        (system(23), true),
        (system(24), true),
        (system(if cfg!(target_os = "linux") { 105 } else { 55 }), true),
        (io::ErrorKind::ConnectionRefused.into(), false),
        (io::ErrorKind::NetworkUnreachable.into(), false),
        (system(1), false),
        (io::Error::other("x"), false),
    ];
    for (error, ours) in cases {
        for otherwise in [Reason::Dns, Reason::Refused, Reason::Tls] {
            let expected = if ours { Reason::NoResources } else { otherwise };
            assert_eq!(of_system(&error, otherwise).0, expected, "{error:?}");
        }
    }
}

#[test]
fn an_ipv6_address_without_ipv6_is_no_lack_of_resources() {
    let error = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let of = |address: &str| of_connecting(&error, &address.parse().unwrap()).0;
    assert_eq!([of("127.0.0.1:80"), of("[::1]:80")], [Reason::NoResources, Reason::Refused]);
}

#[tokio::test]
async fn of_several_failures_the_first_that_is_the_apis_is_told() {
    let (hole, _sockets) = black_hole();
    let refusing = || SocketAddr::from(([127, 0, 0, 1], 1));
    let end = || Instant::now() + Duration::from_millis(300);
    let refused = connect_any(&[refusing(), refusing()], end()).await.unwrap_err();
    assert_eq!(refused.0, Reason::Refused);
    let swallowed = connect_any(&[hole, refusing()], end()).await.unwrap_err();
    assert_eq!(swallowed.0, Reason::ConnectTimeout);
    let none = connect_any(&[], end()).await.unwrap_err();
    assert_eq!(none.0, Reason::Dns);
}

#[tokio::test]
async fn the_earliest_bound_ends_the_attempt_and_names_the_reason() {
    const FAR: u64 = 60_000;
    let (address, _sockets) = black_hole();
    let cases = [
        (200, FAR, FAR, Reason::ConnectTimeout),
        (FAR, 200, FAR, Reason::ConnectTimeout),
        (FAR, FAR, 200, Reason::Deadline),
        (FAR, 200, 200, Reason::Deadline),
    ];
    for (connect_timeout, attempt, deadline, reason) in cases {
        let target = target("127.0.0.1", address.port(), Duration::from_millis(connect_timeout));
        let begin = Instant::now();
        let failure = connect(&target, within(attempt, deadline)).await.unwrap_err();
        assert_eq!((failure.reason, failure.detail, failure.sent), (reason, Detail::Elapsed, false));
        let spent = begin.elapsed().as_millis();
        assert!((199..10_000).contains(&spent), "{reason:?} after {spent} ms");
    }
}

#[tokio::test]
async fn an_address_that_swallows_everything_leaves_time_for_the_next() {
    let (hole, _sockets) = black_hole();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let good = listener.local_addr().unwrap();
    let begin = Instant::now();
    let end = begin + Duration::from_secs(3);
    let tcp = timeout_at(end, connect_any(&[hole, good], end)).await.expect("there was time left").unwrap();
    assert_eq!(tcp.peer_addr().unwrap(), good);
    assert!(begin.elapsed() >= Duration::from_millis(1499), "the first address was given up early");
}

#[test]
fn the_families_take_turns_in_the_order_of_the_resolver() {
    let six = |last: u16| SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, last], 443));
    let four = |last: u8| SocketAddr::from(([192, 0, 2, last], 443));
    let cases = [
        (vec![], vec![]),
        (vec![four(1)], vec![four(1)]),
        (vec![six(1), six(2), six(3), six(4), four(1)], vec![six(1), four(1), six(2), six(3)]),
        (vec![four(1), four(2), six(1), six(2)], vec![four(1), six(1), four(2), six(2)]),
        (vec![four(1), four(2), four(3), four(4), four(5)], vec![four(1), four(2), four(3), four(4)]),
    ];
    for (found, expected) in cases {
        assert_eq!(in_turn(&found), expected, "{found:?}");
    }
}

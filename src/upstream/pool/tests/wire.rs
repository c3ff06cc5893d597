//! How the ends of a connection are told.

use std::{io::ErrorKind, sync::Arc, time::Duration};

use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep},
};

use super::api::{Api, REQUEST, ok, read_request, soon, write};
use crate::{
    flow::{ContractRule, Reason},
    upstream::{Defect, Detail, Partial, Pool, Until, WireFailure},
};

/// What an API does with a connection after the request.
#[derive(Clone, Copy, Debug)]
enum End {
    Close,
    Reset,
    Nothing,
}

/// The failure where the API answers `begin` and then ends the connection as told.
async fn failure(begin: &'static str, end: End, until: Until) -> WireFailure {
    let api = Api::start(move |_, mut tcp| async move {
        read_request(&mut tcp).await;
        write(&mut tcp, begin).await;
        match end {
            End::Close => {}
            End::Reset => {
                // What was written must arrive first: a reset overtakes it.
                sleep(Duration::from_millis(50)).await;
                SockRef::from(&tcp).set_linger(Some(Duration::ZERO)).unwrap();
            }
            End::Nothing => drop(tcp.read(&mut [0]).await),
        }
    })
    .await;
    let pool = Pool::new(Arc::new(api.target(None)));
    let failure = pool.exchange(REQUEST, until).await.unwrap_err();
    assert_eq!(pool.idle(), 0);
    failure
}

#[tokio::test]
async fn each_end_has_its_reason() {
    let part = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe";
    let partial = || Some(Partial { status: 200, content_encoding: false, body: b"he".to_vec() });
    let cases = [
        ("", End::Close, Reason::Reset, None),
        ("", End::Reset, Reason::Reset, None),
        ("HTTP/1.1 2", End::Close, Reason::CutOff, None),
        ("HTTP/1.1 2", End::Reset, Reason::CutOff, None),
        (part, End::Close, Reason::CutOff, partial()),
        (part, End::Reset, Reason::CutOff, partial()),
    ];
    for (begin, end, reason, partial) in cases {
        let failure = failure(begin, end, soon()).await;
        match (end, &failure.detail) {
            (End::Close, Detail::Closed) => {}
            (End::Reset, Detail::Io(fault)) => assert_eq!(fault.kind(), ErrorKind::ConnectionReset),
            _ => panic!("{failure:?}"),
        }
        let detail = failure.detail.clone();
        let expected =
            WireFailure { reason, sent: true, reused: false, certificate_pending: false, partial, detail };
        assert_eq!(failure, expected, "{end:?} after {begin:?}");
    }
}

#[tokio::test]
async fn each_bound_has_its_reason() {
    const FAR: u64 = 60_000;
    let part = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe";
    let cases = [
        ("", 200, FAR, Reason::FirstByteTimeout),
        (part, 200, FAR, Reason::BodyTimeout),
        ("", FAR, 200, Reason::Deadline),
        (part, FAR, 200, Reason::Deadline),
    ];
    for (begin, attempt, deadline, reason) in cases {
        let now = Instant::now();
        let until = Until {
            attempt: now + Duration::from_millis(attempt),
            deadline: now + Duration::from_millis(deadline),
        };
        let failure = failure(begin, End::Nothing, until).await;
        assert_eq!(
            (failure.reason, failure.sent, failure.partial.is_some()),
            (reason, true, !begin.is_empty())
        );
        let spent = now.elapsed().as_millis();
        assert!((199..10_000).contains(&spent), "{reason:?} after {spent} ms");
    }
}

#[tokio::test]
async fn with_no_time_left_nothing_is_done() {
    let api = Api::counting().await;
    let pool = Pool::new(Arc::new(api.target(None)));
    pool.exchange(REQUEST, soon()).await.unwrap();
    let (past, later) = (Instant::now(), soon().deadline);
    for (attempt, deadline, reason) in [
        (past, later, Reason::ConnectTimeout),
        (later, past, Reason::Deadline),
        (past, past, Reason::Deadline),
    ] {
        let failure = pool.exchange(REQUEST, Until { attempt, deadline }).await.unwrap_err();
        assert_eq!((failure.reason, failure.sent), (reason, false));
    }
    assert_eq!((api.accepted(), pool.idle()), (1, 1), "the idle connection was left alone");
}

#[tokio::test]
async fn a_failure_on_a_used_connection_says_so() {
    let api = Api::start(|_, mut tcp| async move {
        read_request(&mut tcp).await;
        write(&mut tcp, &ok("x")).await;
        read_request(&mut tcp).await;
    })
    .await;
    let pool = Pool::new(Arc::new(api.target(None)));
    pool.exchange(REQUEST, soon()).await.unwrap();
    let failure = pool.exchange(REQUEST, soon()).await.unwrap_err();
    assert_eq!((failure.reason, failure.sent, failure.reused), (Reason::Reset, true, true));
}

const EARLY: &str = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno";

/// A request far larger than the sockets' buffers.
fn large_request() -> Vec<u8> {
    vec![b'r'; 32 * 1024 * 1024]
}

#[tokio::test]
async fn an_early_answer_on_a_used_connection_is_no_answer() {
    let api = Api::start(|_, mut tcp| async move {
        read_request(&mut tcp).await;
        write(&mut tcp, &ok("x")).await;
        tcp.read_exact(&mut [0; 10]).await.unwrap();
        write(&mut tcp, EARLY).await;
        sleep(Duration::from_secs(20)).await;
    })
    .await;
    let pool = Pool::new(Arc::new(api.target(None)));
    pool.exchange(REQUEST, soon()).await.unwrap();
    let failure = pool.exchange(&large_request(), soon()).await.unwrap_err();
    let expected = WireFailure {
        reason: Reason::Contract(ContractRule::HttpStray),
        sent: true,
        reused: true,
        certificate_pending: false,
        partial: None,
        detail: Detail::Answer(Defect::Stray),
    };
    assert_eq!((failure, pool.idle()), (expected, 0));
}

#[tokio::test]
async fn an_early_answer_is_seen_whether_the_api_then_waits_or_closes() {
    for close in [false, true] {
        let api = Api::start(move |_, mut tcp| async move {
            tcp.read_exact(&mut [0; 10]).await.unwrap();
            tcp.write_all(EARLY.as_bytes()).await.unwrap();
            // Closing with unread bytes resets the connection.
            sleep(if close { Duration::from_millis(20) } else { Duration::from_secs(20) }).await;
        })
        .await;
        let pool = Pool::new(Arc::new(api.target(None)));
        let answer = pool.exchange(&large_request(), soon()).await.unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (413, &b"no"[..]));
        assert_eq!(pool.idle(), 0);
    }
}

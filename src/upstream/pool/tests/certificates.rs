//! Client certificates: which one is shown, that an old one leaves with its connections, and that a refusal is told as
//! one, wherever it comes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep},
};
use tokio_rustls::server::TlsStream;
use x509_cert::{Certificate, der::Decode};

use super::{
    api::{Api, REQUEST, ok, read_request, soon, write},
    tls::{NAME, start},
};
use crate::{
    config::{KeyedCertificate, Secret},
    flow::Reason,
    tls::{
        ClientTls,
        testing::{Authority, VERSIONS, client_with, end_with_alert, year},
    },
    upstream::{Buffer, Detail, Pool, Timer, WireFailure, exchange},
};

/// The next of these years has not come.
const LATER: i32 = 4000;

/// The serial number of the client's certificate, and how the handshake came about.
fn seen(tls: &TlsStream<TcpStream>) -> String {
    let session = tls.get_ref().1;
    let serial = session.peer_certificates().map(|chain| {
        let certificate = Certificate::from_der(&chain[0]).unwrap();
        certificate.tbs_certificate().serial_number().as_bytes().to_vec()
    });
    format!("{serial:?} {:?}", session.handshake_kind().unwrap())
}

/// An API that takes only clients of its authority and tells each of them what it saw.
async fn telling(acceptor: tokio_rustls::TlsAcceptor) -> Api {
    start(acceptor, |_, mut tls| async move {
        let seen = seen(&tls);
        while read_request(&mut tls).await {
            write(&mut tls, &ok(&seen)).await;
        }
    })
    .await
}

fn pool(api: &Api, tls: ClientTls) -> Pool {
    Pool::new(Arc::new(api.target(Some(tls))))
}

async fn ask(pool: &Pool) -> (String, bool) {
    let answer = pool.exchange(REQUEST, soon()).await.unwrap();
    (String::from_utf8(answer.body).unwrap(), answer.reused)
}

/// The failure, which must be a refusal of the client's certificate with this alert.
fn check_refused(failure: &WireFailure, alert: &str) {
    assert_eq!(failure.reason, Reason::CredentialsRefused, "{failure:?}");
    assert!(failure.partial.is_none());
    let text = failure.detail.to_string();
    assert!(text.contains("client certificate") && text.ends_with(&format!(": alert {alert}")), "{text}");
    assert!(failure.hint().is_some());
}

#[tokio::test]
async fn a_certificate_is_shown_to_an_api_that_asks_and_goes_with_a_resumed_session() {
    let authority = Authority::new();
    let own = [authority.client_certificate(7, 2020, LATER)];
    for version in VERSIONS {
        let api = telling(authority.demanding_server(NAME, &[version])).await;
        let tls = client_with(&authority.roots(), NAME, &own).unwrap();
        for expected in ["Some([7]) Full", "Some([7]) Resumed"] {
            let pool = pool(&api, tls.clone());
            assert_eq!(ask(&pool).await, (expected.to_owned(), false), "{version:?}");
            assert_eq!(ask(&pool).await, (expected.to_owned(), true), "{version:?}");
        }
        let uninterested = telling(authority.server(NAME, &[version], LATER)).await;
        assert_eq!(ask(&pool(&uninterested, tls)).await, ("None Full".to_owned(), false));
    }
}

#[tokio::test]
async fn a_missing_an_unknown_and_an_expired_certificate_are_told_as_refused() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let cases: [(&[KeyedCertificate], &str); 3] = [
        (&[], "certificate_required"),
        (&[stranger.client_certificate(1, 2020, LATER)], "unknown_ca"),
        (&[authority.client_certificate(1, 2020, 2021)], "certificate_expired"),
    ];
    for version in VERSIONS {
        for (own, alert) in cases {
            let acceptor = authority.demanding_server(NAME, &[version]);
            let api = start(acceptor, |_, _| async { panic!("the handshake must fail") }).await;
            let pool = pool(&api, client_with(&authority.roots(), NAME, own).unwrap());
            // The second one finds what the first has left of a session.
            for _ in 0..2 {
                let failure = pool.exchange(REQUEST, soon()).await.unwrap_err();
                check_refused(&failure, alert);
                // Under TLS 1.3 the request is on its way by then: nobody can prove that it was not read.
                let sent = version.version == VERSIONS[0].version;
                assert_eq!((failure.sent, failure.reused), (sent, false), "{version:?}: {failure:?}");
            }
        }
    }
}

/// Every alert that can only mean a client's certificate.
const REFUSING: [(u8, &str); 8] = [
    (116, "certificate_required"),
    (42, "bad_certificate"),
    (43, "unsupported_certificate"),
    (44, "certificate_revoked"),
    (45, "certificate_expired"),
    (46, "certificate_unknown"),
    (48, "unknown_ca"),
    (49, "access_denied"),
];

#[tokio::test]
async fn an_alert_in_place_of_the_answer_refuses_on_a_fresh_and_on_a_resumed_session() {
    let authority = Authority::new();
    let own = [authority.client_certificate(7, 2020, LATER)];
    for (number, name) in REFUSING {
        let acceptor = authority.demanding_server(NAME, &VERSIONS[..1]);
        let api = start(acceptor, move |connection, mut tls| async move {
            read_request(&mut tls).await;
            if connection == 1 {
                assert!(seen(&tls).ends_with("Resumed"));
                // What comes after it may come as a reset.
                SockRef::from(tls.get_ref().0).set_linger(Some(Duration::ZERO)).unwrap();
            } else if connection == 0 {
                write(&mut tls, &ok("{}").replace("OK\r\n", "OK\r\nConnection: close\r\n")).await;
                return;
            }
            drop(end_with_alert(tls, number).await);
        })
        .await;
        let pool = pool(&api, client_with(&authority.roots(), NAME, &own).unwrap());
        assert_eq!(pool.exchange(REQUEST, soon()).await.unwrap().status, 200);
        check_refused(&pool.exchange(REQUEST, soon()).await.unwrap_err(), name);
        let fresh = self::pool(&api, client_with(&authority.roots(), NAME, &own).unwrap());
        check_refused(&fresh.exchange(REQUEST, soon()).await.unwrap_err(), name);
    }
}

#[tokio::test]
async fn an_alert_in_the_handshake_refuses_with_or_without_a_session_to_resume() {
    let authority = Authority::new();
    let own = [authority.client_certificate(7, 2020, LATER)];
    for version in VERSIONS {
        let acceptor = authority.demanding_server(NAME, &[version]);
        for ((number, name), earlier) in REFUSING.into_iter().flat_map(|alert| [(alert, 0), (alert, 1)]) {
            let acceptor = acceptor.clone();
            let api = Api::start(move |connection, mut tcp| {
                let acceptor = acceptor.clone();
                async move {
                    if connection < earlier {
                        let mut tls = acceptor.accept(tcp).await.unwrap();
                        read_request(&mut tls).await;
                        write(&mut tls, &ok("{}").replace("OK\r\n", "OK\r\nConnection: close\r\n")).await;
                        return;
                    }
                    let _hello = tcp.read(&mut [0; 4096]).await;
                    // Not yet encrypted: a fatal alert (RFC 5246 section 7.2, RFC 8446 section 6).
                    tcp.write_all(&[21, 3, 3, 0, 2, 2, number]).await.unwrap();
                }
            })
            .await;
            let pool = pool(&api, client_with(&authority.roots(), NAME, &own).unwrap());
            for _ in 0..earlier {
                assert_eq!(pool.exchange(REQUEST, soon()).await.unwrap().status, 200);
            }
            let failure = pool.exchange(REQUEST, soon()).await.unwrap_err();
            check_refused(&failure, name);
            assert!(!failure.sent);
        }
    }
}

#[tokio::test]
async fn an_alert_behind_a_reset_of_the_write_is_read_all_the_same() {
    let authority = Authority::new();
    let own = [authority.client_certificate(7, 2020, LATER)];
    let acceptor = authority.demanding_server(NAME, &VERSIONS[..1]);
    let api = start(acceptor, |_, tls| async move {
        SockRef::from(tls.get_ref().0).set_linger(Some(Duration::ZERO)).unwrap();
        drop(end_with_alert(tls, 49).await);
    })
    .await;
    let target = api.target(None);
    let tls = client_with(&authority.roots(), NAME, &own).unwrap();
    let tcp = TcpStream::connect((target.host.as_str(), target.port)).await.unwrap();
    let mut stream = tls.connect(tcp).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    let (mut buffer, mut timer) = (Buffer::new(), Timer::default());
    let failure =
        exchange::run(&mut stream, &mut buffer, &mut timer, REQUEST, 1024, soon(), false).await.unwrap_err();
    check_refused(&failure, "access_denied");
    assert!(failure.sent, "a write that failed is no proof that nothing left");
}

#[tokio::test]
async fn what_an_alert_means_depends_on_what_came_before() {
    let authority = Authority::new();
    let own = [authority.client_certificate(7, 2020, LATER)];
    let (asking, silent) =
        (authority.demanding_server(NAME, &VERSIONS[..1]), authority.server(NAME, &VERSIONS[..1], LATER));
    let begun = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe";
    let cases = [
        // Behind a request for a certificate, and in place of an answer, it refuses what was shown.
        (&asking, "", 40, Reason::CredentialsRefused),
        (&silent, "", 40, Reason::Tls),
        (&asking, begun, 40, Reason::Tls),
        // An answer that has begun is no refusal of a certificate any more.
        (&asking, begun, 49, Reason::Tls),
        (&asking, "", 51, Reason::CredentialsRefused),
        (&silent, "", 51, Reason::Tls),
        // Of something else.
        (&asking, "", 80, Reason::Tls),
    ];
    for (acceptor, before, alert, reason) in cases {
        let api = start(acceptor.clone(), move |_, mut tls| async move {
            read_request(&mut tls).await;
            write(&mut tls, before).await;
            drop(end_with_alert(tls, alert).await);
        })
        .await;
        let pool = pool(&api, client_with(&authority.roots(), NAME, &own).unwrap());
        let failure = pool.exchange(REQUEST, soon()).await.unwrap_err();
        assert_eq!(failure.reason, reason, "alert {alert} after {before:?}: {failure:?}");
        assert_eq!(failure.partial.is_some(), !before.is_empty());
    }
}

#[tokio::test]
async fn a_new_certificate_takes_over_when_it_begins_with_connections_and_sessions_of_its_own() {
    let authority = Authority::new();
    let both = [authority.client_certificate(1, 2010, LATER), authority.client_certificate(2, 2020, LATER)];
    for version in VERSIONS {
        let api = telling(authority.demanding_server(NAME, &[version])).await;
        let now = Arc::new(AtomicI32::new(2019));
        let clock = Arc::clone(&now);
        let tls = client_with(&authority.roots(), NAME, &both).unwrap();
        let pool = pool(&api, tls.with_clock(move || year(clock.load(Ordering::Relaxed))));
        let rows = [
            (2019, "Some([1]) Full", false),
            (2019, "Some([1]) Full", true),
            (2020, "Some([2]) Full", false),
            (2020, "Some([2]) Full", true),
            // Back again: its connection is gone by then, its session was its own.
            (2019, "Some([1]) Resumed", false),
            (2021, "Some([2]) Resumed", false),
        ];
        for (year, seen, reused) in rows {
            now.store(year, Ordering::Relaxed);
            assert_eq!(ask(&pool).await, (seen.to_owned(), reused), "{version:?} in {year}");
        }
    }
}

#[tokio::test]
async fn a_connection_whose_certificate_is_replaced_meanwhile_is_not_kept() {
    let authority = Authority::new();
    let both = [authority.client_certificate(1, 2010, LATER), authority.client_certificate(2, 2020, LATER)];
    let api = telling(authority.demanding_server(NAME, &VERSIONS)).await;
    let now = Arc::new(AtomicI32::new(2019));
    let clock = Arc::clone(&now);
    let tls = client_with(&authority.roots(), NAME, &both).unwrap();
    let pool = pool(&api, tls.with_clock(move || year(clock.load(Ordering::Relaxed))));
    let (_, held) = pool.exchange_and_hold(REQUEST, Instant::now(), soon(), false).await.unwrap();
    now.store(2020, Ordering::Relaxed);
    pool.release(held, Instant::now());
    assert_eq!(pool.idle(), 0);
}

#[tokio::test]
async fn of_certificates_out_of_their_time_the_last_one_is_shown() {
    let authority = Authority::new();
    let both = [authority.client_certificate(1, 2010, LATER), authority.client_certificate(2, 2020, 3000)];
    let api = telling(authority.demanding_server(NAME, &VERSIONS)).await;
    let tls = client_with(&authority.roots(), NAME, &both).unwrap();
    for (now, serial) in [(2005, 1), (2900, 2), (4005, 1)] {
        let pool = pool(&api, tls.clone().with_clock(move || year(now)));
        assert!(ask(&pool).await.0.starts_with(&format!("Some([{serial}])")), "{now}");
    }
}

#[test]
fn a_certificate_that_cannot_be_used_is_found_before_the_first_call() {
    let authority = Authority::new();
    let [one, other] = [1, 2].map(|serial| authority.client_certificate(serial, 2020, LATER));
    let mixed = KeyedCertificate { certificate: one.certificate.clone(), key: other.key };
    let error = client_with(&authority.roots(), NAME, &[one, mixed]).unwrap_err();
    assert!(
        error.to_string().starts_with("certificate: the private key in client.key does not belong"),
        "{error}"
    );
}

#[tokio::test]
async fn an_api_that_closes_without_a_word_resets_and_the_hint_remembers_that_it_asked() {
    let authority = Authority::new();
    let own = [authority.client_certificate(1, 2010, LATER)];
    for (acceptor, answers, asked) in [
        (authority.demanding_server(NAME, &VERSIONS), 0, true),
        (authority.demanding_server(NAME, &VERSIONS), 1, false),
        (authority.server(NAME, &VERSIONS, LATER), 0, false),
    ] {
        let api = start(acceptor, move |_, mut tls| async move {
            for _ in 0..answers {
                read_request(&mut tls).await;
                write(&mut tls, &ok("{}")).await;
            }
            read_request(&mut tls).await;
        })
        .await;
        let pool = pool(&api, client_with(&authority.roots(), NAME, &own).unwrap());
        for _ in 0..answers {
            pool.exchange(REQUEST, soon()).await.unwrap();
        }
        let failure = pool.exchange(REQUEST, soon()).await.unwrap_err();
        assert_eq!((failure.reason, &failure.detail), (Reason::Reset, &Detail::Closed));
        let hinted = failure.hint().is_some_and(|hint| hint.contains("client certificate"));
        assert_eq!((failure.certificate_pending, hinted), (asked, asked), "{failure:?}");
    }
}

#[tokio::test]
async fn the_certificates_between_the_clients_and_the_authority_are_shown_with_it() {
    let authority = Authority::new();
    let below = authority.below();
    let mut own = below.client_certificate(9, 2020, LATER);
    let alone = own.clone();
    let chain = [own.certificate.contents.expose(), below.certificate().as_bytes()].concat();
    own.certificate.contents = Secret::new(chain);
    for version in VERSIONS {
        let api = telling(authority.demanding_server(NAME, &[version])).await;
        let shows = |certificate: &KeyedCertificate| {
            pool(&api, client_with(&authority.roots(), NAME, std::slice::from_ref(certificate)).unwrap())
        };
        assert_eq!(ask(&shows(&own)).await.0, "Some([9]) Full");
        check_refused(&shows(&alone).exchange(REQUEST, soon()).await.unwrap_err(), "unknown_ca");
    }
}

//! The same over TLS.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    task::coop::{consume_budget, has_budget_remaining},
    time::{Instant, sleep},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::api::{Api, REQUEST, ok, read_request, soon, write};
use crate::{
    config::TlsVersion,
    flow::Reason,
    tls::{
        ClientSettings, ClientTls,
        testing::{Authority, VERSIONS, client, end_with_alert},
    },
    upstream::{Detail, Partial, Pool, Until},
};

pub(super) const NAME: &str = "api.example";
const LATER: i32 = 4000;

/// An API with TLS that runs `script` for each connection whose handshake succeeds.
pub(super) async fn start<F>(
    acceptor: TlsAcceptor,
    script: impl Fn(usize, TlsStream<TcpStream>) -> F + Clone + Send + Sync + 'static,
) -> Api
where
    F: Future<Output = ()> + Send + 'static,
{
    Api::start(move |number, tcp| {
        let (acceptor, script) = (acceptor.clone(), script.clone());
        async move {
            if let Ok(tls) = acceptor.accept(tcp).await {
                script(number, tls).await;
            }
        }
    })
    .await
}

fn pool(api: &Api, authority: &Authority) -> Pool {
    let tls = client(&authority.roots(), NAME).unwrap();
    Pool::new(Arc::new(api.target(Some(tls))))
}

#[tokio::test]
async fn both_versions_carry_exchanges_and_session_tickets_are_no_stray_bytes() {
    let authority = Authority::new();
    for version in VERSIONS {
        let acceptor = authority.server(NAME, &[version], LATER);
        let api = start(acceptor, |number, mut tls| async move {
            while read_request(&mut tls).await {
                write(&mut tls, &ok(&number.to_string())).await;
            }
        })
        .await;
        let pool = pool(&api, &authority);
        for turn in 0..4 {
            let answer = pool.exchange(REQUEST, soon()).await.unwrap();
            assert_eq!((answer.body.as_slice(), answer.reused), (&b"0"[..], turn > 0), "{version:?}");
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(api.accepted(), 1);
    }
}

#[tokio::test]
async fn a_new_connection_resumes_the_session_of_an_earlier_one() {
    let authority = Authority::new();
    for version in VERSIONS {
        let api = start(authority.server(NAME, &[version], LATER), |_, mut tls| async move {
            read_request(&mut tls).await;
            let kind = tls.get_ref().1.handshake_kind();
            write(&mut tls, &ok(&format!("{:?}", kind.unwrap()))).await;
        })
        .await;
        let tls = client(&authority.roots(), NAME).unwrap();
        for expected in ["Full", "Resumed"] {
            let pool = Pool::new(Arc::new(api.target(Some(tls.clone()))));
            let answer = pool.exchange(REQUEST, soon()).await.unwrap();
            assert_eq!(String::from_utf8(answer.body).unwrap(), expected, "{version:?}");
        }
        let answer = pool(&api, &authority).exchange(REQUEST, soon()).await.unwrap();
        assert_eq!(answer.body, b"Full", "another identity resumes nothing of it");
    }
}

#[tokio::test]
async fn records_without_data_behind_an_answer_do_not_cost_the_connection() {
    let authority = Authority::new();
    let api = start(authority.server(NAME, &VERSIONS[..1], LATER), |number, mut tls| async move {
        while read_request(&mut tls).await {
            write(&mut tls, &ok(&number.to_string())).await;
            sleep(Duration::from_millis(20)).await;
            tls.get_mut().1.refresh_traffic_keys().unwrap();
            tls.flush().await.unwrap();
        }
    })
    .await;
    let pool = pool(&api, &authority);
    for turn in 0..3 {
        let answer = pool.exchange(REQUEST, soon()).await.unwrap();
        assert_eq!((answer.body.as_slice(), answer.reused), (&b"0"[..], turn > 0));
        sleep(Duration::from_millis(50)).await;
        // A task without budget takes them in all the same.
        while turn == 1 && has_budget_remaining() {
            consume_budget().await;
        }
    }
}

#[tokio::test]
async fn a_certificate_that_does_not_verify_is_a_tls_failure_before_anything_is_sent() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    for version in VERSIONS {
        let versions = [version];
        let cases = [
            (authority.server("other.example", &versions, LATER), "not valid for name", "server_name"),
            (stranger.server(NAME, &versions, LATER), "UnknownIssuer", "`roots`"),
            (authority.server(NAME, &versions, 2021), "certificate expired", "renewed"),
        ];
        for (acceptor, text, hint) in cases {
            let api = start(acceptor, |_, _| async { panic!("the handshake must fail") }).await;
            let failure = pool(&api, &authority).exchange(REQUEST, soon()).await.unwrap_err();
            assert_eq!((failure.reason, failure.sent, failure.reused), (Reason::Tls, false, false), "{text}");
            assert!(matches!(failure.detail, Detail::Tls(_)), "{failure:?}");
            assert!(failure.detail.to_string().contains(text), "{failure}");
            assert!(failure.hint().unwrap().contains(hint), "{failure:?}");
        }
    }
}

#[tokio::test]
async fn a_server_without_tls_is_a_tls_failure() {
    for (first, detail_is_tls) in [("HTTP/1.1 400 Bad Request\r\n\r\n", true), ("", false)] {
        let api = Api::start(move |_, mut tcp| async move {
            // The client's first record, so that the close is no reset.
            let _hello = tokio::io::AsyncReadExt::read(&mut tcp, &mut [0; 4096]).await;
            write(&mut tcp, first).await;
        })
        .await;
        let failure = pool(&api, &Authority::new()).exchange(REQUEST, soon()).await.unwrap_err();
        assert_eq!((failure.reason, failure.sent), (Reason::Tls, false));
        assert_eq!(matches!(failure.detail, Detail::Tls(_)), detail_is_tls, "{failure:?}");
        assert!(failure.hint().unwrap().contains("speak no TLS"), "{failure:?}");
    }
}

#[tokio::test]
async fn an_answer_that_came_with_an_alert_is_not_lost() {
    let authority = Authority::new();
    let refusal = r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":"No."}"#;
    let api = start(authority.server(NAME, &VERSIONS[..1], LATER), move |_, mut tls| async move {
        read_request(&mut tls).await;
        write(&mut tls, &ok(refusal)).await;
        let _open = end_with_alert(tls, 80).await;
        sleep(Duration::from_secs(5)).await;
    })
    .await;
    let pool = pool(&api, &authority);
    for _ in 0..2 {
        let answer = pool.exchange(REQUEST, soon()).await.unwrap();
        assert_eq!((answer.body.as_slice(), answer.reused), (refusal.as_bytes(), false));
    }
}

#[tokio::test]
async fn the_handshake_is_within_the_time_to_connect() {
    let api = Api::start(|_, tcp| async move {
        sleep(Duration::from_secs(20)).await;
        drop(tcp);
    })
    .await;
    let authority = Authority::new();
    let tls = client(&authority.roots(), NAME).unwrap();
    let mut target = api.target(Some(tls));
    target.connect_timeout = Duration::from_millis(200);
    let pool = Pool::new(Arc::new(target));
    let begin = Instant::now();
    let failure = pool.exchange(REQUEST, soon()).await.unwrap_err();
    assert_eq!((failure.reason, failure.sent), (Reason::ConnectTimeout, false));
    assert!((199..10_000).contains(&begin.elapsed().as_millis()));
    let deadline = Instant::now() + Duration::from_millis(100);
    let until = Until { attempt: soon().attempt, deadline };
    assert_eq!(pool.exchange(REQUEST, until).await.unwrap_err().reason, Reason::Deadline);
}

#[tokio::test]
async fn a_body_without_length_ends_only_with_the_announced_end_of_tls() {
    let authority = Authority::new();
    for version in VERSIONS {
        for announced in [true, false] {
            let api = start(authority.server(NAME, &[version], LATER), move |_, mut tls| async move {
                read_request(&mut tls).await;
                write(&mut tls, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello").await;
                if announced {
                    tls.shutdown().await.unwrap();
                }
            })
            .await;
            let result = pool(&api, &authority).exchange(REQUEST, soon()).await;
            if announced {
                assert_eq!(result.unwrap().body, b"hello", "{version:?}");
            } else {
                let failure = result.unwrap_err();
                assert_eq!((failure.reason, failure.detail), (Reason::CutOff, Detail::Closed), "{version:?}");
                assert_eq!(
                    failure.partial,
                    Some(Partial { status: 200, content_encoding: false, body: b"hello".to_vec() })
                );
            }
        }
    }
}

#[tokio::test]
async fn a_session_that_the_api_ended_is_replaced() {
    let authority = Authority::new();
    for announced in [true, false] {
        let api = start(authority.server(NAME, &VERSIONS, LATER), move |number, mut tls| async move {
            read_request(&mut tls).await;
            write(&mut tls, &ok(&number.to_string())).await;
            if announced {
                tls.shutdown().await.unwrap();
            }
        })
        .await;
        let pool = pool(&api, &authority);
        for number in ["0", "1"] {
            let answer = pool.exchange(REQUEST, soon()).await.unwrap();
            assert_eq!((answer.body.as_slice(), answer.reused), (number.as_bytes(), false));
            sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn a_stray_answer_inside_tls_never_becomes_the_next_one() {
    let authority = Authority::new();
    let api = start(authority.server(NAME, &VERSIONS, LATER), |number, mut tls| async move {
        while read_request(&mut tls).await {
            write(&mut tls, &ok(&number.to_string())).await;
            sleep(Duration::from_millis(20)).await;
            write(&mut tls, &ok("stray")).await;
        }
    })
    .await;
    let pool = pool(&api, &authority);
    for number in ["0", "1"] {
        let answer = pool.exchange(REQUEST, soon()).await.unwrap();
        assert_eq!((answer.body.as_slice(), answer.reused), (number.as_bytes(), false));
        sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test]
async fn nothing_older_than_the_least_version_is_spoken() {
    let authority = Authority::new();
    for (only, server, fits) in [
        (TlsVersion::V1_3, VERSIONS[1], false),
        (TlsVersion::V1_3, VERSIONS[0], true),
        (TlsVersion::V1_2, VERSIONS[1], true),
        (TlsVersion::V1_2, VERSIONS[0], true),
    ] {
        let api = start(authority.server(NAME, &[server], LATER), |_, mut tls| async move {
            read_request(&mut tls).await;
            write(&mut tls, &ok("{}")).await;
        })
        .await;
        let tls = ClientTls::new(&ClientSettings {
            connector: "api",
            roots: &authority.roots(),
            server_name: NAME,
            min_version: only,
            certificates: &[],
        });
        let result = Pool::new(Arc::new(api.target(Some(tls.unwrap())))).exchange(REQUEST, soon()).await;
        if fits {
            assert_eq!(result.unwrap().status, 200, "{only:?} and {server:?}");
        } else {
            let failure = result.unwrap_err();
            assert_eq!((failure.reason, failure.sent), (Reason::Tls, false));
            assert!(failure.hint().unwrap().contains("min_tls"), "{failure:?}");
        }
    }
}

#[tokio::test]
async fn the_name_that_is_asked_for_is_the_one_that_is_verified() {
    let authority = Authority::new();
    for version in VERSIONS {
        let acceptor = authority.server("inside.example", &[version], LATER);
        let api = start(acceptor, |_, mut tls| async move {
            read_request(&mut tls).await;
            let name = tls.get_ref().1.server_name().unwrap_or_default().to_owned();
            write(&mut tls, &ok(&name)).await;
        })
        .await;
        // The host of the target is an address in both.
        for (name, verifies) in [("inside.example", true), (NAME, false)] {
            let tls = client(&authority.roots(), name).unwrap();
            let result = Pool::new(Arc::new(api.target(Some(tls)))).exchange(REQUEST, soon()).await;
            match result {
                Ok(answer) => assert_eq!((answer.body.as_slice(), verifies), (name.as_bytes(), true)),
                Err(failure) => assert_eq!((failure.reason, verifies), (Reason::Tls, false)),
            }
        }
    }
}

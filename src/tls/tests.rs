//! What can be wrong before the first handshake, and what an idle connection shows.

use std::{io::Write as _, net, sync::mpsc, thread};

use tokio::net::TcpStream;

use super::{
    testing::{Authority, client},
    *,
};
use crate::config::{Pem, Roots, Secret};

#[test]
fn a_wrong_file_of_roots_is_told_apart_and_never_quoted() {
    type Expected = fn(&RootsError) -> bool;
    let garbage = "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n";
    let key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
    let unended = "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n";
    let cases: [(&str, Expected); 5] = [
        ("", |error| matches!(error, RootsError::Empty { .. })),
        (key, |error| matches!(error, RootsError::Empty { .. })),
        (unended, |error| matches!(error, RootsError::NotPem { .. })),
        ("-----BEGIN c2VjcmV0\n", |error| matches!(error, RootsError::NotPem { .. })),
        (garbage, |error| matches!(error, RootsError::Unusable { position: 1, .. })),
    ];
    for (content, expected) in cases {
        let contents = Secret::new(content.as_bytes().to_vec());
        let roots = Roots::File(Pem { path: "roots.pem".into(), contents });
        let error = client(&roots, "api.example").unwrap_err();
        let TlsSetupError::Roots(cause) = &error else { panic!("{content:?}: {error:?}") };
        assert!(expected(cause), "{content:?}: {error:?}");
        let texts = [error.to_string(), format!("{error:?}")];
        assert!(texts.iter().all(|text| !text.contains("c2VjcmV0") && !text.contains("secret")), "{texts:?}");
    }
}

#[test]
fn a_host_is_a_name_or_an_address() {
    let authority = Authority::new();
    for roots in [Roots::Webpki, authority.roots()] {
        for (host, valid) in
            [("api.example", true), ("192.0.2.1", true), ("::1", true), ("a b", false), ("", false)]
        {
            assert_eq!(client(&roots, host).is_ok(), valid, "{host:?}");
        }
    }
}

/// A connection to a peer on a thread of its own, which acts when told to. The runtime does not look at its sockets
/// between the act and the question, since the test's thread waits for the peer without yielding.
async fn peer(
    act: fn(net::TcpStream) -> Option<net::TcpStream>,
) -> (Stream, impl FnOnce() -> Option<net::TcpStream>) {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (told, order) = mpsc::sync_channel(1);
    let (done, result) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let (peer, _) = listener.accept().unwrap();
        order.recv().unwrap();
        done.send(act(peer)).unwrap();
    });
    let acts = move || {
        told.send(()).unwrap();
        result.recv().unwrap()
    };
    (Stream::Plain(tcp), acts)
}

#[tokio::test]
async fn a_byte_or_a_close_is_seen_before_the_runtime_notices_it() {
    let send = |mut peer: net::TcpStream| {
        peer.write_all(b"x").unwrap();
        Some(peer)
    };
    let all: [fn(net::TcpStream) -> Option<net::TcpStream>; 2] = [send, |_| None];
    for act in all {
        let (mut stream, acts) = peer(act).await;
        assert_eq!(stream.condition().await, Condition::Quiet);
        let _peer = acts();
        assert_ne!(stream.condition().await, Condition::Quiet);
    }
}

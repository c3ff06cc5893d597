//! What can be shown only from inside: a panic in the life of a hook, and a configuration that changes under a connection.
//! Everything else is shown over the wire.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::Request;
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use tokio::time::Instant;

use super::*;
use crate::{
    config::{self, Secrets},
    telemetry::{LogFormat, LogWriter, Metrics},
    tls::testing::{Authority, Shown},
};

const CONFIG: &str = r#"
listen: { address: "127.0.0.1:0", max_in_flight: 1 }
callers:
  entra: { basic: { username: entra, password: pw } }
connectors:
  api:
    endpoint_url: http://127.0.0.1:1/
    authentication: none
    claims_to_send: []
    claims_to_receive: []
user_flows:
  F:
    callers: [entra]
    postFederationSignup: { connector: api, on_failure: continue }
    postAttributeCollection: { connector: api, on_failure: { block: "later" } }
  block:
    callers: [entra]
    postFederationSignup: { connector: api, on_failure: { block: "later" } }
    postAttributeCollection: { connector: api, on_failure: { block: "later" } }
  validation:
    callers: [entra]
    postAttributeCollection: { connector: api, on_failure: { validation_error: "later" } }
  continue:
    callers: [entra]
    postFederationSignup: { connector: api, on_failure: continue }
    postAttributeCollection: { connector: api, on_failure: continue }
    preTokenIssuance: { connector: api, on_failure: continue }
  error:
    callers: [entra]
    postFederationSignup: { connector: api, on_failure: error }
    postAttributeCollection: { connector: api, on_failure: error }
    preTokenIssuance: { connector: api, on_failure: error }
"#;

/// Stands in all that the hook brings, and in what the defect has to say.
const MARK: &str = "mArKeD";

/// What was written, for the test to read.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A body that is a defect.
struct Defect;

impl Body for Defect {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        panic!("a defect, for the test, at {MARK}")
    }
}

#[tokio::test]
async fn a_panic_costs_its_hook_a_failure_that_is_never_continue_and_nothing_else() {
    let config = config::read("test.yaml", CONFIG, Secrets::Load).config.unwrap();
    let metrics = Metrics::new();
    let written = Written::default();
    let (log, logs) =
        LogWriter::spawn(written.clone(), LogFormat::Json, metrics.log_lines_dropped()).unwrap();
    let snapshot = Arc::new(Snapshot::new(config, metrics.clone()).unwrap());
    let worker = Worker::new(snapshot, logs.access_log());
    let error = (500, "\"reason\":\"panic\"", "error");
    let block = (200, "ShowBlockPage", "ShowBlockPage");
    let rows = [
        ("block", "postFederationSignup", block),
        ("block", "postAttributeCollection", block),
        ("validation", "postAttributeCollection", (400, "ValidationError", "ValidationError")),
        ("continue", "postFederationSignup", error),
        ("continue", "postAttributeCollection", error),
        ("continue", "preTokenIssuance", error),
        ("error", "postFederationSignup", error),
        ("error", "postAttributeCollection", error),
        ("error", "preTokenIssuance", error),
    ];
    for (count, (flow, step, (status, text, _))) in (1..).zip(rows) {
        let request = Request::post(format!("/flows/{flow}/{step}?{MARK}"))
            .header("host", MARK)
            .header("cookie", MARK)
            .header("x-request-id", format!("{MARK} x"))
            .header("authorization", "Basic ZW50cmE6cHc=")
            .header("content-type", "application/json")
            .body(Defect)
            .unwrap();
        let response = answer(&worker, &Client::default(), request).await;
        assert_eq!(response.status(), status);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body = String::from_utf8_lossy(&body);
        assert!(body.contains(text) && !body.contains(MARK), "{body}");
        assert_eq!(
            metrics.panics().get(),
            count,
            "counted; and with one place in flight the next hook got it back"
        );
    }
    drop(worker);
    log.finish(Duration::from_secs(5)).unwrap();
    let log = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    let told = "\"reason\":\"panic\",\"blame\":\"claimgate\",\"hint\":\"a defect of claimgate";
    assert_eq!(log.matches(told).count(), rows.len(), "{log}");
    let page = String::from_utf8(metrics.encode()).unwrap();
    for (flow, step, (.., decision)) in rows {
        let hook = format!("step=\"{step}\",user_flow=\"{flow}\"");
        for sample in [
            format!("requests_total{{decision=\"{decision}\",outcome=\"fallback\",{hook}}} 1"),
            format!("fallback_decisions_total{{decision=\"{decision}\",reason=\"panic\",{hook}}} 1"),
        ] {
            assert!(page.contains(&format!("claimgate_{sample}\n")), "{sample}: {page}");
        }
    }
    assert!(!log.contains(MARK) && !page.contains(MARK), "{log}");
}

/// No body at all.
struct Empty;

impl Body for Empty {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Poll::Ready(None)
    }
}

/// A body that never comes.
struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Poll::Pending
    }
}

fn hook<B>(body: B) -> Request<B> {
    Request::post("/flows/F/postFederationSignup")
        .header("host", "hooks.example")
        .header("authorization", "Basic ZW50cmE6cHc=")
        .header("content-type", "application/json")
        .body(body)
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_not_heard_again_at_once_on_which_there_was_no_room() {
    let config = config::read("test.yaml", CONFIG, Secrets::Load).config.unwrap();
    let metrics = Metrics::new();
    let (log, logs) = LogWriter::spawn(io::sink(), LogFormat::Json, metrics.log_lines_dropped()).unwrap();
    let worker = Arc::new(Worker::new(Arc::new(Snapshot::new(config, metrics).unwrap()), logs.access_log()));
    let [inside, turned_away, other] = [(); 3].map(|()| Client::default());
    // Its body is waited for; so it holds the only place until then, which is longer than all of this takes.
    let mut holding = Box::pin(answer(&worker, &inside, hook(Endless)));
    assert!((&mut holding).now_or_never().is_none());
    let refused = async |client: &Client| {
        let before = Instant::now();
        let response = answer(&worker, client, hook(Endless)).await;
        assert_eq!(response.status(), 503);
        before.elapsed().as_millis()
    };
    assert_eq!(refused(&turned_away).await, 0, "the first time at once");
    let pauses = [refused(&turned_away).await, refused(&turned_away).await, refused(&other).await];
    assert!(pauses[..2].iter().all(|pause| (200..203).contains(pause)) && pauses[2] == 0, "{pauses:?}");
    tokio::time::sleep(Duration::from_millis(150)).await;
    let rest = refused(&turned_away).await;
    assert!((48..53).contains(&rest), "{rest}: only what is left of the pause");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(refused(&turned_away).await, 0, "whoever comes back later waits for nothing");
    drop(holding);
    assert_eq!(answer(&worker, &turned_away, hook(Empty)).await.status(), 400, "there is room again");
    log.finish(Duration::from_secs(5)).unwrap();
}

/// The configuration with its hook port behind TLS, put to work.
struct Behind(tempfile::TempDir);

impl Behind {
    fn new() -> Self {
        let purpose = rcgen::ExtendedKeyUsagePurpose::ServerAuth;
        let own = Authority::new().leaf(&["hooks.example"], 2020..=4000, purpose);
        let directory = tempfile::tempdir().unwrap();
        for pem in own.pems(["hooks.pem", "hooks.key"]) {
            std::fs::write(directory.path().join(pem.path), pem.contents.expose()).unwrap();
        }
        Self(directory)
    }

    fn snapshot(&self, listen: &str, tls: &str) -> Snapshot {
        let tls = format!("{listen}, tls: {{ certificate: hooks.pem, key: hooks.key, {tls} }}");
        let name = self.0.path().join("test.yaml");
        let text = CONFIG.replace("max_in_flight: 1", &tls);
        let outcome = config::read(name.to_str().unwrap(), &text, Secrets::Load);
        Snapshot::new(outcome.config.unwrap_or_else(|| panic!("{}", outcome.report)), Metrics::new()).unwrap()
    }
}

#[tokio::test]
async fn a_client_that_nothing_trusts_any_more_is_refused_and_its_connection_ended() {
    let behind = Behind::new();
    let [old, new] = [2020..=4000, 2021..=4000].map(Shown::self_signed);
    let peer = Arc::new(old.peer());
    let (log, logs) =
        LogWriter::spawn(io::sink(), LogFormat::Json, Metrics::new().log_lines_dropped()).unwrap();
    for (case, trusted, client, peer, failure) in [
        ("a trusted one", &old, "required", Some(&peer), None),
        ("none where none is needed", &old, "optional", None, None),
        ("none where one is needed by now", &old, "required", None, Some("certificate_missing")),
        ("one that was withdrawn", &new, "required", Some(&peer), Some("certificate_untrusted")),
        (
            "one that was withdrawn, and none is needed",
            &new,
            "optional",
            Some(&peer),
            Some("certificate_untrusted"),
        ),
    ] {
        let trust = format!("client: {client}, client_thumbprints: {}", trusted.thumbprint());
        let snapshot = behind.snapshot("max_in_flight: 1", &trust);
        let metrics = snapshot.metrics.clone();
        let worker = Worker::new(Arc::new(snapshot), logs.access_log());
        let request = Request::post("/flows/F/postFederationSignup")
            .header("host", "hooks.example")
            .header("authorization", "Basic ZW50cmE6cHc=")
            .header("content-type", "application/json")
            .body(Empty)
            .unwrap();
        let response = answer(&worker, &Client::new(peer.cloned()), request).await;
        assert_eq!(response.status() == 401, failure.is_some(), "{case}: {}", response.status());
        assert_eq!(response.headers().contains_key("connection"), failure.is_some(), "{case}");
        let page = String::from_utf8(metrics.encode()).unwrap();
        let counted =
            failure.map(|failure| format!("claimgate_caller_failures_total{{reason=\"{failure}\"}} 1"));
        assert!(counted.is_none_or(|counted| page.contains(&counted)), "{case}: {page}");
    }
    log.finish(Duration::from_secs(5)).unwrap();
}

#[test]
fn sessions_survive_a_configuration_with_the_same_tls_and_no_other() {
    let behind = Behind::new();
    let pin = format!("client_thumbprints: {}", Shown::self_signed(2020..=4000).thumbprint());
    let first = behind.snapshot("max_in_flight: 1", "");
    let sessions = |snapshot: &Snapshot| snapshot.tls.as_ref().unwrap().sessions();
    for (more, tls, kept) in [("max_in_flight: 2", "", true), ("max_in_flight: 1", &*pin, false)] {
        let fresh = behind.snapshot(more, tls);
        assert_ne!(sessions(&fresh), sessions(&first));
        assert_eq!(sessions(&fresh.keeping_sessions_of(&first)) == sessions(&first), kept);
    }
}

//! What can be shown only from inside: a panic in the life of a hook. Everything else is shown over the wire.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;

use super::*;
use crate::{
    config::{self, Secrets},
    telemetry::{LogFormat, LogWriter, Metrics},
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
    let rows = [
        ("postFederationSignup", 500, "\"reason\":\"panic\""),
        ("postAttributeCollection", 200, "ShowBlockPage"),
    ];
    for (count, (step, status, text)) in (1..).zip(rows) {
        let request = Request::post(format!("/flows/F/{step}?{MARK}"))
            .header("host", MARK)
            .header("cookie", MARK)
            .header("x-request-id", format!("{MARK} x"))
            .header("authorization", "Basic ZW50cmE6cHc=")
            .header("content-type", "application/json")
            .body(Defect)
            .unwrap();
        let response = answer(&worker, request).await;
        assert_eq!(response.status(), status);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body = String::from_utf8_lossy(&body);
        assert!(body.contains(text) && !body.contains(MARK), "{body}");
        assert_eq!(
            metrics.panics().get(),
            count,
            "counted; and with one place in flight the second hook got it back"
        );
    }
    drop(worker);
    log.finish(std::time::Duration::from_secs(5)).unwrap();
    let log = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    assert_eq!(log.matches("\"reason\":\"panic\"").count(), 2, "{log}");
    let page = String::from_utf8(metrics.encode()).unwrap();
    assert!(!log.contains(MARK) && !page.contains(MARK), "{log}");
}

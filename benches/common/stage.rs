//! The whole gateway between a caller and an API, all on one thread: from the first byte of a hook to the last byte of
//! its answer.
//!
//! The caller's connection is a pair of Unix sockets, whose bytes never leave the process; the API's is TCP over the
//! loopback, because the gateway makes those itself. Everything between is what
//! serves hooks: the configuration read from its text, HTTP, the whole life of the hook, the policies of the call, the
//! pool, metrics, the access log. The two ends take part in what is measured; they are a copy of bytes each.

use std::{io, sync::Arc};

use claimgate::{
    config::{self, Config, Secrets},
    gateway::{Snapshot, Worker},
    server,
    telemetry::{LogFormat, LogWriter, Metrics},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    runtime::{self, Runtime},
};

use crate::{
    hook::{CONTINUE, Hook, OF_CONTINUE, STEP, object},
    wire::{Api, message, read_message},
};

/// Hooks that are sent before anything is measured: connections are made by then, buffers have their size.
const WARM_UP: usize = 50;

/// A gateway with a caller and an API.
pub(crate) struct Stage {
    runtime: Runtime,
    api: Api,
    metrics: Metrics,
    caller: UnixStream,
    flow: String,
    hook: Hook,
    sent: usize,
    answer: Vec<u8>,
    /// Keeps the access log's thread.
    _log: LogWriter,
}

impl Stage {
    /// With so many connectors and user flows, of which the one in the middle is called with such hooks.
    pub(crate) fn new(hook: Hook, flows: usize) -> Self {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("the system has sockets to spare");
        let api = runtime.block_on(Api::start(CONTINUE));
        let metrics = Metrics::new();
        let (log, logs) = LogWriter::spawn(io::sink(), LogFormat::Json, metrics.log_lines_dropped())
            .expect("the system has a thread to spare");
        let config = config(&hook, flows, api.port);
        let snapshot = Snapshot::new(config, metrics.clone()).expect("nothing of it is missing");
        let worker = Arc::new(Worker::new(Arc::new(snapshot), logs.access_log()));
        let caller = runtime.block_on(async {
            let (caller, gateway) = UnixStream::pair().expect("the system has sockets to spare");
            tokio::spawn(server::serve_stream(gateway, worker));
            caller
        });
        let flow = flow(flows / 2);
        let mut stage =
            Self { runtime, api, metrics, caller, flow, hook, sent: 0, answer: Vec::new(), _log: log };
        stage.begin();
        let requests = stage.requests(WARM_UP);
        stage.play(&requests);
        stage
    }

    /// The next so many hooks, no two of them the same.
    pub(crate) fn requests(&mut self, count: usize) -> Vec<Vec<u8>> {
        let head = format!(
            "POST /flows/{}/{STEP} HTTP/1.1\r\nHost: hooks.example.com\r\nAuthorization: Basic ZW50cmE6czNjcmV0\r\n\
             Content-Type: application/json\r\nUser-Agent: Mozilla/4.0\r\nAccept: application/json\r\n\
             Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            self.flow
        );
        let next = self.sent..self.sent + count;
        self.sent = next.end;
        let body = |number| self.hook.text.replace("jane.doe@", &format!("{number:08}@"));
        next.map(|number| {
            message(&head, &body(number).replace("10158320719384756", &format!("{number:017}")))
        })
        .collect()
    }

    /// Sends each hook and takes its answer.
    pub(crate) fn play(&mut self, requests: &[Vec<u8>]) {
        self.runtime.block_on(async {
            for request in requests {
                self.caller.write_all(request).await.expect("the gateway reads");
                self.caller.read_exact(&mut self.answer).await.expect("the gateway answers");
            }
        });
    }

    /// Panics unless every hook so far was decided by the API, over one connection.
    pub(crate) fn check(self) {
        assert_eq!(self.api.seen().connections, 1, "the connection to the API was kept");
        let page = String::from_utf8(self.metrics.encode()).expect("the page is text");
        let answered = format!(
            "claimgate_requests_total{{decision=\"Continue\",outcome=\"api\",step=\"{STEP}\",user_flow=\"{}\"}} {}\n",
            self.flow, self.sent
        );
        assert!(page.contains(&answered), "{answered}\n{page}");
    }

    /// The first hook: from its answer on each must be as long, and hold the same but for its request id.
    fn begin(&mut self) {
        let request = self.requests(1).remove(0);
        self.answer = self.runtime.block_on(async {
            self.caller.write_all(&request).await.expect("the gateway reads");
            read_message(&mut self.caller).await
        });
        let mut received = object(CONTINUE);
        received.retain(|name, _| {
            ["version", "action"].contains(&name.as_str()) || OF_CONTINUE.contains(&&**name)
        });
        assert_eq!(object(body(&self.answer)), received);
        let mut selected = object(body(&request));
        selected.retain(|name, _| self.hook.selected.contains(name));
        let mut sent = object(body(&self.api.seen().request));
        sent.retain(|name, _| name != "step" && name != "client_id");
        assert_eq!(sent, selected);
    }
}

fn body(message: &[u8]) -> &str {
    let text = std::str::from_utf8(message).expect("it is text");
    text.split_once("\r\n\r\n").expect("it has a head").1
}

fn flow(number: usize) -> String {
    format!("B2X_1_SignUp_{number:04}")
}

/// Everything that a hook may meet, with limits that none reaches. The connectors and user flows beside it say as little
/// as they may, because a file may hold only so many values.
fn config(hook: &Hook, flows: usize, port: u16) -> Config {
    let always = ["email", "identities", "ui_locales"];
    let send: Vec<_> =
        hook.selected.iter().map(String::as_str).filter(|name| !always.contains(name)).collect();
    let (send, receive) = (send.join(", "), OF_CONTINUE.join(", "));
    let with_all = format!(
        "authentication: {{ basic: {{ username: claimgate, password: s3cret }} }}, claims_to_send: [{send}], \
         claims_to_receive: [{receive}], rate_limit: {{ rate: 100000/s, burst: 100000 }}"
    );
    let (mut connectors, mut user_flows) = (String::new(), String::new());
    for number in 0..flows {
        let (name, api) = (flow(number), format!("check-{number:04}"));
        let (settings, of_users) = if number == flows / 2 {
            (with_all.as_str(), ", rate_limit_per_user: { rate: 1000/s, burst: 1000 }")
        } else {
            ("authentication: none, claims_to_send: [], claims_to_receive: []", "")
        };
        let connector =
            format!("  {api}: {{ endpoint_url: 'http://127.0.0.1:{port}/api/check', {settings} }}\n");
        let called = format!("{{ connector: {api}, on_failure: error{of_users} }}");
        let user_flow = format!("  {name}: {{ callers: [entra], {STEP}: {called} }}\n");
        connectors.push_str(&connector);
        user_flows.push_str(&user_flow);
    }
    let text = format!(
        "listen: {{ address: '127.0.0.1:0' }}
callers:
  entra:
    basic: {{ username: entra, password: s3cret }}
    rate_limit: {{ rate: 100000/s, burst: 100000 }}
connectors:
{connectors}user_flows:
{user_flows}"
    );
    let read = config::read("bench.yaml", &text, Secrets::Load);
    read.config.unwrap_or_else(|| panic!("{}", read.report))
}

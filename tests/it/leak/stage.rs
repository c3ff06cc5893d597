//! A gateway with marks in every secret, and hooks with marks wherever a caller can put them.

use std::{fs, net::TcpListener, path::Path as FilePath, process::Command, time::Duration};

use claimgate::flow::{ContractRule, Reason};
use serde_json::json;
use tempfile::TempDir;

use super::{
    marks::{HIDDEN, SHOWN, assert_hidden, find, sent},
    paths::{self, Path, path},
};
use crate::support::{
    Act, Client, Gateway, Parts, Play, RecordedRequest, RefusingAddress, Request, Response, STEPS,
    ScriptedApi, wait_until,
};

/// How often the stray answer is tried for.
const ATTEMPTS: usize = 5;

/// Everything that takes part, for one log format.
pub(super) struct Stage {
    pub(super) gateway: Gateway,
    format: &'static str,
    config: String,
    api: ScriptedApi,
    _others: [ScriptedApi; 2],
    _mute: TcpListener,
    _refusing: RefusingAddress,
    directory: TempDir,
}

impl Stage {
    pub(super) fn set(format: &'static str) -> Self {
        let api = ScriptedApi::answering(scripted);
        // The second request of a connection gets its answer while the API reads nothing but its head.
        let usual = Play::continue_().then(Act::Pause(Duration::from_millis(300)));
        let early = Play::new([
            Act::ReadHeadOnly,
            Act::Send(paths::answer(200, &paths::continues())),
            Act::Pause(Duration::from_secs(1)),
            Act::ReadRequest,
        ]);
        let plays = (0..ATTEMPTS).flat_map(|_| [usual.clone(), early.clone()]);
        let stray = ScriptedApi::start(plays.collect::<Vec<_>>());
        // Where TLS is expected; its bytes are no alert and no handshake.
        let plain = ScriptedApi::start(Play::new([
            Act::Send(format!("HTTP/1.1 400 {0}\r\n\r\n{0}", sent(HIDDEN)).into_bytes()),
            Act::Forever,
        ]));
        let mute = TcpListener::bind("127.0.0.1:0").expect("a free port exists");
        let refusing = RefusingAddress::take();
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        fs::write(directory.path().join("secret"), sent(HIDDEN)).expect("a file can be written");
        let mute_address = mute.local_addr().expect("a bound listener has an address");
        let config = config(&[
            ("Scripted", api.url(&format!("/?{0}={0}", sent(HIDDEN))), "max_answer: 4KiB"),
            ("Blocking", refusing.url("/"), ""),
            ("Strict", api.url(&format!("/?{}", sent(HIDDEN))), "strict: true"),
            ("Refusing", refusing.url(&format!("/{}", sent(HIDDEN))), ""),
            ("Unknown", format!("https://{HIDDEN}.invalid/"), "timeout: 8s\nconnect_timeout: 8s"),
            ("NoTls", format!("https://{}/{}", plain.address(), sent(HIDDEN)), ""),
            ("Mute", format!("https://{mute_address}/"), "connect_timeout: 100ms"),
            ("Hurried", api.url("/silent"), ""),
            ("Limited", api.url("/"), "rate_limit: { rate: 1/m, burst: 1 }"),
            ("Tripped", refusing.url("/"), "breaker: { least_calls: 1, failures: 1%, open_for: 1h }"),
            ("OfUser", api.url("/"), ""),
            ("Full", api.url("/held"), "timeout: 8s\nmax_in_flight: 1\nwait: 20ms"),
            ("Silent", api.url("/held"), "timeout: 8s"),
            ("Stray", stray.url("/"), "timeout: 8s"),
            ("OfLimited", api.url("/"), ""),
        ]);
        let gateway = serve(&config, format, directory.path(), "ulimit -c 0");
        Self {
            gateway,
            format,
            config,
            api,
            _others: [stray, plain],
            _mute: mute,
            _refusing: refusing,
            directory,
        }
    }

    pub(super) fn client(&self) -> Client {
        self.gateway.client()
    }

    /// A hook of nobody yet, with marks in all of its claims; `play` says what the API does.
    pub(super) fn post(&self, flow: &str, step: &str, play: &str) -> Request {
        let target = format!("/flows/{flow}/{step}?{0}={0}", sent(HIDDEN));
        let request = self.client().request("POST", &target);
        let kind = format!("application/json; charset=utf-8; {HIDDEN}={}", sent(HIDDEN));
        request.header("Content-Type", &kind).body(claims(play))
    }

    /// Sends a hook of a known caller to this user flow, and looks at what comes back.
    pub(super) fn hook(&self, flow: &str) {
        self.send(&known(self.post(flow, STEPS[1], "none")));
    }

    /// Goes the way to this reason.
    pub(super) fn go(&self, reason: Reason) {
        let hook = |step: &str| {
            self.send(&known(self.post("Scripted", step, reason.as_str())));
        };
        match path(reason) {
            Path::Api(_) => hook(STEPS[1]),
            Path::ApiAtToken(_) => hook(STEPS[2]),
            Path::Other(go) => go(self),
            Path::Inside(test) => {
                let tests = include_str!("../../../src/gateway/tests.rs");
                assert!(tests.contains(&format!("fn {test}()")), "{test} is gone");
            }
        }
    }

    /// Sends it with marks in all headers, and looks at what comes back.
    pub(super) fn send(&self, request: &Request) -> Response {
        self.send_but(request, str::to_owned)
    }

    /// The same with another head: `change` is given all up to the body.
    pub(super) fn send_but(&self, request: &Request, change: impl Fn(&str) -> String) -> Response {
        let mut connection = self.client().connect();
        connection.write(&marked_but(request, change));
        let response = connection.response("POST");
        check(&response);
        response
    }

    /// Does something while so many hooks to this user flow are at the API; then they hang up.
    pub(super) fn while_held(&self, flow: &str, count: usize, then: impl FnOnce()) {
        let before = self.api.requests().len();
        let held: Vec<_> = (0..count)
            .map(|_| {
                let mut connection = self.client().connect();
                connection.write(&marked(&known(self.post(flow, STEPS[1], "held"))));
                connection
            })
            .collect();
        wait_until("the hooks are at the API", || self.api.requests().len() == before + count);
        then();
        held.into_iter().for_each(crate::support::client::Connection::hang_up);
        self.gateway.wait_for_metric("claimgate_in_flight_hooks", 0.0);
    }

    /// An answer that begins before the request has left, on a connection that was used before.
    pub(super) fn stray(&self) {
        // More than the system holds for a peer that does not read: Linux takes 4 MiB on this side.
        let large = json!({ "city": HIDDEN.repeat(800_000) }).to_string();
        let seen = || names(&self.gateway.stdout_text(), Reason::Contract(ContractRule::HttpStray));
        // On a busy machine the first connection may be too old by then.
        for _ in 0..ATTEMPTS {
            self.hook("Stray");
            self.send(&known(self.post("Stray", STEPS[1], "none")).body(&large));
            // Longer than lines stay in a buffer.
            std::thread::sleep(Duration::from_millis(250));
            if seen() {
                break;
            }
        }
    }

    /// A gateway of its own that has no file descriptor left.
    pub(super) fn starve(&self) {
        const FILES: usize = 64;
        let limits = format!("ulimit -n {FILES}");
        let mut gateway = serve(&self.config, self.format, self.directory.path(), &limits);
        let mut kept = gateway.client().connect();
        kept.write(&marked(&gateway.client().get("/nowhere")));
        assert_eq!(kept.response("GET").status, 404);
        let open = || {
            let files = fs::read_dir(format!("/proc/{}/fd", gateway.pid()));
            files.expect("a running process has descriptors").count()
        };
        let mut others = Vec::new();
        while others.len() < FILES {
            others.push(gateway.client().connect());
        }
        let refused = || gateway.stderr_text().contains("cannot accept connections");
        wait_until("no descriptor is left", refused);
        let hook = known(self.post("Scripted", STEPS[1], "none"));
        kept.write(&marked(&hook));
        check(&kept.response("POST"));
        others.into_iter().for_each(crate::support::client::Connection::hang_up);
        wait_until("descriptors are back", || open() < FILES / 2);
        let said = said(&mut gateway);
        assert!(names(&said[0], Reason::NoResources), "{}", said[0]);
        for text in &said {
            assert_hidden(text, "out of descriptors");
        }
    }

    /// What it wrote and counted; it ends.
    pub(super) fn said(&mut self) -> [String; 3] {
        said(&mut self.gateway)
    }
}

/// The same of a known caller.
pub(super) fn known(request: Request) -> Request {
    request.basic("known", &sent(HIDDEN))
}

fn said(gateway: &mut Gateway) -> [String; 3] {
    let metrics = gateway.metrics();
    assert!(gateway.terminate().success());
    [gateway.stdout_text(), gateway.stderr_text(), metrics]
}

/// Whether a line of the access log names this reason, in either format.
pub(super) fn names(stdout: &str, reason: Reason) -> bool {
    let json = format!("\"reason\":\"{}\"", reason.as_str());
    let text = format!(" {}: {};", reason.as_str(), reason.hint().replace('"', "\\\""));
    stdout.lines().any(|line| line.contains(&json) || line.contains(&text))
}

/// Starts it under these limits, at the most talkative level.
fn serve(config: &str, format: &str, directory: &FilePath, limits: &str) -> Gateway {
    let file = directory.join("claimgate.yaml");
    fs::write(&file, config).expect("the configuration can be written");
    let mut command = Command::new("sh");
    let script = format!(
        r#"{limits}; exec "$0" serve --workers 1 --log-level trace --log-format {format} --config "$1""#
    );
    command.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_claimgate")).arg(file);
    command.env("MARKED_CODE", sent(HIDDEN));
    Gateway::from_command(command)
}

/// A user flow for each connector, by the same name; each with marks in all of its secrets.
fn config(connectors: &[(&str, String, &str)]) -> String {
    let secret = sent(HIDDEN);
    let basic = |name: &str| format!("basic: {{ username: {name}, password: {secret} }}");
    let known = format!(
        "basic: [{{ username: known, password: {{ file: secret }} }}, {{ username: {HIDDEN}, password: {secret}2 }}]\n\
         code: [{{ env: MARKED_CODE }}]\nheader: {{ name: X-Key, value: {secret}-key }}"
    );
    let parts = Parts::new()
        .listen("max_in_flight: 3\nmax_body: 12MiB\nbody_timeout: 10s\nhead_timeout: 2s\nunauthenticated_limit: { rate: 1/m, burst: 30 }")
        .caller("known", &known)
        .caller("limited", &format!("{}\nrate_limit: {{ rate: 1/m, burst: 1 }}", basic("limited")));
    let parts = connectors.iter().fold(parts, |parts, (name, url, more)| {
        let code = if url.contains('?') { String::new() } else { "code: { env: MARKED_CODE }, ".to_owned() };
        let timeout = if more.contains("timeout: 8s") { "" } else { "timeout: 1s" };
        let keys = format!(
            "authentication: {{ {code}basic: {{ username: api, password: {{ file: secret }} }} }}\n\
             claims_to_send: [displayName, city]\nclaims_to_receive: [city]\n\
             default_message: \"{}\"\n{timeout}\n{more}",
            sent(SHOWN)
        );
        let hooks = STEPS.map(|step| {
            let block = format!("{{ block: \"{}\" }}", sent(SHOWN));
            let blocks = *name == "Blocking" && step != STEPS[2];
            let limit = if *name == "OfUser" { ", rate_limit_per_user: { rate: 1/m, burst: 1 }" } else { "" };
            let answer = if blocks { &block } else { "error" };
            format!("{step}: {{ connector: {name}, on_failure: {answer}{limit} }}")
        });
        let hooks = hooks.join("\n");
        let callers = if *name == "OfLimited" { "limited" } else { "known" };
        let within = if *name == "Hurried" { "1s" } else { "10s" };
        let flow = format!("callers: [{callers}]\nanswer_within: {within}\n{hooks}");
        parts.connector(name, url, &keys).flow(name, &flow)
    });
    parts.text()
}

/// Claims with marks in values of every shape, and names that nobody should write down.
fn claims(play: &str) -> String {
    let mark = sent(HIDDEN);
    let mut claims = json!({
        "displayName": play,
        "city": sent(SHOWN),
        "email": format!("{HIDDEN}@{HIDDEN}.example"),
        "identities": [{ "signInType": mark, "issuer": mark, "issuerAssignedId": [mark, { mark.as_str(): mark }] }],
        "ui_locales": mark,
        "objectId": mark,
        "surname": { mark.as_str(): [mark, { "a": mark, "b": [[mark]] }] },
        "jobTitle": mark,
    });
    let object = claims.as_object_mut().expect("it is an object");
    for name in [
        String::new(),
        mark.clone(),
        format!("{HIDDEN}@fabrikam.com"),
        format!("\n{{\"forged\":\"{mark}\"}}"),
        format!("\r\n2026-01-01T00:00:00.000Z Continue (api) {mark}"),
        format!("\u{1b}[31m{mark}\u{1b}[0m"),
        format!("\u{9b}31m\u{202e}{mark}\u{2028}\u{85}"),
        format!("\"{mark}\\"),
        format!("\0{mark}"),
        HIDDEN.repeat(20),
        HIDDEN.repeat(2_000),
    ] {
        object.insert(name, mark.clone().into());
    }
    claims.to_string()
}

/// The request's bytes with a marked Host, and marks in headers that are written down, handed on or known elsewhere.
fn marked(request: &Request) -> Vec<u8> {
    marked_but(request, str::to_owned)
}

fn marked_but(request: &Request, change: impl Fn(&str) -> String) -> Vec<u8> {
    let mark = sent(HIDDEN);
    let request = [
        ("Cookie", format!("{HIDDEN}={mark}")),
        ("X-Request-ID", format!("{mark} x")),
        ("traceparent", format!("00-{mark}-01")),
        ("tracestate", mark.clone()),
        ("baggage", mark.clone()),
        ("User-Agent", mark.clone()),
        ("Referer", format!("https://{HIDDEN}/{mark}")),
        ("Forwarded", format!("for={mark}")),
        ("X-Forwarded-For", mark.clone()),
        ("Accept", mark.clone()),
        (format!("X-{HIDDEN}").as_str(), mark.clone()),
    ]
    .into_iter()
    .fold(request.clone(), |request, (name, value)| request.header(name, &value));
    let bytes = request.to_bytes();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head has an end");
    let (head, rest) = bytes.split_at(end);
    let head = String::from_utf8(head.to_vec()).expect("a head is text");
    let lines = head.split("\r\n").map(|line| match line.split_once(": ") {
        Some(("Host", _)) => format!("Host: {HIDDEN}.example:443"),
        _ => line.to_owned(),
    });
    let head = change(&lines.collect::<Vec<_>>().join("\r\n"));
    [head.as_bytes(), rest].concat()
}

/// Nothing hidden comes back, and what is for the user comes back in a decision alone.
fn check(response: &Response) {
    let text = format!("{:?}\n{}", response.headers, response.text());
    assert_eq!(find(&text, HIDDEN), None, "{}", response.status);
    let body: serde_json::Value =
        serde_json::from_slice(&response.body).unwrap_or_else(|_| panic!("no JSON: {text}"));
    if body.get("action").is_none() {
        assert_hidden(&text, "an error");
    }
}

/// The hook names its play: a reason, a decision, or nothing for what must not get here.
fn scripted(request: &RecordedRequest) -> Play {
    let name = request.json()["displayName"].clone();
    assert_eq!(find(&String::from_utf8_lossy(&request.raw_head), SHOWN), None);
    let name = name.as_str().unwrap_or_default();
    if request.target.starts_with("/held") || request.target.starts_with("/silent") {
        return Play::silence();
    }
    let of_reason = Reason::all().find(|reason| reason.as_str() == name);
    match of_reason.map(path) {
        Some(Path::Api(play) | Path::ApiAtToken(play)) => play,
        _ => decision(name),
    }
}

/// Decisions, with marks for the user and others; `Continue` in need of repairs if it is none of them.
fn decision(name: &str) -> Play {
    let (shown, mark) = (sent(SHOWN), sent(HIDDEN));
    let body = match name {
        "block" => {
            format!(r#"{{"action":"ShowBlockPage","userMessage":"{shown}","code":"{mark}","city":"{mark}"}}"#)
        }
        "validation" => format!(r#"{{"userMessage":"{shown}","code":"{mark}","{mark}":["{mark}"]}}"#),
        "default" => format!(r#"{{"action":"ShowBlockPage","userMessage":["{mark}"],"code":"{mark}"}}"#),
        "comments" => format!("// {mark}\n{}/* {mark} */", paths::continues()),
        _ => paths::continues().replace("\"version\":\"1.0.0\",", ""),
    };
    match name {
        "validation" => Play::answer(paths::answer(409, &body)),
        "twice" => Play::twice(paths::answer(200, &body)),
        "stray" => Play::answer(paths::answer(200, &body)).then(Act::StrayAfter(mark.into_bytes())),
        "chunks" => {
            let chunk = format!(
                "{:x};{mark}=\"{mark}\"\r\n{body}\r\n0;{mark}\r\nX-{HIDDEN}: {mark}\r\n\r\n",
                body.len()
            );
            Play::answer(paths::head(200, "Transfer-Encoding: chunked\r\n") + &chunk)
        }
        _ => Play::answer(paths::answer(200, &body)),
    }
}

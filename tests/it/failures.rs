//! Every reason for a failure, at every step, under every `on_failure`: what the identity provider gets, and what is
//! written down.

use std::{collections::BTreeMap, net::TcpListener, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::support::{
    Act, CALLER, Gateway, PASSWORD, Parts, Play, RecordedRequest, RefusingAddress, Response, STEPS,
    ScriptedApi, answer, metrics, wait_until,
};

const CONTINUE: &str = r#"{"version":"1.0.0","action":"Continue"}"#;
const TIMEOUT: Duration = Duration::from_millis(200);
/// How much later than a time-out an answer may be.
const LATE: Duration = Duration::from_millis(250);

/// Where `on_failure: continue` applies.
#[derive(Clone, Copy, PartialEq)]
enum May {
    Anywhere,
    AtTokenStep,
    /// What cannot be read may have been a refusal.
    Unreadable,
}

struct Row {
    /// The connector, which is also the beginning of its user flows' names.
    connector: &'static str,
    reason: &'static str,
    blame: &'static str,
    status: u16,
    may: May,
    /// The API's answer, where the connector is the one with a script.
    play: Option<fn() -> Play>,
}

const fn row(connector: &'static str, reason: &'static str, blame: &'static str, status: u16) -> Row {
    Row { connector, reason, blame, status, may: May::Anywhere, play: None }
}

const fn load(connector: &'static str, reason: &'static str, status: u16) -> Row {
    Row { connector, reason, blame: "load", status, may: May::AtTokenStep, play: None }
}

const fn said(reason: &'static str, blame: &'static str, status: u16, play: fn() -> Play) -> Row {
    Row { connector: "scripted", reason, blame, status, may: May::Anywhere, play: Some(play) }
}

const fn broken(reason: &'static str, play: fn() -> Play) -> Row {
    said(reason, "api", 502, play)
}

const fn unreadable(reason: &'static str, play: fn() -> Play) -> Row {
    Row { may: May::Unreadable, ..broken(reason, play) }
}

fn raw(head: &str, body: &str) -> Play {
    Play::answer(format!("HTTP/1.1 {head}\r\n\r\n{body}"))
}

#[rustfmt::skip]
static TABLE: [Row; 60] = [
    // never an answer
    row("dns", "dns", "api", 502),
    row("refused", "refused", "api", 502),
    row("tls", "tls", "api", 502),
    row("mute-tls", "connect_timeout", "api", 504),
    broken("reset", || Play::new([Act::ReadRequest, Act::Reset])),
    broken("reset", || Play::new([Act::ReadRequest, Act::Close])),
    broken("cut_off", || Play::half(answer(200, CONTINUE))),
    broken("cut_off", || Play::answer("HTTP/1.1 2").then(Act::Close)),
    broken("cut_off", || Play::wrong_length(200, CONTINUE, 99).then(Act::Close)),
    broken("cut_off", || raw("200 OK\r\nTransfer-Encoding: chunked", "2\r\n{}\r\n").then(Act::Close)),
    broken("cut_off", || Play::wrong_length(200, CONTINUE, 99).then(Act::Reset)),
    // too late
    said("first_byte_timeout", "api", 504, Play::silence),
    said("body_timeout", "api", 504, || Play::wrong_length(200, CONTINUE, 99).then(Act::Forever)),
    said("body_timeout", "api", 504, || Play::answer("H").then(Act::Forever)),
    said("body_timeout", "api", 504, || Play::new([Act::ReadRequest, Act::SendByteByByte(answer(200, CONTINUE), Duration::from_millis(20))])),
    row("deadline", "deadline", "api", 504),
    // an answer that says so
    said("status_5xx", "api", 502, || Play::json(500, "{}")),
    said("status_5xx", "api", 502, || Play::json(503, "")),
    said("status_5xx", "api", 502, || Play::json(599, CONTINUE)),
    said("status_429", "api", 503, || Play::json(429, "{}")),
    said("credentials_refused", "configuration", 502, || Play::json(401, "{}")),
    said("credentials_refused", "configuration", 502, || Play::json(403, CONTINUE)),
    said("redirect", "configuration", 502, || raw("302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0", "")),
    said("redirect", "configuration", 502, || raw("307 Temporary Redirect\r\nLocation: /\r\nContent-Length: 0", "")),
    said("redirect", "configuration", 502, || raw("304 Not Modified", "")),
    said("status_4xx", "configuration", 502, || Play::json(404, "{}")),
    said("status_4xx", "configuration", 502, || Play::json(410, CONTINUE)),
    // the contract as HTTP
    unreadable("contract_http_head", || Play::garbage("ICY 200 OK\r\n\r\n")),
    unreadable("contract_http_head", || Play::garbage("\0\x01\x02")),
    unreadable("contract_http_head", || Play::answer(format!("HTTP/1.1 200 OK\nContent-Length: {}\n\n{CONTINUE}", CONTINUE.len()))),
    unreadable("contract_http_head", || raw("200 OK\r\nContent-Length: 2\r\n folded: x", "{}")),
    unreadable("contract_http_head", || raw("200 OK\r\nContent-Length : 2", "{}")),
    unreadable("contract_http_head", || raw(&format!("200 OK\r\nX: {}", "x".repeat(20_000)), "")),
    unreadable("contract_http_framing", || raw("200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked", "0\r\n\r\n")),
    unreadable("contract_http_framing", || raw("200 OK\r\nContent-Length: 2\r\nContent-Length: 2", "{}")),
    unreadable("contract_http_framing", || raw("200 OK\r\nContent-Length: 2, 2", "{}")),
    unreadable("contract_http_framing", || raw("200 OK\r\nContent-Length: +2", "{}")),
    unreadable("contract_http_framing", || raw("200 OK\r\nTransfer-Encoding: gzip, chunked", "0\r\n\r\n")),
    unreadable("contract_http_framing", || raw("200 OK\r\nTransfer-Encoding: chunked", "zz\r\n")),
    unreadable("contract_http_framing", || raw("200 OK\r\nTransfer-Encoding: chunked", "2\r\n{}x")),
    unreadable("contract_http_framing", || raw("200 OK", CONTINUE)),
    unreadable("contract_http_framing", || raw("204 No Content\r\nContent-Length: 2", "{}")),
    unreadable("contract_http_interim", || raw("103 Early Hints\r\nLink: </x>", "")),
    unreadable("contract_http_interim", || raw("101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade", "")),
    unreadable("contract_http_interim", || Play::answer("HTTP/1.1 100 Continue\r\n\r\n".repeat(9))),
    // the contract of API connectors
    unreadable("contract_content_encoding", || raw("200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0", "")),
    broken("contract_empty_body", || Play::json(200, "")),
    broken("contract_not_json", || Play::json(200, "<html>")),
    broken("contract_not_an_object", || Play::json(200, "[]")),
    broken("contract_too_deep", || Play::json(200, &format!("{{\"a\":{}{}}}", "[".repeat(40), "]".repeat(40)))),
    broken("contract_duplicate_name", || Play::json(200, r#"{"city":1,"city":2}"#)),
    broken("contract_missing_action", || Play::json(200, "{}")),
    broken("contract_missing_action", || raw("204 No Content", "")),
    broken("contract_continue_outside_2xx", || Play::json(400, CONTINUE)),
    broken("contract_continue_against_status", || Play::json(200, r#"{"version":"1.0.0","action":"Continue","status":400}"#)),
    broken("contract_error_without_message", || Play::json(409, "{}")),
    unreadable("answer_too_large", || Play::json(200, &format!("{{\"a\":\"{}\"}}", "x".repeat(2000)))),
    unreadable("answer_too_large", || Play::chunked(200, &"x".repeat(2000), &[1000])),
    // limits
    load("limited", "connector_limited", 429),
    load("full", "in_flight_full", 503),
];

/// The steps at which each `on_failure` may stand, and how it is written.
const ON_FAILURE: [(&str, &str, &[&str]); 4] = [
    ("block", "{ block: \"Later, ä.\" }", &["postFederationSignup", "postAttributeCollection"]),
    ("validation", "{ validation_error: \"Later, ä.\" }", &["postAttributeCollection"]),
    ("continue", "continue", &STEPS),
    ("error", "error", &STEPS),
];

/// A connector, and a user flow for each `on_failure`.
fn add(parts: Parts, connector: &str, url: &str, keys: &str, answer_within: &str) -> Parts {
    let parts = parts.connector(connector, url, keys);
    ON_FAILURE.into_iter().fold(parts, |parts, (name, yaml, steps)| {
        let hooks: Vec<_> = steps
            .iter()
            .map(|step| format!("{step}: {{ connector: {connector}, on_failure: {yaml} }}"))
            .collect();
        parts.flow(
            &format!("{connector}.{name}"),
            &format!("answer_within: {answer_within}\n{}", hooks.join("\n")),
        )
    })
}

fn post(gateway: &Gateway, flow: &str, step: &str, city: &Value, id: &str) -> Response {
    let request = gateway.client().post_hook(flow, step, &json!({ "city": city }).to_string());
    request.basic(CALLER, PASSWORD).header("X-Request-ID", id).send()
}

fn scripted(request: &RecordedRequest) -> Play {
    let city = request.json()["city"].clone();
    match city.as_u64().and_then(|row| TABLE.get(usize::try_from(row).ok()?)?.play) {
        Some(play) => play(),
        None => Play::continue_(),
    }
}

/// What an `on_failure` makes of a failure: status, decision as it is labelled, body unless it is a problem.
fn expected(row: &Row, step: &str, on_failure: &str) -> (u16, &'static str, Option<&'static str>) {
    let may = match row.may {
        May::Anywhere => true,
        May::AtTokenStep => step == "preTokenIssuance",
        May::Unreadable => false,
    };
    match on_failure {
        "block" => (
            200,
            "ShowBlockPage",
            Some(r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":"Later, ä."}"#),
        ),
        "validation" => (
            400,
            "ValidationError",
            Some(r#"{"version":"1.0.0","status":400,"action":"ValidationError","userMessage":"Later, ä."}"#),
        ),
        "continue" if may => (200, "Continue", Some(CONTINUE)),
        _ => (row.status, "error", None),
    }
}

/// A hook that was sent, and its answer.
struct Asked {
    id: String,
    flow: String,
    step: &'static str,
    row: &'static Row,
    on_failure: &'static str,
    response: Response,
}

/// Answers, events and metrics.
fn check_all(gateway: &Gateway, asked: Vec<Asked>) {
    let mut upstream: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    let mut fallbacks: BTreeMap<(String, &str, &str, &str), f64> = BTreeMap::new();
    for Asked { id, flow, step, row, on_failure, response } in asked {
        let (status, decision, body) = expected(row, step, on_failure);
        let what = format!("{} at {step} of {flow} ({id}): {}", row.reason, response.text());
        let event = gateway.event(&id);
        assert_eq!(response.status, status, "{what}");
        if let Some(body) = body {
            assert_eq!(response.text(), body, "{what}");
        } else {
            let problem = response.json();
            let fields = [&problem["reason"], &problem["request_id"], &problem["detail"]];
            assert_eq!(fields, [&json!(row.reason), &json!(id), &event["hint"]], "{what}");
        }
        let seconds = response.header("retry-after").map(|value| value.parse::<u32>().expect("seconds"));
        // One call a minute, and the last one was just now.
        let expected = match row.reason {
            "connector_limited" if body.is_none() => Some(40..=60),
            "in_flight_full" if body.is_none() => Some(1..=1),
            _ => None,
        };
        assert_eq!(seconds.is_some(), expected.is_some(), "{what}");
        assert!(seconds.zip(expected).is_none_or(|(seconds, range)| range.contains(&seconds)), "{what}");
        let fields =
            ["decision", "outcome", "reason", "blame"].map(|field| event[field].as_str().unwrap_or("-"));
        assert_eq!(fields, [decision, "fallback", row.reason, row.blame], "{what}");
        // Encoded, it may say anything; of the others nothing was seen.
        let encoded = (row.reason == "contract_content_encoding").then_some(json!(true));
        assert_eq!((&event["status"], event.get("refusal")), (&status.into(), encoded.as_ref()), "{what}");
        if row.blame != "load" {
            *upstream.entry((row.connector, row.reason)).or_default() += 1.0;
        }
        *fallbacks.entry((flow, step, row.reason, decision)).or_default() += 1.0;
    }
    // A hook is counted before its event is written.
    let page = gateway.metrics();
    // Without the buckets there is less to look through.
    let page: String =
        page.lines().filter(|line| line.contains("_total{")).flat_map(|line| [line, "\n"]).collect();
    let counted =
        |sample: &str, count: f64| assert_eq!(metrics::value(&page, sample), Some(count), "{sample}");
    let mut requests: BTreeMap<(&str, &str, &str), f64> = BTreeMap::new();
    for ((flow, step, reason, decision), count) in &fallbacks {
        let labels =
            format!("user_flow=\"{flow}\",step=\"{step}\",reason=\"{reason}\",decision=\"{decision}\"");
        counted(&format!("claimgate_fallback_decisions_total{{{labels}}}"), *count);
        *requests.entry((flow, step, decision)).or_default() += count;
    }
    for ((flow, step, decision), count) in requests {
        let labels =
            format!("user_flow=\"{flow}\",step=\"{step}\",decision=\"{decision}\",outcome=\"fallback\"");
        counted(&format!("claimgate_requests_total{{{labels}}}"), count);
    }
    for ((connector, reason), count) in upstream {
        let labels = format!("connector=\"{connector}\",reason=\"{reason}\"");
        counted(&format!("claimgate_upstream_requests_total{{{labels}}}"), count);
    }
    counted("claimgate_rate_limited_total{limit=\"connector\"}", 9.0);
    counted("claimgate_rate_limited_total{limit=\"connector_in_flight\"}", 9.0);
}

#[test]
fn every_failure_becomes_what_on_failure_says_and_is_told_apart_everywhere() {
    let api = ScriptedApi::answering(scripted);
    let plain = ScriptedApi::start(Play::new([
        Act::Send(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        Act::Forever,
    ]));
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let slow = ScriptedApi::start(Play::silence());
    let refusing = RefusingAddress::take();
    let timeout = format!("timeout: {}ms\nclaims_to_send: [city]", TIMEOUT.as_millis());
    let https = |address: std::net::SocketAddr| format!("https://{address}/");
    let mut parts = Parts::new();
    parts = add(parts, "scripted", &api.url("/"), &format!("{timeout}\nmax_answer: 1KiB"), "4s");
    parts = add(parts, "dns", "https://does-not-exist.invalid/", "", "4s");
    parts = add(parts, "refused", &refusing.url("/"), &timeout, "4s");
    parts = add(parts, "tls", &https(plain.address()), &timeout, "4s");
    parts = add(parts, "mute-tls", &https(mute.local_addr().unwrap()), "connect_timeout: 200ms", "4s");
    parts = add(parts, "deadline", &slow.url("/"), &timeout, &format!("{}ms", TIMEOUT.as_millis()));
    parts = add(
        parts,
        "limited",
        &api.url("/"),
        &format!("{timeout}\nrate_limit: {{ rate: 1/m, burst: 1 }}"),
        "4s",
    );
    parts = add(parts, "full", &slow.url("/"), "timeout: 30s\nmax_in_flight: 1\nwait: 20ms", "30s");
    let gateway = Gateway::start(&parts.text());

    // The two limits are spent: one hook passed, and one holds the only permit.
    assert_eq!(post(&gateway, "limited.error", STEPS[0], &Value::Null, "first").status, 200);
    let holder = gateway.client().post_hook("full.error", STEPS[0], "{}").basic(CALLER, PASSWORD);
    let mut held = gateway.client().connect();
    held.write(&holder.to_bytes());
    wait_until("the only permit is taken", || slow.requests().len() == 1);

    let ask_all = |on_failure: &'static str, steps: &[&'static str]| {
        let mut asked = Vec::new();
        // Limits first: the permit is held no longer than its time-out.
        for (number, row) in TABLE.iter().enumerate().rev() {
            for step in steps {
                let id = format!("{number}.{on_failure}.{step}");
                let flow = format!("{}.{on_failure}", row.connector);
                let begin = Instant::now();
                let response = post(&gateway, &flow, step, &number.into(), &id);
                let took = begin.elapsed();
                if row.reason.ends_with("timeout") || row.reason == "deadline" {
                    assert!((TIMEOUT..TIMEOUT + LATE).contains(&took), "{id} {}: {took:?}", row.reason);
                }
                asked.push(Asked { id, flow, step, row, on_failure, response });
            }
        }
        asked
    };
    let asked: Vec<_> = std::thread::scope(|scope| {
        let ask_all = &ask_all;
        let threads = ON_FAILURE.map(|(name, _, steps)| scope.spawn(move || ask_all(name, steps)));
        threads.into_iter().flat_map(|thread| thread.join().expect("its hooks were answered")).collect()
    });
    held.hang_up();

    check_all(&gateway, asked);
    // Never followed, never repeated: one request each.
    let scripted = TABLE.iter().filter(|row| row.play.is_some()).count();
    assert_eq!(api.requests().len(), scripted * 9 + 1);
}

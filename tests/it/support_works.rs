//! The support does what it says; otherwise the other tests would prove nothing.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::Command,
    time::Duration,
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::Instant,
};

use super::support::{
    Act, CALLER, CONNECTOR, Client, ConfigText, FLOW, Gateway, PASSWORD, Play, RecordedRequest,
    RefusingAddress, ScriptedApi, answer, metrics,
};

const CONTINUE: &str = r#"{"version":"1.0.0","action":"Continue"}"#;
const POST: &[u8] = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}";

fn panics(action: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(action)).is_err()
}

#[test]
fn a_request_is_recorded_byte_for_byte() {
    let api = ScriptedApi::start(Play::continue_());
    let client = Client::new(api.address());
    let body = "{\"displayName\": \"J\u{f6}rg\"}";
    let request =
        client.post_hook(FLOW, "preTokenIssuance", body).basic("a", "b:c").code("k+/=").header("X-Odd", "1");
    let head_and_body = request.to_bytes();
    let response = request.send();
    assert_eq!(
        (response.status, response.json()),
        (200, serde_json::from_str::<serde_json::Value>(CONTINUE).unwrap())
    );
    let seen = &api.requests()[0];
    assert_eq!([seen.raw_head.as_slice(), seen.body.as_slice()].concat(), head_and_body);
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("POST", "/flows/B2X_1_SignUp/preTokenIssuance?code=k%2B%2F%3D")
    );
    assert_eq!(seen.header("authorization"), Some("Basic YTpiOmM="));
    assert!(seen.headers.contains(&("X-Odd".to_owned(), "1".to_owned())));
    assert_eq!(seen.json()["displayName"], "J\u{f6}rg");
}

#[test]
fn a_sequence_runs_over_all_connections_and_has_an_end() {
    let api = ScriptedApi::start(vec![Play::block("no"), Play::validation("typo"), Play::json(503, "{}")]);
    let client = Client::new(api.address());
    let mut kept = client.connect();
    let hook = || client.post_hook(FLOW, "postAttributeCollection", "{}");
    let first = hook().send_on(&mut kept);
    let second = hook().send();
    let third = hook().send_on(&mut kept);
    assert_eq!((first.status, first.json()["userMessage"].clone()), (200, json!("no")));
    assert_eq!((second.status, second.json()["status"].clone()), (400, json!(400)));
    assert_eq!(third.status, 503);
    assert_eq!(api.connections(), 2);
    assert_eq!(api.requests().iter().map(|request| request.connection).collect::<Vec<_>>(), [0, 1, 0]);
    assert!(client.raw(POST).is_empty(), "the script has no fourth play");
    assert_eq!(api.take_violations().len(), 1);
}

#[test]
fn a_closure_sees_the_whole_request() {
    let by_body =
        |request: &RecordedRequest| Play::json(if request.body == b"yes" { 200 } else { 409 }, "{}");
    let api = ScriptedApi::answering(by_body);
    let client = Client::new(api.address());
    assert_eq!(client.request("POST", "/").body("yes").send().status, 200);
    assert_eq!(client.request("POST", "/").body("no").send().status, 409);
    assert_eq!(client.get("/").send().status, 409);
}

#[test]
fn every_play_sends_what_it_says() {
    let whole = answer(200, CONTINUE);
    let twice = [whole.as_slice(), whole.as_slice()].concat();
    let chunked = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
        1\r\n{\r\n2\r\n\"a\r\n4\r\n\":1}\r\n0\r\n\r\n";
    let short = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{}";
    let half = &whole[..whole.len() / 2];
    let table: [(Play, &[u8]); 10] = [
        (Play::continue_(), &whole),
        (Play::chunked(200, "{\"a\":1}", &[1, 2]), chunked),
        (Play::early(whole.clone()), &whole),
        (Play::unasked(whole.clone()), &whole),
        (Play::twice(whole.clone()), &twice),
        (Play::wrong_length(400, "{}", 9), short),
        (Play::half(whole.clone()), half),
        (Play::garbage("\0\r\n"), b"\0\r\n"),
        (Play::continue_().then(Act::StrayAfter(b"stray".to_vec())), &[whole.as_slice(), b"stray"].concat()),
        (
            Play::new([Act::ReadRequest, Act::SendByteByByte(whole.clone(), Duration::from_micros(50))]),
            &whole,
        ),
    ];
    for (at, (play, expected)) in table.into_iter().enumerate() {
        let api = ScriptedApi::start(play.then(Act::Close));
        assert_eq!(received(&api), (expected.to_vec(), false), "row {at}");
        assert_eq!(api.requests().len(), 1, "row {at}");
    }
}

#[test]
fn a_reset_is_a_reset_and_a_close_is_none() {
    let ends: [(Act, bool); 3] = [(Act::Close, false), (Act::HalfClose, false), (Act::Reset, true)];
    for (act, reset) in ends {
        let api = ScriptedApi::start(Play::new([Act::ReadRequest, act]));
        assert_eq!(received(&api), (Vec::new(), reset));
    }
    let api = ScriptedApi::start(Play::new([Act::Reset]));
    assert!(received(&api).1, "also before a request");
    assert!(api.requests().is_empty());
}

/// Everything that the API sends after a request, and whether the end is a reset.
fn received(api: &ScriptedApi) -> (Vec<u8>, bool) {
    use std::io::{ErrorKind, Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(api.address()).expect("the API accepts");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a read time-out can be set");
    // Whichever of the two calls meets the reset reports it; the other one then sees a plain end.
    let written = stream.write_all(POST);
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes).map(drop);
    let error = written.and(read).err();
    let reset = |kind| matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
    assert!(error.as_ref().is_none_or(|error| reset(error.kind())), "{error:?}");
    (bytes, error.is_some())
}

#[test]
fn a_body_may_be_read_after_the_answer() {
    let api = ScriptedApi::start(Play::early(answer(200, "{}")));
    let mut connection = Client::new(api.address()).connect();
    connection.write(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(connection.response("POST").status, 200);
    assert_eq!(api.requests()[0].body, b"");
    connection.write(b"{}");
    let end = Instant::now() + Duration::from_secs(10);
    while api.requests()[0].body != b"{}" {
        assert!(Instant::now() < end, "the body is recorded when it arrives");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_loose_request_is_a_violation() {
    let table: [&[u8]; 10] = [
        b"POST /x HTTP/1.1\nHost: h\n\n",
        b"POST /x HTTP/1.0\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
        b"POST  /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
        b"POST x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
        b"POST /x HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: h\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n1",
        b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\n1",
        b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n12",
    ];
    for bytes in table {
        let api = ScriptedApi::start(Play::continue_());
        let text = String::from_utf8_lossy(bytes);
        assert!(Client::new(api.address()).raw(bytes).is_empty(), "{text:?} is not answered");
        assert_eq!(api.take_violations().len(), 1, "{text:?}");
    }
    let api = ScriptedApi::start(Play::continue_());
    Client::new(api.address()).raw(table[0]);
    assert!(panics(move || drop(api)), "a violation that nobody took fails the test");
}

#[test]
fn the_client_refuses_every_response_that_is_not_strict() {
    let head = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}\r\n").into_bytes();
    let json = "Content-Type: application/json\r\nContent-Length: 2\r\n";
    let table = [
        head(&format!("{json}Server: x\r\n")),
        head(&format!("{json}Set-Cookie: a=b\r\n")),
        head(&format!("{json}Content-Type: application/json\r\n")),
        head(&format!("{json}Transfer-Encoding: chunked\r\n")),
        head(&format!("{json}Date : today\r\n")),
        head("Content-Type: text/html\r\nContent-Length: 2\r\n"),
        head("Content-Type: text/plain\r\nContent-Length: 2\r\n"),
        head("Content-Type: application/json\r\n"),
        head("Content-Type: application/json\r\nContent-Length: 0x2\r\n"),
        head("Content-Length: 2\r\n"),
        head("Content-Type: application/json\r\nContent-Length: 1\r\n"),
        head("Content-Type: application/json\r\nContent-Length: 3\r\n"),
        format!("HTTP/1.0 200 OK\r\n{json}\r\n").into_bytes(),
        format!("HTTP/1.1 99 Odd\r\n{json}\r\n").into_bytes(),
        format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n{json}\r\n").into_bytes(),
    ];
    for head in table {
        let bytes = [head.as_slice(), b"{}"].concat();
        let api = ScriptedApi::start(Play::answer(bytes.clone()).then(Act::Close));
        let client = Client::new(api.address());
        assert!(panics(|| drop(client.get("/").send())), "{:?}", String::from_utf8_lossy(&bytes));
    }
    let bytes = [head(json).as_slice(), b"{}"].concat();
    let api = ScriptedApi::start(Play::answer(bytes).then(Act::Close));
    assert_eq!(Client::new(api.address()).get("/").send().text(), "{}");
}

#[test]
fn text_is_for_the_admin_port_alone() {
    let text = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: 2\r\n\r\nup";
    let api = ScriptedApi::start(Play::answer(text));
    assert_eq!(Client::admin(api.address()).get("/metrics").send().text(), "up");
    assert!(panics(|| drop(Client::new(api.address()).get("/metrics").send())));
    assert!(panics(|| drop(Client::new(api.address()).raw(POST))));
}

#[test]
fn raw_returns_all_answers_and_sees_a_close() {
    let api = ScriptedApi::start(Play::continue_());
    assert_eq!(Client::new(api.address()).raw(POST), answer(200, CONTINUE));
    let api = ScriptedApi::start(Play::twice(answer(200, "{}")));
    assert_eq!(Client::new(api.address()).raw(POST), answer(200, "{}").repeat(2));
    let api = ScriptedApi::start(Play::continue_().then(Act::Close));
    let mut connection = Client::new(api.address()).connect();
    Client::new(api.address()).get("/").send_on(&mut connection);
    assert!(connection.is_closed_within(Duration::from_secs(5)));
}

#[test]
fn a_pause_delays_and_forever_lasts_until_the_peer_leaves() {
    let delay = Duration::from_millis(80);
    let api = ScriptedApi::start(Play::continue_().after(delay));
    let begin = Instant::now();
    Client::new(api.address()).get("/").send();
    assert!(begin.elapsed() >= delay);

    let api = ScriptedApi::start(Play::silence());
    let mut connection = Client::new(api.address()).connect();
    connection.write(POST);
    assert!(!connection.is_closed_within(delay));
    assert_eq!(api.open_connections(), 1);
    connection.hang_up();
    let end = Instant::now() + Duration::from_secs(10);
    while api.open_connections() > 0 {
        assert!(Instant::now() < end, "the API notices the hang-up");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_works_beside_paused_time_and_ends_when_dropped() {
    let api = ScriptedApi::start(vec![Play::continue_(), Play::silence()]);
    let mut stream = tokio::net::TcpStream::connect(api.address()).await.unwrap();
    stream.write_all(POST).await.unwrap();
    let mut bytes = vec![0; answer(200, CONTINUE).len()];
    stream.read_exact(&mut bytes).await.unwrap();
    assert_eq!(bytes, answer(200, CONTINUE));
    stream.write_all(POST).await.unwrap();
    drop(api);
    // Closed or reset, but not open.
    assert!(!matches!(stream.read(&mut [0]).await, Ok(1..)));
}

#[test]
fn a_refusing_address_refuses() {
    let refusing = RefusingAddress::take();
    let url = refusing.url("");
    let address = url.strip_prefix("http://").unwrap();
    let error = std::net::TcpStream::connect(address).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_sample_is_found_by_name_and_all_labels() {
    let page = "# HELP a_total things\n# TYPE a_total counter\na_total{x=\"1\",y=\"two \\\"2\\\"\"} 3\n\
        a_total{x=\"1\"} 4 1700000000\nb 5e-1\nc_bucket{le=\"+Inf\"} 6\n";
    let table = [
        ("a_total{y=\"two \\\"2\\\"\", x=\"1\"}", Some(3.0)),
        ("a_total{x=\"1\"}", Some(4.0)),
        ("b", Some(0.5)),
        ("c_bucket{le=\"+Inf\"}", Some(6.0)),
        ("a_total", None),
        ("a_total{x=\"2\"}", None),
    ];
    for (sample, expected) in table {
        assert_eq!(metrics::value(page, sample), expected, "{sample}");
    }
}

#[test]
fn a_configuration_holds_what_was_asked_for() {
    let text = ConfigText::new("http://127.0.0.1:1/api")
        .authentication("{ code: k }")
        .send(&["displayName", "city"])
        .receive(&["extension_ApprovalId"])
        .on_failure("preTokenIssuance", "continue")
        .listen("max_body: 1KiB")
        .caller("rate_limit: { rate: 1/s, burst: 1 }")
        .connector("timeout: 500ms\nrate_limit:\n  rate: 1/s\n  burst: 1")
        .flow("answer_within: 1s")
        .top("shutdown: { grace: 1s }")
        .text();
    let expected = format!(
        r#"listen:
  address: 127.0.0.1:0
  max_body: 1KiB
admin:
  address: 127.0.0.1:0
shutdown: {{ grace: 1s }}
callers:
  {CALLER}:
    basic: {{ username: {CALLER}, password: {PASSWORD} }}
    rate_limit: {{ rate: 1/s, burst: 1 }}
connectors:
  {CONNECTOR}:
    endpoint_url: http://127.0.0.1:1/api
    authentication: {{ code: k }}
    claims_to_send: [displayName, city]
    claims_to_receive: [extension_ApprovalId]
    breaker: off
    timeout: 500ms
    rate_limit:
      rate: 1/s
      burst: 1
user_flows:
  {FLOW}:
    callers: [{CALLER}]
    answer_within: 1s
    postFederationSignup: {{ duplicate_window: 0s, connector: {CONNECTOR}, on_failure: {{ block: "Please try again later." }} }}
    postAttributeCollection: {{ duplicate_window: 0s, connector: {CONNECTOR}, on_failure: {{ block: "Please try again later." }} }}
    preTokenIssuance: {{ duplicate_window: 0s, connector: {CONNECTOR}, on_failure: continue }}
"#
    );
    assert_eq!(text, expected);
}

/// A program that keeps the contract of starting: a line on stderr, events on stdout.
fn stand_in(stderr: &str, then: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("echo 'not JSON' >&2; echo '{stderr}' >&2; {then}")]);
    command
}

#[test]
fn a_program_is_ready_when_it_says_where_it_listens() {
    let hooks = ScriptedApi::start(Play::block("no"));
    let page = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\na{b=\"1\"} 2";
    let admin = ScriptedApi::start(Play::answer(page));
    let (address, admin_address) = (hooks.address(), admin.address());
    let plain = format!(r#"{{"message":"listening","address":"{address}","admin":"{admin_address}"}}"#);
    let nested = format!(r#"{{"level":"INFO","fields":{plain}}}"#);
    for line in [plain, nested] {
        let mut gateway =
            Gateway::from_command(stand_in(&line, r#"echo '{"a":1}'; echo '{"a":2}'; exec sleep 60"#));
        assert_eq!((gateway.address(), gateway.admin()), (address, admin_address));
        assert_eq!(
            gateway.client().post_hook(FLOW, "preTokenIssuance", "{}").send().json()["userMessage"],
            "no"
        );
        assert!((gateway.metric("a{b=\"1\"}") - 2.0).abs() < f64::EPSILON);
        assert_eq!(gateway.wait_for_events(2), [json!({"a": 1}), json!({"a": 2})]);
        assert!(gateway.stderr_text().starts_with("not JSON\n"));
        assert!(!gateway.terminate().success(), "the signal ended it");
    }
}

#[test]
fn a_program_that_ends_early_fails_the_test_at_once() {
    let begin = Instant::now();
    assert!(panics(|| drop(Gateway::from_command(stand_in("{}", "exit 3")))));
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_dropped_program_is_gone() {
    let line = r#"{"address":"127.0.0.1:1","admin":"127.0.0.1:2"}"#;
    let gateway = Gateway::from_command(stand_in(line, "exec sleep 60"));
    let pid = gateway.pid();
    drop(gateway);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_line_of_stdout_that_is_no_event_fails_the_test() {
    let line = r#"{"address":"127.0.0.1:1","admin":"127.0.0.1:2"}"#;
    let mut gateway = Gateway::from_command(stand_in(line, "echo oops"));
    assert!(gateway.wait().success());
    assert_eq!(gateway.stdout_text(), "oops");
    assert!(panics(|| drop(gateway.events())));
}

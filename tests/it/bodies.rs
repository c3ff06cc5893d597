//! Bodies that are too large, too slow, broken or not wanted, and what their sender gets to read.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use tokio::time::Instant;

use super::support::{
    CALLER, Client, Gateway, PASSWORD, Parts, Play, Request, ScriptedApi, check_refused, refused,
};

const STEP: &str = "postAttributeCollection";
const BODY: &str = r#"{"email":"jane@fabrikam.com"}"#;
const MAX_BODY: usize = 4096;
const BODY_TIMEOUT: Duration = Duration::from_millis(300);

fn start(api: &ScriptedApi) -> Gateway {
    let parts = Parts::new()
        .listen(&format!("max_body: {MAX_BODY}B\nbody_timeout: {}ms", BODY_TIMEOUT.as_millis()))
        .connector("approvals", &api.url("/"), "")
        .connector("quick", &api.url("/"), "timeout: 100ms\nwait: 10ms")
        .whole_flow("Open", "approvals", "")
        .whole_flow("Hurried", "quick", "answer_within: 100ms");
    Gateway::start(&parts.text())
}

/// A hook that would be answered.
fn good(client: Client) -> Request {
    client.post_hook("Open", STEP, BODY).basic(CALLER, PASSWORD)
}

fn nowhere(client: Client) -> Request {
    client.request("POST", "/nowhere").header("Content-Type", "application/json").body(BODY)
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_is_sent_or_as_soon_as_it_is_over() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = start(&api);
    let head = |id: &str, framing: &str| {
        let request = good(gateway.client()).header("X-Request-ID", id).header("Connection", "close");
        let bytes = request.without("Content-Length").body("").to_bytes();
        String::from_utf8(bytes).unwrap().replace("Content-Length: 0", framing)
    };
    for (id, framing, first, rest) in [
        ("stated", format!("Content-Length: {}", MAX_BODY + 1), String::new(), None),
        ("huge", "Content-Length: 99999999999".to_owned(), String::new(), None),
        (
            "expected",
            format!("Content-Length: {}\r\nExpect: 100-continue", MAX_BODY + 1),
            String::new(),
            None,
        ),
        (
            "chunk",
            "Transfer-Encoding: chunked".to_owned(),
            format!("{:x}\r\n{}\r\n", MAX_BODY, "x".repeat(MAX_BODY)),
            Some("1\r\nx\r\n"),
        ),
    ] {
        let mut connection = gateway.client().connect();
        connection.write(head(id, &framing).as_bytes());
        connection.write(first.as_bytes());
        if let Some(rest) = rest {
            std::thread::sleep(Duration::from_millis(50));
            connection.write(rest.as_bytes());
        }
        let response = connection.response("POST");
        check_refused(&gateway, id, &response, 413, "content_too_large");
        assert!(
            connection.is_closed_within(Duration::from_secs(3)),
            "{id}: the rest is not waited for much longer"
        );
    }
    assert!(api.requests().is_empty());
}

#[test]
fn a_body_that_does_not_arrive_in_time_is_a_408_and_drops_of_it_buy_no_time() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = start(&api);
    for (id, drip) in [("silent", false), ("dripping", true)] {
        let bytes = good(gateway.client()).header("X-Request-ID", id).to_bytes();
        let mut connection = gateway.client().connect();
        let begin = Instant::now();
        connection.write(&bytes[..bytes.len() - 10]);
        for at in 1..6 {
            std::thread::sleep(Duration::from_millis(40));
            if drip {
                connection.write(&bytes[bytes.len() - 11 + at..bytes.len() - 10 + at]);
            }
        }
        let response = connection.response("POST");
        let took = begin.elapsed();
        check_refused(&gateway, id, &response, 408, "request_timeout");
        assert!((BODY_TIMEOUT..BODY_TIMEOUT + Duration::from_millis(500)).contains(&took), "{id}: {took:?}");
    }
    gateway.wait_for_metric("claimgate_caller_failures_total{reason=\"request_timeout\"}", 2.0);
    assert!(api.requests().is_empty());
}

#[test]
fn a_body_has_no_more_time_than_its_hook() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = start(&api);
    let request = gateway.client().post_hook("Hurried", STEP, BODY).basic(CALLER, PASSWORD);
    let bytes = request.header("X-Request-ID", "hurried").to_bytes();
    let mut connection = gateway.client().connect();
    let begin = Instant::now();
    connection.write(&bytes[..bytes.len() - 10]);
    let response = connection.response("POST");
    let took = begin.elapsed();
    check_refused(&gateway, "hurried", &response, 408, "request_timeout");
    assert!((Duration::from_millis(100)..BODY_TIMEOUT).contains(&took), "{took:?}");
}

#[test]
fn a_client_that_sends_a_large_body_to_a_refused_hook_reads_the_whole_answer() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = start(&api);
    let client = gateway.client();
    let large = "x".repeat(1024 * 1024);
    let hook = || client.post_hook("Open", STEP, &large);
    for round in 0..5 {
        let rows = [
            (404, "not_found", nowhere(client).body(&large)),
            (401, "unauthenticated", hook()),
            (413, "content_too_large", hook().basic(CALLER, PASSWORD)),
        ];
        for (status, reason, request) in rows {
            refused(&gateway, &format!("{status}-{round}"), request, status, reason);
        }
    }
}

#[test]
fn the_end_of_a_refused_body_is_a_close_and_no_reset() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = start(&api);
    let large = "x".repeat(3 * 1024 * 1024);
    let client = gateway.client();
    let rows = [
        ("404", client.request("POST", "/nowhere").body(&large)),
        ("401", client.post_hook("Open", STEP, &large)),
        ("413", client.post_hook("Open", STEP, &large).basic(CALLER, PASSWORD)),
    ];
    for (status, request) in rows {
        let mut stream = TcpStream::connect(gateway.address()).expect("the gateway accepts");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a read time-out can be set");
        // What is left unread when the server closes would come back as a reset, here or at the reading.
        stream.write_all(&request.header("Connection", "close").to_bytes()).expect("all of it is taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap_or_else(|error| panic!("{status}: {error}"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

#[test]
fn whoever_asks_before_sending_a_body_gets_the_refusal_alone_or_a_100() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = start(&api);
    let ask = |request: Request| {
        let bytes = request.header("Expect", "100-continue").to_bytes();
        let mut connection = gateway.client().connect();
        connection.write(&bytes[..bytes.len() - BODY.len()]);
        connection
    };
    let hook = gateway.client().post_hook("Open", STEP, BODY);
    // `response` fails at an interim answer.
    let response = ask(hook.header("X-Request-ID", "expect-401")).response("POST");
    check_refused(&gateway, "expect-401", &response, 401, "unauthenticated");
    let waiting = good(gateway.client()).header("Expect", "100-continue").to_bytes();
    let all = gateway.client().raw(&waiting);
    assert!(
        all.starts_with(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"),
        "{}",
        String::from_utf8_lossy(&all)
    );
}

#[test]
fn a_connection_survives_the_refusal_of_a_small_body() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = start(&api);
    let client = gateway.client();
    let mut connection = client.connect();
    for _ in 0..3 {
        assert_eq!(nowhere(client).send_on(&mut connection).status, 404);
        assert_eq!(client.post_hook("Open", STEP, BODY).send_on(&mut connection).status, 401);
        assert_eq!(good(client).body("[]").send_on(&mut connection).status, 400);
        assert_eq!(good(client).send_on(&mut connection).status, 200);
    }
    assert_eq!(gateway.wait_for_events(12).len(), 12);
}

#[test]
fn a_body_with_broken_framing_is_a_400() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = start(&api);
    for (row, chunks) in
        ["zz\r\n{}\r\n0\r\n\r\n", "2\r\n{}x\r\n0\r\n\r\n", "-2\r\n{}\r\n0\r\n\r\n"].into_iter().enumerate()
    {
        let id = format!("framing-{row}");
        let bytes = good(gateway.client()).header("X-Request-ID", &id).body("").to_bytes();
        let head =
            String::from_utf8(bytes).unwrap().replace("Content-Length: 0", "Transfer-Encoding: chunked");
        let mut connection = gateway.client().connect();
        connection.write((head + chunks).as_bytes());
        let response = connection.response("POST");
        check_refused(&gateway, &id, &response, 400, "bad_request_framing");
        assert!(connection.is_closed_within(Duration::from_secs(5)), "what follows cannot be told apart");
    }
    assert!(api.requests().is_empty());
}

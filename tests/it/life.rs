//! The life of connections: keep-alive, hang-ups, limits of time and number.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    thread::sleep,
    time::Duration,
};

use tokio::time::Instant;

use super::support::{
    Act, CALLER, Client, ConfigText, FLOW, Gateway, PASSWORD, Play, Request, STEPS, ScriptedApi, wait_until,
};

const BODY: &str = r#"{"email":"jane@fabrikam.com"}"#;
/// What a busy machine may add to a time.
const SLACK: Duration = Duration::from_millis(600);

fn hook(client: Client) -> Request {
    client.post_hook(FLOW, STEPS[1], BODY).basic(CALLER, PASSWORD)
}

fn start(api: &ScriptedApi, listen: &str) -> Gateway {
    Gateway::start(&ConfigText::new(&api.url("/")).listen(listen).text())
}

#[test]
fn a_hang_up_cancels_the_call_frees_every_permit_and_is_written_down_once() {
    let api = ScriptedApi::start(vec![Play::silence(), Play::silence(), Play::continue_()]);
    let config =
        ConfigText::new(&api.url("/")).listen("max_in_flight: 1").connector("max_in_flight: 1\ntimeout: 4s");
    let gateway = Gateway::start(&config.text());
    let client = gateway.client();
    for number in 1..=2 {
        let mut caller = client.connect();
        let id = format!("gone-{number}");
        caller.write(&hook(client).header("X-Request-ID", &id).to_bytes());
        wait_until("the hook is at the API", || api.requests().len() == number);
        assert_eq!(api.open_connections(), 1);
        caller.hang_up();
        wait_until("the connection to the API is closed", || api.open_connections() == 0);
        let event = gateway.event(&id);
        let fields =
            ["decision", "outcome", "reason", "blame"].map(|field| event[field].as_str().unwrap_or("-"));
        assert_eq!(fields, ["none", "abandoned", "client_gone", "caller"]);
        assert_eq!(
            (event.get("status"), &event["caller"], &event["claims_sent"]),
            (None, &CALLER.into(), &1.into())
        );
    }
    assert_eq!(hook(client).send().status, 200, "both limits of one have a place");
    let flow = format!("user_flow=\"{FLOW}\",step=\"{}\"", STEPS[1]);
    gateway.wait_for_metric(
        &format!("claimgate_requests_total{{{flow},decision=\"none\",outcome=\"abandoned\"}}"),
        2.0,
    );
    gateway.wait_for_metric("claimgate_caller_failures_total{reason=\"client_gone\"}", 2.0);
    gateway.wait_for_metric("claimgate_in_flight_hooks", 0.0);
    assert_eq!(gateway.wait_for_events(3).len(), 3);
}

#[test]
fn a_hook_whose_end_comes_right_behind_it_is_written_down_too() {
    const HOOKS: usize = 50;
    let api = ScriptedApi::start(Play::silence());
    let gateway = start(&api, "");
    for number in 0..HOOKS {
        let mut caller = gateway.client().connect();
        caller.write(&hook(gateway.client()).header("X-Request-ID", &format!("gone-{number}")).to_bytes());
        caller.hang_up();
    }
    let events = gateway.wait_for_events(HOOKS);
    let ids: std::collections::HashSet<_> = events.iter().map(|event| event["request_id"].as_str()).collect();
    assert_eq!((events.len(), ids.len()), (HOOKS, HOOKS));
    for event in &events {
        assert_eq!((&event["reason"], &event["user_flow"]), (&"client_gone".into(), &FLOW.into()), "{event}");
    }
    gateway.wait_for_metric("claimgate_in_flight_hooks", 0.0);
}

#[test]
fn a_hang_up_inside_a_body_is_written_down_and_one_inside_a_head_is_no_hook() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = start(&api, "max_in_flight: 1");
    let client = gateway.client();
    let bytes = hook(client).header("X-Request-ID", "half").to_bytes();
    let chunked = String::from_utf8_lossy(&bytes).replace("half", "chunk");
    let chunked = chunked.replace(&format!("Content-Length: {}", BODY.len()), "Transfer-Encoding: chunked");
    let chunked = chunked.replace(BODY, "5\r\n{");
    for (id, bytes) in [("half", &bytes[..bytes.len() - 5]), ("chunk", chunked.as_bytes())] {
        let mut caller = client.connect();
        caller.write(bytes);
        gateway.wait_for_metric("claimgate_in_flight_hooks", 1.0);
        caller.hang_up();
        let event = gateway.event(id);
        assert_eq!(
            (&event["outcome"], &event["reason"]),
            (&"abandoned".into(), &"client_gone".into()),
            "{id}"
        );
    }
    let mut caller = client.connect();
    caller.write(&bytes[..40]);
    caller.hang_up();
    assert_eq!(hook(client).header("X-Request-ID", "next").send().status, 200);
    gateway.event("next");
    assert_eq!(gateway.events().len(), 3);
    assert_eq!(api.requests().len(), 1);
}

#[test]
fn one_connection_carries_many_hooks_also_sent_before_the_last_was_answered() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = start(&api, "");
    let client = gateway.client();
    let mut kept = client.connect();
    for _ in 0..5 {
        let response = hook(client).send_on(&mut kept);
        assert_eq!((response.status, response.header("connection")), (200, None));
    }
    let ids: Vec<String> = (0..4).map(|number| format!("pipelined-{number}")).collect();
    let request = |id: &String| {
        let request = hook(client).header("X-Request-ID", id);
        // The second one is refused, which must not swallow the third.
        if id.ends_with('1') { request.without("Authorization") } else { request }
    };
    let bytes: Vec<u8> = ids.iter().flat_map(|id| request(id).to_bytes()).collect();
    let answers = String::from_utf8(client.raw(&bytes)).unwrap();
    let seen: Vec<_> = answers
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| {
            let id = answer.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap_or("-");
            (answer[..3].to_owned(), id.to_owned())
        })
        .collect();
    let statuses = ["200", "401", "200", "200"].map(str::to_owned);
    let expected: Vec<_> = statuses.into_iter().zip(ids).collect();
    assert_eq!(seen, expected);
    assert_eq!(gateway.wait_for_events(9).len(), 9);
    let closing = hook(client).header("Connection", "close");
    let mut connection = client.connect();
    assert_eq!(closing.send_on(&mut connection).header("connection"), Some("close"));
    assert!(connection.is_closed_within(SLACK));
}

#[test]
fn a_connection_over_the_limit_waits_for_a_place() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = start(&api, "max_connections: 2");
    let client = gateway.client();
    let mut first = client.connect();
    let mut second = client.connect();
    assert_eq!(hook(client).send_on(&mut first).status, 200);
    assert_eq!(hook(client).send_on(&mut second).status, 200);
    let mut third = client.connect();
    third.write(&hook(client).to_bytes());
    assert!(!third.is_closed_within(Duration::from_millis(200)), "it is neither served nor refused");
    assert_eq!(api.requests().len(), 2);
    first.hang_up();
    assert_eq!(third.response("POST").status, 200);
}

#[test]
fn each_wait_for_a_head_has_its_time_out_and_is_no_hook() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = start(&api, "first_byte_timeout: 300ms\nhead_timeout: 600ms\nidle_timeout: 900ms");
    let client = gateway.client();
    let bytes = hook(client).to_bytes();
    let mut silent = client.connect();
    let mut half = client.connect();
    half.write(&bytes[..30]);
    let mut between = client.connect();
    let mut dripping = client.connect();
    assert_eq!(hook(client).send_on(&mut between).status, 200);
    let begin = Instant::now();
    let dripper = std::thread::spawn(move || {
        for byte in b"POST /flows/x HTTP/1.1\r\nX" {
            dripping.write(&[*byte]);
            sleep(Duration::from_millis(20));
        }
        dripping
    });
    let waits = [
        ("silent", &mut silent, 300, None),
        ("half", &mut half, 600, Some(408)),
        ("between", &mut between, 900, None),
    ];
    for (what, connection, millis, status) in waits {
        let timeout = Duration::from_millis(millis);
        if let Some(status) = status {
            let response = connection.response("POST");
            assert_eq!((response.status, response.header("connection")), (status, Some("close")), "{what}");
        }
        assert!(connection.is_closed_within(timeout + SLACK), "{what}");
        let took = begin.elapsed();
        // They began a little before the clock did.
        assert!(took + Duration::from_millis(100) >= timeout, "{what}: {took:?}");
    }
    assert_eq!(dripper.join().unwrap().response("POST").status, 408, "bytes now and then buy no time");
    assert_eq!(gateway.wait_for_events(1).len(), 1);
}

#[test]
fn a_client_of_http_1_0_is_answered_and_its_connection_closed() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = start(&api, "");
    let text = String::from_utf8(hook(gateway.client()).to_bytes()).unwrap();
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(text.replacen("HTTP/1.1", "HTTP/1.0", 1).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the connection ends");
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with(r#"{"version":"1.0.0","action":"Continue"}"#), "{answer}");
    assert!(!answer.to_ascii_lowercase().contains("transfer-encoding"), "{answer}");
    assert_eq!(gateway.wait_for_events(1)[0]["status"], 200);
}

#[test]
fn broken_requests_end_their_connection_and_no_other() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = start(&api, "");
    let client = gateway.client();
    let mut kept = client.connect();
    let long = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(100_000));
    let many = format!("POST / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: y\r\n".repeat(1000));
    let path = format!("/flows/{FLOW}/{}", STEPS[1]);
    let smuggled = format!(
        "POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    );
    let lengths =
        format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}");
    let rows =
        ["\0\u{1}\u{2}\r\n\r\n", "GET\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &long, &many, &lengths];
    for (row, bytes) in rows.into_iter().enumerate() {
        let mut stream = TcpStream::connect(gateway.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(bytes.as_bytes()).ok();
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer);
        let open = ended.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!open, "row {row}: the connection ends");
        let text = String::from_utf8_lossy(&answer);
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "row {row}: {text}");
        assert_eq!(hook(client).send_on(&mut kept).status, 200, "row {row}");
    }
    let both = client.raw(smuggled.as_bytes());
    assert!(!String::from_utf8_lossy(&both).contains("200 OK"), "both framings never pass unauthenticated");
    assert_eq!(api.requests().len(), rows.len());
    // They have no event; so much is known of them all the same.
    for (fault, count) in [("malformed", 3.0), ("too_large", 2.0), ("http2", 1.0)] {
        gateway.wait_for_metric(&format!("claimgate_unparsed_requests_total{{fault=\"{fault}\"}}"), count);
    }
    assert_eq!(gateway.wait_for_events(rows.len() + 1).len(), rows.len() + 1);
}

#[test]
fn a_request_that_cannot_be_read_is_a_line_for_whoever_looks_closer() {
    let api = ScriptedApi::start(Play::continue_());
    let config = ConfigText::new(&api.url("/")).text();
    for (arguments, said) in [(&["--log-level", "debug"][..], true), (&[], false)] {
        let mut gateway = Gateway::start_with_arguments(&config, arguments);
        gateway.client().connect().write(b"POST /sign-up\0 HTTP/1.1\r\n\r\n");
        gateway.wait_for_metric("claimgate_unparsed_requests_total{fault=\"malformed\"}", 1.0);
        // A hang-up between two requests is none.
        gateway.client().connect().hang_up();
        assert!(gateway.terminate().success());
        let text = gateway.stderr_text();
        assert_eq!(text.matches("\"fault\":\"malformed\"").count(), usize::from(said), "{text}");
        assert_eq!(text.matches("\"fault\"").count(), usize::from(said), "{text}");
        assert!(!text.contains("sign-up"), "{text}");
    }
}

#[test]
fn an_api_that_is_gone_when_the_caller_hangs_up_is_no_harm() {
    let api =
        ScriptedApi::start(Play::new([Act::ReadRequest, Act::Pause(Duration::from_millis(100)), Act::Reset]));
    let gateway = start(&api, "");
    let client = gateway.client();
    for number in 1..=10 {
        let mut caller = client.connect();
        caller.write(&hook(client).to_bytes());
        wait_until("the hook is at the API", || api.requests().len() == number);
        sleep(Duration::from_millis(95));
        caller.hang_up();
    }
    let events = gateway.wait_for_events(10);
    sleep(Duration::from_millis(250));
    assert_eq!(gateway.events().len(), 10, "one each, whichever side was quicker");
    for event in events {
        assert!(matches!(event["reason"].as_str(), Some("reset" | "client_gone")), "{event}");
    }
    assert_eq!(gateway.metric("claimgate_panics_total").to_string(), "0");
}

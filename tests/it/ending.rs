//! The end of the process: what is in flight, what is idle, and how long each may take.

use std::{net::TcpStream, time::Duration};

use tokio::time::Instant;

use super::support::{
    CALLER, Client, ConfigText, FLOW, Gateway, PASSWORD, Play, Request, STEPS, ScriptedApi, wait_until,
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
fn a_signal_ends_the_process_after_the_hooks_in_flight_were_answered() {
    for (signal, name) in [("TERM", "SIGTERM"), ("INT", "SIGINT")] {
        let api = ScriptedApi::start(Play::continue_().after(Duration::from_millis(500)));
        let mut gateway = Gateway::start(&ConfigText::new(&api.url("/")).text());
        let client = gateway.client();
        let mut idle = client.connect();
        let mut used = client.connect();
        assert_eq!(client.get("/nowhere").send_on(&mut used).status, 404);
        let mut in_flight = client.connect();
        in_flight.write(&hook(client).header("X-Request-ID", "last").to_bytes());
        wait_until("the hook is at the API", || api.requests().len() == 1);

        let begin = Instant::now();
        gateway.signal(signal);
        wait_until("nothing new is accepted", || TcpStream::connect(gateway.address()).is_err());
        let response = in_flight.response("POST");
        assert_eq!((response.status, response.header("connection")), (200, Some("close")), "{name}");
        // A hook may be on its way on any of these.
        for (what, kept) in [("used", &mut used), ("never used", &mut idle)] {
            assert!(!kept.is_closed_within(Duration::from_millis(100)), "{name}, {what}: it is kept");
            let response = hook(client).send_on(kept);
            assert_eq!(
                (response.status, response.header("connection")),
                (200, Some("close")),
                "{name}, {what}"
            );
            assert!(kept.is_closed_within(SLACK), "{name}, {what}: and ends with its answer");
        }
        assert!(gateway.wait().success(), "{name}");
        assert!(
            begin.elapsed() < Duration::from_secs(6),
            "{name}: without connections the end does not wait for the grace to pass"
        );
        let events = gateway.events();
        assert_eq!(events.len(), 4, "{name}: {events:#?}");
        let last = events.iter().find(|event| event["request_id"] == "last").expect("it was in flight");
        assert_eq!(last["outcome"], "api");
        let said = gateway.stderr_text();
        assert!(said.contains(name) && said.contains("every hook was answered"), "{said}");
    }
}

#[test]
fn whoever_reads_that_it_listens_may_signal_at_once() {
    for _ in 0..10 {
        let mut gateway = Gateway::start(&ConfigText::new("http://127.0.0.1:1/").text());
        assert!(gateway.terminate().success(), "{}", gateway.stderr_text());
    }
}

#[test]
fn a_grace_that_is_too_short_is_a_warning_and_the_event_is_written_all_the_same() {
    let api = ScriptedApi::start(Play::silence());
    let grace = Duration::from_millis(300);
    let config = ConfigText::new(&api.url("/")).top("shutdown: { grace: 300ms }").connector("timeout: 4s");
    let mut gateway = Gateway::start(&config.text());
    let mut in_flight = gateway.client().connect();
    in_flight.write(&hook(gateway.client()).header("X-Request-ID", "cut").to_bytes());
    wait_until("the hook is at the API", || api.requests().len() == 1);
    let begin = Instant::now();
    let status = gateway.terminate();
    let took = begin.elapsed();
    assert!(status.success() && (grace..grace + SLACK).contains(&took), "{status} after {took:?}");
    assert!(in_flight.is_closed_within(SLACK));
    let said = gateway.stderr_text();
    assert!(said.contains("\"WARN\"") && said.contains("shutdown.grace passed"), "{said}");
    let events = gateway.events();
    assert_eq!(events.len(), 1, "{events:#?}");
    assert_eq!((&events[0]["request_id"], &events[0]["outcome"]), (&"cut".into(), &"abandoned".into()));
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    for (first, second) in [("TERM", "INT"), ("INT", "INT"), ("TERM", "TERM")] {
        let api = ScriptedApi::start(Play::silence());
        let config = ConfigText::new(&api.url("/")).top("shutdown: { grace: 30s }").connector("timeout: 4s");
        let mut gateway = Gateway::start(&config.text());
        let mut in_flight = gateway.client().connect();
        in_flight.write(&hook(gateway.client()).header("X-Request-ID", "cut").to_bytes());
        wait_until("the hook is at the API", || api.requests().len() == 1);
        gateway.signal(first);
        wait_until("it drains", || gateway.stderr_text().contains("finishing what is in flight"));
        assert!(!in_flight.is_closed_within(Duration::from_millis(200)), "the grace has begun");
        let begin = Instant::now();
        gateway.signal(second);
        let status = gateway.wait();
        assert!(status.success() && begin.elapsed() < Duration::from_secs(2), "{status}");
        let said = gateway.stderr_text();
        assert!(said.contains("\"WARN\"") && said.contains("before every hook was answered"), "{said}");
        let events = gateway.events();
        assert_eq!(events.len(), 1, "{events:#?}");
        assert_eq!((&events[0]["request_id"], &events[0]["outcome"]), (&"cut".into(), &"abandoned".into()));
    }
}

/// What the kernel has taken for the process is in flight, whether or not the process has looked at it.
#[test]
fn hooks_that_have_arrived_at_the_end_are_answered_on_kept_and_on_new_connections() {
    let api = ScriptedApi::start(Play::continue_());
    let mut gateway = start(&api, "");
    let client = gateway.client();
    let mut kept: Vec<_> = (0..20).map(|_| client.connect()).collect();
    for connection in &mut kept {
        assert_eq!(hook(client).send_on(connection).status, 200);
    }
    gateway.signal("STOP");
    let mut connections = kept;
    connections.extend((0..20).map(|_| client.connect()));
    for connection in &mut connections {
        connection.write(&hook(client).to_bytes());
    }
    gateway.signal("TERM");
    gateway.signal("CONT");
    for (number, connection) in connections.iter_mut().enumerate() {
        assert_eq!(connection.response("POST").status, 200, "connection {number}");
    }
    // Some may have been answered just before the end began, and would be waited for.
    drop(connections);
    assert!(gateway.wait().success());
    assert_eq!(gateway.wait_for_events(60).len(), 60);
}

#[test]
fn half_a_head_makes_the_end_take_no_longer_than_head_timeout() {
    let api = ScriptedApi::start(Play::continue_());
    let config = ConfigText::new(&api.url("/")).top("shutdown: { grace: 1m }").listen("head_timeout: 500ms");
    let mut gateway = Gateway::start(&config.text());
    let mut half = gateway.client().connect();
    half.write(&hook(gateway.client()).to_bytes()[..30]);
    let begin = Instant::now();
    assert!(gateway.terminate().success());
    assert!(begin.elapsed() < Duration::from_millis(500) + 2 * SLACK, "{:?}", begin.elapsed());
    assert_eq!(half.response("POST").status, 408);
    assert_eq!(gateway.events().len(), 0);
}

#[test]
fn for_drain_delay_the_process_says_draining_and_serves_as_before() {
    let api = ScriptedApi::start(Play::continue_());
    let delay = Duration::from_millis(1500);
    let config = ConfigText::new(&api.url("/")).top("shutdown: { drain_delay: 1500ms }");
    let mut gateway = Gateway::start(&config.text());
    let client = gateway.client();
    let mut kept = client.connect();
    assert_eq!(hook(client).send_on(&mut kept).status, 200);
    let begin = Instant::now();
    gateway.signal("TERM");
    wait_until("it says so", || {
        let response = gateway.admin_client().get("/readyz").send();
        (response.status, response.text()) == (503, "draining\n")
    });
    let said_after = begin.elapsed();
    for connection in [&mut kept, &mut client.connect()] {
        let response = hook(client).send_on(connection);
        assert_eq!((response.status, response.header("connection")), (200, None));
    }
    assert!(said_after < delay && begin.elapsed() < delay, "the machine is too slow for this test");
    wait_until("the delay has passed", || gateway.stderr_text().contains("no new connections"));
    assert!(begin.elapsed() >= delay, "{:?}", begin.elapsed());
    wait_until("nothing new is accepted", || TcpStream::connect(gateway.address()).is_err());
    assert_eq!(gateway.admin_client().get("/readyz").send().text(), "draining\n");
    let response = hook(client).send_on(&mut kept);
    assert_eq!((response.status, response.header("connection")), (200, Some("close")));
    assert!(gateway.wait().success());
}

#[test]
fn a_second_signal_cuts_drain_delay_short_too() {
    let api = ScriptedApi::start(Play::continue_());
    let config = ConfigText::new(&api.url("/")).top("shutdown: { drain_delay: 5m, grace: 1h }");
    let mut gateway = Gateway::start(&config.text());
    let _kept = gateway.client().connect();
    gateway.signal("TERM");
    wait_until("the delay has begun", || gateway.stderr_text().contains("shutdown.drain_delay"));
    let begin = Instant::now();
    assert!(gateway.terminate().success());
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    assert!(gateway.stderr_text().contains("every hook was answered"), "none was open");
}

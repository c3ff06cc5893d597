//! `listen.unauthenticated_limit`: a flood of bad credentials is slowed down, and never who has a good one.

use std::{thread, time::Duration};

use tokio::time::Instant;

use super::{
    reload::{IN_FORCE, reload},
    support::{CALLER, ConfigText, FLOW, Gateway, PASSWORD, Play, Request, Response, STEPS, ScriptedApi},
};

const BODY: &str = r#"{"email":"jane@fabrikam.com"}"#;
/// A refused body is read and dropped for so long.
const LINGER: Duration = Duration::from_secs(1);

fn config(api: &ScriptedApi, rate: &str, burst: usize) -> String {
    ConfigText::new(&api.url("/"))
        .listen(&format!("unauthenticated_limit: {{ rate: {rate}, burst: {burst} }}"))
        .text()
}

fn guess(gateway: &Gateway, number: usize) -> Request {
    let hook = gateway.client().post_hook(FLOW, STEPS[1], BODY);
    hook.basic(CALLER, &format!("guess-{number}")).header("X-Request-ID", &format!("guess-{number}"))
}

fn good(gateway: &Gateway) -> Request {
    gateway.client().post_hook(FLOW, STEPS[1], BODY).basic(CALLER, PASSWORD)
}

#[test]
fn over_the_limit_a_guess_is_a_429_that_ends_its_connection() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = Gateway::start(&config(&api, "1/m", 3));
    let mut connection = gateway.client().connect();
    for number in 0..3 {
        let response = guess(&gateway, number).send_on(&mut connection);
        assert_eq!((response.status, response.header("connection")), (401, None));
        assert!(response.header("www-authenticate").is_some() && response.header("retry-after").is_none());
    }
    assert_eq!(good(&gateway).send_on(&mut connection).status, 200, "the connection is as good as any");
    let response = guess(&gateway, 3).send_on(&mut connection);
    assert_limited(&response);
    assert!(connection.is_closed_within(LINGER), "the next guess needs a connection of its own");
    let event = gateway.event("guess-3");
    let fields = ["reason", "blame", "outcome", "decision", "credential_failure"];
    let fields = fields.map(|field| event[field].as_str().unwrap_or("-"));
    let expected = ["unauthenticated_limited", "caller", "refused", "error", "credential_mismatch"];
    assert_eq!(fields, expected, "{event}");
    assert_eq!((&event["status"], event.get("caller")), (&429.into(), None), "{event}");
    gateway.wait_for_metric("claimgate_rate_limited_total{limit=\"unauthenticated\"}", 1.0);
    gateway.wait_for_metric("claimgate_caller_failures_total{reason=\"credential_mismatch\"}", 4.0);
    assert_eq!(good(&gateway).send().status, 200);
    assert_limited(&gateway.client().post_hook(FLOW, STEPS[1], BODY).send());
}

fn assert_limited(response: &Response) {
    assert_eq!(response.status, 429, "{}", response.text());
    assert_eq!(response.json()["reason"], "unauthenticated_limited");
    let after: u64 = response
        .header("retry-after")
        .and_then(|after| after.parse().ok())
        .expect("it is a number of seconds");
    assert!((1..=60).contains(&after), "{after}");
    assert_eq!(response.header("connection"), Some("close"));
    assert_eq!(response.header("www-authenticate"), None, "nobody is asked to try again at once");
}

#[test]
fn the_body_of_a_guess_over_the_limit_is_not_waited_for() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = Gateway::start(&config(&api, "1/m", 1));
    for (number, status) in [(0, 401), (1, 429)] {
        let bytes = guess(&gateway, number).to_bytes();
        let mut connection = gateway.client().connect();
        connection.write(&bytes[..bytes.len() - 5]);
        assert_eq!(connection.response("POST").status, status);
        let answered = Instant::now();
        assert!(connection.is_closed_within(LINGER * 5));
        let took = answered.elapsed();
        // The server's time began a little before the client's.
        assert_eq!(took < LINGER * 9 / 10, status == 429, "{status}: {took:?}");
    }
}

#[test]
fn a_flood_of_guesses_leaves_good_credentials_alone() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = Gateway::start(&config(&api, "5/s", 5));
    let (guesses, hooks) = (200, 100);
    thread::scope(|scope| {
        let gateway = &gateway;
        let flood = scope.spawn(move || {
            (0..guesses).map(|number| guess(gateway, number).send().status).collect::<Vec<_>>()
        });
        let mut connection = gateway.client().connect();
        for _ in 0..hooks {
            let response = good(gateway).send_on(&mut connection);
            assert_eq!((response.status, response.header("connection")), (200, None));
        }
        let statuses = flood.join().unwrap();
        assert!(statuses.iter().all(|status| [401, 429].contains(status)), "{statuses:?}");
        assert_eq!(statuses[0], 401);
        assert!(statuses.contains(&429), "{statuses:?}");
    });
    assert_eq!(gateway.wait_for_events(guesses + hooks).len(), guesses + hooks, "one event for each");
}

#[test]
fn a_reload_goes_on_with_what_is_left() {
    let api = ScriptedApi::start(Play::continue_());
    let text = config(&api, "1/m", 1);
    let gateway = Gateway::start(&text);
    assert_eq!([0, 1].map(|number| guess(&gateway, number).send().status), [401, 429]);
    std::fs::write(gateway.config(), text.replace("listen:", "listen:\n  max_body: 1KiB")).unwrap();
    reload(&gateway, IN_FORCE);
    assert_eq!(guess(&gateway, 2).send().status, 429);
    std::fs::write(gateway.config(), text.replace("burst: 1 ", "burst: 2 ")).unwrap();
    reload(&gateway, IN_FORCE);
    assert_eq!(guess(&gateway, 3).send().status, 401);
}

//! The breaker of a connector, over the wire: an API that is down costs nothing, and is called again when it is back.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use super::{
    reload::{IN_FORCE, reload},
    support::{
        CALLER, CONNECTOR, Client, ConfigText, FLOW, Gateway, PASSWORD, Play, RefusingAddress, Request,
        Response, STEPS, ScriptedApi, metrics, wait_until,
    },
};

const BODY: &str = r#"{"email":"jane@fabrikam.com"}"#;
const STATE: &str = "claimgate_circuit_state{connector=\"approvals\"}";
const CLOSED: Option<&str> = Some("0");
const HALF_OPEN: Option<&str> = Some("1");
const OPEN: Option<&str> = Some("2");
const OPENED: &str = "the circuit is open";
const CLOSED_AGAIN: &str = "the circuit is closed";

/// What opens it, and then for longer than any test lasts.
const FOR_GOOD: &str = "breaker: { window: 10m, least_calls: 4, failures: 50%, open_for: 1h, probes: 1 }";
/// One failure is enough.
const TOUCHY: &str = "breaker: { window: 10m, least_calls: 1, failures: 1%, open_for: 1h, probes: 1 }";

/// Before the token is sent a failure is an error, which names its reason.
fn hook(client: Client) -> Request {
    client.post_hook(FLOW, STEPS[2], BODY).basic(CALLER, PASSWORD)
}

fn reason(response: &Response) -> String {
    match response.status {
        200 => "none".to_owned(),
        _ => response.json()["reason"].as_str().expect("a problem has a reason").to_owned(),
    }
}

fn reasons(gateway: &Gateway, count: usize) -> Vec<String> {
    (0..count).map(|_| reason(&hook(gateway.client()).send())).collect()
}

/// The value of a sample on the metrics page, as text.
fn value(gateway: &Gateway, sample: &str) -> Option<String> {
    metrics::value(&gateway.metrics(), sample).map(|value| value.to_string())
}

fn state(gateway: &Gateway) -> Option<String> {
    value(gateway, STATE)
}

fn said(gateway: &Gateway, text: &str) -> usize {
    gateway.stderr_text().matches(text).count()
}

fn config(url: &str, connector: &str) -> String {
    ConfigText::new(url).connector(connector).text()
}

/// An API that does what it is told at the moment.
struct Mood(Arc<AtomicU8>);

impl Mood {
    const UP: u8 = 0;
    const DOWN: u8 = 1;
    const SILENT: u8 = 2;

    fn api(mood: u8) -> (Self, ScriptedApi) {
        let now = Arc::new(AtomicU8::new(mood));
        let mood = Self(Arc::clone(&now));
        let api = ScriptedApi::answering(move |_| match now.load(Ordering::Relaxed) {
            Self::UP => Play::continue_(),
            Self::DOWN => Play::json(503, "{}"),
            _ => Play::silence(),
        });
        (mood, api)
    }

    fn is_now(&self, mood: u8) {
        self.0.store(mood, Ordering::Relaxed);
    }
}

/// Fails four hooks for `expected`, and then looks at what further ones cost. `seen` is what reached the API so far.
fn opens(url: &str, expected: &str, seen: impl Fn() -> (usize, usize)) {
    let gateway = Gateway::start(&config(url, &format!("timeout: 300ms\n{FOR_GOOD}")));
    assert_eq!(state(&gateway).as_deref(), CLOSED);
    assert_eq!(reasons(&gateway, 4), [expected; 4]);
    assert_eq!(state(&gateway).as_deref(), OPEN);
    let calls = |reason: &str| {
        let labels = format!("connector=\"{CONNECTOR}\",reason=\"{reason}\"");
        value(&gateway, &format!("claimgate_upstream_requests_total{{{labels}}}"))
    };
    let before = (seen(), calls(expected));

    for number in 0..20 {
        let id = format!("refused-{number}");
        let response = hook(gateway.client()).header("X-Request-ID", &id).send();
        assert_eq!((response.status, reason(&response).as_str()), (503, "circuit_open"));
        let seconds: u32 =
            response.header("retry-after").expect("it says when").parse().expect("whole seconds");
        assert!((3_000..=3_600).contains(&seconds), "{seconds}");
        let event = gateway.event(&id);
        let fields =
            ["reason", "blame", "decision", "outcome", "connector"].map(|field| event[field].as_str());
        let expected = ["circuit_open", "api", "error", "fallback", CONNECTOR];
        assert_eq!(fields, expected.map(Some));
        for absent in ["upstream_ms", "upstream_status", "wait_ms", "attempts"] {
            assert!(event.get(absent).is_none(), "{absent}: {event}");
        }
    }
    let blocked = gateway.client().post_hook(FLOW, STEPS[0], BODY).basic(CALLER, PASSWORD).send();
    assert_eq!((blocked.status, blocked.json()["action"].as_str()), (200, Some("ShowBlockPage")));

    assert_eq!((seen(), calls(expected)), before, "no connection and no request while it is open");
    assert_eq!(calls("circuit_open"), None, "what is refused is no call");
    gateway.wait_for_metric(
        &format!(
            "claimgate_fallback_decisions_total{{user_flow=\"{FLOW}\",step=\"{}\",reason=\"circuit_open\",decision=\"error\"}}",
            STEPS[2]
        ),
        20.0,
    );
    wait_until("it is said", || said(&gateway, OPENED) > 0);
    let text = gateway.stderr_text();
    let line = text.lines().find(|line| line.contains(OPENED)).expect("it was just there");
    let line: serde_json::Value = serde_json::from_str(line).expect("diagnostics are JSON");
    let fields = &line["fields"];
    assert_eq!((&line["level"], &fields["connector"]), (&"WARN".into(), &CONNECTOR.into()));
    assert_eq!((&fields["calls"], &fields["unavailable"]), (&4.into(), &4.into()));
    assert_eq!(fields["open_for"], "3600s");
    assert!(fields["hint"].is_string());
    assert_eq!(said(&gateway, OPENED), 1, "once, not for each hook");
}

#[test]
fn an_api_that_refuses_connections_is_called_no_more() {
    let nobody = RefusingAddress::take();
    opens(&nobody.url("/"), "refused", || (0, 0));
}

#[test]
fn an_api_that_says_that_it_cannot_is_called_no_more() {
    let (_mood, api) = Mood::api(Mood::DOWN);
    opens(&api.url("/"), "status_5xx", || (api.connections(), api.requests().len()));
    assert_eq!(api.requests().len(), 4);
}

#[test]
fn a_silent_api_is_called_no_more() {
    let (_mood, api) = Mood::api(Mood::SILENT);
    opens(&api.url("/"), "first_byte_timeout", || (api.connections(), api.requests().len()));
    assert_eq!(api.requests().len(), 4);
}

#[test]
fn an_api_that_is_back_is_found_by_probes_and_called_again() {
    let (mood, api) = Mood::api(Mood::DOWN);
    let breaker = "breaker: { window: 10m, least_calls: 3, failures: 100%, open_for: 300ms, probes: 2 }";
    let gateway = Gateway::start(&config(&api.url("/"), breaker));
    assert_eq!(reasons(&gateway, 3), ["status_5xx"; 3]);
    assert_eq!(state(&gateway).as_deref(), OPEN);

    // Down as before: hook after hook, and those that come through are probes, the rest refused.
    let mut refused = 0;
    wait_until("there are three probes", || {
        match reason(&hook(gateway.client()).send()).as_str() {
            "circuit_open" => refused += 1,
            "status_5xx" => assert_eq!(state(&gateway).as_deref(), OPEN, "one that fails is enough"),
            other => panic!("{other}"),
        }
        api.requests().len() == 6
    });
    assert!(refused > 0, "between the probes it is not called");

    // Back: two probes in a row close it.
    mood.is_now(Mood::UP);
    wait_until("the first probe goes", || reason(&hook(gateway.client()).send()) == "none");
    assert_eq!((state(&gateway).as_deref(), api.requests().len()), (HALF_OPEN, 7));
    assert_eq!(reasons(&gateway, 1), ["none"]);
    assert_eq!((state(&gateway).as_deref(), api.requests().len()), (CLOSED, 8));

    // What opened it is forgotten: it takes three anew, and two of them are not enough.
    mood.is_now(Mood::DOWN);
    assert_eq!(reasons(&gateway, 3), ["status_5xx"; 3]);
    assert_eq!(reasons(&gateway, 1), ["circuit_open"]);
    wait_until("both are said", || said(&gateway, OPENED) == 2 && said(&gateway, CLOSED_AGAIN) == 1);
}

#[test]
fn no_more_probes_at_a_time_go_than_are_configured_and_one_that_is_given_up_makes_room() {
    let (mood, api) = Mood::api(Mood::DOWN);
    let breaker = "breaker: { window: 10m, least_calls: 1, failures: 1%, open_for: 1ms, probes: 2 }";
    let flow = "answer_within: 18s";
    let config =
        ConfigText::new(&api.url("/")).connector(&format!("timeout: 17s\n{breaker}")).flow(flow).text();
    let gateway = Gateway::start(&config);
    assert_eq!(reasons(&gateway, 1), ["status_5xx"]);
    mood.is_now(Mood::SILENT);
    std::thread::sleep(Duration::from_millis(50));
    let mut probes = [gateway.client().connect(), gateway.client().connect()];
    for (number, probe) in probes.iter_mut().enumerate() {
        probe.write(&hook(gateway.client()).to_bytes());
        wait_until("the probe is at the API", || api.requests().len() == 2 + number);
    }
    for _ in 0..10 {
        let response = hook(gateway.client()).send();
        assert_eq!((reason(&response).as_str(), response.header("retry-after")), ("circuit_open", Some("1")));
    }
    assert_eq!((state(&gateway).as_deref(), api.requests().len()), (HALF_OPEN, 3));
    mood.is_now(Mood::UP);
    for probe in probes {
        probe.hang_up();
    }
    wait_until("there is room for another probe", || reason(&hook(gateway.client()).send()) == "none");
    assert_eq!(state(&gateway).as_deref(), HALF_OPEN);
    assert_eq!(reasons(&gateway, 1), ["none"]);
    assert_eq!(state(&gateway).as_deref(), CLOSED);
}

#[test]
fn an_api_that_answers_is_there_whatever_it_says() {
    let rows = [
        (401, "{}", "credentials_refused"),
        (403, "{}", "credentials_refused"),
        (404, "{}", "status_4xx"),
        (429, "{}", "status_429"),
        (302, "{}", "redirect"),
        (200, "{}", "contract_missing_action"),
        (200, "no", "contract_not_json"),
        (200, "", "contract_empty_body"),
    ];
    for (status, body, expected) in rows {
        let api = ScriptedApi::start(Play::json(status, body));
        let gateway = Gateway::start(&config(&api.url("/"), TOUCHY));
        assert_eq!(reasons(&gateway, 5), [expected; 5]);
        assert_eq!((state(&gateway).as_deref(), api.requests().len()), (CLOSED, 5), "{expected}");
    }
}

#[test]
fn it_is_on_with_its_numbers_unless_it_is_switched_off() {
    let (_mood, api) = Mood::api(Mood::DOWN);
    let off = config(&api.url("/"), "breaker: off");
    let by_default = off.replace("    breaker: off\n", "");
    assert_ne!(off, by_default);
    let gateway = Gateway::start(&by_default);
    assert_eq!(reasons(&gateway, 20), ["status_5xx"; 20]);
    let refused = hook(gateway.client()).send();
    assert_eq!(reason(&refused), "circuit_open");
    let seconds: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=5).contains(&seconds), "{seconds}");
    assert_eq!(api.requests().len(), 20);

    let gateway = Gateway::start(&off);
    assert_eq!(reasons(&gateway, 40), ["status_5xx"; 40]);
    assert_eq!((state(&gateway).as_deref(), api.requests().len()), (CLOSED, 60));
}

#[test]
fn two_workers_share_one() {
    let (_mood, api) = Mood::api(Mood::DOWN);
    let config = config(&api.url("/"), FOR_GOOD);
    let gateway = Gateway::start_with_arguments(&config, &["--workers", "2"]);
    // Connections go to the workers in turn, and each worker has connections of its own to the API.
    let client = gateway.client();
    let mut workers = [client.connect(), client.connect()];
    for number in 0..4 {
        assert_eq!(reason(&hook(client).send_on(&mut workers[number % 2])), "status_5xx");
    }
    assert!(api.connections() >= 2, "both workers have called");
    for connection in &mut workers {
        assert_eq!(reason(&hook(client).send_on(connection)), "circuit_open");
    }
    assert_eq!(api.requests().len(), 4);
}

#[test]
fn a_reload_keeps_it_with_the_same_settings_and_drops_it_with_others() {
    let (_mood, api) = Mood::api(Mood::DOWN);
    let other = ScriptedApi::start(Play::continue_());
    let gateway = Gateway::start(&config(&api.url("/"), &format!("timeout: 1s\n{TOUCHY}")));
    let apply = |text: String| {
        fs::write(gateway.config(), text).unwrap();
        reload(&gateway, IN_FORCE);
    };
    assert_eq!(reasons(&gateway, 2), ["status_5xx", "circuit_open"]);

    // What is asked, and how long one waits for it, say nothing about whether the API is there.
    let rest = format!("timeout: 1500ms\nstrict: true\n{TOUCHY}");
    apply(ConfigText::new(&api.url("/other")).send(&["city"]).connector(&rest).text());
    assert_eq!(reasons(&gateway, 1), ["circuit_open"]);
    assert_eq!(state(&gateway).as_deref(), OPEN);

    // Another number is another breaker.
    apply(config(&api.url("/"), &TOUCHY.replace("1h", "59m")));
    assert_eq!(state(&gateway).as_deref(), CLOSED);
    assert_eq!(reasons(&gateway, 2), ["status_5xx", "circuit_open"]);
    assert_eq!((state(&gateway).as_deref(), api.requests().len()), (OPEN, 2));

    // None lets everything through.
    apply(config(&api.url("/"), "breaker: off"));
    assert_eq!(state(&gateway).as_deref(), CLOSED);
    assert_eq!(reasons(&gateway, 2), ["status_5xx"; 2]);

    // What is known of one place does not hold for another.
    apply(config(&api.url("/"), TOUCHY));
    assert_eq!(reasons(&gateway, 2), ["status_5xx", "circuit_open"]);
    apply(config(&other.url("/"), TOUCHY));
    assert_eq!(state(&gateway).as_deref(), CLOSED);
    assert_eq!(reasons(&gateway, 2), ["none"; 2]);

    // A file that is refused changes nothing, and a connector that is gone is shown no more.
    apply(config(&api.url("/"), TOUCHY));
    assert_eq!(reasons(&gateway, 2), ["status_5xx", "circuit_open"]);
    fs::write(gateway.config(), config(&other.url("/"), "roots: { file: ../nothing }")).unwrap();
    reload(&gateway, super::reload::REFUSED);
    assert_eq!(reasons(&gateway, 1), ["circuit_open"]);
    assert_eq!(state(&gateway).as_deref(), OPEN);
    apply(config(&api.url("/"), TOUCHY).replace(CONNECTOR, "renamed"));
    assert_eq!(state(&gateway), None);
    assert_eq!(value(&gateway, &STATE.replace(CONNECTOR, "renamed")).as_deref(), CLOSED);
}

#[test]
fn a_call_that_ends_after_a_reload_does_not_show_in_the_state_of_the_new_breaker() {
    let (_mood, api) = Mood::api(Mood::SILENT);
    let other = ScriptedApi::start(Play::continue_());
    let gateway = Gateway::start(&config(&api.url("/"), &format!("timeout: 3s\n{TOUCHY}")));
    let client = gateway.client();
    let mut late = client.connect();
    late.write(&hook(client).to_bytes());
    wait_until("the hook is at the API", || api.requests().len() == 1);
    fs::write(gateway.config(), config(&other.url("/"), TOUCHY)).unwrap();
    reload(&gateway, IN_FORCE);
    assert_eq!(reasons(&gateway, 1), ["none"]);
    assert_eq!(reason(&late.response("POST")), "first_byte_timeout");
    wait_until("the breaker before has opened", || said(&gateway, OPENED) == 1);
    assert_eq!(state(&gateway).as_deref(), CLOSED);
    assert_eq!(reasons(&gateway, 1), ["none"]);
}

#[test]
fn a_user_whom_the_api_refuses_never_goes_on_because_others_were_refused_before() {
    let refusal = r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":"no"}"#;
    let api = ScriptedApi::answering(move |_| Play::json(500, refusal));
    let text = ConfigText::new(&api.url("/")).on_failure(STEPS[1], "continue").connector(FOR_GOOD).text();
    let gateway = Gateway::start(&text);
    for number in 0..6 {
        let response = gateway.client().post_hook(FLOW, STEPS[1], BODY).basic(CALLER, PASSWORD).send();
        assert_eq!((number, response.status), (number, 502), "{}", response.text());
    }
}

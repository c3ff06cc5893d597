//! The identity provider's retry: joined to the hook that it repeats, or given that hook's decision.

use std::{
    collections::HashSet,
    fs,
    thread::{self, sleep},
    time::Duration,
};

use serde_json::Value;
use tokio::time::Instant;

use super::{
    reload::{IN_FORCE, reload},
    support::{
        CALLER, CONNECTOR, Client, ConfigText, FLOW, Gateway, PASSWORD, Play, Request, STEPS, ScriptedApi,
        client::Connection, metrics, wait_until,
    },
};

const BODY: &str = r#"{"email":"jane@fabrikam.com","city":"Seattle"}"#;
/// Of an answer that has claims.
const ANSWER: &str = r#"{"version":"1.0.0","action":"Continue","city":"Redmond"}"#;
/// Long enough for a second hook to come while the first one is at the API.
const SLOWLY: Duration = Duration::from_secs(3);

fn config(api: &ScriptedApi) -> ConfigText {
    ConfigText::new(&api.url("/")).receive(&["city"]).flow("answer_within: 9s").connector("timeout: 8s")
}

/// The text with this window at every hook.
fn with_window(config: &ConfigText, window: &str) -> String {
    config.text().replace("duplicate_window: 0s", &format!("duplicate_window: {window}"))
}

/// The text that says nothing about windows.
fn with_usual_windows(config: &ConfigText) -> String {
    config.text().replace("duplicate_window: 0s, ", "")
}

fn start(config: &ConfigText, window: &str, workers: &str) -> Gateway {
    Gateway::start_with_arguments(&with_window(config, window), &["--workers", workers])
}

fn hook(client: Client, id: &str) -> Request {
    hook_with(client, id, BODY)
}

fn hook_with(client: Client, id: &str, body: &str) -> Request {
    client.post_hook(FLOW, STEPS[1], body).basic(CALLER, PASSWORD).header("X-Request-ID", id)
}

/// Sends a hook on a connection of its own and does not wait for its answer.
fn sent(client: Client, id: &str) -> Connection {
    let mut connection = client.connect();
    connection.write(&hook(client, id).to_bytes());
    connection
}

fn duplicates(action: &str) -> String {
    let step = STEPS[1];
    format!("claimgate_duplicates_total{{user_flow=\"{FLOW}\",step=\"{step}\",action=\"{action}\"}}")
}

fn calls(reason: &str) -> String {
    format!("claimgate_upstream_requests_total{{connector=\"{CONNECTOR}\",reason=\"{reason}\"}}")
}

/// Of the access event: how it was answered.
fn ending(event: &Value) -> [&str; 4] {
    ["decision", "outcome", "reason", "duplicate"].map(|field| event[field].as_str().unwrap_or("-"))
}

fn keys(api: &ScriptedApi) -> Vec<String> {
    let key = |request: &super::support::RecordedRequest| {
        request.header("idempotency-key").expect("each call has one").to_owned()
    };
    api.requests().iter().map(key).collect()
}

#[test]
fn hooks_that_are_the_same_at_the_same_time_are_one_call_with_one_answer() {
    for workers in ["1", "2"] {
        let api = ScriptedApi::start(vec![Play::json(200, ANSWER).after(SLOWLY)]);
        let gateway = start(&config(&api), "10m", workers);
        let client = gateway.client();
        let mut first = sent(client, "first");
        wait_until("the first one is at the API", || api.requests().len() == 1);
        let ids = ["second", "third", "fourth", "fifth"];
        let mut others = ids.map(|id| sent(client, id));
        let expected = first.response("POST");
        assert_eq!((expected.status, &expected.json()["city"]), (200, &"Redmond".into()));
        assert_eq!(ending(&gateway.event("first")), ["Continue", "api", "-", "-"]);
        for (id, other) in ids.iter().zip(&mut others) {
            let response = other.response("POST");
            assert_eq!((response.status, response.text()), (200, expected.text()));
            assert_eq!(response.header("x-request-id"), Some(*id), "each is answered as itself");
            let event = gateway.event(id);
            assert_eq!(ending(&event), ["Continue", "replayed", "-", "joined"], "{workers} workers");
            assert_eq!((&event["claims_sent"], event.get("upstream_ms")), (&0.into(), None));
        }
        let late = hook(client, "late").send();
        assert_eq!((late.status, late.text()), (200, expected.text()));
        assert_eq!(ending(&gateway.event("late")), ["Continue", "replayed", "-", "replayed"]);
        assert_eq!(api.requests().len(), 1);
        for (action, count) in [("joined", 4.0), ("replayed", 1.0), ("undetected", 0.0)] {
            gateway.wait_for_metric(&duplicates(action), count);
        }
        assert!(!gateway.metrics().contains("Redmond") && !gateway.stdout_text().contains("Redmond"));
    }
}

#[test]
fn a_failure_is_for_all_who_wait_and_the_next_one_is_a_call_with_the_same_key() {
    let failing = Play::json(500, "{}").after(SLOWLY);
    let api = ScriptedApi::start(vec![failing.clone(), Play::json(200, ANSWER), Play::continue_()]);
    let gateway = start(&config(&api), "10m", "2");
    let client = gateway.client();
    let mut first = sent(client, "first");
    wait_until("the first one is at the API", || api.requests().len() == 1);
    let mut second = sent(client, "second");
    let (first, second) = (first.response("POST"), second.response("POST"));
    assert_eq!(first.json()["action"], "ShowBlockPage");
    assert_eq!((second.status, second.text()), (first.status, first.text()));
    let failed = ["ShowBlockPage", "fallback", "status_5xx"];
    assert_eq!(ending(&gateway.event("first"))[..3], failed);
    assert_eq!(ending(&gateway.event("second")), [failed[0], failed[1], failed[2], "joined"]);

    for (id, duplicate) in [("third", "-"), ("fourth", "replayed")] {
        assert_eq!(hook(client, id).send().json()["city"], "Redmond");
        assert_eq!(ending(&gateway.event(id))[3], duplicate);
    }
    assert_eq!(hook_with(client, "other", r#"{"email":"joe@fabrikam.com"}"#).send().status, 200);
    let keys = keys(&api);
    assert_eq!(keys.len(), 3);
    assert!(keys[0] == keys[1] && keys[1] != keys[2], "{keys:?}");
}

#[test]
fn after_the_window_the_same_hook_is_a_new_one() {
    let api = ScriptedApi::start(Play::json(200, ANSWER));
    let gateway = start(&config(&api), "1s", "1");
    let client = gateway.client();
    assert_eq!(hook(client, "first").send().status, 200);
    sleep(Duration::from_millis(1_100));
    assert_eq!(hook(client, "second").send().status, 200);
    assert_eq!(ending(&gateway.event("second")), ["Continue", "api", "-", "-"]);
    let keys = keys(&api);
    assert!(keys.len() == 2 && keys[0] != keys[1], "{keys:?}");
}

#[test]
fn what_differs_in_anything_or_names_nobody_is_not_the_same() {
    let api = ScriptedApi::start(Play::json(200, ANSWER));
    let text = with_window(&config(&api), "10m")
        .replace(
            "callers:\n  entra:",
            "callers:\n  other: { basic: { username: other, password: s3cret } }\n  entra:",
        )
        .replace("callers: [entra]", "callers: [entra, other]");
    let (before, flow) = text.split_once("user_flows:\n").unwrap();
    let text = format!("{before}user_flows:\n{flow}{}", flow.replace(FLOW, "Another"));
    let gateway = Gateway::start(&text);
    let client = gateway.client();
    let blank = BODY.replace(':', ": ");
    let nobody = r#"{"city":"Seattle","email":""}"#;
    let new: [(&str, &str, &str, &str); 7] = [
        (CALLER, FLOW, STEPS[1], BODY),
        ("other", FLOW, STEPS[1], BODY),
        (CALLER, "Another", STEPS[1], BODY),
        (CALLER, FLOW, STEPS[0], BODY),
        (CALLER, FLOW, STEPS[1], &blank),
        (CALLER, FLOW, STEPS[1], nobody),
        (CALLER, FLOW, STEPS[1], nobody),
    ];
    let send = |(caller, flow, step, body): (&str, &str, &str, &str)| {
        assert_eq!(client.post_hook(flow, step, body).basic(caller, PASSWORD).send().status, 200);
        api.requests().len()
    };
    assert_eq!(new.map(send), [1, 2, 3, 4, 5, 6, 7]);
    let subjects =
        [r#"{"objectId":"1"}"#, r#"{"identities":[{"issuer":"x"}]}"#, r#"{"email_address":"j@x"}"#];
    let again = subjects.map(|body| (CALLER, FLOW, STEPS[1], body));
    assert_eq!((again.map(send), again.map(send)), ([8, 9, 10], [10, 10, 10]));
    assert_eq!(
        new[..5].iter().map(|same| send(*same)).collect::<Vec<_>>(),
        [10; 5],
        "they were all remembered"
    );
}

#[test]
fn unless_it_is_said_a_sign_up_has_a_window_and_a_token_has_none() {
    let api = ScriptedApi::start(Play::json(200, ANSWER));
    let gateway = Gateway::start(&with_usual_windows(&config(&api)));
    let client = gateway.client();
    for (step, calls) in STEPS.iter().zip([1, 1, 2]) {
        let before = api.requests().len();
        for _ in 0..2 {
            let response = client.post_hook(FLOW, step, BODY).basic(CALLER, PASSWORD).send();
            assert_eq!(response.json()["city"], "Redmond");
        }
        assert_eq!(api.requests().len() - before, calls, "{step}");
    }
}

#[test]
fn a_call_outlives_the_caller_who_hangs_up_and_answers_the_retry() {
    let api = ScriptedApi::start(vec![Play::json(200, ANSWER).after(SLOWLY)]);
    let gateway = start(&config(&api).listen("max_in_flight: 2"), "10m", "2");
    let client = gateway.client();
    let first = sent(client, "first");
    wait_until("the first one is at the API", || api.requests().len() == 1);
    first.hang_up();
    let gone = gateway.event("first");
    assert_eq!(ending(&gone), ["none", "abandoned", "client_gone", "-"]);
    let mut second = sent(client, "second");
    gateway.wait_for_metric("claimgate_in_flight_hooks", 1.0);
    let refused = hook_with(client, "other", r#"{"email":"joe@fabrikam.com"}"#).send();
    assert_eq!(refused.json()["reason"], "overloaded", "a call that runs on keeps its place");
    assert_eq!(second.response("POST").json()["city"], "Redmond");
    assert_eq!(hook(client, "third").send().json()["city"], "Redmond");
    assert_eq!(ending(&gateway.event("second")), ["Continue", "replayed", "-", "joined"]);
    assert_eq!(ending(&gateway.event("third")), ["Continue", "replayed", "-", "replayed"]);
    gateway.wait_for_metric(&calls("none"), 1.0);
    assert_eq!(metrics::value(&gateway.metrics(), &calls("client_gone")), None);
    assert_eq!((api.requests().len(), api.connections()), (1, 1));
}

#[test]
fn the_end_of_the_process_waits_for_a_call_that_somebody_waits_for() {
    let api = ScriptedApi::start(vec![Play::json(200, ANSWER).after(SLOWLY)]);
    let mut gateway = start(&config(&api), "10m", "2");
    let client = gateway.client();
    let first = sent(client, "first");
    wait_until("the first one is at the API", || api.requests().len() == 1);
    first.hang_up();
    gateway.event("first");
    // Its connection is with the other worker; that of the call has none any more.
    let mut second = sent(client, "second");
    gateway.wait_for_metric("claimgate_in_flight_hooks", 1.0);
    gateway.signal("TERM");
    assert_eq!(second.response("POST").json()["city"], "Redmond");
    assert!(gateway.wait().success());
    assert_eq!(ending(&gateway.event("second")), ["Continue", "replayed", "-", "joined"]);
}

#[test]
fn the_end_of_the_process_waits_for_a_call_no_longer_than_its_grace() {
    let api = ScriptedApi::start(Play::silence());
    let mut gateway = start(&config(&api).top("shutdown: { grace: 1s }"), "10m", "2");
    let first = sent(gateway.client(), "first");
    wait_until("the first one is at the API", || api.requests().len() == 1);
    first.hang_up();
    gateway.event("first");
    let begin = Instant::now();
    assert!(gateway.terminate().success());
    let took = begin.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(5)).contains(&took), "{took:?}");
}

#[test]
fn a_retry_is_never_over_the_limit_of_its_user_and_who_is_over_it_is_not_remembered() {
    let api = ScriptedApi::start(Play::json(200, ANSWER));
    let limited = "error, rate_limit_per_user: { rate: 1/m, burst: 1 }";
    let gateway = start(&config(&api).on_failure(STEPS[1], limited), "10m", "1");
    let client = gateway.client();
    let more = r#"{"email":"jane@fabrikam.com","city":"Redmond"}"#;
    for (id, body, status, duplicate) in [
        ("first", BODY, 200, "-"),
        ("retry", BODY, 200, "replayed"),
        ("another", more, 429, "-"),
        ("its retry", more, 429, "-"),
        ("late", BODY, 200, "replayed"),
    ] {
        let id = id.replace(' ', "-");
        assert_eq!(hook_with(client, &id, body).send().status, status, "{id}");
        assert_eq!(ending(&gateway.event(&id))[3], duplicate, "{id}");
    }
    assert_eq!(api.requests().len(), 1);
}

/// Four connections send the same hooks at about the same time, and each hangs up on every third.
#[test]
fn however_hooks_are_repeated_the_api_sees_each_of_them_once() {
    const HOOKS: usize = 60;
    let api = ScriptedApi::answering(|request| {
        let city = request.json()["email"].clone();
        let answer = serde_json::json!({"version": "1.0.0", "action": "Continue", "city": city});
        Play::json(200, &answer.to_string()).after(Duration::from_millis(20))
    });
    let gateway = start(&config(&api).connector("max_in_flight: 1000"), "10m", "2");
    let client = gateway.client();
    let retry = |thread: usize| {
        let mut connection = client.connect();
        for number in 0..HOOKS {
            let body = format!(r#"{{"email":"{number}@fabrikam.com"}}"#);
            let hook = hook_with(client, &format!("{thread}.{number}"), &body);
            if (thread + number).is_multiple_of(3) {
                connection.write(&hook.to_bytes());
                // Mostly while it is at the API.
                sleep(Duration::from_millis(5));
                std::mem::replace(&mut connection, client.connect()).hang_up();
                continue;
            }
            let response = hook.send_on(&mut connection);
            assert_eq!(response.json()["city"], format!("{number}@fabrikam.com"), "{thread}");
        }
    };
    thread::scope(|scope| {
        for number in 0..4 {
            let retry = &retry;
            scope.spawn(move || retry(number));
        }
    });
    let bodies: HashSet<_> = api.requests().into_iter().map(|request| request.body).collect();
    assert_eq!((bodies.len(), api.requests().len()), (HOOKS, HOOKS));
    gateway.wait_for_metric(&duplicates("undetected"), 0.0);
}

#[test]
fn decisions_outlive_a_new_configuration_where_hook_and_connector_stay_as_they_are() {
    let api = ScriptedApi::start(Play::json(200, ANSWER));
    let gateway = start(&config(&api), "10m", "1");
    let client = gateway.client();
    let good = fs::read_to_string(gateway.config()).unwrap();
    let put = |text: &str| {
        fs::write(gateway.config(), text).unwrap();
        reload(&gateway, IN_FORCE);
    };
    let calls_after_a_hook = || {
        assert_eq!(hook(client, "any").send().status, 200);
        api.requests().len()
    };
    assert_eq!(calls_after_a_hook(), 1);
    let spare = "connectors:\n  spare: { endpoint_url: \"http://127.0.0.1:1/\", authentication: none, \
                 claims_to_send: [], claims_to_receive: [] }\n";
    // Another connector first, so that positions change.
    put(&good.replace("connectors:\n", spare).replace("answer_within: 9s", "answer_within: 8500ms"));
    assert_eq!(calls_after_a_hook(), 1);
    let connector = good.replace("timeout: 8s", "timeout: 7s");
    put(&connector);
    assert_eq!(calls_after_a_hook(), 2, "the connector is another one");
    put(&connector.replace("please try", "do try").replace("Please try", "Do try"));
    assert_eq!(calls_after_a_hook(), 3, "the hook is another one");
    put(&good);
    assert_eq!(calls_after_a_hook(), 4, "as at first, and still another one");
    assert_eq!(calls_after_a_hook(), 4);
}

#[test]
fn who_joins_waits_no_longer_than_its_own_deadline() {
    let api = ScriptedApi::start(Play::silence());
    let config = ConfigText::new(&api.url("/")).flow("answer_within: 4s").connector("timeout: 4s");
    let gateway = start(&config, "10m", "1");
    let client = gateway.client();
    // Its time runs from its head on, and so it began before that of the one that it joins.
    let mut joining = client.connect();
    let bytes = hook(client, "joining").to_bytes();
    let (head, body) = bytes.split_at(bytes.len() - BODY.len());
    joining.write(head);
    sleep(Duration::from_secs(2));
    let mut first = sent(client, "first");
    wait_until("the first one is at the API", || api.requests().len() == 1);
    joining.write(body);
    for (id, connection, duplicate) in [("joining", &mut joining, "joined"), ("first", &mut first, "-")] {
        assert_eq!(connection.response("POST").json()["action"], "ShowBlockPage");
        let event = gateway.event(id);
        assert_eq!(ending(&event), ["ShowBlockPage", "fallback", "deadline", duplicate]);
        let took = event["duration_ms"].as_f64().unwrap();
        assert!((4_000.0..5_500.0).contains(&took), "{id}: {took}");
    }
    let order: Vec<_> = gateway.events().iter().map(|event| event["request_id"].to_string()).collect();
    assert_eq!(order, [r#""joining""#, r#""first""#]);
}

#[test]
fn a_retry_of_a_hook_that_was_refused_does_not_go_on_where_the_api_is_down() {
    let refusal = Play::json(500, r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":"no"}"#);
    let api = ScriptedApi::start(vec![refusal, Play::json(503, "{}")]);
    let config = config(&api).on_failure(STEPS[1], "continue");
    let gateway = start(&config, "10s", "1");
    assert_eq!(hook(gateway.client(), "first").send().status, 502);
    let second = hook(gateway.client(), "second").send();
    assert_eq!(second.status, 502, "{}", second.text());
    assert_eq!(gateway.event("second")["refusal"], true);
}

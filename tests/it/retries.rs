//! What is repeated of calls, as an API and an operator see it.

use std::time::Duration;

use tokio::time::Instant;

use super::support::{
    Act, CALLER, Gateway, PASSWORD, Parts, Play, RecordedRequest, RefusingAddress, Request, Response, STEPS,
    ScriptedApi, answer, wait_until,
};

const BODY: &str = r#"{"email":"jane@fabrikam.com"}"#;
const CONTINUE: &str = r#"{"version":"1.0.0","action":"Continue"}"#;

/// A flow for each way to treat the same API.
fn start(url: &str) -> Gateway {
    let parts = Parts::new()
        .connector("once", url, "")
        .connector("again", url, "idempotent: true")
        .whole_flow("once", "once", "")
        .whole_flow("again", "again", "");
    Gateway::start(&parts.text())
}

fn hook(gateway: &Gateway, flow: &str, id: &str) -> Request {
    gateway.client().post_hook(flow, STEPS[1], BODY).basic(CALLER, PASSWORD).header("X-Request-ID", id)
}

fn send(gateway: &Gateway, flow: &str, id: &str) -> Response {
    hook(gateway, flow, id).send()
}

fn is_continue(response: &Response) -> bool {
    response.status == 200 && response.json()["action"] == "Continue"
}

fn keys(requests: &[RecordedRequest]) -> Vec<String> {
    let key =
        |request: &RecordedRequest| request.header("Idempotency-Key").expect("each call has one").to_owned();
    requests.iter().map(key).collect()
}

/// A counter of a connector.
fn count(gateway: &Gateway, metric: &str, labels: &str, connector: &str) -> String {
    gateway.metric(&format!("claimgate_{metric}_total{{{labels}connector=\"{connector}\"}}")).to_string()
}

fn retries(gateway: &Gateway, connector: &str, cause: &str) -> String {
    count(gateway, "retries", &format!("cause=\"{cause}\","), connector)
}

#[test]
fn what_the_api_may_have_seen_reaches_it_again_only_if_that_does_no_harm() {
    let breaks: [fn() -> Play; 5] = [
        || Play::json(503, "{}"),
        || Play::json(429, "{}"),
        || Play::new([Act::ReadRequest, Act::Reset]),
        || Play::half(answer(200, CONTINUE)),
        Play::silence,
    ];
    for broken in breaks {
        let api = ScriptedApi::start(vec![broken(), Play::continue_(), broken(), Play::continue_()]);
        let url = api.url("/");
        let parts = Parts::new()
            .connector("once", &url, "timeout: 500ms")
            .connector("again", &url, "timeout: 500ms\nidempotent: true")
            .whole_flow("once", "once", "")
            .whole_flow("again", "again", "");
        let gateway = Gateway::start(&parts.text());

        assert!(is_continue(&send(&gateway, "again", "again")));
        let event = gateway.event("again");
        assert_eq!((&event["outcome"], &event["attempts"]), (&"api".into(), &2.into()), "{event}");
        let [first, second] = &keys(&api.requests())[..] else { panic!("{} requests", api.requests().len()) };
        assert_eq!(first, second, "the API can tell that it has seen it");
        let repeated = ["idempotent", "unsent"].map(|cause| retries(&gateway, "again", cause));
        assert_eq!(repeated, ["1", "0"]);

        assert!(!is_continue(&send(&gateway, "once", "once")));
        let event = gateway.event("once");
        assert_eq!((&event["outcome"], event.get("attempts")), (&"fallback".into(), None), "{event}");
        let keys = keys(&api.requests());
        assert_eq!(keys.len(), 3, "one call is one request");
        assert_ne!(keys[2], keys[1], "another hook is another call");
    }
}

#[test]
fn a_refusal_of_the_user_is_never_asked_again() {
    let block = r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":"No."}"#;
    let half = String::from_utf8(answer(200, block)).expect("it is text").replace("Length: ", "Length: 1");
    for refusal in [Play::json(503, block), Play::answer(half).then(Act::Close)] {
        let api = ScriptedApi::start(vec![refusal, Play::continue_()]);
        let gateway = start(&api.url("/"));
        assert!(!is_continue(&send(&gateway, "again", "refused")));
        assert_eq!((api.requests().len(), &gateway.event("refused")["refusal"]), (1, &true.into()));
    }
}

#[test]
fn a_connection_that_the_api_closed_for_idling_is_counted_apart_and_follows_the_same_rule() {
    // The second exchange of a connection reads the request and closes: so it looks when a server's idle timer and a
    // request meet.
    let plays = vec![Play::continue_(), Play::new([Act::ReadRequest, Act::Close]), Play::continue_()];
    for (flow, goes_on) in [("again", true), ("once", false)] {
        let api = ScriptedApi::start(plays.clone());
        let gateway = start(&api.url("/"));
        // Connections to the API belong to a worker, and so does a caller's.
        let mut kept = gateway.client().connect();
        let mut send = |id: &str| hook(&gateway, flow, id).send_on(&mut kept);
        assert!(is_continue(&send("first")));
        assert_eq!(is_continue(&send("raced")), goes_on);
        let event = gateway.event("raced");
        if goes_on {
            assert_eq!((&event["attempts"], &event["reused"]), (&2.into(), &false.into()), "{event}");
        } else {
            assert_eq!((&event["reason"], &event["reused"]), (&"reset".into(), &true.into()), "{event}");
        }
        assert_eq!(count(&gateway, "keep_alive_races", "", flow), "1", "{event}");
        let repeated = ["keep_alive_race", "idempotent"].map(|cause| retries(&gateway, flow, cause));
        assert_eq!(repeated, [if goes_on { "1" } else { "0" }, "0"]);
        assert_eq!(api.requests().len(), if goes_on { 3 } else { 2 });
    }
}

#[test]
fn what_was_not_sent_is_tried_once_more_in_any_case_and_told_as_what_it_is() {
    let refusing = RefusingAddress::take();
    let gateway = start(&refusing.url("/"));
    for flow in ["once", "again"] {
        assert!(!is_continue(&send(&gateway, flow, flow)));
        let event = gateway.event(flow);
        assert_eq!((&event["reason"], &event["attempts"]), (&"refused".into(), &2.into()), "{event}");
        assert_eq!(retries(&gateway, flow, "unsent"), "1");
        let calls = format!("claimgate_upstream_requests_total{{connector=\"{flow}\",reason=\"refused\"}}");
        assert_eq!(gateway.metric(&calls).to_string(), "2", "each attempt is a call");
    }
}

#[test]
fn the_api_is_called_again_when_it_asked_to_be_and_given_up_if_that_is_too_late() {
    let wait = |value: &str| {
        Play::answer(format!("HTTP/1.1 503 Busy\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n"))
    };
    let api = ScriptedApi::start(vec![wait("1"), Play::continue_(), wait("60"), Play::continue_()]);
    let gateway = start(&api.url("/"));
    let began = Instant::now();
    assert!(is_continue(&send(&gateway, "again", "soon")));
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(gateway.event("soon")["attempts"], 2);

    assert!(!is_continue(&send(&gateway, "again", "late")));
    let event = gateway.event("late");
    assert_eq!((&event["reason"], event.get("attempts")), (&"status_5xx".into(), None), "{event}");
    assert_eq!(count(&gateway, "retries_withheld", "cause=\"time\",", "again"), "1");
    assert_eq!(api.requests().len(), 3);
}

#[test]
fn an_api_in_trouble_gets_a_tenth_more_calls_whatever_the_connector_and_the_rest_is_withheld() {
    let api = ScriptedApi::start(Play::json(500, "{}"));
    let url = api.url("/");
    let parts = Parts::new()
        .connector("one", &url, "idempotent: true")
        .connector("other", &url, "idempotent: true")
        .whole_flow("one", "one", "")
        .whole_flow("other", "other", "");
    let gateway = Gateway::start(&parts.text());
    let began = Instant::now();
    for turn in 0..60 {
        send(&gateway, if turn % 2 == 0 { "one" } else { "other" }, &turn.to_string());
    }
    let windows = began.elapsed().as_secs() / 10 + 1;
    let withheld = ["one", "other"].map(|connector| {
        gateway.metric(&format!(
            "claimgate_retries_withheld_total{{cause=\"budget\",connector=\"{connector}\"}}"
        ))
    });
    assert!(withheld.iter().all(|count| *count > 0.0), "one budget for the process: {withheld:?}");
    let repeated = api.requests().len() - 60;
    // Ten, and a tenth of sixty, in each window.
    assert!(
        (10..=17 * usize::try_from(windows).expect("few")).contains(&repeated),
        "{repeated} in {windows}"
    );
    gateway.wait_for_metric("claimgate_in_flight_hooks", 0.0);
}

#[test]
fn the_budget_of_time_is_told_at_the_start_and_after_each_change_hooks_with_the_same_one_together() {
    let parts = Parts::new()
        .connector("quick", "http://127.0.0.1:1/", "timeout: 800ms\nconnect_timeout: 300ms\nwait: 20ms")
        .connector("slow", "http://127.0.0.1:1/", "timeout: 3s\nidempotent: true")
        .whole_flow("A", "quick", "")
        .whole_flow("B", "quick", "")
        .whole_flow("C", "slow", "answer_within: 5s");
    let gateway = Gateway::start(&parts.text());
    let told = || -> Vec<serde_json::Value> {
        let text = gateway.stderr_text();
        let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        lines.filter(|line: &serde_json::Value| line.to_string().contains("time budget")).collect()
    };
    wait_until("both are told", || told().len() == 2);
    let all = told().iter().map(ToString::to_string).collect::<String>();
    for part in [
        "\"A/postFederationSignup, A/postAttributeCollection, A/preTokenIssuance and 3 more\"",
        "\"answer_within\":\"4s\"",
        "\"timeout\":\"800ms\"",
        "\"connect_timeout\":\"300ms\"",
        "\"wait\":\"20ms\"",
        "\"left\":\"3.18s\"",
        "\"C/postFederationSignup, C/postAttributeCollection, C/preTokenIssuance\"",
        "\"left\":\"1.95s\"",
        "\"idempotent\":true",
    ] {
        assert!(all.contains(part), "{part} in {all}");
    }
    std::fs::write(gateway.config(), parts.text().replace("800ms", "900ms")).expect("it can be written");
    gateway.signal("HUP");
    wait_until("the new ones are told", || told().len() == 4);
}

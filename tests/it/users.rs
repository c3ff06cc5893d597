//! `rate_limit_per_user`: what one user's hooks get who causes too many, and that nobody else gets it.

use serde_json::{Value, json};

use super::{
    reload::{IN_FORCE, reload},
    support::{BLOCK, CALLER, Gateway, PASSWORD, Parts, Play, Response, STEPS, ScriptedApi, wait_until},
};

const LIMIT: &str = "rate_limit_per_user: { rate: 1/m, burst: 2 }";

/// The hooks of each flow are limited; of `Open` they are not.
fn config(api: &ScriptedApi) -> String {
    let step = |step: &str, on_failure: &str, more: &str| {
        format!("{step}: {{ connector: api, on_failure: {on_failure}{more} }}")
    };
    let limited = format!(", {LIMIT}");
    let hooks = [
        step(STEPS[0], BLOCK, &limited),
        step(STEPS[1], "error", &limited),
        step(STEPS[2], "continue", &limited),
    ];
    Parts::new()
        .caller("other", "basic: { username: other, password: pw }")
        .connector("api", &api.url("/"), "")
        .flow("Limited", &format!("callers: [{CALLER}, other]\n{}", hooks.join("\n")))
        .flow("Open", &step(STEPS[1], "error", ""))
        .text()
}

fn hook(gateway: &Gateway, step: &str, body: &Value, id: &str) -> Response {
    let hook = gateway.client().post_hook("Limited", step, &body.to_string());
    hook.basic(CALLER, PASSWORD).header("X-Request-ID", id).send()
}

fn account(issuer: &str, id: &str) -> Value {
    json!({ "identities": [{ "signInType": "federated", "issuer": issuer, "issuerAssignedId": id }] })
}

#[test]
fn a_user_over_the_rate_gets_what_a_failure_gets() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = Gateway::start(&config(&api));
    let user = json!({ "email": "jane@fabrikam.com" });
    for (step, status, decision) in
        [(STEPS[0], 200, "ShowBlockPage"), (STEPS[1], 429, "error"), (STEPS[2], 200, "Continue")]
    {
        for number in 0..2 {
            let response = hook(&gateway, step, &user, &format!("{step}.{number}"));
            assert_eq!(response.json()["action"], "Continue", "{step}: {}", response.text());
        }
        let asked = api.requests().len();
        let response = hook(&gateway, step, &user, step);
        assert_eq!(response.status, status, "{step}: {}", response.text());
        assert_eq!(api.requests().len(), asked, "the API is not asked");
        let event = gateway.event(step);
        let fields = ["reason", "blame", "outcome", "decision"].map(|field| event[field].as_str());
        assert_eq!(fields, ["user_limited", "load", "fallback", decision].map(Some), "{event}");
        if status == 429 {
            assert_eq!(response.json()["reason"], "user_limited");
            let after: u64 = response.header("retry-after").and_then(|after| after.parse().ok()).unwrap();
            assert!((1..=60).contains(&after), "{after}");
        }
    }
    gateway.wait_for_metric("claimgate_rate_limited_total{limit=\"user\"}", 3.0);
    gateway.wait_for_metric("claimgate_users_unlimited_total", 0.0);
    let labels = "user_flow=\"Limited\",step=\"postFederationSignup\",reason=\"user_limited\"";
    let fallback = format!("claimgate_fallback_decisions_total{{{labels},decision=\"ShowBlockPage\"}}");
    gateway.wait_for_metric(&fallback, 1.0);
}

#[test]
fn each_user_has_a_rate_of_their_own_at_each_hook_and_who_has_no_name_has_none() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = Gateway::start(&config(&api));
    let send = |flow: &str, step: &str, user: &Value, caller: (&str, &str)| {
        let hook = gateway.client().post_hook(flow, step, &user.to_string());
        hook.basic(caller.0, caller.1).send().status
    };
    let (entra, other) = ((CALLER, PASSWORD), ("other", "pw"));
    let email = |address: &str| json!({ "email": address });
    let jane = email("jane@fabrikam.com");
    for user in
        [jane.clone(), account("facebook.com", "1"), account("facebook.com", "2"), account("google.com", "1")]
    {
        let statuses = [0; 3].map(|_| send("Limited", STEPS[1], &user, entra));
        assert_eq!(statuses, [200, 200, 429], "{user}");
    }
    assert_eq!(send("Limited", STEPS[1], &email("JANE@Fabrikam.com "), entra), 429, "the same mailbox");
    assert_eq!(send("Limited", STEPS[1], &jane, other), 200, "who that is to another caller, is not known");
    assert_eq!(send("Limited", STEPS[1], &account("facebook.com", "1"), other), 429, "an account is one");
    let mut both = account("facebook.com", "1");
    both["email"] = "new@fabrikam.com".into();
    assert_eq!(
        send("Limited", STEPS[1], &both, entra),
        429,
        "an account keeps its rate under another address"
    );
    assert_eq!(send("Limited", STEPS[0], &jane, entra), 200, "each hook has a rate of its own");
    for _ in 0..4 {
        assert_eq!(send("Limited", STEPS[1], &json!({ "city": "Seattle" }), entra), 200, "nobody's");
        assert_eq!(send("Open", STEPS[1], &jane, entra), 200, "it is off unless it is stated");
    }
}

#[test]
fn what_a_user_has_left_survives_a_reload_unless_the_limit_is_another() {
    let api = ScriptedApi::start(Play::continue_());
    let text = config(&api);
    let gateway = Gateway::start(&text);
    let user = account("facebook.com", "1");
    let status = |id: &str| hook(&gateway, STEPS[1], &user, id).status;
    assert_eq!([0; 3].map(|_| status("before")), [200, 200, 429]);
    std::fs::write(gateway.config(), text.replace("listen:", "listen:\n  max_body: 1KiB")).unwrap();
    reload(&gateway, IN_FORCE);
    assert_eq!(status("same"), 429);
    std::fs::write(gateway.config(), text.replace(LIMIT, "rate_limit_per_user: { rate: 1/m, burst: 1 }"))
        .unwrap();
    reload(&gateway, IN_FORCE);
    assert_eq!([0; 2].map(|_| status("other")), [200, 429]);
}

#[test]
fn users_are_forgotten_once_their_burst_is_whole_again() {
    let api = ScriptedApi::start(Play::continue_());
    let text = config(&api).replace(LIMIT, "rate_limit_per_user: { rate: 1000/s, burst: 1 }");
    let gateway = Gateway::start_with_arguments(&text, &["--log-level", "debug"]);
    for user in ["1", "2", "3"] {
        assert_eq!(hook(&gateway, STEPS[1], &account("facebook.com", user), user).status, 200);
    }
    let forgotten = || {
        let lines = gateway.stderr_text();
        let lines = lines.lines().filter(|line| line.contains("forgot users"));
        let counts =
            lines.filter_map(|line| serde_json::from_str::<Value>(line).ok()?["fields"]["users"].as_u64());
        counts.sum::<u64>()
    };
    wait_until("users are forgotten", || forgotten() > 0);
}

#[test]
fn one_user_who_sends_the_same_again_and_again_leaves_room_for_others() {
    let api = ScriptedApi::start(Play::continue_().after(std::time::Duration::from_secs(2)));
    let text = super::support::ConfigText::new(&api.url("/"))
        .listen("max_in_flight: 12")
        .connector("timeout: 3s")
        .text()
        .replace("duplicate_window: 0s", "duplicate_window: 10s");
    let gateway = Gateway::start(&text);
    let send = |address: &str| {
        let body = json!({ "email": address }).to_string();
        let mut connection = gateway.client().connect();
        let hook = gateway.client().post_hook(super::support::FLOW, STEPS[1], &body).basic(CALLER, PASSWORD);
        connection.write(&hook.to_bytes());
        connection
    };
    let mut one: Vec<_> = (0..20).map(|_| send("jane@fabrikam.com")).collect();
    assert_eq!(send("joe@fabrikam.com").response("POST").status, 200);
    let answers: Vec<_> = one.iter_mut().map(|connection| connection.response("POST")).collect();
    let went_on = answers.iter().filter(|answer| answer.json()["action"] == "Continue").count();
    assert_eq!(went_on, 9, "the first one and eight that wait for it");
    assert_eq!(api.requests().len(), 2);
}

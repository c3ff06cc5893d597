//! What is written down: one event a hook, in either form.

use super::support::{CALLER, ConfigText, FLOW, Gateway, PASSWORD, Play, STEPS, ScriptedApi};

const AT: &str = "\"time\":\"";

#[test]
fn an_event_of_a_decision_has_these_fields_and_no_others() {
    let api = ScriptedApi::start(Play::json(200, r#"{"action":"Continue","city":"x","jobTitle":"y"}"#));
    let config = ConfigText::new(&api.url("/")).send(&["city"]).receive(&["city"]);
    let gateway = Gateway::start(&config.text());
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let body = r#"{"email":"jane@fabrikam.com","city":"","surname":"Doe"}"#;
    let mut kept = gateway.client().connect();
    for id in ["first", "second"] {
        let request = gateway.client().post_hook(FLOW, STEPS[1], body).basic(CALLER, PASSWORD);
        let request = request.header("X-Request-ID", id).header("traceparent", parent);
        assert_eq!(request.send_on(&mut kept).status, 200);
    }
    let mut event = gateway.event("second");
    let object = event.as_object_mut().unwrap();
    let time = object.remove("time").unwrap();
    let time = time.as_str().unwrap();
    assert!(time.len() >= 20 && time.ends_with('Z') && time.contains('T'), "RFC 3339 in UTC: {time}");
    for (field, most) in [("duration_ms", 1000.0), ("upstream_ms", 1000.0), ("deadline_remaining_ms", 4000.0)]
    {
        let value = object.remove(field).unwrap().as_f64().unwrap();
        assert!(value > 0.0 && value < most, "{field}: {value}");
    }
    let expected = serde_json::json!({
        "request_id": "second", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "user_flow": FLOW, "step": STEPS[1],
        "caller": CALLER, "credential": "basic", "connector": "approvals", "decision": "Continue", "outcome": "api",
        "status": 200, "upstream_status": 200, "reused": true, "bytes_in": body.len(), "bytes_out": 50, "claims_sent": 2,
        "claims_dropped_sent": ["surname"], "claims_dropped_received": ["jobTitle"], "repairs": ["missing_version"],
    });
    assert_eq!(event, expected);
    assert_eq!(gateway.event("first")["reused"], false);
    assert!(gateway.stdout_text().lines().all(|line| line.starts_with(&format!("{{{AT}"))));
}

#[test]
fn the_text_form_has_one_line_a_hook_for_people() {
    let api = ScriptedApi::start(vec![Play::block("No."), Play::json(500, "{}")]);
    let config = ConfigText::new(&api.url("/")).text();
    let mut gateway = Gateway::start_with_arguments(&config, &["--log-format", "text"]);
    let hook = || gateway.client().post_hook(FLOW, STEPS[1], "{}");
    for id in ["blocked", "failed"] {
        hook().basic(CALLER, PASSWORD).header("X-Request-ID", id).send();
    }
    hook().header("X-Request-ID", "refused").send();
    assert!(gateway.terminate().success());
    let (stdout, stderr) = (gateway.stdout_text(), gateway.stderr_text());
    let mut lines: Vec<_> = stdout.lines().collect();
    lines.sort_by_key(|line| line.rsplit("request_id=").next());
    let place = format!("{FLOW}/{}", STEPS[1]);
    for (line, parts) in lines.iter().zip([
        [
            "ShowBlockPage (api)",
            "caller=entra connector=approvals status=200 upstream_status=200",
            "request_id=blocked",
        ],
        ["ShowBlockPage (fallback)", "status_5xx: the API answered 5xx", "request_id=failed"],
        ["error (refused)", "unauthenticated: no credential", "request_id=refused"],
    ]) {
        assert!(parts.iter().all(|part| line.contains(part)) && line.contains(&place), "{line}");
        assert!(!line.starts_with('{') && !line.contains('\u{1b}'));
    }
    assert_eq!(lines.len(), 3);
    assert!(
        stderr.contains("listening")
            && stderr.contains(&gateway.address().to_string())
            && !stderr.contains('\u{1b}'),
        "{stderr}"
    );
}

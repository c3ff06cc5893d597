//! What is written down: one event a hook in either form, and never a value that was entrusted to the gateway.

use std::time::Duration;

use super::support::{
    Act, CALLER, ConfigText, FLOW, Gateway, PASSWORD, Parts, Play, RecordedRequest, RefusingAddress, Request,
    STEPS, ScriptedApi, answer,
};

/// Stands in every value that must not be seen again.
const MARK: &str = "mArKeD";
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

fn scripted(request: &RecordedRequest) -> Play {
    let claims = format!(r#"{{"version":"1.0.0","action":"Continue","city":"{MARK}","other":"{MARK}"}}"#);
    let refusal = format!(r#"{{"action":"ShowBlockPage","userMessage":"{MARK}"}}"#);
    let marked_head = format!("HTTP/1.1 200 OK\r\nX-{MARK}: {MARK}\r\nLocation: /?{MARK}\r\n");
    let city = request.json()["city"].as_str().map(str::to_owned).unwrap_or_default();
    match city.trim_start_matches(MARK) {
        "-0" => Play::json(200, &claims),
        "-1" => Play::json(200, &refusal),
        "-2" => Play::json(409, &format!(r#"{{"userMessage":"{MARK}","code":"{MARK}"}}"#)),
        "-3" => Play::json(500, &format!("<html>{MARK}")),
        "-4" => Play::json(302, MARK),
        "-5" => Play::json(200, &format!("{{\"action\":\"{MARK}\"}}")),
        "-6" => Play::json(200, &format!("{{\"{MARK}@x\":1,\"action\":1}}")),
        "-7" => Play::half(answer(200, &claims)),
        "-8" => Play::garbage(format!("{MARK}\r\n\r\n")),
        "-9" => Play::answer(format!("{marked_head}Content-Length: {MARK}\r\n\r\n")),
        "-10" => Play::answer(format!("{marked_head}Transfer-Encoding: chunked\r\n\r\n{MARK}\r\n")),
        "-11" => Play::answer(format!(
            "HTTP/1.1 200 {MARK}\r\nContent-Encoding: {MARK}\r\nContent-Length: 0\r\n\r\n"
        )),
        "-12" => Play::json(200, &format!("{{\"x\":\"{}\"}}", MARK.repeat(1000))),
        "-13" => Play::twice(answer(200, &claims)),
        "-14" => Play::json(200, &format!("{claims} // {MARK}")),
        "-15" => Play::silence(),
        _ => Play::continue_().then(Act::StrayAfter(MARK.as_bytes().to_vec())),
    }
}

#[test]
fn no_claim_credential_header_query_or_message_reaches_a_line_or_a_metric() {
    let api = ScriptedApi::answering(scripted);
    let refusing = RefusingAddress::take();
    let secret = |kind: &str| format!("{MARK}-{kind}");
    let keys = format!(
        "authentication: {{ code: {0}, basic: {{ username: api, password: {0} }} }}\nclaims_to_send: [city]\nclaims_to_receive: [city]\n\
         timeout: 200ms\nmax_answer: 4KiB\ndefault_message: {0}",
        secret("api")
    );
    let caller = format!(
        "basic: {{ username: known, password: {} }}\ncode: {}\nheader: {{ name: X-Key, value: {} }}",
        secret("password"),
        secret("code"),
        secret("header")
    );
    let hooks = |connector: &str| {
        format!(
            "callers: [known]\n{}: {{ connector: {connector}, on_failure: {{ block: {} }} }}",
            STEPS[1],
            secret("block")
        )
    };
    let parts = Parts::new()
        .caller("known", &caller)
        .connector("scripted", &api.url(&format!("/?key={MARK}")), &keys)
        .connector("refusing", &refusing.url(&format!("/{MARK}")), &keys)
        .connector("unknown", &format!("https://{MARK}.invalid/"), &keys)
        .flow("Scripted", &hooks("scripted"))
        .flow("Refusing", &hooks("refusing"))
        .flow("Unknown", &hooks("unknown"))
        .flow("Entra", &format!("{}: {{ connector: scripted, on_failure: error }}", STEPS[1]));
    let mut gateway = Gateway::start_with_arguments(&parts.text(), &["--log-level", "trace"]);
    let client = gateway.client();
    let bodied = |flow: &str, number: usize| {
        let body = format!(
            r#"{{"city":"{MARK}-{number}","email":"{MARK}@fabrikam.com","{MARK}@x":"{MARK}","surname":"{MARK}"}}"#
        );
        client.post_hook(flow, STEPS[1], &body)
    };
    let marked = |request: Request| {
        request
            .header("Cookie", MARK)
            .header("X-Request-ID", &format!("{MARK} x"))
            .header("traceparent", MARK)
            .header("tracestate", MARK)
    };
    let known = |request: Request| request.basic("known", &secret("password"));
    let mut count = 0;
    let mut send = |request: Request| {
        marked(request).send();
        count += 1;
    };
    (0..=16).for_each(|number| send(known(bodied("Scripted", number))));
    send(known(bodied("Refusing", 0)));
    send(known(bodied("Unknown", 0)));
    send(bodied("Scripted", 0).code(&secret("code")));
    send(bodied("Scripted", 0).header("X-Key", &secret("header")));
    send(bodied("Scripted", 0).basic(MARK, MARK).header("X-Key", MARK).code(MARK));
    send(bodied("Scripted", 0).basic(MARK, MARK).basic(MARK, MARK));
    send(bodied("Entra", 0).header("Authorization", &format!("Bearer {MARK}")));
    send(known(bodied(&format!("Scripted{MARK}"), 0)));
    send(known(client.get(&format!("/{MARK}?{MARK}={MARK}"))));
    send(known(client.request(MARK, &format!("/flows/Scripted/{}", STEPS[1]))));
    send(known(bodied("Scripted", 0)).without("Content-Type").header("Content-Type", MARK));
    for body in [
        MARK.to_owned(),
        format!("[\"{MARK}\"]"),
        format!(r#"{{"{MARK}":1,"{MARK}":2}}"#),
        format!(r#"{{"step":"{MARK}"}}"#),
    ] {
        send(known(bodied("Scripted", 0).body(body)));
    }
    send(known(bodied("Scripted", 0).body(MARK.repeat(20_000))));
    // Connections that are no hooks leave at most diagnostics.
    client.connect().write(format!("{MARK}\r\n\r\n").as_bytes());
    client.connect().write(format!("GET /{MARK} HTTP/1.1\r\n{MARK}").as_bytes());
    std::thread::sleep(Duration::from_millis(150));
    assert_eq!(gateway.wait_for_events(count).len(), count, "one each");
    let metrics = gateway.metrics();
    assert!(gateway.terminate().success());
    let written = [gateway.stdout_text(), gateway.stderr_text(), metrics];
    for text in written {
        let leak = text.lines().find(|line| line.to_ascii_lowercase().contains(&MARK.to_ascii_lowercase()));
        assert_eq!(leak, None);
    }
    assert!(gateway.stderr_text().contains("\"DEBUG\""), "the most talkative level was on");
}

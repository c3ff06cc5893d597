//! What an answer of the API comes to, called for or recorded.

use serde_json::{Value, json};

use super::{ATTRIBUTES, CONTINUE, FEDERATION, TOKEN, asked::Asked};
use crate::{
    decisions,
    support::{CALLER, ConfigText, FLOW, Gateway, PASSWORD, Play, RefusingAddress, STEPS, ScriptedApi},
};

/// An answer to the identity provider without the request id, which is new each time.
fn without_id(body: &str) -> Value {
    let mut value: Value = serde_json::from_str(body).expect("every answer is JSON");
    value.as_object_mut().expect("and an object").remove("request_id");
    value
}

#[test]
fn every_recorded_answer_comes_to_what_the_gateway_makes_of_it() {
    let api = ScriptedApi::answering(decisions::row_of);
    let config = decisions::config(&api.url("/"));
    let (gateway, asked) = (Gateway::start(&config), Asked::about(&config));
    for (row, (status, body)) in decisions::answers().enumerate() {
        let step = STEPS[row % STEPS.len()];
        let flow = ["usual", "lenient", "strict"][row / STEPS.len() % 3];
        let what = format!("{flow} {step}: {status} {body}");
        let (hook, id) = (format!("{{\"city\":{row}}}"), format!("row-{row}"));
        let request = gateway.client().post_hook(flow, step, &hook).basic(CALLER, PASSWORD);
        let response = request.header("X-Request-ID", &id).send();
        asked.write("answer", body);
        let (exit, said) =
            asked.json(flow, step, &hook, &["--answer", "answer", "--status", &status.to_string()]);
        let gets = &said["idp_gets"];
        assert_eq!(gets["status"], response.status, "{what}");
        assert_eq!(without_id(gets["body"].as_str().unwrap()), without_id(response.text()), "{what}");
        let event = gateway.event(&id);
        assert_eq!((&said["decision"], &said["outcome"]), (&event["decision"], &event["outcome"]), "{what}");
        assert_eq!(exit, if event["outcome"] == "api" { 0 } else { 3 }, "{what}");
        assert_eq!(said["failure"].get("reason"), event.get("reason"), "{what}");
        let refusal = said["failure"].get("refusal").filter(|refusal| **refusal == true);
        assert_eq!(refusal, event.get("refusal"), "{what}");
        let repairs: Vec<_> =
            said["repairs"].as_array().unwrap().iter().map(|repair| repair["name"].clone()).collect();
        assert_eq!(json!(repairs), *event.get("repairs").unwrap_or(&json!([])), "{what}");
        let dropped = event.get("claims_dropped_received").cloned().unwrap_or(json!([]));
        assert_eq!(said["claims_not_taken_over"], dropped, "{what}");
        assert_eq!(said["answer"], json!({ "status": status, "body": body }), "{what}");
    }
}

/// Step, the API's status and body, and the exit status, the decision, who made it, and what the user sees.
#[rustfmt::skip]
const ENDINGS: [(&str, u16, &str, i32, &str, &str, &str); 11] = [
    (FEDERATION, 200, CONTINUE, 0, "Continue", "api", "the sign-up goes on to the attribute page"),
    (ATTRIBUTES, 200, r#"{"action":"Allow","city":"Seattle"}"#, 0, "Continue", "api", "the sign-up goes on and the user is created, with the API's claims"),
    (TOKEN, 200, CONTINUE, 0, "Continue", "api", "the sign-in goes on and the token is sent"),
    (FEDERATION, 400, r#"{"action":"ValidationError","userMessage":"No \u001b[2J"}"#, 0, "ShowBlockPage", "api", "a page with the message \"No \u{1b}[2J\"; the sign-up ends"),
    (ATTRIBUTES, 200, r#"{"action":"ShowBlockPage","userMessage":"No."}"#, 0, "ShowBlockPage", "api", "a page with the message \"No.\"; the sign-up ends"),
    (ATTRIBUTES, 400, r#"{"action":"ValidationError","userMessage":"Typo."}"#, 0, "ValidationError", "api", "the form again, with the message \"Typo.\""),
    (ATTRIBUTES, 500, "oops", 3, "ValidationError", "fallback", "the form again, with the message \"Sorry.\""),
    (FEDERATION, 401, "", 3, "ShowBlockPage", "fallback", "a page with the message \"Please try again later.\"; the sign-up ends"),
    (TOKEN, 503, "", 3, "Continue", "fallback", "the sign-in goes on and the token is sent"),
    // A refusal never becomes Continue.
    (TOKEN, 200, r#"{"action":"ShowBlockPage"}"#, 3, "error", "fallback", "the identity provider's own error page; the sign-in ends"),
    (TOKEN, 500, r#"{"action":"ShowBlockPage"}"#, 3, "error", "fallback", "the identity provider's own error page; the sign-in ends"),
];

pub(super) fn endings(url: &str) -> ConfigText {
    ConfigText::new(url)
        .receive(&["city"])
        .on_failure(ATTRIBUTES, "{ validation_error: Sorry. }")
        .on_failure(TOKEN, "continue")
}

#[test]
fn a_call_and_the_same_answer_recorded_come_to_the_same_and_what_the_user_sees_is_said() {
    let rows = ENDINGS;
    let api = ScriptedApi::answering(move |request| {
        let row = request.json()["email"].as_u64().and_then(|row| usize::try_from(row).ok());
        let (_, status, body, ..) = rows[row.expect("each hook names a row")];
        Play::json(status, body)
    });
    let asked = Asked::about(&endings(&api.url("/api")).text());
    for (row, (step, status, body, exit, decision, outcome, user_sees)) in ENDINGS.into_iter().enumerate() {
        let hook = format!("{{\"email\":{row},\"city\":2}}");
        asked.write("answer", body);
        let recorded = ["--answer", "answer", "--status", &status.to_string()];
        let mut both = [asked.json(FLOW, step, &hook, &["--call"]), asked.json(FLOW, step, &hook, &recorded)];
        assert!(both[0].1["upstream_ms"].is_u64() && both[1].1["upstream_ms"].is_null(), "row {row}");
        for (_, said) in &mut both {
            said["upstream_ms"].take();
            said["request"]["headers"]["X-Request-ID"].take();
            said["request"]["headers"]["Idempotency-Key"].take();
            for place in ["idp_gets", "if_unreachable"] {
                let gets = if place == "idp_gets" { &mut said[place] } else { &mut said[place]["idp_gets"] };
                gets["body"] = without_id(gets["body"].as_str().unwrap());
            }
        }
        assert_eq!(both[0], both[1], "row {row}");
        let (said_exit, said) = &both[0];
        assert_eq!(
            (*said_exit, &said["decision"], &said["outcome"], &said["user_sees"]),
            (exit, &decision.into(), &outcome.into(), &user_sees.into()),
            "row {row}"
        );
        let text = asked.explain(FLOW, step, &hook, &recorded);
        let seen = format!("user sees  {}\n", user_sees.replace('\u{1b}', "\\u{1b}"));
        assert!(text.status == exit && text.out.ends_with(&seen), "row {row}: {}", text.out);
        assert!(text.out.contains(&format!("\ndecision: {decision}\n")), "row {row}: {}", text.out);
        assert!(!text.out.contains('\u{1b}'), "row {row}");
    }
    assert_eq!(api.requests().len(), ENDINGS.len(), "--answer calls nobody");
}

#[test]
fn people_read_every_repair_and_who_decided() {
    let asked = Asked::about(&endings("https://approvals.contoso.com/api").text());
    asked.write("answer", "{\"Action\":\"allow\",\r\n\"city\":null,\"jobTitle\":\"\u{202e}x\",}\n");
    asked.write("hook", "{}");
    let said = asked.explain(FLOW, ATTRIBUTES, "", &["hook", "--answer", "answer"]);
    let expected = r#"recorded answer
  200 {"Action":"allow",
  "city":null,"jobTitle":"\u{202e}x",}

repairs
  trailing_comma: a comma before a closing bracket
  key_letter_case: `version`, `action`, `status`, `userMessage` or `code` in another letter case
  allow_action: `Allow`, an older word for `Continue`
  missing_version: no `version`
  null_claim: a selected claim that is `null`; it is left out

claims not taken over: not listed in claims_to_receive
  jobTitle

decision: Continue
  made by    the API
  IdP gets   200 {"version":"1.0.0","action":"Continue"}
  user sees  the sign-up goes on and the user is created
"#;
    assert_eq!((said.status, said.out.split_once("\n\n  {}\n\n").unwrap().1), (0, expected));

    let said = asked.explain(FLOW, TOKEN, r#"{"action":"ShowBlockPage"}"#, &["hook", "--answer", "-"]);
    let expected = r"decision: error
  made by    on_failure, because of contract_decision_not_allowed
  blame      api
  hint       before the token is sent only Continue is possible
  refusal    the answer may be one, so that on_failure: continue does not apply
  IdP gets   502 ";
    assert!(said.status == 3 && said.out.contains(expected), "{}", said.out);
}

#[test]
fn an_answer_that_the_wire_would_refuse_is_refused_when_it_is_recorded_too() {
    let config = endings("https://approvals.contoso.com/api").connector("max_answer: 50B").text();
    let asked = Asked::about(&config);
    let long = format!("{CONTINUE}{}", " ".repeat(50));
    let rows = [
        (200, long.as_str(), "answer_too_large"),
        (204, "{}", "contract_http_framing"),
        (204, "", "contract_missing_action"),
    ];
    for (status, body, reason) in rows {
        asked.write("answer", body);
        let recorded = ["--answer", "answer", "--status", &status.to_string()];
        let (exit, said) = asked.json(FLOW, TOKEN, "{}", &recorded);
        assert_eq!((exit, &said["failure"]["reason"]), (3, &reason.into()));
        // What was not read may have been a refusal: the reason says so, where no trace of one was seen.
        let unread = reason != "contract_missing_action";
        assert_eq!(said["failure"]["refusal"], false, "{reason}");
        assert_eq!(said["decision"], if unread { "error" } else { "Continue" }, "{reason}");
        assert_eq!(said["answer"].is_null(), unread);
    }
}

#[test]
fn a_call_that_fails_says_why_with_what_the_reason_leaves_out() {
    let refusing = RefusingAddress::take();
    let asked = Asked::about(&endings(&refusing.url("/api")).text());
    let said = asked.explain(FLOW, FEDERATION, "{}", &["--call"]);
    assert_eq!(said.status, 3, "{}", said.err);
    for part in ["\n  none\n", "made by    on_failure, because of refused\n", "blame      api\n"] {
        assert!(said.out.contains(part), "{part} in {}", said.out);
    }
    assert!(said.err.contains("a call failed") && said.err.contains("reason=\"refused\""), "{}", said.err);
}

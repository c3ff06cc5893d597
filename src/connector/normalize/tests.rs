//! The decision table, row by row, and the rule above all rows.

use std::{collections::HashSet, time::Duration};

use super::*;
use crate::{
    config::{Endpoint, Name, Roots, TlsVersion},
    flow::{Given, OnFailure, Selection, claims::ClaimName},
};

const DEFAULT: &str = "default";

pub(in crate::connector) fn connector() -> Connector {
    let received = ["city", "extension_Id"].map(|name| ClaimName::parse(name).unwrap());
    Connector {
        name: Name::parse("api").unwrap(),
        display_name: "API".to_owned(),
        endpoint: Endpoint {
            tls: false,
            host: "127.0.0.1".to_owned(),
            port: 80,
            authority: "127.0.0.1".to_owned(),
            path: "/".to_owned(),
            query: None,
        },
        basic: None,
        certificates: Vec::new(),
        code: None,
        claims_to_send: Selection::to_send(&[], true),
        claims_to_receive: Selection::to_receive(&received),
        timeout: Duration::from_secs(2),
        connect_timeout: Duration::from_secs(1),
        max_answer: 65_536,
        roots: Roots::Webpki,
        server_name: "127.0.0.1".to_owned(),
        min_tls: TlsVersion::V1_2,
        rate_limit: None,
        max_in_flight: 64,
        wait: Duration::from_millis(50),
        idempotent: false,
        breaker: None,
        strict: false,
        missing_action: MissingAction::Fail,
        default_message: DEFAULT.to_owned(),
    }
}

fn read(connector: &Connector, step: Step, status: u16, body: &str) -> Normalized {
    normalize(connector, step, RawAnswer { status, encoded: false, body: body.as_bytes() })
}

fn object_of(claims: &Claims) -> String {
    format!("{{{}}}", String::from_utf8_lossy(claims.members()))
}

/// A decision or reason and the repairs, as one line.
fn line(normalized: &Normalized) -> String {
    let outcome = match &normalized.decision {
        Ok(FlowDecision::Continue(claims)) => {
            format!("Continue {}", object_of(claims))
        }
        Ok(FlowDecision::ShowBlockPage(message)) => format!("ShowBlockPage {message}"),
        Ok(FlowDecision::ValidationError(message)) => format!("ValidationError {message}"),
        Err(failure) => failure.reason.as_str().to_owned() + if failure.refusal { " (refusal)" } else { "" },
    };
    normalized.repairs.iter().fold(outcome, |line, repair| line + " +" + repair.as_str())
}

/// Answers, and what each means where the user has a form.
const TABLE: &[(u16, &str, &str)] = &[
    // 2xx Continue
    (200, r#"{"version":"1.0.0","action":"Continue"}"#, "Continue {}"),
    (201, r#"{"version":"0.0.1","action":"Continue","status":200}"#, "Continue {}"),
    (
        200,
        r#"{"version":"1.0.0","action":"Continue","city":"Seattle","extension_Id":1.10,"postalCode":"98101"}"#,
        r#"Continue {"city":"Seattle","extension_Id":1.10}"#,
    ),
    (200, r#"{"version":"1.0.0","action":"Continue","city":null}"#, "Continue {} +null_claim"),
    (200, r#"{"version":"1.0.0","action":"Continue","extension_Id":""}"#, r#"Continue {"extension_Id":""}"#),
    (200, r#"{"version":"1.0.0","action":"CONTINUE"}"#, "Continue {} +action_letter_case"),
    (200, r#"{"version":"1.0.0","action":"Allow","code":"","userMessage":""}"#, "Continue {} +allow_action"),
    (200, r#"{"version":"1.0.0","action":"allow"}"#, "Continue {} +allow_action"),
    (200, r#"{"action":"Continue"}"#, "Continue {} +missing_version"),
    (200, r#"{"Version":"1.0.0","Action":"Continue"}"#, "Continue {} +key_letter_case"),
    (200, r#"{"version":"1.0.0","action":"Continue","userMessage":"hi"}"#, "Continue {}"),
    (200, r#"{"version":"1.0.0","\u0061ction":"Continue"}"#, "Continue {}"),
    // ShowBlockPage in 2xx, 400, 409, 422
    (200, r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":"no"}"#, "ShowBlockPage no"),
    (
        200,
        r#"{"version":"1.0.0","status":400,"action":"ShowBlockPage","userMessage":"no","code":"X"}"#,
        "ShowBlockPage no",
    ),
    (
        400,
        r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":"no"}"#,
        "ShowBlockPage no +block_status",
    ),
    (
        409,
        r#"{"version":"1.0.0","action":"showblockpage","userMessage":"no"}"#,
        "ShowBlockPage no +action_letter_case +block_status",
    ),
    (
        422,
        r#"{"version":"1.0.0","action":"ShowBlockPage","city":null}"#,
        "ShowBlockPage default +block_status +default_message",
    ),
    (
        200,
        r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":""}"#,
        "ShowBlockPage default +default_message",
    ),
    (
        200,
        r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":7}"#,
        "ShowBlockPage default +default_message",
    ),
    (
        200,
        r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":"\ud800"}"#,
        "ShowBlockPage default +default_message",
    ),
    // ValidationError in 2xx, 400, 409, 422
    (
        400,
        r#"{"version":"1.0.0","status":400,"action":"ValidationError","userMessage":"zip"}"#,
        "ValidationError zip",
    ),
    (
        400,
        r#"{"version":"1.0.0","status":"400","action":"ValidationError","userMessage":"zip"}"#,
        "ValidationError zip",
    ),
    (
        400,
        r#"{"version":"1.0.0","action":"ValidationError","userMessage":"zip"}"#,
        "ValidationError zip +validation_status",
    ),
    (
        200,
        r#"{"version":"1.0.0","status":400,"action":"ValidationError","userMessage":"zip"}"#,
        "ValidationError zip +validation_status",
    ),
    (
        409,
        r#"{"version":"1.0.0","status":409,"action":"ValidationError"}"#,
        "ValidationError default +validation_status +default_message",
    ),
    (
        422,
        r#"{"version":"1.0.0","status":422,"action":"ValidationError","userMessage":"zip"}"#,
        "ValidationError zip +validation_status",
    ),
    // the error body of a custom policy
    (409, r#"{"version":"1.0.0","status":409,"userMessage":"taken"}"#, "ValidationError taken +error_body"),
    (400, r#"{"userMessage":""}"#, "ValidationError default +error_body +default_message"),
    (422, r#"{"userMessage":"taken"}"#, "ValidationError taken +error_body"),
    // no action
    (204, "", "contract_missing_action"),
    (200, "{}", "contract_missing_action"),
    (200, r#"{"version":"1.0.0","status":200,"city":"x","userMessage":""}"#, "contract_missing_action"),
    (200, r#"{"userMessage":null}"#, "contract_missing_action"),
    (200, r#"{"userMessage":"no"}"#, "contract_error_body_in_2xx (refusal)"),
    (200, r#"{"status":409}"#, "contract_error_body_in_2xx"),
    (200, r#"{"status":"409","userMessage":"no"}"#, "contract_error_body_in_2xx (refusal)"),
    // contract failures, a rule each
    (400, r#"{"version":"1.0.0","code":"INVALID_REQUEST"}"#, "contract_error_without_message"),
    (409, "", "contract_error_without_message"),
    (422, r#"{"userMessage":null}"#, "contract_error_without_message (refusal)"),
    (400, r#"{"version":"1.0.0","action":"Continue"}"#, "contract_continue_outside_2xx"),
    (
        400,
        r#"{"version":"1.0.0","action":"Continue","userMessage":"no"}"#,
        "contract_continue_outside_2xx (refusal)",
    ),
    (200, r#"{"version":"1.0.0","action":"Continue","status":400}"#, "contract_continue_against_status"),
    (200, r#"{"version":"1.0.0","action":"Continue","status":" 4e2 "}"#, "contract_continue_against_status"),
    (200, r#"{"version":"1.0.0","action":"Continue","status":1e999}"#, "contract_continue_against_status"),
    (200, r#"{"version":"1.0.0","action":"Continue","status":"+400"}"#, "contract_continue_against_status"),
    (200, r#"{"version":"1.0.0","action":"Continue","status":"0400"}"#, "contract_continue_against_status"),
    (
        200,
        r#"{"version":"1.0.0","action":"Continue","status":"400 Bad Request"}"#,
        "contract_continue_against_status",
    ),
    (200, r#"{"version":"1.0.0","action":"Continue","status":"OK"}"#, "Continue {}"),
    (200, r#"{"version":"1.0.0","action":"Continue","status":[]}"#, "Continue {}"),
    (200, r#"{"version":"1.0.0","action":"Deny"}"#, "contract_unknown_action (refusal)"),
    (200, r#"{"version":"1.0.0","action":""}"#, "contract_unknown_action (refusal)"),
    (200, r#"{"version":"1.0.0","action":"\ud800"}"#, "contract_unknown_action (refusal)"),
    (200, r#"{"version":"1.0.0","action":"\\Continue"}"#, "contract_unknown_action (refusal)"),
    (200, r#"{"version":"1.0.0","action":"Continue\\"}"#, "contract_unknown_action (refusal)"),
    (200, r#"{"version":"1.0.0","action":"\\u0043ontinue"}"#, "contract_unknown_action (refusal)"),
    (200, r#"{"version":"1.0.0","action":true}"#, "contract_action_not_a_string (refusal)"),
    (200, r#"{"version":"1.0.0","action":null}"#, "contract_action_not_a_string (refusal)"),
    (200, r#"{"action":"Continue","action":"Continue"}"#, "contract_duplicate_name (refusal)"),
    (200, r#"{"action":"Continue","Action":"ShowBlockPage"}"#, "contract_duplicate_name (refusal)"),
    (200, r#"{"action":"Continue","email":"a","email_address":"b"}"#, "contract_duplicate_name"),
    (200, r#"["action"]"#, "contract_not_an_object"),
    (200, "true", "contract_not_an_object"),
    (200, "<html></html>", "contract_not_json"),
    (200, "", "contract_empty_body"),
    (200, " \r\n", "contract_empty_body"),
    // repairs of the text
    (200, "\u{feff}{\"version\":\"1.0.0\",\"action\":\"Continue\"}", "Continue {} +byte_order_mark"),
    (
        200,
        "{\"version\":\"1.0.0\", // as the page shows it\n\"action\":\"Continue\",}",
        "Continue {} +comments +trailing_comma",
    ),
    // statuses that mean a failure whatever the body says
    (401, "", "credentials_refused"),
    (403, r#"{"action":"Continue"}"#, "credentials_refused"),
    (301, "", "redirect"),
    (304, "", "redirect"),
    (429, "", "status_429"),
    (404, r#"{"userMessage":"no"}"#, "status_4xx (refusal)"),
    (402, "", "status_4xx"),
    (500, r#"{"action":"ShowBlockPage"}"#, "status_5xx (refusal)"),
    (503, "", "status_5xx"),
    (599, "", "status_5xx"),
];

#[test]
fn every_row_of_the_decision_table_holds_where_the_user_has_a_form() {
    for &(status, body, expected) in TABLE {
        let normalized = read(&connector(), Step::PostAttributeCollection, status, body);
        assert_eq!(line(&normalized), expected, "{status} {body}");
    }
}

#[test]
fn before_the_form_a_validation_error_is_shown_as_a_block_page() {
    for &(status, body, expected) in TABLE {
        let normalized = read(&connector(), Step::PostFederationSignup, status, body);
        let there = line(&normalized).replace(" +validation_before_form", "");
        assert_eq!(there, expected.replace("ValidationError", "ShowBlockPage"), "{status} {body}");
        let converted = normalized.repairs.iter().any(|repair| repair == Repair::ValidationBeforeForm);
        assert_eq!(converted, expected.starts_with("ValidationError"), "{status} {body}");
    }
}

#[test]
fn before_the_token_every_decision_but_continue_is_a_contract_failure() {
    for &(status, body, expected) in TABLE {
        let there = line(&read(&connector(), Step::PreTokenIssuance, status, body));
        if expected.starts_with("ShowBlockPage") || expected.starts_with("ValidationError") {
            assert!(there.starts_with("contract_decision_not_allowed (refusal)"), "{status} {body}: {there}");
        } else {
            assert_eq!(there, expected, "{status} {body}");
        }
    }
}

#[test]
fn strict_turns_every_repair_into_a_failure_and_changes_nothing_else() {
    let strict = Connector { strict: true, ..connector() };
    for &(status, body, expected) in TABLE {
        let there = read(&strict, Step::PostAttributeCollection, status, body);
        match expected.split_once(" +") {
            Some((_, repairs)) => {
                let reason = there.decision.as_ref().map_err(|failure| failure.reason.as_str());
                assert_eq!(reason, Err("contract_not_strict"), "{status} {body}");
                assert!(line(&there).ends_with(repairs), "{status} {body}: the repairs are still named");
            }
            None => assert_eq!(line(&there), expected, "{status} {body}"),
        }
    }
}

#[test]
fn a_missing_action_is_continue_only_where_the_connector_says_so() {
    let lenient = Connector { missing_action: MissingAction::Continue, ..connector() };
    for &(status, body, expected) in TABLE {
        let there = line(&read(&lenient, Step::PostAttributeCollection, status, body));
        match expected {
            "contract_missing_action" => {
                let claims = if body.contains("city") { r#"{"city":"x"}"# } else { "{}" };
                assert_eq!(there, format!("Continue {claims} +missing_action"), "{status} {body}");
            }
            _ => assert_eq!(there, expected, "{status} {body}"),
        }
    }
}

#[test]
fn a_missing_action_is_no_continue_where_a_refusal_stands_further_in() {
    let lenient = Connector { missing_action: MissingAction::Continue, ..connector() };
    let bodies = [
        r#"{"statusCode":200,"body":"{\"action\":\"ShowBlockPage\",\"userMessage\":\"no\"}"}"#,
        r#"{"data":{"action":"Deny"}}"#,
        r#"{"error":{"userMessage":"no"}}"#,
    ];
    for body in bodies {
        for step in Step::ALL {
            let there = line(&read(&lenient, step, 200, body));
            assert_eq!(there, "contract_missing_action (refusal)", "{body} at {step}");
        }
    }
}

#[test]
fn an_encoded_answer_is_not_read_and_may_hold_a_refusal() {
    for body in [&b"\x1f\x8b"[..], br#"{"action":"Continue"}"#] {
        for status in [200, 400] {
            let answer = RawAnswer { status, encoded: true, body };
            let normalized = normalize(&connector(), Step::PostAttributeCollection, answer);
            assert_eq!(line(&normalized), "contract_content_encoding (refusal)");
        }
    }
}

#[test]
fn a_refusal_never_becomes_continue_for_any_answer_step_and_on_failure() {
    let connectors = [
        connector(),
        Connector { missing_action: MissingAction::Continue, ..connector() },
        Connector { strict: true, ..connector() },
    ];
    let values = [
        "\"Continue\"",
        "\"continue\"",
        "\"Allow\"",
        "\"ShowBlockPage\"",
        "\"VALIDATIONERROR\"",
        "\"Deny\"",
        "null",
        "1",
        "[]",
    ];
    let keys = ["action", "Action", "ACTION", "\\u0061ction"];
    let tails =
        ["", r#","userMessage":"no""#, r#","action":"Continue""#, r#","status":409"#, ",", r#","x":"#];
    let on_failures = [
        OnFailure::Block("b".to_owned()),
        OnFailure::ValidationError("v".to_owned()),
        OnFailure::Continue,
        OnFailure::Error,
    ];
    let mut refusals = 0;
    for status in [200, 201, 204, 301, 400, 401, 403, 404, 409, 422, 429, 500, 503] {
        for key in keys {
            for value in values {
                for tail in tails {
                    let body = format!(r#"{{"version":"1.0.0","{key}":{value}{tail}}}"#);
                    let continues = matches!(value, "\"Continue\"" | "\"continue\"" | "\"Allow\"");
                    let refused = !continues
                        || tail.contains("\"action\"")
                        || (tail.contains("userMessage") && (400..500).contains(&status));
                    if !refused || status == 204 {
                        continue;
                    }
                    refusals += 1;
                    for connector in &connectors {
                        for step in Step::ALL {
                            let decision = read(connector, step, status, &body).decision;
                            for on_failure in &on_failures {
                                let given = match decision.clone() {
                                    Ok(decision) => Given::Decision(decision),
                                    Err(failure) => on_failure.resolve(step, failure),
                                };
                                let let_in = matches!(given, Given::Decision(FlowDecision::Continue(_)));
                                assert!(!let_in, "{status} {body} at {step} with {on_failure:?}");
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(refusals > 1_000, "the matrix is not empty: {refusals}");
}

#[test]
fn names_of_claims_that_were_not_selected_are_reported_and_the_envelope_is_not() {
    let body = r#"{"version":"1.0.0","action":"Continue","status":200,"code":"x","city":"a","plan":"gold","displayName":"J"}"#;
    let normalized = read(&connector(), Step::PostAttributeCollection, 200, body);
    assert_eq!(normalized.dropped.listed(), r#"plan","displayName"#);
    let body = r#"{"action":"Continue","not for a log":1,"city":"a","plan":"gold"} // repaired"#;
    let answer = RawAnswer { status: 200, encoded: false, body: body.as_bytes() };
    let names = not_taken_over(&connector(), Step::PostAttributeCollection, answer);
    assert_eq!(names, ["not for a log", "plan"]);
}

#[test]
fn an_answer_prints_without_its_body() {
    let answer = RawAnswer { status: 200, encoded: false, body: br#"{"city":"Seattle"}"# };
    assert_eq!(format!("{answer:?}"), "RawAnswer { status: 200, encoded: false, 18 bytes }");
}

#[test]
fn each_repair_has_a_name_and_a_meaning_of_its_own() {
    let names: HashSet<_> = Repair::ALL.into_iter().map(Repair::as_str).collect();
    let meanings: HashSet<_> = Repair::ALL.into_iter().map(Repair::meaning).collect();
    assert_eq!((names.len(), meanings.len()), (Repair::ALL.len(), Repair::ALL.len()));
}

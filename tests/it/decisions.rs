//! From an API's answer to what the identity provider gets: the decision table, at every step.

use std::collections::BTreeMap;

use serde_json::Value;

use super::support::{
    CALLER, Gateway, PASSWORD, Parts, Play, RecordedRequest, Response, STEPS, ScriptedApi, answer,
};

const DEFAULT: &str = "Ask the service desk.";

/// What an answer means at postAttributeCollection, where all decisions are possible.
#[derive(Clone, Copy, Debug)]
enum Meaning {
    /// With these claims, written as they follow the action.
    Continue(&'static str),
    Block(&'static str),
    Validation(&'static str),
    /// A failure with this reason.
    Failure(&'static str),
    /// No action: a failure, or Continue where the connector says so.
    /// No action; with these claims where the connector takes that for Continue.
    Missing(&'static str),
}
use Meaning::{Block, Continue, Failure, Missing, Validation};

const CONTINUE: Meaning = Continue("");

/// Status and body of the API, what it means, and which repairs it needs.
#[rustfmt::skip]
const TABLE: [(u16, &str, Meaning, &[&str]); 83] = [
    // Continue
    (200, r#"{"version":"1.0.0","action":"Continue"}"#, CONTINUE, &[]),
    (201, r#"{"version":"1.0.0","action":"Continue"}"#, CONTINUE, &[]),
    (299, r#"{"version":"1.0.0","action":"Continue"}"#, CONTINUE, &[]),
    (200, r#"{"version":"1.0.0","action":"Continue","status":200}"#, CONTINUE, &[]),
    (200, r#"{"version":"1.0.0","action":"Continue","status":"399"}"#, CONTINUE, &[]),
    (200, r#"{"version":"1.0.0","action":"Continue","userMessage":"welcome"}"#, CONTINUE, &[]),
    (200, r#"{"action":"Continue"}"#, CONTINUE, &["missing_version"]),
    (200, r#"{"version":null,"action":"Continue"}"#, CONTINUE, &["missing_version"]),
    (200, r#"{"version":"1.0.0","action":"continue"}"#, CONTINUE, &["action_letter_case"]),
    (200, r#"{"version":"1.0.0","action":"CONTINUE"}"#, CONTINUE, &["action_letter_case"]),
    (200, r#"{"version":"1.0.0","action":"Allow"}"#, CONTINUE, &["allow_action"]),
    (200, r#"{"version":"1.0.0","action":"allow"}"#, CONTINUE, &["allow_action"]),
    (200, r#"{"version":"1.0.0","Action":"Continue"}"#, CONTINUE, &["key_letter_case"]),
    (200, "\u{feff}{\"version\":\"1.0.0\",\"action\":\"Continue\"}", CONTINUE, &["byte_order_mark"]),
    (200, "{\"version\":\"1.0.0\", // the version\n\"action\":\"Continue\"}", CONTINUE, &["comments"]),
    (200, r#"{"version":"1.0.0",/* x */"action":"Continue"}"#, CONTINUE, &["comments"]),
    (200, r#"{"version":"1.0.0","action":"Continue",}"#, CONTINUE, &["trailing_comma"]),
    (200, " {\n\"version\" : \"1.0.0\" ,\r\n\t\"action\" : \"Contin\\u0075e\" } ", CONTINUE, &[]),
    // claims on the way back
    (200, r#"{"version":"1.0.0","action":"Continue","displayName":"Jane","city":"Seattle"}"#, Continue(r#","displayName":"Jane","city":"Seattle""#), &[]),
    (200, r#"{"city":1.10,"version":"1.0.0","displayName":"\u00e9\/","action":"Continue"}"#, Continue(r#","city":1.10,"displayName":"\u00e9\/""#), &[]),
    (200, r#"{"version":"1.0.0","action":"Continue","city":"","displayName":null}"#, Continue(r#","city":"""#), &["null_claim"]),
    (200, r#"{"version":"1.0.0","action":"Continue","jobTitle":"x","DisplayName":"x","email":"x@y","code":"c"}"#, CONTINUE, &[]),
    (200, r#"{"version":"1.0.0","action":"Continue","extension_LoyaltyId":"1"}"#, Continue(r#","extension_LoyaltyId":"1""#), &[]),
    (200, r#"{"version":"1.0.0","action":"Continue","extension_0123456789abcdef0123456789abcdef_LoyaltyId":"1"}"#,
        Continue(r#","extension_0123456789abcdef0123456789abcdef_LoyaltyId":"1""#), &[]),
    (200, r#"{"version":"1.0.0","action":"Continue","jobTitle":null,"city":"// no comment /* */ ,}"}"#, Continue(r#","city":"// no comment /* */ ,}""#), &[]),
    // ShowBlockPage
    (200, r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":"No."}"#, Block("No."), &[]),
    (200, r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":"Say \"please\",\nJ\u00f6rg","displayName":"x","code":"c"}"#, Block("Say \"please\",\nJörg"), &[]),
    (200, r#"{"version":"1.0.0","action":"showblockpage","userMessage":"No."}"#, Block("No."), &["action_letter_case"]),
    (200, r#"{"version":"1.0.0","action":"ShowBlockPage","UserMessage":"No."}"#, Block("No."), &["key_letter_case"]),
    (400, r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":"No."}"#, Block("No."), &["block_status"]),
    (409, r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":"No."}"#, Block("No."), &["block_status"]),
    (422, r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":"No."}"#, Block("No."), &["block_status"]),
    (200, r#"{"version":"1.0.0","action":"ShowBlockPage"}"#, Block(DEFAULT), &["default_message"]),
    (200, r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":""}"#, Block(DEFAULT), &["default_message"]),
    (200, r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":null}"#, Block(DEFAULT), &["default_message"]),
    (200, r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":["No."]}"#, Block(DEFAULT), &["default_message"]),
    (200, r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":"\ud800"}"#, Block(DEFAULT), &["default_message"]),
    (200, r#"{"version":"1.0.0","action":"ShowBlockPage","status":500,"userMessage":"No."}"#, Block("No."), &[]),
    // ValidationError
    (400, r#"{"version":"1.0.0","status":400,"action":"ValidationError","userMessage":"Typo."}"#, Validation("Typo."), &[]),
    (400, r#"{"version":"1.0.0","status":"400","action":"ValidationError","userMessage":"Typo."}"#, Validation("Typo."), &[]),
    (400, r#"{"version":"1.0.0","action":"ValidationError","userMessage":"Typo."}"#, Validation("Typo."), &["validation_status"]),
    (400, r#"{"version":"1.0.0","status":409,"action":"ValidationError","userMessage":"Typo."}"#, Validation("Typo."), &["validation_status"]),
    (200, r#"{"version":"1.0.0","status":400,"action":"ValidationError","userMessage":"Typo."}"#, Validation("Typo."), &["validation_status"]),
    (409, r#"{"version":"1.0.0","status":400,"action":"ValidationError","userMessage":"Typo."}"#, Validation("Typo."), &["validation_status"]),
    (422, r#"{"version":"1.0.0","status":422,"action":"VALIDATIONERROR","userMessage":"Typo."}"#, Validation("Typo."), &["action_letter_case", "validation_status"]),
    (400, r#"{"version":"1.0.0","status":400,"action":"ValidationError"}"#, Validation(DEFAULT), &["default_message"]),
    // the error body of a custom policy
    (409, r#"{"version":"1.0.0","status":409,"userMessage":"Taken."}"#, Validation("Taken."), &["error_body"]),
    (400, r#"{"userMessage":"Taken."}"#, Validation("Taken."), &["error_body"]),
    (422, r#"{"userMessage":"Taken.","code":"API12345","requestId":"x"}"#, Validation("Taken."), &["error_body"]),
    (409, r#"{"userMessage":""}"#, Validation(DEFAULT), &["error_body", "default_message"]),
    // no action
    (204, "", Missing(""), &[]),
    (200, "{}", Missing(""), &[]),
    (200, r#"{"version":"1.0.0","status":200,"displayName":"x"}"#, Missing(r#","displayName":"x""#), &[]),
    (200, r#"{"userMessage":""}"#, Missing(""), &[]),
    (200, r#"{"userMessage":null}"#, Missing(""), &[]),
    // contract failures, one rule each
    (200, "", Failure("contract_empty_body"), &[]),
    (200, " \r\n", Failure("contract_empty_body"), &[]),
    (200, "OK", Failure("contract_not_json"), &[]),
    (200, "<html>", Failure("contract_not_json"), &[]),
    (200, r#"{"version":"1.0.0","action":"Continue""#, Failure("contract_not_json"), &[]),
    (200, r#"{"action":"Continue"} {"action":"Continue"}"#, Failure("contract_not_json"), &[]),
    (200, r#"["Continue"]"#, Failure("contract_not_an_object"), &[]),
    (200, r#""Continue""#, Failure("contract_not_an_object"), &[]),
    (200, "null", Failure("contract_not_an_object"), &[]),
    (200, r#"{"action":"Continue","a":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}"#, Failure("contract_too_deep"), &[]),
    (200, r#"{"action":"Continue","action":"Continue"}"#, Failure("contract_duplicate_name"), &[]),
    (200, r#"{"action":"Continue","Action":"Continue"}"#, Failure("contract_duplicate_name"), &[]),
    (200, r#"{"action":"Continue","city":1,"city":2}"#, Failure("contract_duplicate_name"), &[]),
    (200, r#"{"action":"Continue","extension_LoyaltyId":1,"extension_0123456789abcdef0123456789abcdef_LoyaltyId":2}"#, Failure("contract_duplicate_name"), &[]),
    (200, r#"{"action":true}"#, Failure("contract_action_not_a_string"), &[]),
    (200, r#"{"action":null}"#, Failure("contract_action_not_a_string"), &[]),
    (200, r#"{"action":["Continue"]}"#, Failure("contract_action_not_a_string"), &[]),
    (200, r#"{"action":"Deny"}"#, Failure("contract_unknown_action"), &[]),
    (200, r#"{"action":""}"#, Failure("contract_unknown_action"), &[]),
    (200, r#"{"action":" Continue"}"#, Failure("contract_unknown_action"), &[]),
    (400, r#"{"version":"1.0.0","action":"Continue"}"#, Failure("contract_continue_outside_2xx"), &[]),
    (409, r#"{"version":"1.0.0","action":"Allow"}"#, Failure("contract_continue_outside_2xx"), &["allow_action"]),
    (200, r#"{"version":"1.0.0","action":"Continue","status":400}"#, Failure("contract_continue_against_status"), &[]),
    (200, r#"{"version":"1.0.0","action":"Continue","status":"409"}"#, Failure("contract_continue_against_status"), &[]),
    (400, "", Failure("contract_error_without_message"), &[]),
    (422, r#"{"title":"Bad"}"#, Failure("contract_error_without_message"), &[]),
    (200, r#"{"userMessage":"No."}"#, Failure("contract_error_body_in_2xx"), &[]),
    (200, r#"{"version":"1.0.0","status":409}"#, Failure("contract_error_body_in_2xx"), &[]),
];

/// Status and body of each row's answer.
pub(super) fn answers() -> impl Iterator<Item = (u16, &'static str)> {
    TABLE.into_iter().map(|(status, body, ..)| (status, body))
}

/// Connectors that differ in one setting; user flows have their names.
pub(super) fn config(url: &str) -> String {
    let common = format!("default_message: {DEFAULT}\nclaims_to_send: [city]\n");
    let some = format!("{common}claims_to_receive: [displayName, city, extension_LoyaltyId]\n");
    let on = |connector: &str| {
        STEPS.map(|step| format!("{step}: {{ connector: {connector}, on_failure: error }}")).join("\n")
    };
    let parts = Parts::new()
        .connector("usual", url, &some)
        .connector("strict", url, &format!("{some}strict: true"))
        .connector("lenient", url, &format!("{some}missing_action: continue"))
        .connector("nothing", url, &common);
    let names = ["usual", "strict", "lenient", "nothing"];
    let parts = names.into_iter().fold(parts, |parts, name| parts.flow(name, &on(name)));
    parts.text()
}

fn start(api: &ScriptedApi) -> Gateway {
    Gateway::start(&config(&api.url("/")))
}

/// The hook says by `city` which row it wants.
pub(super) fn row_of(request: &RecordedRequest) -> Play {
    let row: usize = serde_json::from_value(request.json()["city"].clone()).expect("each hook names a row");
    let (status, body, ..) = TABLE[row];
    match status {
        // A 204 has no length (RFC 9110 section 8.6).
        204 => Play::answer("HTTP/1.1 204 No Content\r\n\r\n"),
        _ => Play::answer(answer(status, body)),
    }
}

fn ask(gateway: &Gateway, flow: &str, step: &str, row: usize) -> (Response, String) {
    let id = format!("{flow}-{step}-{row}");
    let request = gateway.client().post_hook(flow, step, &format!("{{\"city\":{row}}}"));
    (request.basic(CALLER, PASSWORD).header("X-Request-ID", &id).send(), id)
}

/// What the meaning becomes at a step, and the repairs with the one that the step itself needs.
fn at_step(step: &str, meaning: Meaning, repairs: &[&'static str]) -> (Meaning, Vec<&'static str>) {
    let mut repairs = repairs.to_vec();
    let meaning = match (step, meaning) {
        ("preTokenIssuance", Block(_) | Validation(_)) => Failure("contract_decision_not_allowed"),
        ("postFederationSignup", Validation(message)) => {
            let at = repairs.iter().position(|repair| matches!(*repair, "error_body" | "default_message"));
            repairs.insert(at.unwrap_or(repairs.len()), "validation_before_form");
            Block(message)
        }
        (_, meaning) => meaning,
    };
    (meaning, repairs)
}

fn check(response: &Response, meaning: Meaning, what: &str) {
    let quoted = |message: &str| serde_json::to_string(message).expect("a text is JSON");
    let (status, body) = match meaning {
        Continue(claims) => (200, format!(r#"{{"version":"1.0.0","action":"Continue"{claims}}}"#)),
        Block(message) => (
            200,
            format!(r#"{{"version":"1.0.0","action":"ShowBlockPage","userMessage":{}}}"#, quoted(message)),
        ),
        Validation(message) => (
            400,
            format!(
                r#"{{"version":"1.0.0","status":400,"action":"ValidationError","userMessage":{}}}"#,
                quoted(message)
            ),
        ),
        Missing(_) => return check(response, Failure("contract_missing_action"), what),
        Failure(reason) => {
            assert_eq!(
                (response.status, &response.json()["reason"]),
                (502, &reason.into()),
                "{what}: {}",
                response.text()
            );
            assert_eq!(response.header("content-type"), Some("application/problem+json"), "{what}");
            return;
        }
    };
    assert_eq!((response.status, response.text()), (status, body.as_str()), "{what}");
    assert_eq!(response.header("content-type"), Some("application/json"), "{what}");
    assert_eq!(response.header("content-length"), Some(body.len().to_string().as_str()), "{what}");
}

fn run(flow: &str, meant: impl Fn(Meaning, &[&'static str]) -> (Meaning, Vec<&'static str>)) {
    let api = ScriptedApi::answering(row_of);
    let gateway = start(&api);
    let mut expected = Vec::new();
    for step in STEPS {
        for (row, (status, body, meaning, repairs)) in TABLE.into_iter().enumerate() {
            let what = format!("{step}: {status} {body}");
            let (response, id) = ask(&gateway, flow, step, row);
            let (meaning, repairs) = at_step(step, meaning, repairs);
            let (meaning, repairs) = meant(meaning, &repairs);
            check(&response, meaning, &what);
            let outcome = if matches!(meaning, Failure(_) | Missing(_)) { "fallback" } else { "api" };
            expected.push((what, id, status, outcome, repairs));
        }
    }
    let mut counts: BTreeMap<&str, f64> = BTreeMap::new();
    for (what, id, status, outcome, mut repairs) in expected {
        let event = gateway.event(&id);
        repairs.sort_unstable();
        assert_eq!(names(&event, "repairs"), repairs, "{what}");
        assert_eq!(
            (&event["upstream_status"], &event["outcome"]),
            (&status.into(), &outcome.into()),
            "{what}"
        );
        for repair in repairs {
            *counts.entry(repair).or_default() += 1.0;
        }
    }
    for (repair, count) in counts {
        let sample = format!("claimgate_answer_repairs_total{{connector=\"{flow}\",repair=\"{repair}\"}}");
        gateway.wait_for_metric(&sample, count);
    }
}

/// A list of an event, sorted; empty if it is not there.
fn names<'e>(event: &'e Value, field: &str) -> Vec<&'e str> {
    let list = event.get(field).and_then(Value::as_array);
    let mut names: Vec<_> = list.into_iter().flatten().filter_map(Value::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn an_answer_becomes_the_decision_of_the_table_in_the_documented_form() {
    run("usual", |meaning, repairs| (meaning, repairs.to_vec()));
}

#[test]
fn strict_takes_nothing_that_needs_a_repair() {
    run("strict", |meaning, repairs| match meaning {
        Failure(_) | Missing(_) => (meaning, repairs.to_vec()),
        _ if repairs.is_empty() => (meaning, vec![]),
        _ => (Failure("contract_not_strict"), repairs.to_vec()),
    });
}

#[test]
fn a_missing_action_is_continue_with_the_selected_claims_where_the_connector_says_so() {
    run("lenient", |meaning, repairs| match meaning {
        Missing(claims) => (Continue(claims), vec!["missing_action"]),
        _ => (meaning, repairs.to_vec()),
    });
}

#[test]
fn without_claims_to_receive_none_comes_back_and_each_is_counted_and_named() {
    let api = ScriptedApi::answering(row_of);
    let gateway = start(&api);
    let (mut total, mut rows) = (0, Vec::new());
    for (row, (_, body, meaning, _)) in TABLE.into_iter().enumerate() {
        if !matches!(meaning, Continue(_))
            || body.contains("//")
            || body.contains("/*")
            || body.contains(",}")
        {
            continue;
        }
        let (response, id) = ask(&gateway, "nothing", STEPS[2], row);
        check(&response, CONTINUE, body);
        rows.push((id, body));
    }
    for (id, body) in rows {
        let event = gateway.event(&id);
        let members: serde_json::Map<_, _> =
            serde_json::from_str(body.trim_start_matches('\u{feff}')).unwrap();
        let reserved = ["version", "action", "status", "usermessage", "code"];
        let expected: Vec<&String> =
            members.keys().filter(|name| !reserved.contains(&name.to_ascii_lowercase().as_str())).collect();
        assert_eq!(names(&event, "claims_dropped_received"), expected, "{body}");
        total += expected.len();
    }
    assert!(total > 5);
    let sample = "claimgate_claims_dropped_total{connector=\"nothing\",direction=\"received\"}";
    gateway.wait_for_metric(sample, f64::from(u32::try_from(total).unwrap()));
}

#[test]
fn a_full_name_in_the_selection_also_takes_the_short_form_back() {
    let api = ScriptedApi::start(Play::json(
        200,
        r#"{"version":"1.0.0","action":"Continue","extension_LoyaltyId":"1"}"#,
    ));
    let receive = "claims_to_receive: [extension_0123456789abcdef0123456789abcdef_LoyaltyId]";
    let parts = Parts::new().connector("full", &api.url("/"), receive).whole_flow("full", "full", "");
    let gateway = Gateway::start(&parts.text());
    let response = ask(&gateway, "full", STEPS[1], 0).0;
    check(&response, Continue(r#","extension_LoyaltyId":"1""#), "the short form, as the API wrote it");
}

use std::{sync::LazyLock, time::UNIX_EPOCH};

use serde_json::{Value, json};

use super::*;
use crate::{flow::ContractRule, telemetry::ACCESS_FIELDS};

fn nothing_known() -> AccessEvent<'static> {
    AccessEvent::new(UNIX_EPOCH, DecisionLabel::None, Outcome::Abandoned)
}

fn names<const N: usize>(names: [&str; N]) -> ClaimNames {
    names.into_iter().collect()
}

fn everything_known() -> AccessEvent<'static> {
    static SENT: LazyLock<ClaimNames> = LazyLock::new(|| names(["given_name", "jobTitle"]));
    static RECEIVED: LazyLock<ClaimNames> = LazyLock::new(|| names(["country"]));
    static FLOW: LazyLock<Name> = LazyLock::new(|| Name::parse("B2X_1_PartnerSignUp").unwrap());
    static CALLER: LazyLock<Name> = LazyLock::new(|| Name::parse("entra").unwrap());
    AccessEvent {
        at: UNIX_EPOCH + Duration::from_millis(1_767_225_599_990),
        request_id: Some("req-1"),
        trace_id: Some("0af7651916cd43dd8448eb211c80319c"),
        user_flow: Some(&FLOW),
        step: Some(Step::PostAttributeCollection),
        caller: Some(&CALLER),
        credential: Some("basic-0"),
        credential_failure: Some("credential_mismatch"),
        connector: Some("request-approval"),
        decision: DecisionLabel::ShowBlockPage,
        outcome: Outcome::Fallback,
        reason: Some(Reason::Contract(ContractRule::EmptyBody)),
        status: Some(200),
        upstream_status: Some(204),
        refusal: true,
        reused: Some(false),
        attempts: Some(2),
        duplicate: Some(Duplicate::Joined),
        total: Some(Duration::from_micros(12_034)),
        upstream: Some(Duration::from_nanos(10_999_999)),
        wait: Some(Duration::ZERO),
        deadline_remaining: Some(Duration::from_secs(3)),
        bytes_in: 512,
        bytes_out: 96,
        claims_sent: 4,
        dropped_sent: &SENT,
        dropped_received: &RECEIVED,
        repairs: &["comments", "trailing_comma"],
    }
}

fn json_line(event: &AccessEvent<'_>) -> String {
    let mut out = Vec::new();
    event.write_json(&mut out);
    String::from_utf8(out).unwrap()
}

fn text_line(event: &AccessEvent<'_>) -> String {
    let mut out = Vec::new();
    event.write_text(&mut out);
    String::from_utf8(out).unwrap()
}

fn parsed(event: &AccessEvent<'_>) -> Value {
    serde_json::from_str(&json_line(event)).unwrap()
}

#[test]
fn every_field_reads_back() {
    let reason = Reason::Contract(ContractRule::EmptyBody);
    let expected = json!({
        "time": "2025-12-31T23:59:59.990Z",
        "request_id": "req-1",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "user_flow": "B2X_1_PartnerSignUp",
        "step": "postAttributeCollection",
        "caller": "entra",
        "credential": "basic-0",
        "credential_failure": "credential_mismatch",
        "connector": "request-approval",
        "decision": "ShowBlockPage",
        "outcome": "fallback",
        "reason": "contract_empty_body",
        "blame": "api",
        "hint": reason.hint(),
        "status": 200,
        "upstream_status": 204,
        "refusal": true,
        "reused": false,
        "attempts": 2,
        "duplicate": "joined",
        "duration_ms": 12.034,
        "upstream_ms": 10.999,
        "wait_ms": 0.0,
        "deadline_remaining_ms": 3000.0,
        "bytes_in": 512,
        "bytes_out": 96,
        "claims_sent": 4,
        "claims_dropped_sent": ["given_name", "jobTitle"],
        "claims_dropped_received": ["country"],
        "repairs": ["comments", "trailing_comma"],
    });
    assert_eq!(parsed(&everything_known()), expected);
}

#[test]
fn the_documented_fields_are_the_ones_that_are_written() {
    let more = names(["listed", "not listed"]);
    let written = parsed(&AccessEvent { dropped_sent: &more, dropped_received: &more, ..everything_known() });
    let mut written: Vec<_> = written.as_object().unwrap().keys().map(String::as_str).collect();
    let mut documented = ACCESS_FIELDS.map(|field| field.name);
    written.sort_unstable();
    documented.sort_unstable();
    assert_eq!(written, documented);
}

#[test]
fn what_is_not_known_is_left_out() {
    let expected = json!({
        "time": "1970-01-01T00:00:00.000Z",
        "decision": "none",
        "outcome": "abandoned",
        "bytes_in": 0,
        "bytes_out": 0,
        "claims_sent": 0,
    });
    assert_eq!(parsed(&nothing_known()), expected);
}

#[test]
fn no_key_stands_twice() {
    // This hint holds no colon after a quote, so that only keys are counted.
    let line = json_line(&AccessEvent { reason: Some(Reason::Dns), ..everything_known() });
    let keys = serde_json::from_str::<serde_json::Map<String, Value>>(&line).unwrap().len();
    assert_eq!(line.matches("\":").count(), keys, "{line}");
}

#[test]
fn hostile_text_stays_inside_its_string_and_its_line() {
    let hostile = "x\",\"decision\":\"Continue\"}\n\r\0\u{1b}[2J\u{7f}\u{85}\u{2028}\u{2029}\u{202e}\\";
    let event = AccessEvent {
        request_id: Some(hostile),
        trace_id: Some(hostile),
        credential: Some(hostile),
        connector: Some(hostile),
        ..nothing_known()
    };
    let read = parsed(&event);
    assert_eq!(read["decision"], "none");
    for field in ["request_id", "trace_id", "credential", "connector"] {
        assert_eq!(read[field], hostile, "{field}");
    }
    for line in [json_line(&event), text_line(&event)] {
        let line = line.strip_suffix('\n').unwrap();
        assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line}");
    }
}

#[test]
fn what_is_written_as_it_stands_needs_no_escaping() {
    let of_reasons = Reason::all().flat_map(|reason| [reason.as_str(), reason.blame().as_str()]);
    let words = Step::ALL
        .map(Step::as_str)
        .into_iter()
        .chain(DecisionLabel::ALL.map(DecisionLabel::as_str))
        .chain(Outcome::ALL.map(Outcome::as_str))
        .chain([Duplicate::Joined, Duplicate::Replayed].map(Duplicate::as_str))
        .chain(of_reasons)
        .map(str::to_owned);
    // Any text of one or two characters that can be a name.
    let characters = || (0..=0xff).map(char::from);
    let texts = characters().flat_map(|one| characters().map(move |other| format!("{one}{other}")));
    let names = texts.filter(|text| Name::parse(text).is_some());
    let mut escaped = Vec::new();
    for text in words.chain(names) {
        escaped.clear();
        push_escaped(&mut escaped, &text);
        assert_eq!(escaped, text.as_bytes());
    }
}

#[test]
fn a_name_from_the_wire_in_no_narrow_form_is_only_counted() {
    let sent = names(["ann@contoso.com", "ok_1", "", "two words", "new\nline"]);
    let received = names(["\u{2028}"]);
    let event = AccessEvent { dropped_sent: &sent, dropped_received: &received, ..nothing_known() };
    let read = parsed(&event);
    assert_eq!(read["claims_dropped_sent"], json!(["ok_1"]));
    assert_eq!(read["claims_dropped_sent_more"], 4);
    assert_eq!(read.get("claims_dropped_received"), None);
    assert_eq!(read["claims_dropped_received_more"], 1);
    assert!(!json_line(&event).contains("contoso"));
}

#[test]
fn at_most_thirty_two_names_stand_in_an_event() {
    for count in [0, 1, 31, 32, 33, 1_000] {
        let mut all: Vec<String> = (0..count).map(|number| format!("claim_{number}")).collect();
        // It takes no place of the others.
        all.insert(0, "in no narrow form".to_owned());
        let dropped: ClaimNames = all.iter().map(String::as_str).collect();
        let read = parsed(&AccessEvent { dropped_sent: &dropped, ..nothing_known() });
        let shown = read["claims_dropped_sent"].as_array().map_or(&[][..], Vec::as_slice);
        assert_eq!(shown.len(), count.min(32));
        assert_eq!(*shown, all[1..=shown.len()]);
        assert_eq!(read["claims_dropped_sent_more"], all.len() - shown.len());
    }
}

#[test]
fn an_event_is_one_line_in_both_forms() {
    for event in [nothing_known(), everything_known()] {
        for line in [json_line(&event), text_line(&event)] {
            assert!(line.ends_with('\n'));
            assert_eq!(line.lines().count(), 1);
        }
    }
}

#[test]
fn a_line_for_people_says_what_happened_and_what_to_do() {
    assert_eq!(
        text_line(&AccessEvent { reason: Some(Reason::Dns), ..everything_known() }),
        "2025-12-31T23:59:59.990Z ShowBlockPage (fallback) B2X_1_PartnerSignUp/postAttributeCollection \
         dns: the host of endpoint_url does not resolve from here; refusal=true \
         credential_failure=credential_mismatch caller=entra connector=request-approval duplicate=joined status=200 \
         upstream_status=204 attempts=2 total=12.034ms upstream=10.999ms wait=0.000ms remaining=3000.000ms \
         repairs=comments,trailing_comma request_id=req-1\n"
    );
    assert_eq!(text_line(&nothing_known()), "1970-01-01T00:00:00.000Z none (abandoned) -/-\n");
}

#[test]
fn a_full_event_fits_the_buffer_it_is_written_to_without_growing_it() {
    let mut out = Vec::with_capacity(2_048);
    let before = out.as_ptr();
    everything_known().write_json(&mut out);
    assert_eq!(out.as_ptr(), before);
}

//! The laws of reading an answer, for any bytes.

use std::sync::LazyLock;

use serde_json::Value;

use super::{
    MissingAction, Normalized, RawAnswer, Repair, Repairs, holds_refusal,
    lenient::{self, without_comments},
    normalize,
};
use crate::{
    config::{self, Connector, Secrets},
    flow::{
        ContractRule, FlowDecision, Given, OnFailure, Selection, Step,
        claims::{
            self, ClaimName, Member,
            law::{is_json, is_same_claim, object_of},
            reserved_key,
        },
    },
};

mod tokens;

/// The statuses that mean something here, and neighbours of theirs.
const STATUSES: [u16; 24] = [
    200, 201, 204, 299, 300, 302, 304, 399, 400, 401, 403, 404, 408, 409, 410, 422, 423, 429, 499, 500, 502,
    503, 599, 999,
];

/// What a connector may take over.
const RECEIVED: [&[&str]; 4] = [
    &[],
    &["city", "extension_Id"],
    &["email_address", "displayName", "client_id", "extension_0123456789abcdef0123456789abcdef_Id"],
    &["a", "b", "identities", "ui_locales"],
];

static CONNECTOR: LazyLock<Connector> = LazyLock::new(|| {
    let text = "
        listen: { address: 127.0.0.1:0 }
        callers: { a: { code: b } }
        connectors: { api: { endpoint_url: https://api.example/, authentication: none, claims_to_send: [], claims_to_receive: [] } }
        user_flows: { f: { callers: [a], preTokenIssuance: { connector: api, on_failure: error } } }";
    let mut config =
        config::read("law.yaml", text, Secrets::Skip).config.expect("this configuration is fine");
    config.connectors.remove(0)
});

/// The first byte says whether the connector is strict (1), takes a missing action for Continue (2), which claims it
/// takes over (4 and 8), and whether the answer is encoded (16); the second one is the status; the rest is the body.
pub fn meaning(data: &[u8]) {
    let Some((&[options, status], body)) = data.split_first_chunk() else { return };
    let listed: Vec<ClaimName> = RECEIVED[usize::from(options >> 2 & 3)]
        .iter()
        .map(|name| ClaimName::parse(name).expect("these are names of claims"))
        .collect();
    let connector = Connector {
        strict: options & 1 != 0,
        missing_action: if options & 2 != 0 { MissingAction::Continue } else { MissingAction::Fail },
        claims_to_receive: Selection::to_receive(&listed),
        ..CONNECTOR.clone()
    };
    let status = STATUSES[usize::from(status) % STATUSES.len()];
    let answer = RawAnswer { status, encoded: options & 16 != 0, body };
    for step in Step::ALL {
        let normalized = normalize(&connector, step, answer);
        allowed(&connector, &listed, step, answer, &normalized);
        never_let_in(&connector, step, answer, &normalized);
        strict_refuses_repairs_and_nothing_else(&connector, step, answer);
    }
    evidence_stays(status, body);
}

/// A decision is one that the status and the step allow, and holds no claim that is not selected.
pub(super) fn allowed(
    connector: &Connector,
    listed: &[ClaimName],
    step: Step,
    RawAnswer { status, encoded, body }: RawAnswer<'_>,
    normalized: &Normalized,
) {
    if connector.strict {
        assert!(normalized.decision.is_err() || normalized.repairs.iter().next().is_none());
    }
    let Ok(decision) = &normalized.decision else { return };
    assert!(!encoded && (matches!(status, 200..=299) || matches!(status, 400 | 409 | 422)));
    assert!(step != Step::PreTokenIssuance || matches!(decision, FlowDecision::Continue(_)));
    assert!(step.has_form() || !matches!(decision, FlowDecision::ValidationError(_)));
    let FlowDecision::Continue(claims) = decision else { return };
    assert!(matches!(status, 200..=299));
    let text = object_of(claims);
    assert!(is_json(&text), "{text}");
    let received = claims::object::read(&text).expect("what is received is a message");
    let as_written =
        !normalized.repairs.iter().any(|repair| matches!(repair, Repair::Comments | Repair::TrailingComma));
    for member in &received {
        assert!(reserved_key(&member.name).is_none() && !member.is_null());
        assert!(listed.iter().any(|listed| is_same_claim(listed.as_str(), &member.name)), "{}", member.name);
        let value = member.value.as_bytes();
        assert!(!as_written || body.windows(value.len()).any(|part| part == value), "{text}");
    }
}

/// What refuses the user never becomes Continue, neither by itself nor through any `on_failure`.
fn never_let_in(connector: &Connector, step: Step, answer: RawAnswer<'_>, normalized: &Normalized) {
    let RawAnswer { status, encoded, body } = answer;
    match &normalized.decision {
        Ok(FlowDecision::Continue(_)) => {
            assert!(says_continue(connector, status, body), "{}", show(body));
            // Where no action says it, nothing may speak against it either.
            let unsaid = normalized.repairs.iter().any(|repair| repair == Repair::MissingAction);
            assert!(!unsaid || !refuses(status, body), "{status} {}", show(body));
        }
        Ok(_) => {}
        Err(failure) => {
            assert!(failure.refusal || !(encoded || refuses(status, body)), "{status} {}", show(body));
            for on_failure in on_failures() {
                let given = on_failure.resolve(step, *failure);
                let let_in = matches!(given, Given::Decision(FlowDecision::Continue(_)));
                assert!(!let_in || (on_failure == OnFailure::Continue && !failure.refusal));
            }
        }
    }
}

/// `strict` turns what needed a repair into a failure and changes nothing else.
fn strict_refuses_repairs_and_nothing_else(connector: &Connector, step: Step, answer: RawAnswer<'_>) {
    let read = |strict| normalize(&Connector { strict, ..connector.clone() }, step, answer);
    let (lenient, strict) = (read(false), read(true));
    assert_eq!(lenient.repairs, strict.repairs);
    match (lenient.decision, strict.decision) {
        (Ok(_), Err(failure)) => {
            assert!(failure.reason == ContractRule::NotStrict.into() && !strict.repairs.is_empty());
        }
        (lenient, strict) => assert_eq!(lenient, strict),
    }
}

/// The evidence of a refusal does not depend on how much of the rest of the answer arrived.
fn evidence_stays(status: u16, body: &[u8]) {
    let Ok(text) = std::str::from_utf8(body) else { return };
    let Ok(members) = claims::object::read(text) else { return };
    let refusing = members.iter().find(|member| {
        member.name.eq_ignore_ascii_case("action") && !member.as_text().is_some_and(|word| is_continue(&word))
    });
    let Some(Member { value, .. }) = refusing else { return };
    let least = value.as_ptr() as usize - text.as_ptr() as usize + value.len();
    for end in [least, least.midpoint(body.len()), body.len()] {
        assert!(holds_refusal(status, &body[..end]), "{status} {}", show(&body[..end]));
    }
}

/// Whether an answer that gave no decision refuses the user, as far as that can be said in plain words: it is JSON, and
/// at some depth has an `action` that is not Continue, a `userMessage` under 4xx or where nothing even looks like an
/// action, or one of the refusing words in a string; or one of them stands there in plain letters.
fn refuses(status: u16, body: &[u8]) -> bool {
    let lower = String::from_utf8_lossy(body).to_ascii_lowercase();
    // An escape may be a letter of it.
    let no_action =
        !["action", r"\\", r"\u004", r"\u005", r"\u006", r"\u007"].iter().any(|part| lower.contains(part));
    let message = match status {
        400..500 => Message::Any,
        _ if no_action => Message::Telling,
        _ => Message::None,
    };
    has_refusing_word(&lower)
        || serde_json::from_slice::<Value>(body).is_ok_and(|value| value_refuses(message, &value))
}

/// Which `userMessage` refuses.
#[derive(Clone, Copy, PartialEq)]
enum Message {
    Any,
    Telling,
    None,
}

fn value_refuses(message: Message, value: &Value) -> bool {
    match value {
        Value::String(text) => has_refusing_word(&text.to_ascii_lowercase()),
        Value::Array(values) => values.iter().any(|value| value_refuses(message, value)),
        Value::Object(members) => members.iter().any(|(name, value)| {
            let name = name.to_ascii_lowercase();
            has_refusing_word(&name)
                || (name == "action" && !value.as_str().is_some_and(is_continue))
                || (name == "usermessage" && message == Message::Any)
                || (name == "usermessage" && message == Message::Telling && !value.is_null() && value != "")
                || value_refuses(message, value)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn has_refusing_word(lower: &str) -> bool {
    lower.contains("showblockpage") || lower.contains("validationerror")
}

fn is_continue(word: &str) -> bool {
    word.eq_ignore_ascii_case("Continue") || word.eq_ignore_ascii_case("Allow")
}

/// Whether an answer goes on by its own top level: what else it may hold of a refusal stands in a comment or inside a
/// claim's value, where it refuses nobody.
pub(super) fn says_continue(connector: &Connector, status: u16, body: &[u8]) -> bool {
    if status == 204 {
        return connector.missing_action == MissingAction::Continue;
    }
    let mut repairs = Repairs::default();
    let Ok(text) = lenient::text(body, &mut repairs) else { return false };
    let stripped = without_comments(text, &mut repairs).unwrap_or_default();
    let Ok(members) = claims::object::read(&stripped) else { return false };
    let mut actions = members.iter().filter(|member| member.name.eq_ignore_ascii_case("action"));
    match (actions.next().map(Member::as_text), actions.next()) {
        (None, _) => connector.missing_action == MissingAction::Continue,
        (Some(Some(word)), None) => is_continue(&word),
        _ => false,
    }
}

pub(super) fn on_failures() -> [OnFailure; 4] {
    [
        OnFailure::Block("b".to_owned()),
        OnFailure::ValidationError("v".to_owned()),
        OnFailure::Continue,
        OnFailure::Error,
    ]
}

pub(super) fn show(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}

/// Of a text, comments and commas before a closing bracket are taken out and nothing else: what was JSON stays as it
/// is, and what becomes JSON has the tokens that it had.
pub fn comments(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let stripped = lenient::strip(text);
    if is_json(text) {
        assert_eq!(stripped.text, text);
        assert!(!stripped.comments && !stripped.commas);
        return;
    }
    let mut repairs = Repairs::default();
    let came = without_comments(text, &mut repairs);
    assert_eq!(came.is_ok(), is_json(&stripped.text), "{text}");
    let Ok(came) = came else { return };
    let (before, after) = (tokens::of(text), tokens::of(&came));
    assert_eq!(before.without_trailing_commas(), after.all(), "{text}");
    assert_eq!(repairs.iter().any(|repair| repair == Repair::Comments), before.comments, "{text}");
    let commas = before.all().len() > after.all().len();
    assert_eq!(repairs.iter().any(|repair| repair == Repair::TrailingComma), commas, "{text}");
    assert_eq!(lenient::strip(&came).text, came);
}

//! What a hook came to, for machines. The README lists the keys; every key is always there.

use serde_json::{Map, Value, json};

use super::{Claim, Ending, Explained, Shown};
use crate::connector::normalize::Repair;

/// One object and a line end.
pub(super) fn write(explained: &Explained<'_>) -> String {
    let ending = explained.ending.as_ref();
    let shown = ending.map(|ending| &ending.shown);
    let value = json!({
        "user_flow": explained.user_flow,
        "step": explained.step.as_str(),
        "connector": explained.connector,
        "endpoint_url": explained.endpoint,
        "claims": explained.claims.iter().map(claim).collect::<Vec<_>>(),
        "request": request(&explained.request),
        "answer": ending.and_then(|ending| ending.answer.as_ref()).map(|(status, body)| json!({
            "status": status,
            "body": String::from_utf8_lossy(body),
        })),
        "upstream_ms": ending.and_then(|ending| ending.took_ms.map(|took| u64::try_from(took).unwrap_or(u64::MAX))),
        "repairs": ending.map(repairs),
        "claims_not_taken_over": ending.map(|ending| &ending.dropped),
        "failure": ending.and_then(failure),
        "decision": shown.map(|shown| shown.decision),
        "outcome": ending.map(|ending| if ending.failure.is_none() { "api" } else { "fallback" }),
        "idp_gets": shown.map(idp_gets),
        "user_sees": shown.map(|shown| &shown.user_sees),
        "if_unreachable": {
            "decision": explained.unreachable.decision,
            "idp_gets": idp_gets(&explained.unreachable),
            "user_sees": explained.unreachable.user_sees,
        },
    });
    format!("{value:#}\n")
}

fn claim(claim: &Claim<'_>) -> Value {
    let sent = claim.because.is_sent();
    let sent_as = sent.then(|| claim.because.sent_as().unwrap_or(claim.name));
    json!({ "name": claim.name, "sent": sent, "sent_as": sent_as, "because": claim.because.as_str() })
}

/// The body is text: turned into values, its numbers would not be what was sent.
fn request(bytes: &[u8]) -> Value {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers: Map<_, _> = headers.map(|(name, value)| (name.to_owned(), value.into())).collect();
    json!({ "line": line, "headers": headers, "body": body })
}

fn repairs(ending: &Ending) -> Value {
    let repair = |repair: Repair| json!({ "name": repair.as_str(), "meaning": repair.meaning() });
    ending.repairs.iter().map(repair).collect()
}

fn failure(ending: &Ending) -> Option<Value> {
    let failure = ending.failure?;
    let reason = failure.reason;
    Some(json!({
        "reason": reason.as_str(),
        "blame": reason.blame().as_str(),
        "hint": reason.hint(),
        "refusal": failure.refusal,
    }))
}

fn idp_gets(shown: &Shown) -> Value {
    json!({ "status": shown.status, "body": shown.body })
}

//! What must be true of each answer, and afterwards of what was written down and counted.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use claimgate::flow::{Reason, RequestRule};
use serde_json::{Value, json};

use super::means::{Answer, May, answer, means};
use crate::support::{Gateway, Response, metrics};

/// How much later than its time an answer may be, on a busy machine.
const LATE: Duration = Duration::from_secs(3);

/// A hook that was sent, and its answer.
pub(super) struct Asked {
    pub(super) id: String,
    pub(super) flow: String,
    pub(super) step: &'static str,
    pub(super) on_failure: &'static str,
    pub(super) connector: String,
    pub(super) reason: Reason,
    pub(super) refusal: bool,
    pub(super) answer_within: Duration,
    pub(super) took: Duration,
    pub(super) response: Response,
}

/// Everything about one hook: the answer, its time, and its event. How often the API was called.
pub(super) fn check(gateway: &Gateway, asked: &Asked) -> u32 {
    let Asked { id, flow, step, on_failure, reason, refusal, response, .. } = asked;
    let Answer { status, decision, outcome, body } = answer(*reason, *refusal, step, on_failure);
    let what = format!("{} at {step} of {flow} ({id}): {}", reason.as_str(), response.text());
    let event = gateway.event(id);
    let reason_and_blame = [reason.as_str(), means(*reason).blame];
    let field = |name: &str| event[name].as_str().unwrap_or("-");
    assert_eq!(["reason", "blame"].map(field), reason_and_blame, "{what}: {event}");
    assert_eq!(["decision", "outcome"].map(field), [decision, outcome], "{what}: {event}");
    assert_eq!((response.status, &event["status"]), (status, &status.into()), "{what}");
    assert_eq!(event.get("refusal"), refusal.then_some(&json!(true)), "{what}: {event}");
    let hint = field("hint");
    assert!(hint == reason.hint() && hint.len() > 10, "{what}: {hint}");
    if let Some(body) = body {
        assert_eq!(response.header("content-type"), Some("application/json"), "{what}");
        assert_eq!(response.text(), body, "{what}");
    } else {
        assert_eq!(response.header("content-type"), Some("application/problem+json"), "{what}");
        check_problem(asked, hint, &what);
    }
    check_retry_after(asked, body.is_none(), &what);
    assert!(asked.took < asked.answer_within + LATE, "{what}: {:?}", asked.took);
    if outcome == "fallback" {
        let left = event["deadline_remaining_ms"].as_f64().expect("the hook was answered");
        assert_eq!(left > 0.0, *reason != Reason::Deadline, "{what}: {left} ms of {:?}", asked.answer_within);
    }
    let calls = event.get("attempts").map_or(1, |attempts| attempts.as_u64().expect("it is a number"));
    // Of which nothing was sent is tried once more, if the budget has room for it.
    let unsent = matches!(reason, Reason::Dns | Reason::Refused | Reason::Tls | Reason::ConnectTimeout);
    assert!((1..=1 + u64::from(unsent)).contains(&calls), "{what}: {event}");
    u32::try_from(calls).expect("it is small")
}

/// RFC 9457, with what the operator is told. A request that is no hook may not be told much.
fn check_problem(asked: &Asked, hint: &str, what: &str) {
    let Asked { id, reason, response, .. } = asked;
    let status = means(*reason).status;
    let title = http::StatusCode::from_u16(status).expect("it is a status").canonical_reason();
    let expected = json!({
        "type": "about:blank", "title": title, "status": status, "detail": hint, "reason": reason.as_str(), "request_id": id,
    });
    assert_eq!(response.json(), expected, "{what}");
}

/// Only the limits of ours pass by themselves.
fn check_retry_after(asked: &Asked, is_error: bool, what: &str) {
    let seconds = asked.response.header("retry-after").map(|value| value.parse::<u32>().expect("seconds"));
    let expected: Option<RangeInclusive<u32>> = match asked.reason {
        _ if !is_error => None,
        // One a minute, and the last one was just now.
        Reason::ConnectorLimited
        | Reason::UserLimited
        | Reason::CallerLimited
        | Reason::UnauthenticatedLimited => Some(20..=60),
        // Open for an hour.
        Reason::CircuitOpen => Some(3500..=3600),
        Reason::InFlightFull | Reason::Overloaded => Some(1..=1),
        _ => None,
    };
    let fits = match (seconds, expected) {
        (Some(seconds), Some(expected)) => expected.contains(&seconds),
        (seconds, expected) => seconds.is_none() && expected.is_none(),
    };
    assert!(fits, "{what}: Retry-After {seconds:?}");
}

/// A hook that nobody waited for: its event.
pub(super) fn check_abandoned(gateway: &Gateway, id: &str) {
    let event = gateway.event(id);
    let field = |name: &str| event[name].as_str().unwrap_or("-");
    let fields = ["decision", "outcome", "reason", "blame"].map(field);
    assert_eq!(fields, ["none", "abandoned", "client_gone", "caller"], "{event}");
    assert_eq!((event.get("status"), field("hint")), (None, Reason::ClientGone.hint()), "{event}");
}

/// A call that failed as the diagnostic log tells it: every line about it has its reason, and one has the detail.
pub(super) fn check_diagnostics(said: &str, connector: &str, reason: Reason, detail: Option<&str>) {
    let marked = format!("\"connector\":\"{connector}\"");
    let lines: Vec<Value> = said
        .lines()
        .filter(|line| line.contains(&marked) && line.contains("a call failed"))
        .map(|line| serde_json::from_str(line).expect("diagnostics are JSON"))
        .collect();
    let text = |line: &Value, name: &str| {
        line["fields"].get(name).unwrap_or_else(|| &line[name]).as_str().map(str::to_owned)
    };
    for line in &lines {
        assert_eq!(text(line, "reason").as_deref(), Some(reason.as_str()), "{line}");
        let late = text(line, "detail").as_deref() == Some("time ran out");
        assert_eq!(late, is_a_time(reason), "what is no time-out is never called one: {line}");
    }
    if let Some(detail) = detail {
        let told = lines.iter().any(|line| text(line, "detail").is_some_and(|told| told.contains(detail)));
        assert!(told, "no {detail:?} about {connector}: {lines:?}");
    }
}

const fn is_a_time(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::ConnectTimeout | Reason::FirstByteTimeout | Reason::BodyTimeout | Reason::Deadline
    )
}

const fn unrouted(reason: Reason) -> bool {
    matches!(reason, Reason::NotFound | Reason::BadRequest(RequestRule::Host | RequestRule::Framing))
}

/// How often the metrics must have counted what; by sample.
#[derive(Default)]
pub(super) struct Counts(BTreeMap<String, f64>);

impl Counts {
    /// What a hook adds for which the API was called so often.
    pub(super) fn add(&mut self, asked: &Asked, calls: u32) {
        let Asked { flow, step, on_failure, reason, refusal, connector, .. } = asked;
        let Answer { decision, outcome, .. } = answer(*reason, *refusal, step, on_failure);
        // Before the route is known there is no flow and no step.
        let (flow, step) = if unrouted(*reason) { ("", "") } else { (flow.as_str(), *step) };
        let hook = format!("user_flow=\"{flow}\",step=\"{step}\"");
        self.more(1, &format!("requests_total{{{hook},decision=\"{decision}\",outcome=\"{outcome}\"}}"));
        let name = reason.as_str();
        match means(*reason) {
            of if of.may == May::NoHook && of.blame == "caller" => {
                // Operators are told which check failed; the caller is not.
                let of_credential =
                    matches!(reason, Reason::Unauthenticated | Reason::UnauthenticatedLimited);
                let name = if of_credential { "credential_mismatch" } else { name };
                self.more(1, &format!("caller_failures_total{{reason=\"{name}\"}}"));
            }
            of => {
                if of.may != May::NoHook {
                    let labels = format!("{hook},reason=\"{name}\",decision=\"{decision}\"");
                    self.more(1, &format!("fallback_decisions_total{{{labels}}}"));
                }
                let was_called = of.blame != "load" && *reason != Reason::CircuitOpen;
                if was_called {
                    self.more(
                        calls,
                        &format!("upstream_requests_total{{connector=\"{connector}\",reason=\"{name}\"}}"),
                    );
                }
            }
        }
        let limit = match reason {
            Reason::ConnectorLimited => "connector",
            Reason::InFlightFull => "connector_in_flight",
            Reason::CallerLimited => "caller",
            Reason::UserLimited => "user",
            Reason::UnauthenticatedLimited => "unauthenticated",
            Reason::Overloaded => "in_flight",
            _ => return,
        };
        self.more(1, &format!("rate_limited_total{{limit=\"{limit}\"}}"));
    }

    /// So many more of a sample, named without the prefix.
    fn more(&mut self, count: u32, sample: &str) {
        *self.0.entry(metrics::canonical(&format!("claimgate_{sample}"))).or_default() += f64::from(count);
    }

    /// Compares them all.
    pub(super) fn check(&self, gateway: &Gateway) {
        let page = metrics::samples(&gateway.metrics());
        for (sample, count) in &self.0 {
            assert_eq!(page.get(sample), Some(count), "{sample}");
        }
    }
}

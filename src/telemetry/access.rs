//! The access event: one line a hook, on every path.

use std::time::{Duration, SystemTime};

use crate::{
    config::Name,
    flow::{Reason, Step},
};

use super::{
    ClaimNames, DecisionLabel, Duplicate, Outcome,
    escape::{last_three_digits, push_escaped, push_json_string, push_number},
    timestamp::push_rfc3339,
};

/// A field's name with all that stands around it, so that it is written in one go.
macro_rules! key {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

/// The same of a text, with the quote that begins it.
macro_rules! text_key {
    ($name:literal) => {
        concat!(",\"", $name, "\":\"")
    };
}

static NO_NAMES: ClaimNames = ClaimNames::none();

/// What is said about one hook when it has ended.
///
/// It holds names and numbers, never a claim's value, a header, a query or a secret.
#[derive(Clone, Copy, Debug)]
pub struct AccessEvent<'a> {
    /// When the hook ended.
    pub at: SystemTime,
    /// The request id that the identity provider was told.
    pub request_id: Option<&'a str>,
    /// W3C trace id, 32 hex digits.
    pub trace_id: Option<&'a str>,
    /// From the configuration; absent before the route is known.
    pub user_flow: Option<&'a Name>,
    /// Absent before the route is known.
    pub step: Option<Step>,
    /// From the configuration; absent before the caller is authenticated.
    pub caller: Option<&'a Name>,
    /// Which credential of the caller matched: an identifier, never the credential.
    pub credential: Option<&'a str>,
    /// Which check of the credentials failed; the caller is not told.
    pub credential_failure: Option<&'static str>,
    /// From the configuration.
    pub connector: Option<&'a str>,
    /// What the identity provider was told.
    pub decision: DecisionLabel,
    /// How it came to that.
    pub outcome: Outcome,
    /// Why the API's decision is not the answer; also gives blame and hint.
    pub reason: Option<Reason>,
    /// HTTP status to the identity provider; absent if it hung up.
    pub status: Option<u16>,
    /// HTTP status of the API.
    pub upstream_status: Option<u16>,
    /// The API's answer held evidence of a refusal, began as a 4xx and did not end, or was encoded, so that it could not
    /// become Continue. Written only if true.
    pub refusal: bool,
    /// The call to the API went over a connection that had been used before.
    pub reused: Option<bool>,
    /// How often the API was called, if more than once.
    pub attempts: Option<u32>,
    /// The hook had been sent before.
    pub duplicate: Option<Duplicate>,
    /// From the complete request head to the end.
    pub total: Option<Duration>,
    /// The call to the API, connecting included.
    pub upstream: Option<Duration>,
    /// Waiting for a permit of the connector.
    pub wait: Option<Duration>,
    /// What was left of `answer_within` when the answer was given; absent if none was.
    pub deadline_remaining: Option<Duration>,
    /// Bytes of the hook's body.
    pub bytes_in: usize,
    /// Bytes of the answer's body.
    pub bytes_out: usize,
    /// How many claims the API was sent.
    pub claims_sent: usize,
    /// Claims of the identity provider that were not sent to the API.
    pub dropped_sent: &'a ClaimNames,
    /// Claims of the API that were not passed on to the identity provider.
    pub dropped_received: &'a ClaimNames,
    /// Names of the repairs that the API's answer needed.
    pub repairs: &'a [&'static str],
}

impl AccessEvent<'_> {
    /// An event that says nothing else yet.
    pub const fn new(at: SystemTime, decision: DecisionLabel, outcome: Outcome) -> Self {
        Self {
            at,
            request_id: None,
            trace_id: None,
            user_flow: None,
            step: None,
            caller: None,
            credential: None,
            credential_failure: None,
            connector: None,
            decision,
            outcome,
            reason: None,
            status: None,
            upstream_status: None,
            refusal: false,
            reused: None,
            attempts: None,
            duplicate: None,
            total: None,
            upstream: None,
            wait: None,
            deadline_remaining: None,
            bytes_in: 0,
            bytes_out: 0,
            claims_sent: 0,
            dropped_sent: &NO_NAMES,
            dropped_received: &NO_NAMES,
            repairs: &[],
        }
    }

    /// Appends the event as one line with one JSON object. What is not known is left out.
    ///
    /// Durations are milliseconds with three decimals.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"time\":\"");
        push_rfc3339(out, self.at);
        out.push(b'"');
        text(out, text_key!("request_id"), self.request_id);
        text(out, text_key!("trace_id"), self.trace_id);
        plain(out, text_key!("user_flow"), self.user_flow.map(Name::as_str));
        plain(out, text_key!("step"), self.step.map(Step::as_str));
        plain(out, text_key!("caller"), self.caller.map(Name::as_str));
        text(out, text_key!("credential"), self.credential);
        text(out, text_key!("credential_failure"), self.credential_failure);
        text(out, text_key!("connector"), self.connector);
        plain(out, text_key!("decision"), Some(self.decision.as_str()));
        plain(out, text_key!("outcome"), Some(self.outcome.as_str()));
        plain(out, text_key!("reason"), self.reason.map(Reason::as_str));
        plain(out, text_key!("blame"), self.reason.map(|reason| reason.blame().as_str()));
        text(out, text_key!("hint"), self.reason.map(Reason::hint));
        number(out, key!("status"), self.status.map(u64::from));
        number(out, key!("upstream_status"), self.upstream_status.map(u64::from));
        boolean(out, key!("refusal"), self.refusal.then_some(true));
        boolean(out, key!("reused"), self.reused);
        number(out, key!("attempts"), self.attempts.map(u64::from));
        plain(out, text_key!("duplicate"), self.duplicate.map(Duplicate::as_str));
        millis(out, key!("duration_ms"), self.total);
        millis(out, key!("upstream_ms"), self.upstream);
        millis(out, key!("wait_ms"), self.wait);
        millis(out, key!("deadline_remaining_ms"), self.deadline_remaining);
        number(out, key!("bytes_in"), Some(self.bytes_in as u64));
        number(out, key!("bytes_out"), Some(self.bytes_out as u64));
        number(out, key!("claims_sent"), Some(self.claims_sent as u64));
        dropped(out, key!("claims_dropped_sent"), key!("claims_dropped_sent_more"), self.dropped_sent);
        dropped(
            out,
            key!("claims_dropped_received"),
            key!("claims_dropped_received_more"),
            self.dropped_received,
        );
        if !self.repairs.is_empty() {
            list(out, key!("repairs"), self.repairs.iter().copied());
        }
        out.extend_from_slice(b"}\n");
    }

    /// Appends the event as one line for people.
    pub fn write_text(&self, out: &mut Vec<u8>) {
        push_rfc3339(out, self.at);
        out.push(b' ');
        out.extend_from_slice(self.decision.as_str().as_bytes());
        out.extend_from_slice(b" (");
        out.extend_from_slice(self.outcome.as_str().as_bytes());
        out.extend_from_slice(b") ");
        out.extend_from_slice(self.user_flow.map_or("-", Name::as_str).as_bytes());
        out.push(b'/');
        out.extend_from_slice(self.step.map_or("-", Step::as_str).as_bytes());
        if let Some(reason) = self.reason {
            out.push(b' ');
            out.extend_from_slice(reason.as_str().as_bytes());
            out.extend_from_slice(b": ");
            push_escaped(out, reason.hint());
            out.push(b';');
        }
        if self.refusal {
            pair(out, "refusal");
            out.extend_from_slice(b"true");
        }
        for (name, value) in [
            ("credential_failure", self.credential_failure),
            ("caller", self.caller.map(Name::as_str)),
            ("connector", self.connector),
            ("duplicate", self.duplicate.map(Duplicate::as_str)),
        ] {
            if let Some(value) = value {
                pair(out, name);
                push_escaped(out, value);
            }
        }
        for (name, value) in [
            ("status", self.status.map(u32::from)),
            ("upstream_status", self.upstream_status.map(u32::from)),
            ("attempts", self.attempts),
        ] {
            if let Some(value) = value {
                pair(out, name);
                push_number(out, u64::from(value));
            }
        }
        for (name, value) in [
            ("total", self.total),
            ("upstream", self.upstream),
            ("wait", self.wait),
            ("remaining", self.deadline_remaining),
        ] {
            if let Some(value) = value {
                pair(out, name);
                push_millis(out, value);
                out.extend_from_slice(b"ms");
            }
        }
        for (position, repair) in self.repairs.iter().enumerate() {
            if position == 0 {
                pair(out, "repairs");
            } else {
                out.push(b',');
            }
            push_escaped(out, repair);
        }
        if let Some(request_id) = self.request_id {
            pair(out, "request_id");
            push_escaped(out, request_id);
        }
        out.push(b'\n');
    }
}

// What writes a field is inlined, so that the compiler knows its key.
#[inline]
fn text(out: &mut Vec<u8>, key: &'static str, value: Option<&str>) {
    if let Some(value) = value {
        out.extend_from_slice(key.as_bytes());
        push_escaped(out, value);
        out.push(b'"');
    }
}

/// Of text that needs no escaping: a name, or a word of a closed set.
#[inline]
fn plain(out: &mut Vec<u8>, key: &'static str, value: Option<&str>) {
    if let Some(value) = value {
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(value.as_bytes());
        out.push(b'"');
    }
}

fn number(out: &mut Vec<u8>, key: &'static str, value: Option<u64>) {
    if let Some(value) = value {
        out.extend_from_slice(key.as_bytes());
        push_number(out, value);
    }
}

fn boolean(out: &mut Vec<u8>, key: &'static str, value: Option<bool>) {
    if let Some(value) = value {
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(if value { b"true" } else { b"false" });
    }
}

#[inline]
fn millis(out: &mut Vec<u8>, key: &'static str, value: Option<Duration>) {
    if let Some(value) = value {
        out.extend_from_slice(key.as_bytes());
        push_millis(out, value);
    }
}

fn push_millis(out: &mut Vec<u8>, duration: Duration) {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let [tenths, hundredths, thousandths] = last_three_digits(micros);
    push_number(out, micros / 1_000);
    out.extend_from_slice(&[b'.', tenths, hundredths, thousandths]);
}

fn dropped(out: &mut Vec<u8>, key: &'static str, more: &'static str, claims: &ClaimNames) {
    if !claims.listed().is_empty() {
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"[\"");
        out.extend_from_slice(claims.listed().as_bytes());
        out.extend_from_slice(b"\"]");
    }
    let rest = claims.unlisted();
    number(out, more, (rest > 0).then_some(rest as u64));
}

fn list<'n>(out: &mut Vec<u8>, key: &'static str, values: impl Iterator<Item = &'n str>) {
    out.extend_from_slice(key.as_bytes());
    let mut separator = b'[';
    for value in values {
        out.push(separator);
        push_json_string(out, value);
        separator = b',';
    }
    out.push(b']');
}

fn pair(out: &mut Vec<u8>, name: &'static str) {
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.push(b'=');
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;

//! What is written down of a hook: collected along its life, written when this is dropped.
//!
//! Dropping is the one thing that happens on every path, also when the caller hangs up and the life of the hook is
//! cancelled in the middle. Then there is no ending, and the event says so.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Response, request::Parts};
use http_body::Body as _;
use http_body_util::Full;
use tokio::time::Instant;

use super::{
    correlation::{self, Trace},
    duplicates::{Earlier, Failed},
    snapshot::{Caller, Credential, Flow, Hook},
    worker::Current,
};
use crate::{
    caller::AuthFailure,
    connector::{
        Connector, Correlation, Facts, IdempotencyKey, Notes, Sent,
        normalize::{Repair, Repairs},
    },
    flow::{Claims, Failure, Given, Reason},
    limits::Limited,
    telemetry::{AccessEvent, ClaimNames, DecisionLabel, Duplicate, Outcome},
};

/// The account of one hook.
pub(super) struct Account<'a> {
    current: &'a Current,
    received: Instant,
    request_id: Cow<'a, str>,
    trace: Trace<'a>,
    flow: Option<&'a Flow>,
    hook: Option<&'a Hook>,
    caller: Option<(&'a Caller, &'a Credential)>,
    auth_failure: Option<AuthFailure>,
    retry_after: Duration,
    bytes_in: Option<usize>,
    connector: Option<&'a Connector>,
    duplicate: Option<Duplicate>,
    /// Since when the API is called, while that lasts.
    calling: Option<Instant>,
    claims_sent: usize,
    dropped_sent: ClaimNames,
    dropped_received: ClaimNames,
    repairs: Repairs,
    facts: Facts,
    failure: Option<Failure>,
    ending: Option<Ending>,
}

/// What the identity provider was given.
#[derive(Clone, Copy)]
struct Ending {
    decision: DecisionLabel,
    outcome: Outcome,
    status: u16,
    bytes_out: usize,
}

impl<'a> Account<'a> {
    pub(super) fn open(current: &'a Current, head: &'a Parts, received: Instant) -> Self {
        Self {
            current,
            received,
            request_id: correlation::request_id(&head.headers),
            trace: Trace::of(&head.headers),
            flow: None,
            hook: None,
            caller: None,
            auth_failure: None,
            retry_after: Duration::ZERO,
            bytes_in: None,
            connector: None,
            duplicate: None,
            calling: None,
            claims_sent: 0,
            dropped_sent: ClaimNames::none(),
            dropped_received: ClaimNames::none(),
            repairs: Repairs::default(),
            facts: Facts::default(),
            failure: None,
            ending: None,
        }
    }

    /// The hook is known, and so is when it must be answered.
    pub(super) fn routed(&mut self, flow: &'a Flow, hook: &'a Hook) -> Instant {
        self.flow = Some(flow);
        self.hook = Some(hook);
        self.received + flow.answer_within
    }

    pub(super) fn received(&self) -> Instant {
        self.received
    }

    /// Only who has no good credential asks the limit of those, so no flood of them keeps out who has one.
    pub(super) fn not_admitted(&mut self, failure: AuthFailure) -> Reason {
        self.auth_failure = Some(failure);
        match self.current.snapshot.unauthenticated.take() {
            Ok(()) => Reason::Unauthenticated,
            Err(Limited { retry_after }) => self.limited(Reason::UnauthenticatedLimited, retry_after),
        }
    }

    pub(super) fn admitted(&mut self, caller: &'a Caller, credential: &'a Credential) {
        credential.uses.inc();
        self.caller = Some((caller, credential));
    }

    pub(super) fn limited(&mut self, reason: Reason, retry_after: Duration) -> Reason {
        self.retry_after = retry_after;
        reason
    }

    pub(super) fn read(&mut self, bytes: usize) {
        self.bytes_in = Some(bytes);
    }

    /// Whether what may be left of the body is read and dropped, so that the sender sees the answer and may send another.
    /// Not for those who try credentials faster than they may: each further one shall cost them a connection.
    pub(super) fn lingers(&self) -> bool {
        let guesses = |failure: Failure| failure.reason == Reason::UnauthenticatedLimited;
        self.bytes_in.is_none() && !self.failure.is_some_and(guesses)
    }

    pub(super) fn repeats(&mut self, earlier: &Earlier) {
        self.duplicate = Some(match earlier {
            Earlier::InFlight(_) | Earlier::Crowded { .. } => Duplicate::Joined,
            Earlier::Decided(_) => Duplicate::Replayed,
        });
    }

    /// As the hook that this one repeats.
    pub(super) fn failed_alike(&mut self, failed: Failed) -> Failure {
        self.retry_after = failed.retry_after.unwrap_or_default();
        failed.failure
    }

    /// The claims that leave.
    pub(super) fn selected(&mut self, connector: &'a Connector, sent: Sent) -> Claims {
        self.connector = Some(connector);
        self.claims_sent = sent.count;
        self.dropped_sent = sent.dropped;
        sent.claims
    }

    /// The API is called, from `now` on.
    pub(super) fn calls(&mut self, now: Instant) {
        self.calling = Some(now);
    }

    pub(super) fn decided(&mut self, notes: Notes) {
        let Notes { facts, repairs, dropped, .. } = notes;
        self.calling = None;
        self.repairs = repairs;
        self.dropped_received = dropped;
        self.facts = facts;
        self.retry_after = facts.retry_after.unwrap_or_default();
    }

    pub(super) fn failed(&mut self, failure: Failure) {
        self.failure = Some(failure);
    }

    /// What is about to be sent.
    pub(super) fn answered(&mut self, given: &Given, response: &Response<Full<Bytes>>) {
        let decision = match given {
            Given::Error(_) => DecisionLabel::Error,
            Given::Decision(decision) => decision.into(),
        };
        let outcome = match self.failure {
            None if self.duplicate.is_some() => Outcome::Replayed,
            None => Outcome::Api,
            // Nobody is left to read it: the event is that of a hook without an ending.
            Some(Failure { reason: Reason::ClientGone, .. }) => return,
            Some(failure) if failure.reason.is_refusal_of_ours() || self.hook.is_none() => Outcome::Refused,
            Some(_) => Outcome::Fallback,
        };
        let bytes_out = response.body().size_hint().lower();
        let bytes_out = usize::try_from(bytes_out).unwrap_or(usize::MAX);
        self.ending = Some(Ending { decision, outcome, status: response.status().as_u16(), bytes_out });
    }

    pub(super) fn hook(&self) -> Option<&'a Hook> {
        self.hook
    }

    pub(super) fn request_id(&self) -> &str {
        &self.request_id
    }

    /// What ties the call of the API to this hook.
    pub(super) fn correlation(&self, idempotency_key: IdempotencyKey) -> Correlation<'_> {
        Correlation {
            request_id: &self.request_id,
            traceparent: self.trace.traceparent,
            tracestate: self.trace.tracestate.as_deref(),
            idempotency_key,
        }
    }

    pub(super) fn flow_takes_basic(&self) -> bool {
        self.flow.is_some_and(|flow| flow.guard.takes_basic())
    }

    /// Whether no request on this connection could be let in.
    pub(super) fn connection_is_refused(&self) -> bool {
        self.auth_failure.is_some_and(AuthFailure::is_of_connection)
    }

    pub(super) fn retry_after(&self) -> Duration {
        self.retry_after
    }
}

impl Drop for Account<'_> {
    fn drop(&mut self) {
        let (decision, outcome, failure) = match self.ending {
            Some(ending) => (ending.decision, ending.outcome, self.failure),
            None => (DecisionLabel::None, Outcome::Abandoned, Some(Reason::ClientGone.into())),
        };
        let now = Instant::now();
        if let Some(began) = self.calling {
            self.facts.took = Some(now - began);
        }
        let total = now - self.received;
        let remaining = |flow: &Flow| flow.answer_within.saturating_sub(total);
        // Hardly any answer needs one.
        let repairs: Vec<_> = if self.repairs.is_empty() {
            Vec::new()
        } else {
            self.repairs.iter().map(Repair::as_str).collect()
        };
        let event = AccessEvent {
            request_id: Some(&self.request_id),
            trace_id: self.trace.id(),
            user_flow: self.flow.map(|flow| &flow.name),
            step: self.hook.map(|hook| hook.step),
            caller: self.caller.map(|(caller, _)| &caller.name),
            credential: self.caller.map(|(_, credential)| credential.label.as_str()),
            credential_failure: self.auth_failure.map(AuthFailure::as_str),
            connector: self.connector.map(Connector::name),
            reason: failure.map(|failure| failure.reason),
            refusal: failure.is_some_and(|failure| failure.refusal),
            status: self.ending.map(|ending| ending.status),
            upstream_status: self.facts.status,
            reused: self.facts.reused,
            attempts: Some(self.facts.attempts).filter(|attempts| *attempts > 1),
            duplicate: self.duplicate,
            total: Some(total),
            upstream: self.facts.took,
            wait: Some(self.facts.waited).filter(|waited| !waited.is_zero()),
            deadline_remaining: self.ending.and(self.flow).map(remaining),
            bytes_in: self.bytes_in.unwrap_or(0),
            bytes_out: self.ending.map_or(0, |ending| ending.bytes_out),
            claims_sent: self.claims_sent,
            dropped_sent: &self.dropped_sent,
            dropped_received: &self.dropped_received,
            repairs: &repairs,
            ..AccessEvent::new(SystemTime::now(), decision, outcome)
        };
        self.hook.map_or(&self.current.snapshot.unrouted, |hook| &hook.metrics).record(&event);
        self.current.log.record(&event);
    }
}

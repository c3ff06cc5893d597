//! What a call comes to, on its way out through the layers.

use std::time::Duration;

use tokio::time::Instant;

use super::normalize::Repairs;
use crate::{
    flow::{Failure, FlowDecision, Reason},
    limits::Limited,
    telemetry::ClaimNames,
    upstream::{self, RetryAfter},
};

/// What a call came to.
#[derive(Debug)]
pub struct Decided {
    /// The decision, or why there is none.
    pub decision: Result<FlowDecision, Failure>,
    /// How it came to that.
    pub notes: Notes,
}

/// What is known of a call for the access event and for people.
#[derive(Debug, Default)]
pub struct Notes {
    /// How the call went.
    pub facts: Facts,
    /// What had to be repaired in the answer.
    pub repairs: Repairs,
    /// Names of claims in the answer that were not selected.
    pub dropped: ClaimNames,
    /// The API's own words, if all of them arrived.
    pub answer: Option<upstream::Answer>,
}

/// How a call went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// Waiting for permits.
    pub waited: Duration,
    /// The exchanges, connecting included; absent if none began.
    pub took: Option<Duration>,
    /// When the last of them ended, if one is what the call came to.
    pub ended: Option<Instant>,
    /// How many there were.
    pub attempts: u32,
    /// The API's last HTTP status, if as much arrived.
    pub status: Option<u16>,
    /// The last connection had been used before; absent if it never came to one.
    pub reused: Option<bool>,
    /// When the limit that refused the call would let it through.
    pub retry_after: Option<Duration>,
}

/// A decision of the API.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) decision: FlowDecision,
    pub(super) notes: Notes,
}

/// No decision.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) failure: Failure,
    pub(super) notes: Box<Notes>,
    pub(super) again: Again,
}

/// What an attempt that failed shows of whether another one may be made, and may do better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Again {
    /// Another one may do better.
    pub(super) transient: bool,
    /// A byte of the request may have reached the API.
    pub(super) sent: bool,
    /// The connection had been used before, and ended without a byte of an answer.
    pub(super) race: bool,
    /// When the API asked to be called again.
    pub(super) retry_after: Option<RetryAfter>,
}

/// How it went, whatever it came to.
pub(super) fn facts(result: &Result<Answer, Failed>) -> &Facts {
    match result {
        Ok(answer) => &answer.notes.facts,
        Err(failed) => &failed.notes.facts,
    }
}

/// The same, to be added to.
pub(super) fn facts_mut(result: &mut Result<Answer, Failed>) -> &mut Facts {
    match result {
        Ok(answer) => &mut answer.notes.facts,
        Err(failed) => &mut failed.notes.facts,
    }
}

impl Failed {
    /// A failure before anything was sent to the API.
    pub(super) fn before(reason: Reason) -> Self {
        Self { failure: reason.into(), notes: Box::default(), again: Again::default() }
    }

    /// The same where a limit says when it will pass.
    pub(super) fn limited(reason: Reason, Limited { retry_after }: Limited) -> Self {
        let facts = Facts { retry_after: Some(retry_after), ..Facts::default() };
        Self { notes: Box::new(Notes { facts, ..Notes::default() }), ..Self::before(reason) }
    }
}

impl Facts {
    /// Together with the attempts before it.
    pub(super) fn after(self, before: Self) -> Self {
        let took = match (before.took, self.took) {
            (Some(before), Some(took)) => Some(before + took),
            (before, took) => before.or(took),
        };
        Self { waited: before.waited + self.waited, took, attempts: before.attempts + self.attempts, ..self }
    }
}

impl From<Result<Answer, Failed>> for Decided {
    fn from(result: Result<Answer, Failed>) -> Self {
        match result {
            Ok(Answer { decision, notes }) => Self { decision: Ok(decision), notes },
            Err(Failed { failure, notes, .. }) => Self { decision: Err(failure), notes: *notes },
        }
    }
}

//! When a call is repeated.
//!
//! A POST that may have reached the API is repeated only if the connector says `idempotent: true`. One of which nothing
//! was sent may be repeated in any case, once and at once. What may have been a refusal of the user is never asked again:
//! the API has spoken.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    call::Call,
    outcome::{Answer, Facts, Failed},
};
use crate::{
    limits::{RetryBudget, full_jitter},
    telemetry::{ConnectorMetrics, RetryCause, Withheld},
};

/// Most attempts of one call.
const MOST: u32 = 3;

/// What the calls of one connector may repeat.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retries<'a> {
    /// The same call may reach the API twice.
    pub(super) idempotent: bool,
    /// What all calls of the process share.
    pub(super) budget: &'a RetryBudget,
    pub(super) metrics: &'a ConnectorMetrics,
}

impl<'a> Retries<'a> {
    /// The policy of one call, which thereby earns its share of a repetition.
    pub(super) fn policy(self) -> Repeat<'a> {
        self.budget.deposit();
        Repeat { retries: self, earlier: None }
    }
}

/// The policy of one call.
#[derive(Debug)]
pub(super) struct Repeat<'a> {
    retries: Retries<'a>,
    /// How the attempts before this one ended.
    earlier: Option<Box<Failed>>,
}

impl Repeat<'_> {
    /// How long to wait before `call`, which ended so, is made again, if it is; else what it came to with the attempts
    /// before it stands in `result`.
    pub(super) fn repeat(
        &mut self,
        call: &mut Call,
        result: &mut Result<Answer, Failed>,
    ) -> Option<Duration> {
        let earlier = self.earlier.take();
        let failed = match result {
            Ok(answer) => {
                let before = earlier.map_or_else(Facts::default, |earlier| earlier.notes.facts);
                answer.notes.facts = answer.notes.facts.after(before);
                return None;
            }
            Err(failed) => failed,
        };
        if let Some(earlier) = earlier {
            let facts = failed.notes.facts.after(earlier.notes.facts);
            // One that a limit kept from going out says nothing new of the API.
            if failed.notes.facts.took.is_none() {
                *failed = *earlier;
                failed.notes.facts = Facts { waited: facts.waited, ended: None, ..failed.notes.facts };
                return None;
            }
            failed.notes.facts = facts;
        }
        let cause = self.cause(failed)?;
        let wait = wait(cause, failed);
        let metrics = self.retries.metrics;
        let Some(wait) =
            wait.filter(|wait| Instant::now().checked_add(*wait).is_some_and(|again| again < call.deadline))
        else {
            metrics.retry_withheld(Withheld::Time);
            return None;
        };
        if !self.retries.budget.withdraw() {
            metrics.retry_withheld(Withheld::Budget);
            return None;
        }
        metrics.retried(cause);
        (call.fresh, call.now) = (true, None);
        let spent = Failed { notes: std::mem::take(&mut failed.notes), ..*failed };
        self.earlier = Some(Box::new(spent));
        Some(wait)
    }

    /// Why the call may be repeated, if it may.
    fn cause(&self, failed: &Failed) -> Option<RetryCause> {
        let (again, attempts) = (failed.again, failed.notes.facts.attempts);
        if failed.failure.refusal || !again.transient || attempts >= MOST {
            return None;
        }
        match (again.sent, self.retries.idempotent) {
            // One more is enough to tell a bad moment from an API that is down.
            (false, _) => (attempts == 1).then_some(RetryCause::Unsent),
            (true, false) => None,
            (true, true) if again.race => Some(RetryCause::KeepAliveRace),
            (true, true) => Some(RetryCause::Idempotent),
        }
    }
}

/// How long to wait first; nothing if the API asked to be called later than anyone can tell.
fn wait(cause: RetryCause, failed: &Failed) -> Option<Duration> {
    let attempts = failed.notes.facts.attempts;
    match (cause, failed.again.retry_after) {
        (RetryCause::Unsent | RetryCause::KeepAliveRace, _) if attempts == 1 => Some(Duration::ZERO),
        (_, None) => Some(full_jitter(attempts)),
        // Not earlier than asked, and not all at that moment.
        (_, Some(asked)) => asked.wait().checked_add(full_jitter(attempts)),
    }
}

#[cfg(test)]
#[path = "retry_tests.rs"]
mod tests;

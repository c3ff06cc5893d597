//! One attempt: an exchange with the API, and what its answer means.
//!
//! The innermost layer of a call. What it gives back is final as far as the API is concerned, so every layer around it
//! goes by the same reason that the access event will name.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    normalize::{Normalized, RawAnswer, holds_refusal, normalize},
    outcome::{self, Again, Answer, Facts, Failed, Notes},
    report::Reporter,
};
use crate::{
    config,
    flow::{Failure, Reason, Step},
    telemetry::{ConnectorMetrics, Direction},
    upstream::{self, Defect, Detail, Held, Partial, Pool, Until, WireFailure},
};

/// A call that has all it needs and goes out now.
#[derive(Clone, Copy)]
pub(super) struct Attempt {
    /// Not on a connection that has been used before.
    pub(super) fresh: bool,
    /// When it begins, which is now.
    pub(super) began: Instant,
    /// When it ends at the latest.
    pub(super) until: Until,
}

/// Whom an attempt calls, what it says there, and who hears of it: the same for all attempts of a call.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    /// Head and body.
    pub(super) request: &'a [u8],
    /// At which step of the user flow.
    pub(super) step: Step,
    pub(super) config: &'a config::Connector,
    pub(super) pool: &'a Pool,
    pub(super) reporter: &'a Reporter,
    pub(super) metrics: &'a ConnectorMetrics,
}

impl Line<'_> {
    /// The exchange, which ends by itself in time, and what is made of the answer.
    pub(super) async fn attempt(self, attempt: Attempt) -> Result<Answer, Failed> {
        let Attempt { fresh, began, until } = attempt;
        let counted = Counted { metrics: self.metrics, began };
        let (said, held) = match self.pool.exchange_and_hold(self.request, began, until, fresh).await {
            Ok((answer, held)) => (Ok(answer), held),
            Err(failure) => {
                self.reporter.report(&failure);
                (Err(failure), Held::default())
            }
        };
        let ended = Instant::now();
        let took = ended - began;
        let mut result = judge(self.config, self.step, said);
        if !is_contract_failure(&result) {
            self.pool.release(held, ended);
        }
        counted.end(took, &result);
        let facts = outcome::facts_mut(&mut result);
        facts.took = Some(took);
        facts.ended = Some(ended);
        facts.attempts = 1;
        result
    }
}

/// Counts an attempt once, also one that is given up.
struct Counted<'a> {
    metrics: &'a ConnectorMetrics,
    began: Instant,
}

impl Counted<'_> {
    fn end(self, took: Duration, result: &Result<Answer, Failed>) {
        let metrics = self.metrics;
        std::mem::forget(self);
        let (reason, notes) = match result {
            Ok(answer) => (None, &answer.notes),
            Err(failed) => {
                if failed.again.race {
                    metrics.keep_alive_race();
                }
                (Some(failed.failure.reason), &*failed.notes)
            }
        };
        metrics.call(took, reason);
        metrics.claims_dropped(Direction::Received, notes.dropped.total());
        notes.repairs.iter().for_each(|repair| metrics.answer_repaired(repair.as_str()));
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let reason = if std::thread::panicking() { Reason::Panic } else { Reason::ClientGone };
        self.metrics.call(self.began.elapsed(), Some(reason));
    }
}

/// What an API said, or why it said nothing, means at `step`. Pure.
pub(super) fn judge(
    config: &config::Connector,
    step: Step,
    said: Result<upstream::Answer, WireFailure>,
) -> Result<Answer, Failed> {
    let answer = said.map_err(|failure| Failed::on_the_wire(&failure))?;
    let Normalized { decision, repairs, dropped } = normalize(config, step, raw(&answer));
    let facts = Facts { status: Some(answer.status), reused: Some(answer.reused), ..Facts::default() };
    let retry_after = answer.retry_after;
    let notes = Notes { facts, repairs, dropped, answer: Some(answer) };
    match decision {
        Ok(decision) => Ok(Answer { decision, notes }),
        Err(failure) => {
            let again =
                Again { transient: failure.reason.is_transient(), sent: true, race: false, retry_after };
            Err(Failed { failure, notes: Box::new(notes), again })
        }
    }
}

/// As far as its meaning depends on it.
pub(super) fn raw(answer: &upstream::Answer) -> RawAnswer<'_> {
    RawAnswer { status: answer.status, encoded: answer.content_encoding, body: &answer.body }
}

/// An answer that was recorded instead of received, as the wire would have brought it: only the body's size, and that a
/// 204 or 304 has none, can be wrong with it.
pub(super) fn recorded(
    status: u16,
    body: Vec<u8>,
    max_answer: usize,
) -> Result<upstream::Answer, WireFailure> {
    let defect = if matches!(status, 204 | 304) && !body.is_empty() {
        Defect::BodyWhereNone
    } else if body.len() > max_answer {
        Defect::TooLarge
    } else {
        let reused = false;
        return Ok(upstream::Answer { status, content_encoding: false, retry_after: None, body, reused });
    };
    Err(WireFailure {
        reason: defect.reason(),
        sent: true,
        reused: false,
        certificate_pending: false,
        partial: Some(Partial { status, content_encoding: false, body }),
        detail: Detail::Answer(defect),
    })
}

impl Failed {
    fn on_the_wire(failure: &WireFailure) -> Self {
        let WireFailure { reason, sent, reused, .. } = *failure;
        let facts = Facts {
            status: failure.partial.as_ref().map(|partial| partial.status),
            reused: sent.then_some(reused),
            ..Facts::default()
        };
        let again = Again {
            transient: failure.is_transient(),
            sent,
            race: reused && reason == Reason::Reset,
            retry_after: None,
        };
        let refusal = failure.partial.as_ref().is_some_and(may_refuse);
        let notes = Box::new(Notes { facts, ..Notes::default() });
        Self { failure: Failure { reason, refusal }, notes, again }
    }
}

/// Whether what arrived of an answer may belong to a refusal. Under 4xx a message is one, so what began as a 4xx and did
/// not end may be one too; what is encoded may say anything.
fn may_refuse(partial: &Partial) -> bool {
    partial.content_encoding
        || (400..500).contains(&partial.status)
        || holds_refusal(partial.status, &partial.body)
}

/// An API that breaks the contract may have lost its place in the conversation: its connection is not used again.
fn is_contract_failure(result: &Result<Answer, Failed>) -> bool {
    matches!(result, Err(Failed { failure: Failure { reason: Reason::Contract(_), .. }, .. }))
}

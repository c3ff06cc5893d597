//! The breaker around a call: whether it goes out at all, and what its end says about the API.

use std::time::Duration;

use tokio::time::Instant;
use tower::{Layer, layer::layer_fn, service_fn};

use super::{
    call::{Call, Inner},
    outcome::{self, Answer, Failed},
};
use crate::{
    config::Name,
    flow::{Blame, Reason},
    limits::{Availability, Breaker, Turn},
};

/// The breaker of one connector.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circuit<'a> {
    pub(super) connector: &'a Name,
    pub(super) breaker: &'a Breaker,
    /// What the API has for an attempt.
    pub(super) timeout: Duration,
}

/// Refuses a call while the breaker is open, and tells the breaker how each other one ended.
pub(super) fn unless_open<S: Inner<Call>>(
    circuit: Option<Circuit<'_>>,
) -> impl Layer<S, Service = impl Inner<Call>> {
    layer_fn(move |inner: S| {
        service_fn(move |call: Call| {
            let mut inner = inner.clone();
            async move {
                let Some(Circuit { connector, breaker, timeout }) = circuit else {
                    return inner.call(call).await;
                };
                let open = |limited| Failed::limited(Reason::CircuitOpen, limited);
                let pass = breaker.admit(call.now()).map_err(open)?;
                let result = inner.call(call).await;
                let ended = outcome::facts(&result).ended.unwrap_or_else(Instant::now);
                if let Some(turn) = pass.ended(availability(&result, timeout), ended) {
                    tell(turn, connector);
                }
                result
            }
        })
    })
}

/// What the end of a call says about the API.
fn availability(result: &Result<Answer, Failed>, timeout: Duration) -> Availability {
    let Err(failed) = result else { return Availability::Available };
    let reason = failed.failure.reason;
    let took = failed.notes.facts.took;
    let went_out = took.is_some();
    match reason.blame() {
        // Who sends a hook slowly leaves the API little time. That must not close the way to it for the others.
        _ if reason == Reason::Deadline && took < Some(timeout / 2) => Availability::Neither,
        // It closed a connection that had idled, as it may; a fresh one would have shown more.
        _ if !went_out || failed.again.race => Availability::Neither,
        // A refusal is an answer, whatever its status: to open on refusals would let in who comes next.
        _ if failed.failure.refusal => Availability::Available,
        _ if reason.counts_as_unavailable() => Availability::Unavailable,
        Blame::Api | Blame::Configuration => Availability::Available,
        Blame::Load | Blame::Caller | Blame::Claimgate => Availability::Neither,
    }
}

/// Tells people; what each call met stands in its access event.
fn tell(turn: Turn, connector: &Name) {
    let connector = connector.as_str();
    match turn {
        Turn::Opened { calls, unavailable, open_for } => tracing::warn!(
            connector,
            calls,
            unavailable,
            ?open_for,
            hint = "the reasons of these calls in the access events say what is wrong with the API or the way to it",
            "the circuit is open: the API is unavailable and is not called for a while, then probed"
        ),
        Turn::Closed { after } => {
            tracing::info!(connector, ?after, "the circuit is closed: the API is available again");
        }
    }
}

#[cfg(test)]
#[path = "circuit_tests.rs"]
mod tests;

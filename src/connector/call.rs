//! One call of an API, and the policies around it.
//!
//! The policies are `tower` layers. [`Api`](super::Api)'s stack is written down once, in [`through`], outermost first;
//! each line says why it stands where it stands. The layers borrow the state they share (a rate, permits), so the stack
//! is built anew for each call at no cost: no clone can park a permit, and no layer can end up with a state of its own.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceBuilder, layer::layer_fn, service_fn};

use super::{
    attempt::Attempt,
    circuit::{Circuit, unless_open},
    outcome::{self, Answer, Failed},
    retry::Retries,
};
use crate::{
    flow::Reason,
    limits::{InFlight, Permit, Rate},
    upstream::Until,
};

/// A call on its way through the layers: what they go by, and what may differ from one attempt to the next.
#[derive(Clone, Copy)]
pub(super) struct Call {
    /// Not on a connection that has been used before.
    pub(super) fresh: bool,
    /// What time it is, until something is waited for.
    pub(super) now: Option<Instant>,
    /// When the hook must be answered.
    pub(super) deadline: Instant,
}

impl Call {
    /// What time it is.
    pub(super) fn now(&self) -> Instant {
        self.now.unwrap_or_else(Instant::now)
    }
}

/// The policies of one API.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policies<'a> {
    pub(super) circuit: Option<Circuit<'a>>,
    pub(super) retries: Retries<'a>,
    pub(super) rate: Option<&'a Rate>,
    pub(super) permits: &'a InFlight,
    pub(super) wait: Duration,
    pub(super) timeout: Duration,
}

/// A layer's view of what lies further in. Each one is a function and therefore always ready, so that nobody asks.
pub(super) trait Inner<C>:
    Service<C, Response = Answer, Error = Failed, Future: Send> + Clone + Send
{
}
impl<C, S: Service<C, Response = Answer, Error = Failed, Future: Send> + Clone + Send> Inner<C> for S {}

/// The stack around an `attempt`.
pub(super) fn through(
    policies: Policies<'_>,
    attempt: impl Inner<Attempt>,
    call: Call,
) -> impl Future<Output = Result<Answer, Failed>> + Send {
    ServiceBuilder::new()
        // Outermost, so that a refusal costs nothing, neither here nor at the API, and what counts is what came in the end.
        .layer(unless_open(policies.circuit))
        // Around all that an attempt costs, so that each one is a call to the API's limits, and no permit is held between.
        .layer(repeating(policies.retries))
        // Cheapest first, and before the permit: a call over the rate must not make another one wait.
        .layer(within_rate(policies.rate))
        // Around the attempt: waiting is paid from the hook's time, not from the API's.
        .layer(with_permit(policies.permits, policies.wait))
        // Innermost: `timeout` is the API's own time for one attempt, from connecting to the last byte.
        .layer(within_timeout(policies.timeout))
        .service(attempt)
        .call(call)
}

/// Repeats what may be. The policy is made here and not with the stack: what the breaker refuses earns nothing.
fn repeating<S: Inner<Call>>(retries: Retries<'_>) -> impl Layer<S, Service = impl Inner<Call>> {
    layer_fn(move |inner: S| {
        service_fn(move |mut call: Call| {
            let mut inner = inner.clone();
            async move {
                let mut policy = retries.policy();
                loop {
                    let mut result = inner.call(call).await;
                    let Some(wait) = policy.repeat(&mut call, &mut result) else { return result };
                    sleep(wait).await;
                }
            }
        })
    })
}

/// Refuses what is over the connector's rate.
fn within_rate<S: Inner<Call>>(rate: Option<&Rate>) -> impl Layer<S, Service = impl Inner<Call>> {
    layer_fn(move |inner: S| {
        service_fn(move |call: Call| {
            let mut inner = inner.clone();
            async move {
                let limited = |limited| Failed::limited(Reason::ConnectorLimited, limited);
                rate.map_or(Ok(()), Rate::take).map_err(limited)?;
                inner.call(call).await
            }
        })
    })
}

/// Holds a permit while the attempt lasts; waits for it for `wait`, but not beyond the hook's deadline.
fn with_permit<S: Inner<Call>>(
    permits: &InFlight,
    wait: Duration,
) -> impl Layer<S, Service = impl Inner<Call>> {
    layer_fn(move |inner: S| {
        service_fn(move |mut call: Call| {
            let mut inner = inner.clone();
            async move {
                let (permit, waited) = match permits.try_enter() {
                    Some(permit) => (Ok(permit), Duration::ZERO),
                    // Boxed: its state is large, and few calls need it.
                    None => Box::pin(wait_for_permit(permits, wait, &mut call)).await,
                };
                let mut result = match permit {
                    Ok(_permit) => inner.call(call).await,
                    Err(reason) => Err(Failed::before(reason)),
                };
                outcome::facts_mut(&mut result).waited = waited;
                result
            }
        })
    })
}

/// A permit, or why there is none; and how long that took.
async fn wait_for_permit<'p>(
    permits: &'p InFlight,
    wait: Duration,
    call: &mut Call,
) -> (Result<Permit<'p>, Reason>, Duration) {
    let asked = call.now();
    call.now = None;
    let until = (asked + wait).min(call.deadline);
    let permit = permits.enter_by(until).await;
    let late = if until == call.deadline { Reason::Deadline } else { Reason::InFlightFull };
    (permit.ok_or(late), asked.elapsed())
}

/// Starts the attempt's own clock.
fn within_timeout<S: Inner<Attempt>>(timeout: Duration) -> impl Layer<S, Service = impl Inner<Call>> {
    layer_fn(move |inner: S| {
        service_fn(move |call: Call| {
            let began = call.now();
            let until = Until { attempt: began + timeout, deadline: call.deadline };
            inner.clone().call(Attempt { fresh: call.fresh, began, until })
        })
    })
}

#[cfg(test)]
#[path = "call_tests.rs"]
pub(super) mod tests;

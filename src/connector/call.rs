//! One call of an API, and the policies around it.
//!
//! The policies are `tower` layers. [`Api`](super::Api)'s stack is written down once, in `call`, outermost first; each
//! line says why it stands where it stands. The layers borrow the state they share (a rate, permits), so the stack is
//! built anew for each call at no cost: no clone can park a permit, and no layer can end up with a state of its own.

use std::{sync::OnceLock, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, layer::layer_fn, service_fn};

use super::{normalize::holds_refusal, report::Reporter};
use crate::{
    flow::{Failure, Reason},
    limits::{InFlight, Limited, Rate},
    upstream::{self, Defect, Detail, Held, Partial, Pool, Until, WireFailure},
};

/// A request to the API on its way through the layers.
#[derive(Clone)]
pub struct Call {
    /// Head and body.
    pub request: Bytes,
    /// When the hook must be answered.
    pub deadline: Instant,
}

/// A call that has all it needs and goes out now.
#[derive(Clone)]
pub struct Attempt {
    /// Head and body.
    pub request: Bytes,
    /// When it ends at the latest.
    pub until: Until,
}

/// What is known of a call for the access event and the metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// Waiting for a permit.
    pub waited: Duration,
    /// The exchange, connecting included; absent if it never began.
    pub took: Option<Duration>,
    /// The API's HTTP status, if as much arrived.
    pub status: Option<u16>,
    /// The connection had been used before; absent if it never came to one.
    pub reused: Option<bool>,
    /// When the connector's rate lets the next call through, if it refused this one.
    pub retry_after: Option<Duration>,
}

/// The API's complete answer.
#[derive(Debug)]
pub struct Answer {
    /// As it came.
    pub answer: upstream::Answer,
    /// The connection it came over, to be released once the answer is known to make sense.
    pub held: Held,
    /// How it came.
    pub facts: Facts,
}

/// No complete answer.
#[derive(Clone, Copy, Debug)]
pub struct Failed {
    /// Why, and whether what did arrive refused the user.
    pub failure: Failure,
    /// How.
    pub facts: Facts,
}

/// The policies of one API.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policies<'a> {
    pub(super) rate: Option<&'a Rate>,
    pub(super) permits: &'a InFlight,
    pub(super) wait: Duration,
    pub(super) timeout: Duration,
}

/// A layer's view of what lies further in.
trait Inner<C>: Service<C, Response = Answer, Error = Failed, Future: Send> + Clone + Send {}
impl<C, S: Service<C, Response = Answer, Error = Failed, Future: Send> + Clone + Send> Inner<C> for S {}

/// Calls the API over `pool`. Writes down in `began` when the first attempt goes out, for whoever has to account for a
/// call that is given up.
pub(super) async fn call(
    policies: Policies<'_>,
    pool: &Pool,
    reporter: &Reporter,
    began: &OnceLock<Instant>,
    call: Call,
) -> Result<Answer, Failed> {
    through(policies, service_fn(|attempt| exchange(pool, reporter, began, attempt)), call).await
}

/// The stack.
async fn through(
    policies: Policies<'_>,
    exchange: impl Inner<Attempt>,
    call: Call,
) -> Result<Answer, Failed> {
    ServiceBuilder::new()
        // Cheapest first, and before the permit: a call over the rate must not make another one wait.
        .layer(within_rate(policies.rate))
        // Around the attempt: waiting is paid from the hook's time, not from the API's.
        .layer(with_permit(policies.permits, policies.wait))
        // Innermost: `timeout` is the API's own time, from connecting to the last byte.
        .layer(within_timeout(policies.timeout))
        .service(exchange)
        .oneshot(call)
        .await
}

/// Refuses what is over the connector's rate.
fn within_rate<S: Inner<Call>>(rate: Option<&Rate>) -> impl Layer<S, Service = impl Inner<Call>> {
    layer_fn(move |inner: S| {
        service_fn(move |call: Call| {
            let inner = inner.clone();
            async move {
                rate.map_or(Ok(()), Rate::take).map_err(Failed::limited)?;
                inner.oneshot(call).await
            }
        })
    })
}

/// Holds a permit while the call lasts; waits for it for `wait`, but not beyond the hook's deadline.
fn with_permit<S: Inner<Call>>(
    permits: &InFlight,
    wait: Duration,
) -> impl Layer<S, Service = impl Inner<Call>> {
    layer_fn(move |inner: S| {
        service_fn(move |call: Call| {
            let inner = inner.clone();
            async move {
                let Some(_permit) = permits.try_enter() else {
                    return wait_for_permit(permits, wait, inner, call).await;
                };
                inner.oneshot(call).await
            }
        })
    })
}

async fn wait_for_permit<S: Inner<Call>>(
    permits: &InFlight,
    wait: Duration,
    inner: S,
    call: Call,
) -> Result<Answer, Failed> {
    let asked = Instant::now();
    let until = (asked + wait).min(call.deadline);
    let permit = permits.enter_by(until).await;
    let waited = asked.elapsed();
    let result = match permit {
        Some(_permit) => inner.oneshot(call).await,
        None if until == call.deadline => Err(Failed::before(Reason::Deadline)),
        None => Err(Failed::before(Reason::InFlightFull)),
    };
    let with_wait = |facts: Facts| Facts { waited, ..facts };
    result
        .map(|answer| Answer { facts: with_wait(answer.facts), ..answer })
        .map_err(|failed| Failed { facts: with_wait(failed.facts), ..failed })
}

/// Starts the attempt's own clock.
fn within_timeout<S: Inner<Attempt>>(timeout: Duration) -> impl Layer<S, Service = impl Inner<Call>> {
    layer_fn(move |inner: S| {
        service_fn(move |Call { request, deadline }| {
            let until = Until { attempt: Instant::now() + timeout, deadline };
            inner.clone().oneshot(Attempt { request, until })
        })
    })
}

/// The exchange itself, which ends by itself at the earlier of the two times.
async fn exchange(
    pool: &Pool,
    reporter: &Reporter,
    first: &OnceLock<Instant>,
    attempt: Attempt,
) -> Result<Answer, Failed> {
    let began = Instant::now();
    first.get_or_init(|| began);
    let result = pool.exchange_and_hold(&attempt.request, attempt.until).await;
    let took = Some(began.elapsed());
    match result {
        Ok((answer, held)) => {
            let (status, reused) = (Some(answer.status), Some(answer.reused));
            Ok(Answer { answer, held, facts: Facts { took, status, reused, ..Facts::default() } })
        }
        Err(failure) => {
            reporter.report(&failure);
            Err(Failed::on_the_wire(&failure, took))
        }
    }
}

/// Whether what arrived of an answer may belong to a refusal. Under 4xx a message is one, so what began as a 4xx and did
/// not end may be one too; what is encoded may say anything.
fn may_refuse(partial: &Partial) -> bool {
    partial.content_encoding
        || (400..500).contains(&partial.status)
        || holds_refusal(partial.status, &partial.body)
}

impl Answer {
    /// An answer that was recorded instead of received, judged as the wire would: only the body's size, and that a 204
    /// or 304 has none, can be wrong with it.
    pub fn recorded(status: u16, body: Vec<u8>, max_answer: usize) -> Result<Self, Failed> {
        let defect = if matches!(status, 204 | 304) && !body.is_empty() {
            Defect::BodyWhereNone
        } else if body.len() > max_answer {
            Defect::TooLarge
        } else {
            let facts = Facts { status: Some(status), ..Facts::default() };
            let answer = upstream::Answer { status, content_encoding: false, body, reused: false };
            return Ok(Self { answer, held: Held::default(), facts });
        };
        let partial = Some(Partial { status, content_encoding: false, body });
        let (reason, detail) = (defect.reason(), Detail::Answer(defect));
        let failure =
            WireFailure { reason, sent: true, reused: false, certificate_pending: false, partial, detail };
        Err(Failed::on_the_wire(&failure, None))
    }
}

impl Failed {
    fn on_the_wire(failure: &WireFailure, took: Option<Duration>) -> Self {
        let status = failure.partial.as_ref().map(|partial| partial.status);
        let reused = failure.sent.then_some(failure.reused);
        let refusal = failure.partial.as_ref().is_some_and(may_refuse);
        Self {
            failure: Failure { reason: failure.reason, refusal },
            facts: Facts { took, status, reused, ..Facts::default() },
        }
    }

    /// A failure before anything was sent to the API.
    fn before(reason: Reason) -> Self {
        Self { failure: reason.into(), facts: Facts::default() }
    }

    fn limited(Limited { retry_after }: Limited) -> Self {
        let facts = Facts { retry_after: Some(retry_after), ..Facts::default() };
        Self { facts, ..Self::before(Reason::ConnectorLimited) }
    }
}

#[cfg(test)]
#[path = "call_tests.rs"]
mod tests;

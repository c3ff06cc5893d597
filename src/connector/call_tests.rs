//! The policies around a call, without a network and on paused time.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::time::sleep;

use super::*;
use crate::{
    config::{Per, RateLimit},
    connector::Notes,
    flow::{Claims, FlowDecision},
    limits::RetryBudget,
    telemetry::{ConnectorMetrics, Metrics},
};

const SECOND: Duration = Duration::from_secs(1);
const WAIT: Duration = Duration::from_millis(50);

pub(in crate::connector) fn answer() -> Answer {
    Answer { decision: FlowDecision::Continue(Claims::default()), notes: Notes::default() }
}

pub(in crate::connector) fn call(within: Duration) -> Call {
    let now = Instant::now();
    Call { fresh: false, now: Some(now), deadline: now + within }
}

/// What policies borrow.
pub(in crate::connector) struct Shared {
    pub(in crate::connector) permits: InFlight,
    pub(in crate::connector) budget: RetryBudget,
    pub(in crate::connector) metrics: ConnectorMetrics,
}

impl Shared {
    pub(in crate::connector) fn new(permits: usize) -> Self {
        let metrics = Metrics::new().for_connector("api");
        Self { permits: InFlight::new(permits), budget: RetryBudget::new(), metrics }
    }

    pub(in crate::connector) fn policies(&self) -> Policies<'_> {
        let Self { permits, budget, metrics } = self;
        let retries = Retries { idempotent: false, budget, metrics };
        Policies { circuit: None, retries, rate: None, permits, wait: WAIT, timeout: 2 * SECOND }
    }
}

/// An API that takes so long, and how many calls it has seen.
fn api(takes: Duration, seen: &Arc<AtomicUsize>) -> impl Inner<Attempt> + use<> {
    let seen = Arc::clone(seen);
    service_fn(move |_: Attempt| {
        let seen = Arc::clone(&seen);
        async move {
            seen.fetch_add(1, Ordering::Relaxed);
            sleep(takes).await;
            Ok(answer())
        }
    })
}

fn reason(result: Result<Answer, Failed>) -> Option<Reason> {
    result.err().map(|failed| failed.failure.reason)
}

#[tokio::test(start_paused = true)]
async fn over_the_rate_nothing_is_called_and_no_permit_is_waited_for() {
    let shared = Shared::new(1);
    let held = shared.permits.try_enter().unwrap();
    let one = NonZeroU32::MIN;
    let rate = Rate::new(RateLimit { count: one, per: Per::Minute, burst: one });
    let seen = Arc::default();
    let policies = Policies { rate: Some(&rate), ..shared.policies() };
    assert_eq!(reason(through(policies, api(SECOND, &seen), call(SECOND)).await), Some(Reason::InFlightFull));
    let before = Instant::now();
    assert_eq!(
        reason(through(policies, api(SECOND, &seen), call(SECOND)).await),
        Some(Reason::ConnectorLimited)
    );
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(seen.load(Ordering::Relaxed), 0);
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_waited_for_until_wait_or_the_deadline_whichever_is_first() {
    let rows = [
        (SECOND, WAIT, Reason::InFlightFull),
        (Duration::from_millis(20), Duration::from_millis(20), Reason::Deadline),
    ];
    for (deadline, waits, expected) in rows {
        let shared = Shared::new(1);
        let _held = shared.permits.try_enter().unwrap();
        let before = Instant::now();
        let failed =
            through(shared.policies(), api(SECOND, &Arc::default()), call(deadline)).await.unwrap_err();
        assert_eq!(failed.failure, expected.into());
        assert!((waits..waits + Duration::from_millis(3)).contains(&before.elapsed()), "{expected:?}");
        assert_eq!(failed.notes.facts.waited, before.elapsed());
        assert_eq!(failed.notes.facts.took, None, "nothing went out");
    }
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_held_for_the_call_and_free_after_it_also_if_it_is_cancelled() {
    let shared = Shared::new(1);
    let seen = Arc::default();
    let mut calling = Box::pin(through(shared.policies(), api(SECOND, &seen), call(5 * SECOND)));
    tokio::select! {
        biased;
        _ = &mut calling => panic!("the API takes longer"),
        () = sleep(SECOND / 2) => {}
    }
    assert!(shared.permits.try_enter().is_none(), "held while the call lasts");
    drop(calling);
    assert!(shared.permits.try_enter().is_some(), "free after the caller hung up");
    assert_eq!(reason(through(shared.policies(), api(SECOND, &seen), call(5 * SECOND)).await), None);
    assert!(shared.permits.try_enter().is_some());
    assert_eq!(seen.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_call_goes_out_when_a_permit_is_free_and_says_how_long_it_waited() {
    let shared = Shared::new(1);
    let held = shared.permits.try_enter().unwrap();
    let free_it = async {
        sleep(WAIT / 2).await;
        drop(held);
    };
    let (result, ()) =
        tokio::join!(through(shared.policies(), api(SECOND, &Arc::default()), call(5 * SECOND)), free_it);
    let waited = result.unwrap().notes.facts.waited;
    assert!((WAIT / 2..WAIT / 2 + Duration::from_millis(3)).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn the_api_has_its_timeout_from_when_the_call_goes_out_and_the_hook_its_deadline() {
    let shared = Shared::new(1);
    let held = shared.permits.try_enter().unwrap();
    let asked = Instant::now();
    let deadline = asked + 3 * SECOND;
    let free_it = async {
        sleep(WAIT / 2).await;
        drop(held);
        Instant::now()
    };
    let check = service_fn(|attempt: Attempt| async move {
        let (now, until) = (Instant::now(), attempt.until);
        let mut failed = Failed::before(Reason::Tls);
        failed.notes.facts.took = Some(until.attempt - now);
        failed.notes.facts.status = Some(u16::from(until.deadline > now));
        Err(failed)
    });
    let request = Call { deadline, ..call(SECOND) };
    let (result, _) = tokio::join!(through(shared.policies(), check, request), free_it);
    let facts = result.unwrap_err().notes.facts;
    assert_eq!(facts.took, Some(2 * SECOND), "waiting is not paid by the API");
    assert_eq!(facts.status, Some(1));
}

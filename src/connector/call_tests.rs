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
use crate::config::{Per, RateLimit};

const SECOND: Duration = Duration::from_secs(1);
const WAIT: Duration = Duration::from_millis(50);

fn answer() -> Answer {
    let answer = upstream::Answer { status: 200, content_encoding: false, body: Vec::new(), reused: false };
    Answer { answer, held: Held::default(), facts: Facts::default() }
}

fn call(within: Duration) -> Call {
    Call { request: Bytes::from_static(b"request"), deadline: Instant::now() + within }
}

fn policies(permits: &InFlight) -> Policies<'_> {
    Policies { rate: None, permits, wait: WAIT, timeout: 2 * SECOND }
}

/// An API that takes so long, and how many calls it has seen.
fn api(takes: Duration, seen: &Arc<AtomicUsize>) -> impl Inner<Attempt> + use<> {
    let seen = Arc::clone(seen);
    service_fn(move |attempt: Attempt| {
        let seen = Arc::clone(&seen);
        async move {
            seen.fetch_add(1, Ordering::Relaxed);
            assert_eq!(attempt.request, "request");
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
    let permits = InFlight::new(1);
    let held = permits.try_enter().unwrap();
    let one = NonZeroU32::MIN;
    let rate = Rate::new(RateLimit { count: one, per: Per::Minute, burst: one });
    let seen = Arc::default();
    let policies = Policies { rate: Some(&rate), ..policies(&permits) };
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
        let permits = InFlight::new(1);
        let _held = permits.try_enter().unwrap();
        let before = Instant::now();
        let failed =
            through(policies(&permits), api(SECOND, &Arc::default()), call(deadline)).await.unwrap_err();
        assert_eq!(failed.failure, expected.into());
        assert!((waits..waits + Duration::from_millis(3)).contains(&before.elapsed()), "{expected:?}");
        assert_eq!(failed.facts.waited, before.elapsed());
        assert_eq!(failed.facts.took, None, "nothing went out");
    }
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_held_for_the_call_and_free_after_it_also_if_it_is_cancelled() {
    let permits = InFlight::new(1);
    let seen = Arc::default();
    let mut calling = Box::pin(through(policies(&permits), api(SECOND, &seen), call(5 * SECOND)));
    tokio::select! {
        biased;
        _ = &mut calling => panic!("the API takes longer"),
        () = sleep(SECOND / 2) => {}
    }
    assert!(permits.try_enter().is_none(), "held while the call lasts");
    drop(calling);
    assert!(permits.try_enter().is_some(), "free after the caller hung up");
    assert_eq!(reason(through(policies(&permits), api(SECOND, &seen), call(5 * SECOND)).await), None);
    assert!(permits.try_enter().is_some());
    assert_eq!(seen.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_call_goes_out_when_a_permit_is_free_and_says_how_long_it_waited() {
    let permits = InFlight::new(1);
    let held = permits.try_enter().unwrap();
    let free_it = async {
        sleep(WAIT / 2).await;
        drop(held);
    };
    let (result, ()) =
        tokio::join!(through(policies(&permits), api(SECOND, &Arc::default()), call(5 * SECOND)), free_it);
    let waited = result.unwrap().facts.waited;
    assert!((WAIT / 2..WAIT / 2 + Duration::from_millis(3)).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn the_api_has_its_timeout_from_when_the_call_goes_out_and_the_hook_its_deadline() {
    let permits = InFlight::new(1);
    let held = permits.try_enter().unwrap();
    let asked = Instant::now();
    let deadline = asked + 3 * SECOND;
    let free_it = async {
        sleep(WAIT / 2).await;
        drop(held);
        Instant::now()
    };
    let check = service_fn(|attempt: Attempt| async move {
        let (now, until) = (Instant::now(), attempt.until);
        Err(Failed {
            failure: Reason::Dns.into(),
            facts: Facts {
                took: Some(until.attempt - now),
                status: Some(u16::from(until.deadline > now)),
                ..Facts::default()
            },
        })
    });
    let request = Call { request: Bytes::new(), deadline };
    let (result, _) = tokio::join!(through(policies(&permits), check, request), free_it);
    let facts = result.unwrap_err().facts;
    assert_eq!(facts.took, Some(2 * SECOND), "waiting is not paid by the API");
    assert_eq!(facts.status, Some(1));
}

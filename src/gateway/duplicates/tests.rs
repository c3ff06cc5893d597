//! Hooks that come again, with calls made up for them.

use std::{
    future::{pending, ready},
    sync::{Barrier, atomic::AtomicUsize},
    thread,
};

use futures_util::FutureExt as _;
use tokio::{
    runtime,
    sync::oneshot,
    task::yield_now,
    time::{advance, sleep},
};

use super::*;
use crate::connector::{Decided, Facts, Notes};

const WINDOW: Duration = Duration::from_secs(10);
const BODY: &[u8] = b"{\"email\":\"jane@fabrikam.com\"}";
const HOOK: HookIdentity = HookIdentity(u64::MAX);

fn duplicates() -> Arc<Duplicates> {
    Duplicates::new(&Metrics::new())
}

fn look(duplicates: &Arc<Duplicates>) -> Seen {
    duplicates.look("entra", HOOK, BODY, WINDOW, Instant::now())
}

fn lead(duplicates: &Arc<Duplicates>) -> Lead {
    match look(duplicates) {
        Seen::First(lead) => lead,
        Seen::Before(earlier) => panic!("{earlier:?}"),
    }
}

fn joined(duplicates: &Arc<Duplicates>) -> InFlight {
    match look(duplicates) {
        Seen::Before(Earlier::InFlight(in_flight)) => in_flight,
        other => panic!("{other:?}"),
    }
}

fn replayed(duplicates: &Arc<Duplicates>) -> FlowDecision {
    match look(duplicates) {
        Seen::Before(Earlier::Decided(decision)) => decision.replayed(),
        other => panic!("{other:?}"),
    }
}

fn block(message: &str) -> FlowDecision {
    FlowDecision::ShowBlockPage(message.to_owned())
}

/// What a call came to that was sent.
fn sent(decision: Result<FlowDecision, Failure>) -> Decided {
    let facts = Facts { took: Some(Duration::ZERO), ..Facts::default() };
    Decided { decision, notes: Notes { facts, ..Notes::default() } }
}

fn far() -> Instant {
    Instant::now() + Duration::from_hours(1)
}

#[tokio::test(start_paused = true)]
async fn who_joins_gets_what_the_first_one_gets_whenever_it_comes() {
    for ending in [Ok(block("no")), Err(Failure { reason: Reason::Status5xx, refusal: true })] {
        let duplicates = duplicates();
        let first = lead(&duplicates);
        let early = joined(&duplicates);
        let call = {
            let ending = ending.clone();
            Box::pin(async {
                sleep(Duration::from_secs(1)).await;
                sent(ending)
            })
        };
        let late = async {
            sleep(Duration::from_millis(999)).await;
            joined(&duplicates).ended_by(far()).await
        };
        let (first, early, late) = tokio::join!(first.call(call, ()), early.ended_by(far()), late);
        assert_eq!(first.decision, ending);
        assert_eq!(late, early);
        assert_eq!(early.map_err(|failed| failed.failure), ending);
    }
}

#[tokio::test(start_paused = true)]
async fn who_joins_waits_within_its_own_deadline() {
    let duplicates = duplicates();
    let _first = lead(&duplicates);
    let before = Instant::now();
    let ended = joined(&duplicates).ended_by(before + Duration::from_secs(3)).await;
    assert_eq!(ended, Err(Reason::Deadline.into()));
    let waited = before.elapsed();
    assert!((Duration::from_secs(3)..Duration::from_millis(3_003)).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_decision_is_replayed_for_the_window_and_then_forgotten() {
    let duplicates = duplicates();
    let first = lead(&duplicates);
    let first_key = first.key();
    // From the end of the call on, and not from when the hook came or somebody heard of that end.
    advance(Duration::from_secs(5)).await;
    let mut decided = sent(Ok(block("no")));
    decided.notes.facts.ended = Some(Instant::now());
    advance(Duration::from_secs(1)).await;
    first.call(ready(decided), ()).await;
    advance(Duration::from_millis(8_999)).await;
    assert_eq!(replayed(&duplicates), block("no"));
    duplicates.upkeep();
    assert_eq!(duplicates.lock().size().0, 1);
    advance(Duration::from_millis(1)).await;
    duplicates.upkeep();
    assert_eq!(duplicates.lock().size(), (0, 0));
    assert_ne!(lead(&duplicates).key(), first_key);
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_the_key_stays_if_the_api_may_have_seen_it() {
    let duplicates = duplicates();
    let first = lead(&duplicates);
    let first_key = first.key();
    first.call(ready(sent(Err(Reason::FirstByteTimeout.into()))), ()).await;
    let second = lead(&duplicates);
    assert_eq!(second.key(), first_key);
    assert!(!second.is_undetected());
    let unsent = Decided { decision: Err(Reason::InFlightFull.into()), notes: Notes::default() };
    second.call(ready(unsent), ()).await;
    let third = lead(&duplicates);
    assert_eq!(third.key(), first_key, "the first one may have reached the API all the same");
    let fourth = joined(&duplicates);
    let limited = third.refused(Reason::UserLimited, WINDOW);
    assert_eq!(fourth.ended_by(far()).await, Err(limited));
    assert_eq!(lead(&duplicates).key(), first_key);
}

#[tokio::test(start_paused = true)]
async fn who_was_refused_does_not_go_on_because_the_next_call_failed_otherwise() {
    let duplicates = duplicates();
    let refused = Failure { reason: Reason::Status5xx, refusal: true };
    lead(&duplicates).call(ready(sent(Err(refused))), ()).await;
    let second = lead(&duplicates);
    let late = joined(&duplicates).ended_by(Instant::now()).await;
    assert_eq!(late.unwrap_err().failure, Failure { reason: Reason::Deadline, refusal: true });
    let waiting: Vec<_> = (0..MOST_JOINED).map(|_| joined(&duplicates)).collect();
    let Seen::Before(crowded) = look(&duplicates) else { panic!("it is no new one") };
    assert!(crowded.ended_by(far()).await.unwrap_err().failure.refusal);
    drop(waiting);
    let third = joined(&duplicates);
    let failed =
        second.call(ready(sent(Err(Reason::FirstByteTimeout.into()))), ()).await.decision.unwrap_err();
    assert_eq!(failed, Failure { reason: Reason::FirstByteTimeout, refusal: true });
    assert_eq!(third.ended_by(far()).await.unwrap_err().failure, failed);
    assert!(lead(&duplicates).refused(Reason::UserLimited, WINDOW).failure.refusal);
    assert!(lead(&duplicates).call(ready(sent(Ok(block("0")))), ()).await.decision.is_ok());
}

#[tokio::test(start_paused = true)]
async fn only_so_many_wait_for_one_hook_and_no_further_one_calls_the_api() {
    let duplicates = duplicates();
    let first = lead(&duplicates);
    let waiting: Vec<_> = (0..MOST_JOINED).map(|_| joined(&duplicates)).collect();
    let Seen::Before(crowded) = look(&duplicates) else { panic!("it is no new one") };
    assert_eq!(crowded.ended_by(far()).await, Err(Reason::InFlightFull.into()));
    drop(waiting);
    let again = joined(&duplicates);
    first.call(ready(sent(Ok(block("0")))), ()).await;
    assert_eq!(again.ended_by(far()).await, Ok(block("0")), "those who left have made room");
}

#[tokio::test(start_paused = true)]
async fn nothing_stays_of_a_hook_that_never_went_to_the_api() {
    let duplicates = duplicates();
    let unsent = Decided { decision: Err(Reason::InFlightFull.into()), notes: Notes::default() };
    lead(&duplicates).call(ready(unsent), ()).await;
    assert_eq!(duplicates.lock().size(), (0, 0));
    lead(&duplicates).refused(Reason::UserLimited, WINDOW);
    assert_eq!(duplicates.lock().size(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_runs_on_without_its_hook_and_its_decision_is_kept() {
    let duplicates = duplicates();
    let (answer, answered) = oneshot::channel::<FlowDecision>();
    let place = Arc::new(());
    let call = Box::pin(async move { sent(Ok(answered.await.unwrap())) });
    let mut hook = Box::pin(lead(&duplicates).call(call, Arc::clone(&place)));
    assert!(hook.as_mut().now_or_never().is_none());
    duplicates.none_runs_on().await;
    drop(hook);
    assert_eq!(Arc::strong_count(&place), 2, "its place is taken as long as the call runs");
    assert!(duplicates.none_runs_on().now_or_never().is_none());
    let second = joined(&duplicates);
    answer.send(block("no")).unwrap();
    assert_eq!(second.ended_by(far()).await, Ok(block("no")));
    assert_eq!(replayed(&duplicates), block("no"));
    duplicates.none_runs_on().await;
    assert_eq!(Arc::strong_count(&place), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_for_one_hook_alone_ends_with_it() {
    let (answer, answered) = oneshot::channel::<FlowDecision>();
    let call = Box::pin(async move { sent(Ok(answered.await.unwrap())) });
    let mut hook = Box::pin(Lead::alone().call(call, ()));
    assert!(hook.as_mut().now_or_never().is_none());
    drop(hook);
    yield_now().await;
    assert!(answer.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_the_call_for_all_and_leaves_nothing_in_flight() {
    let metrics = Metrics::new();
    let duplicates = Duplicates::new(&metrics);
    let defect = || {
        Box::pin(async {
            yield_now().await;
            panic!("a defect")
        })
    };
    let first = lead(&duplicates);
    let (first_key, second) = (first.key(), joined(&duplicates));
    let caught = std::panic::AssertUnwindSafe(first.call(defect(), ())).catch_unwind().await;
    assert!(caught.is_err());
    assert_eq!(second.ended_by(far()).await, Err(Reason::Panic.into()));

    let third = lead(&duplicates);
    assert_eq!(third.key(), first_key, "the API may have seen it");
    let fourth = joined(&duplicates);
    let mut hook = Box::pin(third.call(defect(), ()));
    assert!(hook.as_mut().now_or_never().is_none());
    drop(hook);
    assert_eq!(fourth.ended_by(far()).await, Err(Reason::Panic.into()));
    duplicates.none_runs_on().await;
    assert_eq!(lead(&duplicates).key(), first_key);
    let page = String::from_utf8(metrics.encode()).unwrap();
    assert!(page.contains("\nclaimgate_panics_total 1\n"), "the other one is its hook's to count");
}

/// A call that runs on in a worker that ends; and one that is dropped where no runtime is.
#[test]
fn the_end_of_its_worker_ends_the_call_for_all() {
    let worker = || runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for inside in [true, false] {
        let duplicates = duplicates();
        let (ending, other) = (worker(), worker());
        let hook = ending.block_on(async {
            let mut hook = Box::pin(lead(&duplicates).call(pending(), ()));
            assert!(hook.as_mut().now_or_never().is_none());
            (!inside).then_some(hook)
        });
        let waiting = joined(&duplicates);
        drop(ending);
        drop(hook);
        let patience = Instant::now() + Duration::from_secs(20);
        assert_eq!(other.block_on(waiting.ended_by(patience)), Err(Reason::Panic.into()), "{inside}");
        other.block_on(duplicates.none_runs_on());
    }
}

#[test]
fn hooks_are_the_same_only_by_caller_hook_and_every_byte() {
    let duplicates = duplicates();
    let different: [(&str, HookIdentity, &[u8]); 6] = [
        ("entra", HOOK, BODY),
        ("entra", HOOK, b"{\"email\": \"jane@fabrikam.com\"}"),
        ("entra", HookIdentity::unused(), BODY),
        ("entra", HookIdentity::unused(), BODY),
        ("entrb", HOOK, BODY),
        ("entr", HOOK, BODY),
    ];
    let look = |(caller, hook, body)| duplicates.look(caller, hook, body, WINDOW, Instant::now());
    let first = different.map(look);
    assert!(first.iter().all(|seen| matches!(seen, Seen::First(_))), "{first:?}");
    assert!(different.map(look).iter().all(|seen| matches!(seen, Seen::Before(_))));
}

#[tokio::test]
async fn nothing_that_is_remembered_is_printed() {
    let duplicates = duplicates();
    let first = lead(&duplicates);
    let second = joined(&duplicates);
    let printed = format!("{duplicates:?} {first:?} {second:?}");
    first.call(ready(sent(Ok(block("mArKeD")))), ()).await;
    let printed = format!("{printed} {second:?} {:?} {duplicates:?}", look(&duplicates));
    assert!(printed.contains("ShowBlockPage") && !printed.contains("mArKeD"), "{printed}");
}

#[tokio::test(start_paused = true)]
async fn a_hook_for_which_there_is_no_room_is_called_for_alone_and_says_so() {
    let bounds = Bounds { entries: 1, ..BOUNDS };
    let duplicates = Duplicates::with_bounds(bounds, &Metrics::new());
    lead(&duplicates).call(ready(sent(Ok(block("no")))), ()).await;
    let other = |body: &[u8]| match duplicates.look("entra", HOOK, body, WINDOW, Instant::now()) {
        Seen::First(lead) => (lead.is_undetected(), lead.key()),
        Seen::Before(earlier) => panic!("{earlier:?}"),
    };
    let (one, two) = (other(b"1"), other(b"1"));
    assert!(one.0 && two.0 && one.1 != two.1);
    assert_eq!(replayed(&duplicates), block("no"));
    advance(WINDOW).await;
    assert!(!other(b"2").0, "whose time is over makes room for who comes");
}

#[tokio::test(start_paused = true)]
async fn upkeep_leaves_none_whose_time_is_over() {
    let duplicates = duplicates();
    for number in 0..u8::try_from(3 * LEAVING_AT_ONCE).unwrap() {
        let Seen::First(lead) = duplicates.look("entra", HOOK, &[number], WINDOW, Instant::now()) else {
            panic!("{number}")
        };
        lead.call(ready(sent(Ok(block("no")))), ()).await;
    }
    assert_eq!(duplicates.lock().size().0, 3 * LEAVING_AT_ONCE);
    advance(WINDOW).await;
    duplicates.upkeep();
    assert_eq!(duplicates.lock().size(), (0, 0));
}

/// Workers, each with a runtime in a thread, are sent the same hook at once, again and again.
#[test]
fn among_workers_one_call_answers_the_same_hook() {
    const WORKERS: usize = 4;
    const ROUNDS: u64 = 200;
    let duplicates = duplicates();
    let (calls, all) = (AtomicUsize::new(0), Barrier::new(WORKERS));
    let calls = Arc::new(calls);
    let work = |worker: usize| {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for round in 0..ROUNDS {
            all.wait();
            let seen = duplicates.look("entra", HOOK, &round.to_le_bytes(), WINDOW, Instant::now());
            let answer = runtime.block_on(async {
                match seen {
                    Seen::Before(earlier) => earlier.ended_by(far()).await.unwrap(),
                    Seen::First(lead) => {
                        let calls = Arc::clone(&calls);
                        let call = Box::pin(async move {
                            yield_now().await;
                            calls.fetch_add(1, Ordering::Relaxed);
                            sent(Ok(block(&round.to_string())))
                        });
                        let hook = lead.call(call, ());
                        if (round + worker as u64).is_multiple_of(2) {
                            return hook.await.decision.unwrap();
                        }
                        // The caller hangs up, and tries again.
                        drop(Box::pin(hook).as_mut().now_or_never());
                        match duplicates.look("entra", HOOK, &round.to_le_bytes(), WINDOW, Instant::now()) {
                            Seen::Before(earlier) => earlier.ended_by(far()).await.unwrap(),
                            Seen::First(lead) => panic!("{lead:?}"),
                        }
                    }
                }
            });
            assert_eq!(answer, block(&round.to_string()));
        }
    };
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            scope.spawn(move || work(worker));
        }
    });
    assert_eq!(calls.load(Ordering::Relaxed) as u64, ROUNDS);
}

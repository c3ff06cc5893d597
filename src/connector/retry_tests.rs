//! What is repeated, how often and when, on paused time.

use std::sync::{Arc, Mutex};

use tokio::time::sleep;
use tower::service_fn;

use super::*;
use crate::{
    connector::{
        attempt::Attempt,
        call::{
            self, Policies,
            tests::{Shared, answer, call},
        },
        outcome::Again,
    },
    flow::{Failure, Reason},
    limits::Rate,
    upstream::RetryAfter,
};

const SECOND: Duration = Duration::from_secs(1);
/// How long each attempt takes.
const TAKES: Duration = Duration::from_millis(10);

const UNSENT: Again = Again { transient: true, sent: false, race: false, retry_after: None };
const SENT: Again = Again { sent: true, ..UNSENT };
const RACE: Again = Again { race: true, ..SENT };

fn failed(reason: Reason, again: Again) -> Failed {
    Failed { again, ..Failed::before(reason) }
}

fn asked(after: Duration) -> Again {
    Again { retry_after: Some(RetryAfter::Delay(after)), ..SENT }
}

/// The attempts that an API saw: when each began, and whether it went over a fresh connection.
type Seen = Arc<Mutex<Vec<(Instant, bool)>>>;

/// Calls an API that fails in these ways in turn, and then answers.
async fn calling(
    policies: Policies<'_>,
    within: Duration,
    failures: &[(Reason, Again)],
) -> (Result<Answer, Failed>, Vec<(Instant, bool)>) {
    let seen = Seen::default();
    let attempt = service_fn(|attempt: Attempt| {
        let seen = Arc::clone(&seen);
        async move {
            let turn = {
                let mut seen = seen.lock().unwrap();
                seen.push((Instant::now(), attempt.fresh));
                seen.len() - 1
            };
            sleep(TAKES).await;
            let mut result = match failures.get(turn) {
                Some(&(reason, again)) => Err(failed(reason, again)),
                None => Ok(answer()),
            };
            let facts = crate::connector::outcome::facts_mut(&mut result);
            (facts.took, facts.ended, facts.attempts) = (Some(TAKES), Some(Instant::now()), 1);
            result
        }
    });
    let result = call::through(policies, attempt, call(within)).await;
    let seen = seen.lock().unwrap().clone();
    (result, seen)
}

fn idempotent(shared: &Shared) -> Policies<'_> {
    let policies = shared.policies();
    Policies { retries: Retries { idempotent: true, ..policies.retries }, ..policies }
}

#[tokio::test(start_paused = true)]
async fn only_what_cannot_do_harm_and_may_do_better_is_repeated() {
    let refusal = |again| (Failure { reason: Reason::Status5xx, refusal: true }, again);
    let lasting = Again { transient: false, ..SENT };
    let lasting_unsent = Again { transient: false, ..UNSENT };
    // What failed; how many attempts there are if it stays so, for a connector that is not idempotent and for one that is.
    let rows = [
        (Reason::Refused.into(), UNSENT, 2, 2),
        (Reason::Reset.into(), RACE, 1, 3),
        (Reason::Reset.into(), SENT, 1, 3),
        (Reason::Status5xx.into(), SENT, 1, 3),
        (Reason::Tls.into(), lasting_unsent, 1, 1),
        (Reason::Status4xx.into(), lasting, 1, 1),
        (refusal(SENT).0, SENT, 1, 1),
        (refusal(SENT).0, UNSENT, 1, 1),
    ];
    for (failure, again, plain, repeatable) in rows {
        for (expected, is_idempotent) in [(plain, false), (repeatable, true)] {
            let shared = Shared::new(1);
            let policies = if is_idempotent { idempotent(&shared) } else { shared.policies() };
            let attempts = Arc::new(Mutex::new(0));
            let attempt = service_fn(|_: Attempt| {
                *attempts.lock().unwrap() += 1;
                let mut failed = Failed { failure, ..failed(failure.reason, again) };
                (failed.notes.facts.took, failed.notes.facts.attempts) = (Some(TAKES), 1);
                async move { Err(failed) }
            });
            let result = call::through(policies, attempt, call(60 * SECOND)).await.unwrap_err();
            assert_eq!(*attempts.lock().unwrap(), expected, "{failure:?} {again:?} {is_idempotent}");
            assert_eq!(result.failure, failure);
            assert_eq!(result.notes.facts.attempts, expected, "as the access event tells");
            assert_eq!(result.notes.facts.took, Some(TAKES * expected));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_sent_is_repeated_at_once_on_a_fresh_connection() {
    let shared = Shared::new(1);
    for (again, policies) in [(UNSENT, shared.policies()), (RACE, idempotent(&shared))] {
        let began = Instant::now();
        let (result, seen) = calling(policies, SECOND, &[(Reason::Reset, again)]).await;
        assert!(result.is_ok());
        assert_eq!(seen.iter().map(|(_, fresh)| *fresh).collect::<Vec<_>>(), [false, true]);
        let waited = (seen[1].0 - began).saturating_sub(TAKES);
        assert!(waited < Duration::from_millis(3), "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_is_repeated_after_a_wait_of_full_jitter_that_doubles() {
    let mut waits = [Vec::new(), Vec::new()];
    for _ in 0..60 {
        let shared = Shared::new(1);
        let (result, seen) = calling(idempotent(&shared), 60 * SECOND, &[(Reason::Status5xx, SENT); 2]).await;
        assert!(result.is_ok());
        for (turn, waits) in waits.iter_mut().enumerate() {
            waits.push((seen[turn + 1].0 - seen[turn].0).saturating_sub(TAKES));
        }
    }
    for (waits, longest) in waits.iter().zip([100, 200].map(Duration::from_millis)) {
        let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
        // Paused time moves in whole milliseconds.
        assert!(*most <= longest + Duration::from_millis(2), "{most:?}");
        assert!(*most > longest * 3 / 4 && *least < longest / 4, "{least:?} to {most:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_api_is_called_again_when_it_asked_for_and_not_at_all_if_that_is_too_late() {
    let jitter = Duration::from_millis(100);
    // What the API asked for, what the hook has, how often it is called.
    let rows = [(1, 4, 2), (3, 4, 2), (4, 4, 1), (120, 4, 1), (u64::MAX, 4, 1)];
    for (after, within, attempts) in rows {
        let (after, shared) = (Duration::from_secs(after), Shared::new(1));
        let failures = [(Reason::Status429, asked(after))];
        let (result, seen) = calling(idempotent(&shared), within * SECOND, &failures).await;
        assert_eq!(seen.len(), attempts, "{after:?}");
        assert_eq!(result.is_ok(), attempts == 2);
        if let [first, second] = seen[..] {
            let waited = (second.0 - first.0).saturating_sub(TAKES);
            assert!((after..=after + jitter + Duration::from_millis(2)).contains(&waited), "{waited:?}");
        }
        let (result, seen) = calling(shared.policies(), within * SECOND, &failures).await;
        assert_eq!((result.is_ok(), seen.len()), (false, 1), "not idempotent");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_repeated_behind_the_deadline() {
    let shared = Shared::new(1);
    let began = Instant::now();
    let (result, seen) = calling(shared.policies(), TAKES, &[(Reason::Refused, UNSENT)]).await;
    assert_eq!(result.unwrap_err().failure, Reason::Refused.into());
    assert_eq!(seen.len(), 1);
    assert!(began.elapsed() < TAKES + Duration::from_millis(3));
}

#[tokio::test(start_paused = true)]
async fn the_permit_is_free_between_two_attempts() {
    let shared = Shared::new(1);
    let failures = [(Reason::Status429, asked(SECOND))];
    let mut waiting = Box::pin(calling(idempotent(&shared), 4 * SECOND, &failures));
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("it waits"),
        () = sleep(SECOND / 2) => {}
    }
    let (result, _) = calling(shared.policies(), SECOND, &[]).await;
    assert!(result.is_ok(), "another call has the only permit meanwhile");
    assert!(waiting.await.0.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_a_limit_keeps_from_going_out_leaves_the_failure_before_it_standing() {
    let one = std::num::NonZeroU32::MIN;
    let rate =
        Rate::new(crate::config::RateLimit { count: one, per: crate::config::Per::Minute, burst: one });
    let shared = Shared::new(1);
    let policies = Policies { rate: Some(&rate), ..shared.policies() };
    let (result, seen) = calling(policies, SECOND, &[(Reason::Refused, UNSENT)]).await;
    let failed = result.unwrap_err();
    assert_eq!((failed.failure, seen.len()), (Reason::Refused.into(), 1));
    assert_eq!((failed.notes.facts.attempts, failed.notes.facts.took), (1, Some(TAKES)));
    assert_eq!(failed.notes.facts.ended, None, "the call went on after that");
}

#[tokio::test(start_paused = true)]
async fn an_api_in_trouble_gets_a_tenth_more_calls_and_not_twice_as_many() {
    let shared = Shared::new(1);
    let mut seen = 0;
    for _ in 0..1000 {
        seen += calling(shared.policies(), SECOND, &[(Reason::Refused, UNSENT); 2]).await.1.len();
    }
    let repeated = seen - 1000;
    // A tenth, and the reserve of the twelve seconds that this takes.
    assert!((100..=125).contains(&repeated), "{repeated}");
}

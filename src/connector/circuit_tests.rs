//! What the breaker lets through and what it is told, on paused time.

use std::{
    io::{self, Write},
    num::NonZeroU32,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::{advance, sleep};

use super::*;
use crate::{
    config::{self, Per, RateLimit},
    connector::{
        attempt::Attempt,
        call::{
            self, Policies,
            tests::{Shared, answer, call},
        },
        outcome::Again,
    },
    limits::Rate,
    telemetry::CircuitState::{self, Closed, HalfOpen, Open},
};

const SECOND: Duration = Duration::from_secs(1);
const TAKES: Duration = Duration::from_millis(10);

/// One call that finds the API unavailable is enough to open it, and one that does not to close it.
const TOUCHY: config::Breaker = config::Breaker {
    window: Duration::from_secs(10),
    least_calls: 1,
    failures: 1,
    open_for: Duration::from_secs(5),
    probes: 1,
};

/// A connector's name and breaker, what its policies borrow, and what its API has seen.
struct Trial {
    name: Name,
    breaker: Breaker,
    shared: Shared,
    attempts: AtomicUsize,
}

impl Trial {
    fn new() -> Self {
        let name = Name::parse("api").unwrap();
        let breaker = Breaker::new(TOUCHY, Instant::now());
        Self { name, breaker, shared: Shared::new(1), attempts: AtomicUsize::new(0) }
    }

    fn policies(&self) -> Policies<'_> {
        let circuit = Circuit { connector: &self.name, breaker: &self.breaker, timeout: TAKES };
        Policies { circuit: Some(circuit), ..self.shared.policies() }
    }

    /// A call of an API that fails in these ways in turn, and then answers.
    async fn call(&self, policies: Policies<'_>, failures: &[(Reason, Again)]) -> Option<Reason> {
        let before = self.attempts.load(Ordering::Relaxed);
        let attempt = service_fn(|_: Attempt| async {
            let attempt = self.attempts.fetch_add(1, Ordering::Relaxed) - before;
            sleep(TAKES).await;
            match failures.get(attempt) {
                Some(&(reason, again)) => Err(went_out(reason, again)),
                None => Ok(answer()),
            }
        });
        let result = call::through(policies, attempt, call(60 * SECOND)).await;
        result.err().map(|failed| failed.failure.reason)
    }

    /// Where the breaker stands after such a call.
    async fn after(&self, failures: &[(Reason, Again)]) -> CircuitState {
        self.call(self.policies(), failures).await;
        self.breaker.state()
    }

    fn attempts(&self) -> usize {
        self.attempts.load(Ordering::Relaxed)
    }
}

fn went_out(reason: Reason, again: Again) -> Failed {
    let mut failed = Failed { again, ..Failed::before(reason) };
    (failed.notes.facts.took, failed.notes.facts.attempts) = (Some(TAKES), 1);
    failed
}

const LASTING: Again = Again { transient: false, sent: true, race: false, retry_after: None };
const UNSENT: Again = Again { transient: true, sent: false, ..LASTING };
const RACE: Again = Again { transient: true, race: true, ..LASTING };
const SENT: Again = Again { transient: true, ..LASTING };

#[tokio::test(start_paused = true)]
async fn open_nothing_is_spent_and_nothing_is_called() {
    let trial = Trial::new();
    assert_eq!(trial.after(&[(Reason::Status5xx, LASTING)]).await, Open);
    let one = NonZeroU32::MIN;
    let rate = Rate::new(RateLimit { count: one, per: Per::Minute, burst: one });
    let held = trial.shared.permits.try_enter().unwrap();
    let before = Instant::now();
    for _ in 0..1_000 {
        let policies = Policies { rate: Some(&rate), ..trial.policies() };
        assert_eq!(trial.call(policies, &[]).await, Some(Reason::CircuitOpen));
    }
    assert_eq!((before.elapsed(), trial.attempts()), (Duration::ZERO, 1));
    assert!(rate.take().is_ok(), "the rate is whole");
    // All calls so far have earned no more repetitions than there are for none.
    let repetitions = (0..1_000).filter(|_| trial.shared.budget.withdraw()).count();
    assert_eq!(repetitions, 10);
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_says_how_long_until_the_next_probe() {
    let trial = Trial::new();
    trial.after(&[(Reason::Dns, LASTING)]).await;
    advance(2 * SECOND).await;
    let attempt = service_fn(|_: Attempt| async { Ok(answer()) });
    let failed = call::through(trial.policies(), attempt, call(SECOND)).await.unwrap_err();
    assert_eq!(failed.failure, Reason::CircuitOpen.into());
    let facts = failed.notes.facts;
    assert_eq!(facts.retry_after, Some(3 * SECOND));
    assert_eq!((facts.took, facts.attempts, facts.status), (None, 0, None));
}

#[tokio::test(start_paused = true)]
async fn only_unavailability_opens_it_and_whatever_else_the_api_says_closes_it() {
    for reason in Reason::all() {
        let trial = Trial::new();
        let opens = reason.counts_as_unavailable();
        let after = trial.after(&[(reason, LASTING)]).await;
        assert_eq!(after, if opens { Open } else { Closed }, "{reason:?}");
        if opens {
            continue;
        }
        trial.after(&[(Reason::Refused, LASTING)]).await;
        advance(TOUCHY.open_for).await;
        let of_the_api = matches!(reason.blame(), Blame::Api | Blame::Configuration);
        let after = trial.after(&[(reason, LASTING)]).await;
        assert_eq!(after, if of_the_api { Closed } else { HalfOpen }, "{reason:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_refuses_a_user_does_not_open_it() {
    let trial = Trial::new();
    let attempt = service_fn(|_: Attempt| async {
        let mut failed = went_out(Reason::Status5xx, LASTING);
        failed.failure.refusal = true;
        Err(failed)
    });
    let refused = call::through(trial.policies(), attempt, call(SECOND)).await.unwrap_err();
    assert!(refused.failure.refusal);
    assert_eq!(trial.breaker.state(), Closed, "the user who was refused comes again, and must not go on");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_counts_only_where_the_api_had_half_of_its_time() {
    for (timeout, expected) in [(TAKES, Open), (2 * TAKES, Open), (2 * TAKES + SECOND, Closed)] {
        let trial = Trial::new();
        let mut policies = trial.policies();
        policies.circuit = policies.circuit.map(|circuit| Circuit { timeout, ..circuit });
        trial.call(policies, &[(Reason::Deadline, LASTING)]).await;
        assert_eq!(trial.breaker.state(), expected, "{timeout:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_in_the_end_is_what_counts() {
    let rows: [(&[(Reason, Again)], bool, CircuitState); 6] = [
        (&[(Reason::Refused, UNSENT)], false, Closed),
        (&[(Reason::Refused, UNSENT); 2], false, Open),
        (&[(Reason::Refused, UNSENT), (Reason::Status4xx, LASTING)], false, Closed),
        (&[(Reason::Reset, RACE)], false, Closed),
        (&[(Reason::Reset, RACE)], true, Closed),
        (&[(Reason::Reset, RACE), (Reason::Reset, SENT), (Reason::Reset, SENT)], true, Open),
    ];
    for (failures, idempotent, expected) in rows {
        let trial = Trial::new();
        let mut policies = trial.policies();
        policies.retries.idempotent = idempotent;
        trial.call(policies, failures).await;
        assert_eq!(trial.breaker.state(), expected, "{failures:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_had_idled_too_long_says_nothing_of_the_api() {
    let trial = Trial::new();
    trial.after(&[(Reason::Refused, LASTING)]).await;
    advance(TOUCHY.open_for).await;
    assert_eq!(trial.after(&[(Reason::Reset, RACE)]).await, HalfOpen);
    assert_eq!(trial.after(&[]).await, Closed, "the place of the probe was free again");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_went_out_says_nothing_of_the_api() {
    let trial = Trial::new();
    let held = trial.shared.permits.try_enter().unwrap();
    let attempt = || service_fn(|_: Attempt| async { Ok(answer()) });
    let short = call(Duration::from_millis(20));
    let failed = call::through(trial.policies(), attempt(), short).await.unwrap_err();
    assert_eq!(failed.failure, Reason::Deadline.into());
    assert_eq!(trial.breaker.state(), Closed);
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_given_up_leaves_its_place() {
    let trial = Trial::new();
    trial.after(&[(Reason::Refused, LASTING)]).await;
    advance(TOUCHY.open_for).await;
    {
        let mut probe = Box::pin(trial.call(trial.policies(), &[]));
        tokio::select! {
            biased;
            _ = &mut probe => panic!("the API takes longer"),
            () = sleep(TAKES / 2) => {}
        }
        assert_eq!(trial.call(trial.policies(), &[]).await, Some(Reason::CircuitOpen), "one at a time");
    }
    assert_eq!(trial.breaker.state(), HalfOpen);
    assert_eq!(trial.after(&[]).await, Closed);
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_said_once_that_it_opens_and_once_that_it_closes() {
    let lines = Lines::default();
    let writer = lines.clone();
    let lines_alone = tracing_subscriber::fmt().with_ansi(false).without_time().with_target(false);
    let _heard = tracing::subscriber::set_default(lines_alone.with_writer(move || writer.clone()).finish());
    let trial = Trial::new();
    trial.after(&[(Reason::Refused, LASTING)]).await;
    for mood in [Reason::Refused, Reason::Status4xx] {
        assert_eq!(trial.after(&[]).await, Open);
        advance(TOUCHY.open_for).await;
        trial.after(&[(mood, LASTING)]).await;
    }
    assert_eq!(trial.after(&[]).await, Closed);
    let said = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let said: Vec<_> = said.lines().map(str::trim_start).collect();
    let [opened, closed] = said[..] else { panic!("{said:#?}") };
    assert!(opened.starts_with("WARN the circuit is open"), "{opened}");
    assert!(opened.contains(r#"connector="api" calls=1 unavailable=1 open_for=5s hint="#), "{opened}");
    // Twice as long as it was open at a time, and the probe between.
    assert!(closed.starts_with("INFO the circuit is closed"), "{closed}");
    assert!(closed.contains(r#"connector="api" after=10.0"#), "{closed}");
}

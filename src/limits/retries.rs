//! How often calls may be repeated: a share of all calls, and when.

use std::{fmt, time::Duration};

use tower::retry::budget::{Budget as _, TpsBudget};

/// Over which time calls and repetitions are weighed against each other.
const WINDOW: Duration = Duration::from_secs(10);

/// The share of calls that may be repeated.
const SHARE: f32 = 0.1;

/// Repetitions a second that are always possible: where calls are few, a share of them is none.
const RESERVE: u32 = 1;

/// What all calls of the process may repeat: a tenth of those of the last ten seconds, and ten more. An API in trouble
/// then gets a tenth more calls, not twice as many.
pub struct RetryBudget(TpsBudget);

impl RetryBudget {
    /// With nothing earned yet but the reserve.
    pub fn new() -> Self {
        Self(TpsBudget::new(WINDOW, RESERVE, SHARE))
    }

    /// A call begins.
    pub fn deposit(&self) {
        self.0.deposit();
    }

    /// Takes a repetition, if there is one.
    pub fn withdraw(&self) -> bool {
        self.0.withdraw()
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The longest wait before the first repetition; each further one doubles it.
const BASE: Duration = Duration::from_millis(100);

/// How long to wait before the call is repeated for the `retry`th time, counted from 1: anything from nothing to the
/// longest wait (full jitter), so that calls that failed together do not come back together.
pub fn full_jitter(retry: u32) -> Duration {
    let mut random = [0; 4];
    // Without randomness the longest wait is as good as any.
    let fraction = match aws_lc_rs::rand::fill(&mut random) {
        Ok(()) => f64::from(u32::from_ne_bytes(random)) / f64::from(u32::MAX),
        Err(_) => 1.0,
    };
    longest(retry).mul_f64(fraction)
}

fn longest(retry: u32) -> Duration {
    BASE.saturating_mul(1 << retry.saturating_sub(1).min(10))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;
    use tokio::time::{Instant, advance};

    use super::*;

    /// What a process does, in its order.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        Call,
        Retry,
        /// So many tenths of the window pass.
        Pass(u32),
    }

    /// The same with a list of all that happened. The window moves in tenths, so it may be one shorter.
    #[derive(Default)]
    struct Model {
        calls: VecDeque<Instant>,
        retries: VecDeque<Instant>,
    }

    impl Model {
        /// Repetitions earned and not taken in this time.
        fn left(&self, now: Instant, within: Duration, calls_within: Duration) -> i64 {
            let since = |events: &VecDeque<Instant>, within: Duration| {
                let recent = events.iter().filter(|at| now.duration_since(**at) < within);
                i64::try_from(recent.count()).unwrap()
            };
            let reserve = i64::from(RESERVE) * 10;
            // In tenths of a repetition.
            reserve * 10 + since(&self.calls, calls_within) - 10 * since(&self.retries, within)
        }
    }

    proptest! {
        #[test]
        fn a_repetition_is_given_exactly_where_the_calls_of_the_window_have_earned_it(
            events in prop::collection::vec(
                prop_oneof![
                    5 => Just(Event::Call),
                    4 => Just(Event::Retry),
                    1 => (0_u32..14).prop_map(Event::Pass),
                ],
                0..400,
            )
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            runtime.unwrap().block_on(async move {
                let (budget, mut model) = (RetryBudget::new(), Model::default());
                let tenth = WINDOW / 10;
                let (shorter, longer) = (8 * tenth, 12 * tenth);
                for event in events {
                    let now = Instant::now();
                    match event {
                        Event::Call => {
                            budget.deposit();
                            model.calls.push_back(now);
                        }
                        Event::Retry => {
                            let given = budget.withdraw();
                            // Neither side is asked for more than the steps of the window tell apart.
                            let at_most = model.left(now, shorter, longer);
                            let at_least = model.left(now, longer, shorter);
                            if at_least >= 10 {
                                assert!(given, "{at_least}");
                            }
                            if at_most < 10 {
                                assert!(!given, "{at_most}");
                            }
                            if given {
                                model.retries.push_back(now);
                            }
                        }
                        Event::Pass(tenths) => advance(tenth * tenths).await,
                    }
                }
            });
        }
    }

    #[test]
    fn the_longest_wait_doubles_and_ends_somewhere() {
        let waits = [1, 2, 3, 11, 12, u32::MAX].map(longest);
        assert_eq!(waits, [100, 200, 400, 102_400, 102_400, 102_400].map(Duration::from_millis));
        for retry in 1..5 {
            let spread: std::collections::HashSet<_> = (0..50).map(|_| full_jitter(retry)).collect();
            assert!(spread.len() > 25 && spread.iter().all(|wait| *wait <= longest(retry)));
        }
    }
}

//! The time-outs of a connection, with one timer for all of them.

use std::{
    future::poll_fn,
    hash::{BuildHasher as _, RandomState},
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use tokio::{
    task::unconstrained,
    time::{Instant, Sleep, sleep_until},
};

use super::progress::{Phase, Progress};
use crate::config::Listen;

/// How long a connection may be at what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    pub(super) first_byte: Duration,
    pub(super) head: Duration,
    pub(super) write: Duration,
    pub(super) idle: Duration,
    pub(super) max_age: Duration,
}

impl From<&Listen> for Timeouts {
    fn from(listen: &Listen) -> Self {
        Self {
            first_byte: listen.first_byte_timeout,
            head: listen.head_timeout,
            write: listen.write_timeout,
            idle: listen.idle_timeout,
            max_age: listen.max_age,
        }
    }
}

impl Timeouts {
    /// None for a hook: `body_timeout` and `answer_within` bound it, and their answers are the gateway's.
    fn of(&self, phase: Phase) -> Option<Duration> {
        match phase {
            Phase::FirstByte => Some(self.first_byte),
            Phase::Head => Some(self.head),
            Phase::Writing | Phase::Closing => Some(self.write),
            Phase::Idle => Some(self.idle),
            // Whoever knows no credential shall not keep a place among the connections.
            Phase::Unknown => Some(self.idle.min(self.first_byte)),
            Phase::Hook | Phase::Over => None,
        }
    }

    /// `max_age`, give or take a tenth, so that connections that were opened together do not end together.
    fn age(&self, random: u64) -> Duration {
        // The upper half of 64 random bits, as a part of one.
        let part = f64::from(u32::try_from(random >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX);
        self.max_age.mul_f64(0.9 + 0.2 * part)
    }
}

/// How long a connection is idle before its HTTP state is taken down. Long enough that a busy one never pays for a new
/// state, and short beside the minutes that callers keep an idle one.
const RESTS_AFTER: Duration = Duration::from_secs(1);

/// What the time that has passed calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// It was at this for too long.
    End(Phase),
    /// It has been idle for a while. Said once for each idle time.
    Rest,
}

/// Watches how long a connection is at what; lets it know when it has aged.
///
/// The timer is moved only to an earlier time, or when it went off too early; so one hook after the other on a kept
/// connection never touches it but once in [`RESTS_AFTER`].
pub(super) struct Watcher {
    timeouts: Timeouts,
    seen: Option<(Phase, u32)>,
    /// When what was seen last has lasted too long.
    until: Option<Instant>,
    rests_at: Option<Instant>,
    aged_at: Option<Instant>,
    /// Whom the timer wakes. It need not be asked as long as that is who asks, it has not gone off and is not moved.
    wakes: Option<Waker>,
}

impl Watcher {
    /// One for a connection that begins, and its timer.
    pub(super) fn new(timeouts: Timeouts) -> (Self, Sleep) {
        let begin = Instant::now();
        let aged_at = Some(begin + timeouts.age(RandomState::new().hash_one(0)));
        (
            Self { timeouts, seen: None, until: None, rests_at: None, aged_at, wakes: None },
            sleep_until(begin + timeouts.first_byte),
        )
    }

    /// Completes when something is due.
    ///
    /// It must be polled whenever the connection is, and after it: it then sees what the connection is at while it waits.
    pub(super) async fn due(&mut self, progress: &Progress, mut timer: Pin<&mut Sleep>) -> Due {
        poll_fn(|cx| self.poll(progress, timer.as_mut(), cx)).await
    }

    fn poll(&mut self, progress: &Progress, mut timer: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<Due> {
        let now_at = progress.now();
        if self.seen != Some(now_at) {
            self.seen = Some(now_at);
            (self.until, self.rests_at) = match self.timeouts.of(now_at.0) {
                // While a hook lives, what time it is does not matter.
                None => (None, None),
                Some(timeout) => {
                    let now = Instant::now();
                    let rests = matches!(now_at.0, Phase::Idle | Phase::Unknown);
                    (Some(now + timeout), rests.then(|| now + RESTS_AFTER))
                }
            };
        }
        loop {
            let next = self.until.into_iter().chain(self.rests_at).chain(self.aged_at).min();
            let Some(next) = next else { return Poll::Pending };
            if next < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(next);
            } else if self.wakes.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                return Poll::Pending;
            }
            self.wakes = Some(cx.waker().clone());
            // Outside the task's budget: where that is used up, the timer would not hear whom to wake.
            ready!(pin!(unconstrained(timer.as_mut())).poll(cx));
            let now = Instant::now();
            if self.aged_at.is_some_and(|aged_at| aged_at <= now) {
                self.aged_at = None;
                progress.has_aged();
            }
            if self.until.is_some_and(|until| until <= now) {
                return Poll::Ready(Due::End(now_at.0));
            }
            if self.rests_at.is_some_and(|rests_at| rests_at <= now) {
                let rests = progress.is_at_rest();
                // The rest of a refused body may still come.
                self.rests_at = (!rests).then(|| now + RESTS_AFTER);
                if rests {
                    return Poll::Ready(Due::Rest);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn timeouts() -> Timeouts {
        let seconds = Duration::from_secs;
        Timeouts {
            first_byte: seconds(5),
            head: seconds(10),
            write: seconds(10),
            idle: seconds(120),
            max_age: seconds(1000),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn hook_after_hook_leaves_the_timer_alone_but_for_once_or_twice_a_second() {
        let progress = Progress::new(Arc::default());
        let (mut watcher, timer) = Watcher::new(timeouts());
        let mut timer = pin!(timer);
        let mut cx = Context::from_waker(Waker::noop());
        let mut moved = 0;
        for step in [Progress::heard, Progress::asked, Progress::answered, Progress::written].repeat(500) {
            step(&progress);
            let armed = timer.deadline();
            assert_eq!(watcher.poll(&progress, timer.as_mut(), &mut cx), Poll::Pending);
            moved += usize::from(timer.deadline() != armed);
            tokio::time::advance(Duration::from_millis(2)).await;
        }
        assert!((4..=8).contains(&moved), "{moved} times for 500 hooks in 4 s");
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_time_has_one_rest_after_a_second_and_none_while_a_body_may_still_be_read() {
        let progress = Progress::new(Arc::default());
        let (mut watcher, timer) = Watcher::new(timeouts());
        let mut timer = pin!(timer);
        for body in [false, true] {
            progress.asked();
            if body {
                progress.body_began();
            }
            progress.known();
            progress.answered();
            progress.written();
            let begin = Instant::now();
            if body {
                let early =
                    tokio::time::timeout(Duration::from_secs(5), watcher.due(&progress, timer.as_mut()));
                assert!(early.await.is_err(), "the body is still to be read");
                progress.body_ended(true);
            }
            assert_eq!(watcher.due(&progress, timer.as_mut()).await, Due::Rest);
            assert_eq!(begin.elapsed().as_secs(), if body { 6 } else { 1 });
            if !body {
                assert_eq!(watcher.due(&progress, timer.as_mut()).await, Due::End(Phase::Idle));
                assert_eq!(begin.elapsed().as_secs(), 120, "from the answer on, not from the rest");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_out_is_not_lost_where_the_task_has_used_up_its_budget_when_the_timer_is_armed() {
        use tokio::task::coop::{consume_budget, has_budget_remaining};

        let progress = Progress::new(Arc::default());
        let (mut watcher, timer) = Watcher::new(timeouts());
        let mut timer = pin!(timer);
        let begin = Instant::now();
        let mut exhausted = false;
        let due = poll_fn(|cx| {
            if !exhausted {
                exhausted = true;
                while has_budget_remaining() {
                    let _ = pin!(consume_budget()).as_mut().poll(cx);
                }
            }
            watcher.poll(&progress, timer.as_mut(), cx)
        });
        let due = tokio::time::timeout(Duration::from_mins(1), due).await;
        assert_eq!((due.ok(), begin.elapsed().as_secs()), (Some(Due::End(Phase::FirstByte)), 5));
    }

    #[tokio::test(start_paused = true)]
    async fn the_timer_wakes_whoever_asked_last() {
        let progress = Progress::new(Arc::default());
        let (mut watcher, timer) = Watcher::new(timeouts());
        let mut timer = pin!(timer);
        let begin = Instant::now();
        let mut other = Context::from_waker(Waker::noop());
        assert_eq!(watcher.poll(&progress, timer.as_mut(), &mut other), Poll::Pending);
        let due = tokio::time::timeout(Duration::from_mins(1), watcher.due(&progress, timer.as_mut())).await;
        assert_eq!((due.ok(), begin.elapsed().as_secs()), (Some(Due::End(Phase::FirstByte)), 5));
    }

    #[test]
    fn an_age_is_the_configured_one_give_or_take_a_tenth_and_spread_over_all_of_that() {
        let (timeouts, seconds) = (timeouts(), Duration::from_secs);
        assert_eq!([0, u64::MAX].map(|random| timeouts.age(random).as_secs()), [900, 1100]);
        let random = RandomState::new();
        let ages: Vec<_> = (0..1000).map(|number| timeouts.age(random.hash_one(number))).collect();
        assert!(ages.iter().all(|age| (seconds(900)..=seconds(1100)).contains(age)));
        for fifth in 0..5 {
            let from = seconds(900 + 40 * fifth);
            let within = ages.iter().filter(|age| (from..from + seconds(40)).contains(*age)).count();
            // 200 are expected; fewer than 100 come once in more than 10^15 runs.
            assert!(within > 100, "{within} from {from:?}");
        }
    }
}

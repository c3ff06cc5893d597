//! The time-outs of a connection, with one timer for all of them.

use std::{
    future::poll_fn,
    hash::{BuildHasher as _, RandomState},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

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

/// Completes when the connection was at one thing for too long, and says at what; lets it know when it has aged.
///
/// It must be polled whenever the connection is, and after it: it then sees what the connection is at while it waits. The
/// timer is moved only to an earlier time, or when it went off too early; so one hook after the other on a kept
/// connection never touches it.
pub(super) async fn overdue(progress: &Progress, timeouts: Timeouts) -> Phase {
    let begin = Instant::now();
    let random = RandomState::new().hash_one(0);
    let mut timer = pin!(sleep_until(begin + timeouts.first_byte));
    let mut watcher =
        Watcher { timeouts, seen: None, until: None, aged_at: Some(begin + timeouts.age(random)) };
    poll_fn(|cx| watcher.poll(progress, timer.as_mut(), cx)).await
}

struct Watcher {
    timeouts: Timeouts,
    seen: Option<(Phase, u32)>,
    /// When what was seen last has lasted too long.
    until: Option<Instant>,
    aged_at: Option<Instant>,
}

impl Watcher {
    fn poll(&mut self, progress: &Progress, mut timer: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<Phase> {
        let now_at = progress.now();
        if self.seen != Some(now_at) {
            self.seen = Some(now_at);
            self.until = self.timeouts.of(now_at.0).map(|timeout| Instant::now() + timeout);
        }
        loop {
            let Some(next) = self.until.into_iter().chain(self.aged_at).min() else { return Poll::Pending };
            if next < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(next);
            }
            ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            if self.aged_at.is_some_and(|aged_at| aged_at <= now) {
                self.aged_at = None;
                progress.has_aged();
            }
            if self.until.is_some_and(|until| until <= now) {
                return Poll::Ready(now_at.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, task::Waker};

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
    async fn hook_after_hook_leaves_the_timer_alone_until_it_goes_off() {
        let (progress, timeouts) = (Progress::new(Arc::default()), timeouts());
        let mut timer = pin!(sleep_until(Instant::now() + timeouts.first_byte));
        let armed = timer.deadline();
        let mut watcher = Watcher { timeouts, seen: None, until: None, aged_at: None };
        let mut cx = Context::from_waker(Waker::noop());
        let mut poll = |timer: Pin<&mut Sleep>| watcher.poll(&progress, timer, &mut cx);
        for step in [Progress::heard, Progress::asked, Progress::answered, Progress::written].repeat(500) {
            step(&progress);
            assert_eq!(poll(timer.as_mut()), Poll::Pending);
            tokio::time::advance(Duration::from_millis(2)).await;
        }
        assert_eq!(timer.deadline(), armed, "500 hooks in 4 s");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(poll(timer.as_mut()), Poll::Pending);
        assert!(timer.deadline() > armed, "it went off too early");
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

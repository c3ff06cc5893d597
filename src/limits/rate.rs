//! A rate with an explicit burst.

use std::{
    num::NonZeroU32,
    sync::{Arc, LazyLock},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};

use crate::config::{Per, RateLimit};

/// So many in each period, and so many at once after a pause.
#[derive(Debug)]
pub struct Rate<C: Clock = DefaultClock> {
    limit: RateLimit,
    limiter: RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<C::Instant>>,
    clock: C,
}

/// Refused for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// When the next one would pass.
    pub retry_after: Duration,
}

/// The limit as the limiters take it.
pub(super) fn quota(limit: RateLimit) -> Quota {
    let per = match limit.per {
        Per::Second => Quota::per_second as fn(NonZeroU32) -> Quota,
        Per::Minute => Quota::per_minute,
    };
    per(limit.count).allow_burst(limit.burst)
}

/// The clock of all limiters. Making one asks the processor what it can, which takes some 20 µs on a virtual machine.
pub(super) fn clock() -> DefaultClock {
    static CLOCK: LazyLock<DefaultClock> = LazyLock::new(DefaultClock::default);
    CLOCK.clone()
}

impl Rate {
    /// A limiter with a full burst.
    pub fn new(limit: RateLimit) -> Self {
        Self::with_clock(limit, clock())
    }

    /// What a reload goes on with: `before` as it stands if its limit is this one, else a limiter with a full burst.
    pub fn succeeding(limit: RateLimit, before: Option<&Arc<Self>>) -> Arc<Self> {
        let same = before.filter(|before| before.limit == limit);
        same.map_or_else(|| Arc::new(Self::new(limit)), Arc::clone)
    }
}

impl<C: Clock + Clone> Rate<C> {
    fn with_clock(limit: RateLimit, clock: C) -> Self {
        let limiter = RateLimiter::direct_with_clock(quota(limit), clock.clone());
        Self { limit, limiter, clock }
    }

    /// Takes one, or says when.
    pub fn take(&self) -> Result<(), Limited> {
        self.limiter
            .check()
            .map_err(|not_until| Limited { retry_after: not_until.wait_time_from(self.clock.now()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;

    fn limit(count: u32, per: Per, burst: u32) -> RateLimit {
        RateLimit { count: NonZeroU32::new(count).unwrap(), per, burst: NonZeroU32::new(burst).unwrap() }
    }

    /// How many of `tries` pass now.
    fn passing(rate: &Rate<FakeRelativeClock>, tries: usize) -> usize {
        (0..tries).filter(|_| rate.take().is_ok()).count()
    }

    #[test]
    fn the_burst_passes_at_once_and_then_the_rate_and_no_more() {
        let rows =
            [(10, Per::Second, 1), (10, Per::Second, 5), (500, Per::Second, 200), (60, Per::Minute, 3)];
        for (count, per, burst) in rows {
            let clock = FakeRelativeClock::default();
            let rate = Rate::with_clock(limit(count, per, burst), clock.clone());
            assert_eq!(passing(&rate, 1_000), burst as usize, "{count} {per:?} {burst}");
            let period = match per {
                Per::Second => Duration::from_secs(1),
                Per::Minute => Duration::from_mins(1),
            };
            let mut passed = 0;
            for _ in 0..count {
                clock.advance(period / count);
                passed += passing(&rate, 2);
            }
            assert_eq!(passed, count as usize, "{count} {per:?} {burst}: one period lets the rate through");
            clock.advance(period * 10);
            assert_eq!(passing(&rate, 1_000), burst as usize, "a long pause saves up the burst, not more");
        }
    }

    #[test]
    fn it_says_when_the_next_one_passes() {
        let clock = FakeRelativeClock::default();
        let rate = Rate::with_clock(limit(2, Per::Second, 1), clock.clone());
        assert_eq!(rate.take(), Ok(()));
        let limited = rate.take().unwrap_err();
        assert_eq!(limited.retry_after, Duration::from_millis(500));
        clock.advance(Duration::from_millis(499));
        assert!(rate.take().is_err());
        clock.advance(Duration::from_millis(1));
        assert_eq!(rate.take(), Ok(()));
    }
}

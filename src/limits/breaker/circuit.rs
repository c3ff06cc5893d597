//! The state machine of a breaker.

use std::time::Duration;

use tokio::time::Instant;

use super::Turn;
use crate::{config, limits::Limited, telemetry::CircuitState};

/// The machine.
#[derive(Debug)]
pub(super) struct Circuit {
    settings: config::Breaker,
    state: State,
    generation: Generation,
    /// The latest time that was said. Threads come with times that were taken shortly before.
    latest: Instant,
}

/// From one change of the state to the next. What a call of an earlier one has to say changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Generation(u64);

#[derive(Debug)]
enum State {
    Closed(Window),
    Open { since: Instant, down_since: Instant },
    HalfOpen { out: u32, found_available: u32, down_since: Instant },
}

impl Circuit {
    pub(super) fn new(settings: config::Breaker, now: Instant) -> Self {
        let state = State::Closed(Window::new(settings.window, now));
        Self { settings, state, generation: Generation(0), latest: now }
    }

    pub(super) fn state(&self) -> CircuitState {
        match self.state {
            State::Closed(_) => CircuitState::Closed,
            State::HalfOpen { .. } => CircuitState::HalfOpen,
            State::Open { .. } => CircuitState::Open,
        }
    }

    pub(super) fn admit(&mut self, now: Instant) -> Result<Generation, Limited> {
        let now = self.at(now);
        match &mut self.state {
            State::Closed(_) => {}
            &mut State::Open { since, down_since } => {
                let retry_after = self.settings.open_for.saturating_sub(now - since);
                if !retry_after.is_zero() {
                    return Err(Limited { retry_after });
                }
                self.turn(State::HalfOpen { out: 1, found_available: 0, down_since });
            }
            State::HalfOpen { out, .. } => {
                if *out >= self.settings.probes {
                    return Err(Limited { retry_after: Duration::ZERO });
                }
                *out += 1;
            }
        }
        Ok(self.generation)
    }

    /// A call found the API available or not.
    pub(super) fn ended(&mut self, generation: Generation, unavailable: bool, now: Instant) -> Option<Turn> {
        let now = self.at(now);
        if generation != self.generation {
            return None;
        }
        let settings = self.settings;
        match &mut self.state {
            State::Closed(window) => {
                let Counted { calls, unavailable } = window.count(unavailable, now);
                let enough = calls >= u64::from(settings.least_calls);
                let large = unavailable * 100 >= calls * u64::from(settings.failures);
                (enough && large).then(|| {
                    self.turn(State::Open { since: now, down_since: now });
                    Turn::Opened { calls, unavailable, open_for: settings.open_for }
                })
            }
            // Nothing is let through, so nothing of this generation ends.
            State::Open { .. } => None,
            &mut State::HalfOpen { down_since, .. } if unavailable => {
                self.turn(State::Open { since: now, down_since });
                None
            }
            State::HalfOpen { out, found_available, down_since } => {
                *out = out.saturating_sub(1);
                *found_available += 1;
                let after = now - *down_since;
                (*found_available == settings.probes).then(|| {
                    self.turn(State::Closed(Window::new(settings.window, now)));
                    Turn::Closed { after }
                })
            }
        }
    }

    /// A call has nothing to say; if it was a probe, another one may go.
    pub(super) fn given_up(&mut self, generation: Generation) {
        if let State::HalfOpen { out, .. } = &mut self.state
            && generation == self.generation
        {
            *out = out.saturating_sub(1);
        }
    }

    fn turn(&mut self, state: State) {
        self.state = state;
        self.generation.0 += 1;
    }

    fn at(&mut self, now: Instant) -> Instant {
        self.latest = self.latest.max(now);
        self.latest
    }
}

/// In how many steps the window slides. A call counts for the whole window less up to one step.
pub(super) const STEPS: u32 = 10;

/// How calls ended lately: one pair of numbers for each step.
#[derive(Debug)]
struct Window {
    /// Nanoseconds in a step.
    step: u64,
    /// When the step under way began.
    began: Instant,
    /// Its place.
    current: usize,
    steps: [Counted; STEPS as usize],
    sum: Counted,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    calls: u64,
    unavailable: u64,
}

impl Window {
    fn new(window: Duration, now: Instant) -> Self {
        let step = u64::try_from((window / STEPS).as_nanos()).unwrap_or(u64::MAX).max(1);
        Self { step, began: now, current: 0, steps: Default::default(), sum: Counted::default() }
    }

    /// One more, and what the window holds with it.
    fn count(&mut self, unavailable: bool, now: Instant) -> Counted {
        self.slide(now);
        for counted in [&mut self.steps[self.current], &mut self.sum] {
            counted.calls += 1;
            counted.unavailable += u64::from(unavailable);
        }
        self.sum
    }

    fn slide(&mut self, now: Instant) {
        let elapsed = u64::try_from((now - self.began).as_nanos()).unwrap_or(u64::MAX);
        let steps = elapsed / self.step;
        if steps == 0 {
            return;
        }
        self.began += Duration::from_nanos(steps * self.step);
        for _ in 0..steps.min(u64::from(STEPS)) {
            self.current = (self.current + 1) % self.steps.len();
            let past = std::mem::take(&mut self.steps[self.current]);
            self.sum.calls -= past.calls;
            self.sum.unavailable -= past.unavailable;
        }
    }
}

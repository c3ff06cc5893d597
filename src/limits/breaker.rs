//! A circuit breaker: an API that is down is not called for a while.
//!
//! - [`circuit`]: the state machine, without a lock, a clock or anybody who listens.
//! - [`Breaker`]: one machine for the whole process.
//! - [`Pass`]: one call that was let through, and what it has to say about the API.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::Limited;
use crate::{config, telemetry::CircuitState};

mod circuit;

use circuit::{Circuit, Generation};

/// The breaker of one API, shared by everybody who calls it.
///
/// Closed, it lets every call through and counts in a sliding window what came of them. It opens as soon as enough
/// calls ended in the window and a large enough share of them found the API unavailable. Open, it refuses every call
/// for a while. Then, half-open, it lets a few through as probes: if all of them find the API available, it closes;
/// if one does not, it opens anew.
///
/// Whoever calls says what time it is. A time before one that was said earlier counts as that.
pub struct Breaker {
    settings: config::Breaker,
    shared: Mutex<Shared>,
}

struct Shared {
    circuit: Circuit,
    watcher: Option<Watcher>,
}

/// Told each state, in their order.
type Watcher = Box<dyn Fn(CircuitState) + Send>;

/// A call that was let through. Dropping it without a word says nothing about the API, and frees the place of a probe.
#[derive(Debug)]
#[must_use = "what is dropped says nothing about the API"]
pub struct Pass<'b> {
    breaker: &'b Breaker,
    generation: Generation,
    told: bool,
}

/// What the end of a call says about the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// It answered, whatever it said.
    Available,
    /// It did not answer, or only that it cannot.
    Unavailable,
    /// Nothing: the call came to its end on our side.
    Neither,
}

/// What the end of a call changed, for whoever wants to say so. Opening anew after a probe is no news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It was closed and opened.
    Opened {
        /// How many calls ended in the window.
        calls: u64,
        /// How many of them found the API unavailable.
        unavailable: u64,
        /// How long no call is let through.
        open_for: Duration,
    },
    /// It was half-open and closed.
    Closed {
        /// How long after it had opened.
        after: Duration,
    },
}

impl Breaker {
    /// A closed breaker that has seen no calls.
    pub fn new(settings: config::Breaker, now: Instant) -> Self {
        let shared = Shared { circuit: Circuit::new(settings, now), watcher: None };
        Self { settings, shared: Mutex::new(shared) }
    }

    /// What a reload goes on with: `before` as it stands if its settings are these, else a closed one.
    pub fn succeeding(settings: config::Breaker, before: Option<&Arc<Self>>, now: Instant) -> Arc<Self> {
        let same = before.filter(|before| before.settings == settings);
        same.map_or_else(|| Arc::new(Self::new(settings, now)), Arc::clone)
    }

    /// Lets a call through, or says how long until the next probe is let through: zero if probes are under way, and
    /// what they find is next.
    pub fn admit(&self, now: Instant) -> Result<Pass<'_>, Limited> {
        let generation = self.lock().change(|circuit| circuit.admit(now))?;
        Ok(Pass { breaker: self, generation, told: false })
    }

    /// Where it stands. What is open stays so until the first call after its time.
    pub fn state(&self) -> CircuitState {
        self.lock().circuit.state()
    }

    /// Tells `watcher` where it stands, and from then on each change, in their order; `None` ends that. It is told in
    /// the middle of a call, so it should be quick.
    pub fn watch(&self, watcher: Option<Watcher>) {
        let mut shared = self.lock();
        if let Some(watcher) = &watcher {
            watcher(shared.circuit.state());
        }
        shared.watcher = watcher;
    }

    /// A thread that panicked in here has left numbers, which are as good as any.
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn change<T>(&mut self, change: impl FnOnce(&mut Circuit) -> T) -> T {
        let before = self.circuit.state();
        let result = change(&mut self.circuit);
        let state = self.circuit.state();
        if let Some(watcher) = self.watcher.as_ref().filter(|_| state != before) {
            watcher(state);
        }
        result
    }
}

impl Pass<'_> {
    /// The call has ended.
    pub fn ended(mut self, availability: Availability, now: Instant) -> Option<Turn> {
        let unavailable = match availability {
            Availability::Available => false,
            Availability::Unavailable => true,
            Availability::Neither => return None,
        };
        self.told = true;
        self.breaker.lock().change(|circuit| circuit.ended(self.generation, unavailable, now))
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if !self.told {
            self.breaker.lock().circuit.given_up(self.generation);
        }
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { settings, shared: _ } = self;
        f.debug_struct("Breaker").field("settings", settings).field("state", &self.state()).finish()
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

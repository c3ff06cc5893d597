//! The identity provider's own retry: joined to the hook that it repeats, or given that hook's decision.
//!
//! - [`Duplicates`]: what the process remembers of hooks; the file `store` is the memory itself.
//! - [`Lead`]: held by the hook that calls the API; its call is the only one for all who sent the same.
//! - [`Earlier`]: what a hook gets of one that came before it.
//!
//! A hook is the same as another if the same caller sent the same bytes to the same hook of the configuration.

mod lead;
mod store;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};
use zeroize::Zeroizing;

pub use self::lead::Lead;
use self::{
    lead::Entry,
    store::{Before, Bounds, Sight, Store},
};
use crate::{
    connector::IdempotencyKey,
    flow::{Failure, FlowDecision, Reason},
    limits::KeyedHash,
    telemetry::{Counter, Metrics},
};

/// Enough for a thousand hooks a second with the default window.
const BOUNDS: Bounds = Bounds { entries: 10_000, bytes: 16 * 1024 * 1024 };

/// How many wait for one hook in flight at most.
const MOST_JOINED: usize = 8;

/// How many leave under one lock.
const LEAVING_AT_ONCE: usize = 64;

/// What the process remembers of hooks. One for all workers and all configurations.
pub struct Duplicates {
    hash: KeyedHash,
    began: Instant,
    /// Locked to look and to change, never over an await.
    store: Mutex<Store<Arc<Kept>, Joined>>,
    /// How many calls run on without their hook.
    running_on: watch::Sender<usize>,
    panics: Counter,
}

/// A decision of the API, which is wiped when nobody holds it any more.
type Kept = Zeroizing<FlowDecision>;

/// Where those who wait for a hook in flight hear of its end.
type Joined = watch::Sender<Option<Ending>>;

/// What the hook in flight came to.
#[derive(Clone, Debug)]
enum Ending {
    Decided(Arc<Kept>),
    Failed(Failed),
}

/// Why there is no decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The failure.
    pub failure: Failure,
    /// When to come again, if it was for a limit.
    pub retry_after: Option<Duration>,
}

/// Tells the hooks of all configurations of this process apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookIdentity(u64);

impl HookIdentity {
    /// One that no hook has had.
    pub fn unused() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What a hook is among those that came before.
#[derive(Debug)]
pub enum Seen {
    /// The first of its kind: it calls the API.
    First(Lead),
    /// There was one like it.
    Before(Earlier),
}

/// A hook that came before and was the same.
#[derive(Debug)]
pub enum Earlier {
    /// It is still in flight.
    InFlight(InFlight),
    /// It is still in flight, and enough others wait for it: an identity provider tries two or three times, and each that
    /// waits takes a place of all hooks.
    Crowded {
        /// A call of before refused the user, or may have.
        refused: bool,
    },
    /// It was decided.
    Decided(Decision),
}

impl Earlier {
    /// What this came to, or [`Reason::Deadline`] if that is not known by then.
    pub async fn ended_by(self, deadline: Instant) -> Result<FlowDecision, Failed> {
        match self {
            Self::InFlight(in_flight) => in_flight.ended_by(deadline).await,
            Self::Crowded { refused } => Err(Failed::of(Reason::InFlightFull, refused)),
            Self::Decided(decision) => Ok(decision.replayed()),
        }
    }
}

/// The end of a hook in flight, once there is one.
#[derive(Debug)]
pub struct InFlight {
    ending: watch::Receiver<Option<Ending>>,
    /// A call of before refused the user, or may have: not to know the end of this one is no way to go on.
    refused: bool,
}

/// A decision that was kept.
pub struct Decision(Arc<Kept>);

impl Duplicates {
    /// No hook is remembered yet. Panics in calls that run on are counted in `metrics`.
    pub fn new(metrics: &Metrics) -> Arc<Self> {
        Self::with_bounds(BOUNDS, metrics)
    }

    fn with_bounds(bounds: Bounds, metrics: &Metrics) -> Arc<Self> {
        let (running_on, _) = watch::channel(0);
        let store = Mutex::new(Store::new(bounds));
        // Its key is drawn now, and not by the first hook.
        let _ = IdempotencyKey::fresh();
        let panics = metrics.panics();
        Arc::new(Self { hash: KeyedHash::new(), began: Instant::now(), store, running_on, panics })
    }

    /// Looks `now` for the hook among those that came before, and notes it if it is the first. Its end will be remembered
    /// for `window`.
    pub fn look(
        self: &Arc<Self>,
        caller: &str,
        hook: HookIdentity,
        body: &[u8],
        window: Duration,
        now: Instant,
    ) -> Seen {
        let hash = self.hash.of(&[caller.as_bytes(), &hook.0.to_le_bytes(), body]);
        let (fresh, now) = (IdempotencyKey::fresh(), now.saturating_duration_since(self.began));
        let mut store = self.lock();
        // Two for each that comes, so that those whose time is over are never many.
        let left = [store.expire(now), store.expire(now)];
        let (found, gone) = match store.sight(hash, now, fresh) {
            Sight::Decided(decision) => (Ok(Earlier::Decided(Decision(decision))), None),
            Sight::InFlight { joined, refused } => {
                let joined = joined.get_or_insert_with(|| watch::channel(None).0);
                let earlier = if joined.receiver_count() < MOST_JOINED {
                    Earlier::InFlight(InFlight { ending: joined.subscribe(), refused })
                } else {
                    Earlier::Crowded { refused }
                };
                (Ok(earlier), None)
            }
            Sight::First { key, before, gone } => (Err((key, true, before.unwrap_or_default())), gone),
            Sight::Full => (Err((fresh, false, Before { crowded_out: true, refused: false })), None),
        };
        drop(store);
        // What has left is wiped, which nobody shall wait for.
        drop((left, gone));
        match found {
            Ok(earlier) => Seen::Before(earlier),
            Err((key, noted, before)) => {
                let entry = noted.then(|| Entry::new(Arc::clone(self), hash, window));
                Seen::First(Lead::new(key, entry, before))
            }
        }
    }

    /// Forgets those whose window has passed. Worth doing every second or so.
    pub fn upkeep(&self) {
        loop {
            let mut store = self.lock();
            let now = self.began.elapsed();
            let gone: Vec<_> = std::iter::from_fn(|| store.expire(now)).take(LEAVING_AT_ONCE).collect();
            drop(store);
            if gone.len() < LEAVING_AT_ONCE {
                return;
            }
        }
    }

    /// Completes when no call runs on without its hook.
    pub async fn none_runs_on(&self) {
        let ended = self.running_on.subscribe().wait_for(|count| *count == 0).await.map(|_| ());
        debug_assert!(ended.is_ok(), "`self` holds the sender");
    }

    fn lock(&self) -> MutexGuard<'_, Store<Arc<Kept>, Joined>> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InFlight {
    async fn ended_by(mut self, deadline: Instant) -> Result<FlowDecision, Failed> {
        match timeout_at(deadline, self.ending.wait_for(Option::is_some)).await.as_ref().map(Result::as_deref)
        {
            Ok(Ok(Some(Ending::Decided(decision)))) => Ok(FlowDecision::clone(decision)),
            Ok(Ok(Some(Ending::Failed(failed)))) => Err(*failed),
            // Nobody ends it who could say how.
            Ok(Ok(None) | Err(_)) => Err(Failed::of(Reason::Panic, self.refused)),
            Err(_) => Err(Failed::of(Reason::Deadline, self.refused)),
        }
    }
}

impl Decision {
    fn replayed(&self) -> FlowDecision {
        FlowDecision::clone(&self.0)
    }
}

impl Failed {
    fn of(reason: Reason, refusal: bool) -> Self {
        Self { failure: Failure { reason, refusal }, retry_after: None }
    }
}

impl From<Reason> for Failed {
    fn from(reason: Reason) -> Self {
        Self::of(reason, false)
    }
}

impl fmt::Debug for Duplicates {
    /// Without what is remembered.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Duplicates")
    }
}

impl fmt::Debug for Decision {
    /// The decision's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        FlowDecision::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests;

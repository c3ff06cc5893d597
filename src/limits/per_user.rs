//! A rate for each user, of as many users as there is room for.
//!
//! Whoever floods a hook with users that nobody has seen before fills the room. A user who finds it full passes without a
//! limit and is counted: refusing strangers would let such a flood lock everybody out.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use governor::{
    RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{StateStore, keyed::ShrinkableKeyedStateStore},
};

use super::{
    keyed_hash::{KeyedHash, Tag},
    rate::{Limited, clock, quota},
};
use crate::{config::RateLimit, flow::claims::User, telemetry::Counter};

/// Parts of the room, each behind a lock of its own, so that upkeep holds up a hook no longer than one part takes.
const PARTS: usize = 64;

/// Users in one part: what a table of 2,048 places holds, so that no part takes more than some 50 KiB.
const MOST_IN_PART: usize = 1_792;

/// So many in each period for each user, and so many at once after a pause.
pub struct PerUser<C: Clock = DefaultClock> {
    limit: RateLimit,
    hash: KeyedHash,
    limiter: RateLimiter<Key, Room, C, NoOpMiddleware<C::Instant>>,
    clock: C,
}

/// A user, under a hash: what is remembered of users says nothing about them.
type Key = Tag;

impl PerUser {
    /// Most users that are remembered at a time, which takes some 5 MiB.
    pub const MOST_USERS: usize = PARTS * MOST_IN_PART;

    /// A limiter that has seen nobody. Those who find no room are counted by `unlimited`.
    pub fn new(limit: RateLimit, unlimited: Counter) -> Self {
        let room = Room::new(PARTS, MOST_IN_PART, unlimited);
        Self::with(limit, room, clock())
    }

    /// What a reload goes on with: `before` as it stands if its limit is this one, else a limiter that has seen nobody.
    pub fn succeeding(limit: RateLimit, unlimited: Counter, before: Option<&Arc<Self>>) -> Arc<Self> {
        let same = before.filter(|before| before.limit == limit);
        same.map_or_else(|| Arc::new(Self::new(limit, unlimited)), Arc::clone)
    }
}

impl<C: Clock + Clone> PerUser<C> {
    fn with(limit: RateLimit, room: Room, clock: C) -> Self {
        let limiter = RateLimiter::new(quota(limit), room, clock.clone());
        Self { limit, hash: KeyedHash::new(), limiter, clock }
    }

    /// Takes one of what this user has, or says when. An e-mail address is a user of the caller that sent it: what one
    /// caller says of an address is no limit for the users of another.
    pub fn take(&self, user: &User<'_>, caller: &str) -> Result<(), Limited> {
        let taken = self.limiter.check_key(&self.key(user, caller));
        taken.map_err(|not_until| Limited { retry_after: not_until.wait_time_from(self.clock.now()) })
    }

    /// Forgets the users whose burst is whole again, and gives back room; how many it forgot. Of a full room that
    /// takes some milliseconds at worst, and each part is held for a 64th of it.
    pub fn upkeep(&self) -> usize {
        let before = self.limiter.len();
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
        before.saturating_sub(self.limiter.len())
    }

    fn key(&self, user: &User<'_>, caller: &str) -> Key {
        match user {
            User::Identity { issuer, issuer_assigned_id } => {
                self.hash.of(&[b"identity", issuer.as_bytes(), issuer_assigned_id.as_bytes()])
            }
            User::Email(address) => self.hash.of(&[b"email", address.as_bytes(), caller.as_bytes()]),
        }
    }
}

impl<C: Clock> fmt::Debug for PerUser<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerUser").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// What is remembered: for each user when their burst is whole again.
struct Room {
    parts: Box<[Mutex<Part>]>,
    /// Spreads users evenly over the parts.
    spread: RandomState,
    most_in_part: usize,
    unlimited: Counter,
}

type Part = HashMap<Key, Nanos>;

impl Room {
    fn new(parts: usize, most_in_part: usize, unlimited: Counter) -> Self {
        let parts = (0..parts).map(|_| Mutex::default()).collect();
        Self { parts, spread: RandomState::new(), most_in_part, unlimited }
    }

    /// The part of this key.
    fn part(&self, key: Key) -> MutexGuard<'_, Part> {
        let [place, ..] = self.spread.hash_one(key).to_le_bytes();
        lock(&self.parts[usize::from(place) % self.parts.len()])
    }

    fn each_part(&self) -> impl Iterator<Item = MutexGuard<'_, Part>> {
        self.parts.iter().map(lock)
    }
}

fn lock(part: &Mutex<Part>) -> MutexGuard<'_, Part> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StateStore for Room {
    type Key = Key;

    fn measure_and_replace<T, F, E>(&self, key: &Key, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut part = self.part(*key);
        if let Some(state) = part.get_mut(key) {
            let (passed, next) = measure(Some(*state))?;
            *state = next;
            return Ok(passed);
        }
        let (passed, state) = measure(None)?;
        if part.len() < self.most_in_part {
            part.insert(*key, state);
        } else {
            self.unlimited.inc();
        }
        Ok(passed)
    }
}

impl ShrinkableKeyedStateStore<Key> for Room {
    fn retain_recent(&self, drop_below: Nanos) {
        self.each_part().for_each(|mut part| part.retain(|_, state| *state > drop_below));
    }

    /// Where less than a quarter is in use, so that a room in use does not shrink and grow in turn.
    fn shrink_to_fit(&self) {
        for mut part in self.each_part() {
            if part.len() < part.capacity() / 4 {
                let users = part.len();
                part.shrink_to(users * 2);
            }
        }
    }

    fn len(&self) -> usize {
        self.each_part().map(|part| part.len()).sum()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
#[path = "per_user_tests.rs"]
mod tests;

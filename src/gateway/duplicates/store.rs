//! What is remembered of hooks so as to know them again: no more than a map, on a clock that it is told.
//!
//! A hook is noted when it is first seen, and is *in flight* until its call ends. After a decision that is kept, and after
//! a failure only the Idempotency-Key, both until the window has passed.

use std::{
    collections::{BTreeMap, HashMap, hash_map},
    time::Duration,
};

use crate::{connector::IdempotencyKey, limits::Tag};

/// How much is remembered at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Most hooks.
    pub(super) entries: usize,
    /// Most bytes: of their decisions, and [`OVERHEAD`] for each hook.
    pub(super) bytes: usize,
}

/// What a hook costs beside the bytes of its decision: its places in both maps and the allocations, rounded up.
pub(super) const OVERHEAD: usize = 384;

/// Hooks that were seen. `D` is a decision, cheap to clone; `J` is what those hold on to who wait for one in flight. All
/// times are those since the store began.
pub(super) struct Store<D, J> {
    bounds: Bounds,
    entries: HashMap<Tag, Entry<D, J>>,
    /// Those that are not in flight, the next to leave first.
    leaving: BTreeMap<Leaving, Tag>,
    /// How many have ended, which tells apart those that leave at the same time.
    ended: u64,
    bytes: usize,
}

/// When an entry leaves.
type Leaving = (Duration, u64);

struct Entry<D, J> {
    key: IdempotencyKey,
    state: State<D, J>,
}

enum State<D, J> {
    InFlight { joined: Option<J>, before: Option<Before> },
    Decided { decision: D, bytes: usize, leaving: Leaving },
    Failed { leaving: Leaving, before: Before },
}

/// What the calls of before came to, which the API may have seen under the same key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Before {
    /// There was a decision, and no room for it.
    pub(super) crowded_out: bool,
    /// What came of an answer refused the user, or may have.
    pub(super) refused: bool,
}

/// What a hook is to the store.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sight<'s, D, J> {
    /// It was not known, or there is no decision to give it: it leads from now on, and must end.
    First {
        /// A new one, or that of the call before.
        key: IdempotencyKey,
        /// What the calls of before came to, if there were any.
        before: Option<Before>,
        /// What was known of it until its time was over.
        gone: Option<Gone<D>>,
    },
    /// Another one leads; here is what those who wait hold on to.
    InFlight {
        /// To be held on to.
        joined: &'s mut Option<J>,
        /// A call of before refused the user, or may have.
        refused: bool,
    },
    /// This was decided.
    Decided(D),
    /// There is no room to note it.
    Full,
}

/// What a call ended with.
#[derive(Debug)]
pub(super) enum End<D> {
    /// A decision, of so many bytes.
    Decided(D, usize),
    /// No decision, though the API may have seen the call.
    Failed {
        /// What came of an answer refused the user, or may have.
        refused: bool,
    },
    /// The API cannot have seen this one, so that there is nothing to remember but a call of before.
    Unsent,
}

/// What has left. To be dropped where it is in nobody's way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gone<D>(pub(super) Option<D>);

impl<D: Clone, J> Store<D, J> {
    pub(super) fn new(bounds: Bounds) -> Self {
        // Growing would move all entries at once. Of what is reserved hardly anything is touched before it is used.
        let entries = HashMap::with_capacity(bounds.entries);
        Self { bounds, entries, leaving: BTreeMap::new(), ended: 0, bytes: 0 }
    }

    /// What a hook is at this time. `fresh` becomes its Idempotency-Key if it is not known.
    pub(super) fn sight(&mut self, hash: Tag, now: Duration, fresh: IdempotencyKey) -> Sight<'_, D, J> {
        // Its time may be over though it has not left yet.
        let gone = if self.is_over(&hash, now) { self.remove(&hash) } else { None };
        let full = self.entries.len() >= self.bounds.entries || self.bytes + OVERHEAD > self.bounds.bytes;
        let entry = match self.entries.entry(hash) {
            hash_map::Entry::Vacant(_) if full => return Sight::Full,
            hash_map::Entry::Vacant(place) => {
                place.insert(Entry { key: fresh, state: State::InFlight { joined: None, before: None } });
                self.bytes += OVERHEAD;
                return Sight::First { key: fresh, before: None, gone };
            }
            hash_map::Entry::Occupied(entry) => entry.into_mut(),
        };
        match entry.state {
            State::InFlight { ref mut joined, before } => {
                Sight::InFlight { joined, refused: before.is_some_and(|before| before.refused) }
            }
            State::Decided { ref decision, .. } => Sight::Decided(decision.clone()),
            State::Failed { leaving, before } => {
                self.leaving.remove(&leaving);
                entry.state = State::InFlight { joined: None, before: Some(before) };
                Sight::First { key: entry.key, before: Some(before), gone }
            }
        }
    }

    /// The call of a hook that leads has ended, which is remembered for `window` from now on. What those hold on to who
    /// wait for it, if there is anyone.
    pub(super) fn end(&mut self, hash: &Tag, now: Duration, window: Duration, end: End<D>) -> Option<J> {
        let room = self.bounds.bytes.saturating_sub(self.bytes);
        let state = &mut self.entries.get_mut(hash)?.state;
        let State::InFlight { joined, before } = state else { return None };
        let (joined, before) = (joined.take(), *before);
        let refused = before.is_some_and(|before| before.refused);
        let leaving = (now.saturating_add(window), self.ended);
        match end {
            End::Unsent if before.is_none() => {
                self.remove(hash);
                return joined;
            }
            End::Decided(decision, bytes) if bytes <= room => {
                *state = State::Decided { decision, bytes, leaving };
                self.bytes += bytes;
            }
            End::Decided(..) => {
                *state = State::Failed { leaving, before: Before { crowded_out: true, refused } };
            }
            End::Failed { refused: now } => {
                let before = Before { crowded_out: false, refused: refused || now };
                *state = State::Failed { leaving, before };
            }
            End::Unsent => {
                *state = State::Failed { leaving, before: Before { crowded_out: false, refused } };
            }
        }
        self.leaving.insert(leaving, *hash);
        self.ended += 1;
        joined
    }

    /// Takes out one whose time is over, if there is one.
    pub(super) fn expire(&mut self, now: Duration) -> Option<Gone<D>> {
        let (leaving, hash) = self.leaving.first_key_value().map(|(leaving, hash)| (*leaving, *hash))?;
        if leaving.0 > now { None } else { self.remove(&hash) }
    }

    /// How many hooks are remembered, and how many bytes that counts as.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }

    fn is_over(&self, hash: &Tag, now: Duration) -> bool {
        match self.entries.get(hash) {
            Some(Entry { state: State::Decided { leaving, .. } | State::Failed { leaving, .. }, .. }) => {
                leaving.0 <= now
            }
            _ => false,
        }
    }

    fn remove(&mut self, hash: &Tag) -> Option<Gone<D>> {
        let entry = self.entries.remove(hash)?;
        self.bytes -= OVERHEAD;
        match entry.state {
            State::InFlight { .. } => Some(Gone(None)),
            State::Failed { leaving, .. } => {
                self.leaving.remove(&leaving);
                Some(Gone(None))
            }
            State::Decided { decision, bytes, leaving } => {
                self.leaving.remove(&leaving);
                self.bytes -= bytes;
                Some(Gone(Some(decision)))
            }
        }
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;

//! What happened, as both sides saw it.

use std::{
    fmt,
    sync::{Mutex, MutexGuard},
};

use tokio::time::Instant;

use super::mood::{Kind, Verdict};

/// One request that an API has read.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    /// Which try of the identity provider it belongs to, by its `X-Request-ID`.
    pub(super) attempt_of: u8,
    /// `Idempotency-Key`, as a number.
    pub(super) key: Option<u64>,
    at: Instant,
    /// When all of the answer was handed to the system, and what it was.
    pub(super) done: Option<(Instant, Kind)>,
}

/// One try of the identity provider.
#[derive(Clone)]
pub(super) struct Try {
    pub(super) number: u8,
    pub(super) began: Instant,
    pub(super) ended: Instant,
    pub(super) end: End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Well-formed.
    Told(Told),
    /// The identity provider did not wait for it.
    HungUp,
    /// What must not be.
    Broken(String),
}

/// What the identity provider was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The API's decision: on which hook, and at which of its requests.
    Api(Verdict, u32, u16),
    /// What `on_failure` says, as a decision.
    Fallback(Verdict),
    /// A problem, with its status and reason.
    Problem(u16, String),
}

/// One hook.
#[derive(Default)]
pub(super) struct Hook {
    pub(super) part: u8,
    pub(super) tries: Vec<Try>,
    pub(super) asked: Vec<Asked>,
}

impl Asked {
    /// Just read.
    pub(super) fn now(attempt_of: u8, key: Option<u64>) -> Self {
        Self { attempt_of, key, at: Instant::now(), done: None }
    }
}

impl fmt::Display for Hook {
    /// What happened when, in milliseconds after the beginning of the first try.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.tries.iter().map(|tried| tried.began).min() else {
            return f.write_str("nothing");
        };
        let at = |instant: Instant| instant.saturating_duration_since(first).as_micros();
        for Try { number, began, ended, end } in &self.tries {
            write!(f, "try {number} from {} to {} µs: {end:?}; ", at(*began), at(*ended))?;
        }
        for (number, asked) in (1..).zip(&self.asked) {
            let key = asked.key.unwrap_or(0) % 1000;
            write!(
                f,
                "request {number} for try {} with key {key} at {} µs: ",
                asked.attempt_of,
                at(asked.at)
            )?;
            match asked.done {
                Some((done, kind)) => write!(f, "{kind:?} at {}; ", at(done))?,
                None => f.write_str("never whole; ")?,
            }
        }
        Ok(())
    }
}

/// Everything about every hook, by its number.
pub(super) struct Ledger(Mutex<Vec<Hook>>);

impl Ledger {
    pub(super) fn new(hooks: u32) -> Self {
        Self(Mutex::new((0..hooks).map(|_| Hook::default()).collect()))
    }

    pub(super) fn hooks(&self) -> MutexGuard<'_, Vec<Hook>> {
        self.0.lock().expect("nothing panics while it holds the ledger")
    }

    /// Hooks that come after the others, for a phase of their own; the number of the first.
    pub(super) fn extend(&self, count: u32) -> u32 {
        let mut hooks = self.hooks();
        let first = u32::try_from(hooks.len()).expect("there are fewer");
        hooks.extend((0..count).map(|_| Hook::default()));
        first
    }

    /// An API has read a request; which one of its hook it is, from 1 on.
    pub(super) fn asked(&self, id: u32, asked: Asked) -> u16 {
        let mut hooks = self.hooks();
        let all = &mut hooks[id as usize].asked;
        push(all, asked);
        u16::try_from(all.len()).expect("there are fewer")
    }

    /// All of the answer to it is out.
    pub(super) fn done(&self, id: u32, number: u16, kind: Kind) {
        self.hooks()[id as usize].asked[usize::from(number) - 1].done = Some((Instant::now(), kind));
    }

    pub(super) fn tried(&self, id: u32, part: u8, tried: Try) {
        let hook = &mut self.hooks()[id as usize];
        hook.part = part;
        push(&mut hook.tries, tried);
    }
}

/// Most have one, and a long run has many of them.
fn push<T>(to: &mut Vec<T>, one: T) {
    to.reserve_exact(1);
    to.push(one);
}

//! Whether an API may be believed to answer in turn.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// How long an API's connections are not used again after it sent what nobody asked for.
pub(super) const DISTRUST: Duration = Duration::from_mins(1);

/// An API that sends what nobody asked for may do so again a moment after the next request, where no check can tell it
/// from the answer. So for a while each of its connections carries one exchange. One for each [`super::Target`], shared
/// by the workers: what one of them has seen holds for all.
#[derive(Debug, Default)]
pub struct Trust {
    /// Whether there is a time to look at, so that nobody waits for the lock where there is none.
    ever_lost: AtomicBool,
    until: Mutex<Option<Instant>>,
}

impl Trust {
    /// The API sent what nobody asked for.
    pub(super) fn lose(&self) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + DISTRUST);
        self.ever_lost.store(true, Ordering::Release);
    }

    /// Whether its connections are not to be used again at `now`.
    pub(super) fn is_lost(&self, now: Instant) -> bool {
        self.ever_lost.load(Ordering::Acquire)
            && self.until.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| now < until)
    }
}

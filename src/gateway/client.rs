//! Who is at the other end of a connection: the same for all its hooks.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use crate::{flow::Reason, tls::Peer};

/// How long a connection is not heard again on which a hook was turned away.
///
/// Whoever asks again at once would be turned away again, and turning away takes nearly half of what a hook takes. So a
/// flood over kept connections costs at most five refusals a second for each, which leaves the hooks inside what they
/// need. A hook of somebody else that comes right behind loses little: there may be room for it by then.
const PAUSE: Duration = Duration::from_millis(200);

/// The client of a connection.
#[derive(Debug, Default)]
pub struct Client {
    peer: Option<Arc<Peer>>,
    known: AtomicBool,
    /// Whether there is something in `heard_again`, which is seldom so and therefore seldom locked.
    was_turned_away: AtomicBool,
    heard_again: Mutex<Option<Instant>>,
}

impl Client {
    /// One that has shown a certificate, if it is a `peer`.
    pub fn new(peer: Option<Arc<Peer>>) -> Self {
        Self { peer, ..Self::default() }
    }

    pub(super) fn peer(&self) -> Option<&Peer> {
        self.peer.as_deref()
    }

    /// Whether it has shown a good credential. A connection that never did is kept for less long.
    pub fn is_known(&self) -> bool {
        self.known.load(Relaxed)
    }

    /// It has shown a good credential.
    pub(super) fn admitted(&self) {
        self.known.store(true, Relaxed);
    }

    /// There was no room for its hook.
    pub(super) fn turned_away(&self) -> Reason {
        *self.heard_again.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + PAUSE);
        self.was_turned_away.store(true, Release);
        Reason::Overloaded
    }

    /// Waits if the hook before was turned away only a moment ago; never longer than for a quarter of what is left until
    /// `deadline`, so that there is time for the hook itself. What time it is then: still `now`, where it did not wait.
    pub(super) async fn pause(&self, now: Instant, deadline: Instant) -> Instant {
        if !self.was_turned_away.load(Acquire) {
            return now;
        }
        self.was_turned_away.store(false, Relaxed);
        let heard_again = self.heard_again.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(until) = heard_again.filter(|until| *until > now) else { return now };
        sleep_until(until.min(now + deadline.saturating_duration_since(now) / 4)).await;
        Instant::now()
    }
}

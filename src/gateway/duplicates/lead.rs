//! The hook that calls the API for all who sent the same, and its call, which may outlive it.

use std::{
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::{runtime::Handle, time::Instant};
use zeroize::Zeroizing;

use super::{
    Duplicates, Ending, Failed, Kept,
    store::{Before, End},
};
use crate::{
    connector::{Decided, IdempotencyKey},
    flow::{Failure, Reason},
    limits::Tag,
};

/// The first hook of its kind.
#[derive(Debug)]
pub struct Lead {
    key: IdempotencyKey,
    entry: Option<Entry>,
    before: Before,
}

impl Lead {
    /// A hook for which nothing is remembered, and like which none is looked for.
    pub fn alone() -> Self {
        Self::new(IdempotencyKey::fresh(), None, Before::default())
    }

    pub(super) fn new(key: IdempotencyKey, entry: Option<Entry>, before: Before) -> Self {
        Self { key, entry, before }
    }

    /// What the API shall know the call by.
    pub fn key(&self) -> IdempotencyKey {
        self.key
    }

    /// Whether there may have been one like it, for which there was no room.
    pub fn is_undetected(&self) -> bool {
        self.before.crowded_out
    }

    /// It is refused before it calls the API. So is who joined it, and nothing is remembered.
    pub fn refused(self, reason: Reason, retry_after: Duration) -> Failed {
        let failure = Failure { reason, refusal: self.before.refused };
        let failed = Failed { failure, retry_after: Some(retry_after) };
        if let Some(entry) = self.entry {
            entry.end(End::Unsent, Ending::Failed(failed), Instant::now());
        }
        failed
    }

    /// Calls the API, remembers the end and tells it to those who joined. Where there is somebody to remember it for, the
    /// call runs on, with all that is `held`, when this is dropped. If a call of before refused the user, or may have, a
    /// failure is no way to go on now either.
    pub fn call<F, H>(self, call: F, held: H) -> impl Future<Output = Decided> + Send + use<F, H>
    where
        F: Future<Output = Decided> + Send + Unpin + 'static,
        H: Send + Unpin + 'static,
    {
        let told = Told { refused: self.before.refused, entry: self.entry, _held: held };
        RunsOn { call: Some(call), told: Some(told) }
    }
}

/// Who is told what a call came to, and what is held until then.
struct Told<H> {
    entry: Option<Entry>,
    refused: bool,
    _held: H,
}

impl<H> Told<H> {
    fn of(self, mut decided: Decided) -> Decided {
        if let Err(failure) = &mut decided.decision {
            failure.refusal |= self.refused;
        }
        if let Some(entry) = self.entry {
            entry.end_with(&decided);
        }
        decided
    }
}

/// A hook in flight that is remembered. However it ends, those who joined it hear of it.
#[derive(Debug)]
pub(super) struct Entry {
    duplicates: Arc<Duplicates>,
    hash: Tag,
    window: Duration,
    ended: bool,
}

impl Entry {
    pub(super) fn new(duplicates: Arc<Duplicates>, hash: Tag, window: Duration) -> Self {
        Self { duplicates, hash, window, ended: false }
    }

    fn end_with(self, decided: &Decided) {
        let now = decided.notes.facts.ended.unwrap_or_else(Instant::now);
        match &decided.decision {
            Ok(decision) => {
                let kept = Arc::new(Zeroizing::new(decision.clone()));
                self.end(End::Decided(Arc::clone(&kept), kept.size()), Ending::Decided(kept), now);
            }
            Err(failure) => {
                let failed = End::Failed { refused: failure.refusal };
                let end = if decided.notes.facts.took.is_some() { failed } else { End::Unsent };
                let retry_after = decided.notes.facts.retry_after;
                self.end(end, Ending::Failed(Failed { failure: *failure, retry_after }), now);
            }
        }
    }

    fn end(mut self, end: End<Arc<Kept>>, ending: Ending, now: Instant) {
        self.tell(end, ending, now);
    }

    fn tell(&mut self, end: End<Arc<Kept>>, ending: Ending, now: Instant) {
        self.ended = true;
        let duplicates = &self.duplicates;
        let now = now.saturating_duration_since(duplicates.began);
        let joined = duplicates.lock().end(&self.hash, now, self.window, end);
        if let Some(joined) = joined {
            joined.send_replace(Some(ending));
        }
    }
}

impl Drop for Entry {
    /// A call that did not come to its end: a panic, or the end of its worker. The API may have seen it.
    fn drop(&mut self) {
        if !self.ended {
            self.tell(End::Failed { refused: false }, Ending::Failed(Reason::Panic.into()), Instant::now());
        }
    }
}

/// A call that is polled here as long as this lives; and in a task of its own after that, if anybody is told of its end.
struct RunsOn<F, H>
where
    F: Future<Output = Decided> + Send + Unpin + 'static,
    H: Send + Unpin + 'static,
{
    /// Absent once it has ended, and while it is polled: one that panics is not polled again.
    call: Option<F>,
    told: Option<Told<H>>,
}

impl<F, H> Future for RunsOn<F, H>
where
    F: Future<Output = Decided> + Send + Unpin + 'static,
    H: Send + Unpin + 'static,
{
    type Output = Decided;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Decided> {
        let mut call = self.call.take().expect("it is polled until it is ready, and not after a panic");
        let Poll::Ready(decided) = Pin::new(&mut call).poll(cx) else {
            self.call = Some(call);
            return Poll::Pending;
        };
        drop(call);
        let told = self.told.take().expect("it is there as long as the call");
        Poll::Ready(told.of(decided))
    }
}

impl<F, H> Drop for RunsOn<F, H>
where
    F: Future<Output = Decided> + Send + Unpin + 'static,
    H: Send + Unpin + 'static,
{
    fn drop(&mut self) {
        let (Some(call), Some(told)) = (self.call.take(), self.told.take()) else { return };
        let Some(entry) = &told.entry else { return };
        // Without a runtime the worker has ended, and its calls with it.
        if let Ok(runtime) = Handle::try_current() {
            let running = Running::of(&entry.duplicates);
            let call = async move { told.of(call.await) };
            runtime.spawn(async move {
                // Nobody reads what it came to: all that must be known of it was told inside.
                if AssertUnwindSafe(call).catch_unwind().await.is_err() {
                    running.0.panics.inc();
                }
            });
        }
    }
}

/// One more call that runs on.
struct Running(Arc<Duplicates>);

impl Running {
    fn of(duplicates: &Arc<Duplicates>) -> Self {
        duplicates.running_on.send_modify(|count| *count += 1);
        Self(Arc::clone(duplicates))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running_on.send_modify(|count| *count -= 1);
    }
}

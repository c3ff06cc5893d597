//! So many at a time, with a bounded wait.

use std::sync::Arc;

use tokio::{
    sync::{Semaphore, SemaphorePermit, TryAcquireError},
    time::{Instant, timeout_at},
};

/// A number of permits.
#[derive(Debug)]
pub struct InFlight {
    most: usize,
    permits: Semaphore,
}

/// One place taken; it is free again when this is dropped, which also happens when the hook is cancelled.
#[derive(Debug)]
pub struct Permit<'a>(#[expect(dead_code, reason = "held for its drop")] SemaphorePermit<'a>);

impl InFlight {
    /// So many at a time.
    pub fn new(most: usize) -> Self {
        Self { most, permits: Semaphore::new(most.min(Semaphore::MAX_PERMITS)) }
    }

    /// What a reload goes on with: `before` with those inside if it has the same number, else an empty one. So after a
    /// change of the number there may be more inside for a moment: those of before, until they end.
    pub fn succeeding(most: usize, before: Option<&Arc<Self>>) -> Arc<Self> {
        let same = before.filter(|before| before.most == most);
        same.map_or_else(|| Arc::new(Self::new(most)), Arc::clone)
    }

    /// A place, if one is free now. Those who already wait go first.
    pub fn try_enter(&self) -> Option<Permit<'_>> {
        match self.permits.try_acquire() {
            Ok(permit) => Some(Permit(permit)),
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => None,
        }
    }

    /// A place, waiting for one until then.
    pub async fn enter_by(&self, until: Instant) -> Option<Permit<'_>> {
        if let Some(permit) = self.try_enter() {
            return Some(permit);
        }
        let permit = timeout_at(until, self.permits.acquire()).await.ok()?;
        permit.ok().map(Permit)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_place_is_waited_for_exactly_as_long_as_stated() {
        let places = InFlight::new(1);
        let held = places.try_enter().unwrap();
        assert!(places.try_enter().is_none());
        let before = Instant::now();
        assert!(places.enter_by(before + Duration::from_millis(50)).await.is_none());
        let waited = before.elapsed();
        assert!((Duration::from_millis(50)..Duration::from_millis(53)).contains(&waited), "{waited:?}");
        drop(held);
        assert!(places.try_enter().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_hook_gets_the_place_that_becomes_free_and_a_cancelled_one_leaves_it() {
        let places = Arc::new(InFlight::new(1));
        let held = places.try_enter().unwrap();
        let far = Instant::now() + Duration::from_mins(1);
        let wait = |places: Arc<InFlight>| tokio::spawn(async move { places.enter_by(far).await.is_some() });
        let (cancelled, waiting) = (wait(places.clone()), wait(places.clone()));
        tokio::task::yield_now().await;
        cancelled.abort();
        drop(held);
        assert!(waiting.await.unwrap());
        assert!(places.try_enter().is_some(), "nobody holds it any more");
    }
}

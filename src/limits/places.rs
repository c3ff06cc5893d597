//! So many at a time, and nobody waits.

use std::sync::{
    Arc,
    atomic::{
        AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
    },
};

/// A number of places. Where somebody may wait for one it is [`InFlight`](super::InFlight), which costs more.
#[derive(Debug)]
pub struct Places {
    most: usize,
    taken: AtomicUsize,
}

/// One place taken; it is free again when this is dropped, which also happens when the hook is cancelled.
#[derive(Debug)]
pub struct Place(Arc<Places>);

impl Places {
    /// So many at a time.
    pub fn new(most: usize) -> Self {
        Self { most, taken: AtomicUsize::new(0) }
    }

    /// What a reload goes on with: `before` with those inside if it has the same number, else an empty one. So after a
    /// change of the number there may be more inside for a moment: those of before, until they end.
    pub fn succeeding(most: usize, before: Option<&Arc<Self>>) -> Arc<Self> {
        let same = before.filter(|before| before.most == most);
        same.map_or_else(|| Arc::new(Self::new(most)), Arc::clone)
    }

    /// A place, if one is free now.
    pub fn try_enter(self: &Arc<Self>) -> Option<Place> {
        let one_more = |taken| (taken < self.most).then_some(taken + 1);
        self.taken.fetch_update(Acquire, Relaxed, one_more).ok()?;
        Some(Place(Arc::clone(self)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Release);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn there_are_as_many_places_as_are_said_and_each_is_free_again_when_it_is_left() {
        for most in [0, 1, 3] {
            let places = Arc::new(Places::new(most));
            for _ in 0..2 {
                let held: Vec<_> = (0..most).map(|_| places.try_enter().unwrap()).collect();
                assert!(places.try_enter().is_none());
                drop(held);
            }
        }
    }

    #[test]
    fn a_reload_keeps_who_is_inside_unless_the_number_changes() {
        let places = Arc::new(Places::new(1));
        let _held = places.try_enter().unwrap();
        assert!(Places::succeeding(1, Some(&places)).try_enter().is_none());
        assert!(Places::succeeding(2, Some(&places)).try_enter().is_some());
        assert!(Places::succeeding(1, None).try_enter().is_some());
    }

    #[test]
    fn no_more_are_inside_than_there_are_places_however_many_threads_come_and_go() {
        const MOST: usize = 2;
        let (places, inside) = (Arc::new(Places::new(MOST)), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let Some(place) = places.try_enter() else { continue };
                        assert!(inside.fetch_add(1, Relaxed) < MOST);
                        inside.fetch_sub(1, Relaxed);
                        drop(place);
                    }
                });
            }
        });
        assert_eq!(places.taken.load(Relaxed), 0);
    }
}

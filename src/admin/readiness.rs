//! Whether hooks may be sent here.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

/// A phase in the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadinessState {
    /// The hook port does not accept yet.
    Starting,
    /// The hook port accepts.
    Ready,
    /// The process ends; new hooks belong elsewhere.
    Draining,
}

impl ReadinessState {
    /// The word that `/readyz` answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
        }
    }
}

/// The phase as all threads see it. It only ever moves on: who drains is not ready again.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicU8>);

impl Readiness {
    /// At the beginning: starting.
    pub fn new() -> Self {
        Self::default()
    }

    /// The hook port accepts.
    pub fn set_ready(&self) {
        self.move_on(READY);
    }

    /// The process ends.
    pub fn set_draining(&self) {
        self.move_on(DRAINING);
    }

    /// The phase now.
    pub fn get(&self) -> ReadinessState {
        match self.0.load(Ordering::Acquire) {
            STARTING => ReadinessState::Starting,
            READY => ReadinessState::Ready,
            _ => ReadinessState::Draining,
        }
    }

    fn move_on(&self, phase: u8) {
        self.0.fetch_max(phase, Ordering::AcqRel);
    }
}

const STARTING: u8 = 0;
const READY: u8 = 1;
const DRAINING: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_never_left_for_an_earlier_one() {
        let readiness = Readiness::new();
        assert_eq!(readiness.get(), ReadinessState::Starting);
        readiness.set_ready();
        assert_eq!(readiness.get(), ReadinessState::Ready);
        readiness.clone().set_draining();
        readiness.set_ready();
        assert_eq!(readiness.get(), ReadinessState::Draining);
    }
}

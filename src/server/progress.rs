//! How far a connection is: told by its stream and its service, read by its watcher.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering::Relaxed},
};

/// What a connection is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Not a byte has come yet.
    FirstByte,
    /// A head has begun.
    Head,
    /// A hook is being answered; it has a deadline of its own.
    Hook,
    /// Its answer leaves.
    Writing,
    /// The answer has left.
    Idle,
    /// The same, and no request so far had a good credential.
    Unknown,
    /// The last bytes leave, which belong to no hook.
    Closing,
    /// Nothing more will be read or written.
    Over,
}

/// The end of the hook port, as the connections of one worker see it.
#[derive(Debug, Default)]
pub(super) struct Ending {
    last_answers: AtomicBool,
    hooks: AtomicUsize,
}

/// How far one connection is.
///
/// All that touch it run on the worker's thread, so that no order between threads is needed, and nobody comes between a
/// load and its store: it is atomic only because the compiler does not know that. A change costs a few stores; time is
/// read by the watcher alone.
#[derive(Debug)]
pub(super) struct Progress {
    phase: AtomicU8,
    /// How often the phase has changed: two idle times with a quick hook between them are two.
    changes: AtomicU32,
    /// Bodies of hooks that may still be read, also after the answer.
    bodies: AtomicUsize,
    /// A body was left before its end: what comes now is the rest of it, and never a head.
    left: AtomicBool,
    aged: AtomicBool,
    known: AtomicBool,
    ending: Arc<Ending>,
}

impl Ending {
    /// From now on each answer is the last on its connection.
    pub(super) fn begin(&self) {
        self.last_answers.store(true, Relaxed);
    }

    /// Hooks whose answers have not left yet.
    pub(super) fn hooks(&self) -> usize {
        self.hooks.load(Relaxed)
    }
}

impl Progress {
    pub(super) fn new(ending: Arc<Ending>) -> Self {
        Self {
            phase: AtomicU8::new(Phase::FirstByte as u8),
            changes: AtomicU32::new(0),
            bodies: AtomicUsize::new(0),
            left: AtomicBool::new(false),
            aged: AtomicBool::new(false),
            known: AtomicBool::new(false),
            ending,
        }
    }

    /// The phase, and a number that is another one for each time it is entered.
    pub(super) fn now(&self) -> (Phase, u32) {
        (self.phase(), self.changes.load(Relaxed))
    }

    /// Bytes have come. Those of a body that is read to its end after an early answer begin no head. Nor do those of a
    /// head that came together with the hook before it: it counts from the next bytes on.
    pub(super) fn heard(&self) {
        if matches!(self.phase(), Phase::FirstByte | Phase::Idle | Phase::Unknown)
            && self.bodies.load(Relaxed) == 0
        {
            self.enter(Phase::Head);
        }
    }

    /// A head is whole.
    pub(super) fn asked(&self) {
        self.enter(Phase::Hook);
    }

    /// A request had a good credential.
    pub(super) fn known(&self) {
        self.known.store(true, Relaxed);
    }

    /// Its answer is ready.
    pub(super) fn answered(&self) {
        self.enter(Phase::Writing);
    }

    /// Bytes leave: where no hook is open, what the HTTP library itself says of a broken head.
    pub(super) fn writes(&self) {
        if matches!(self.phase(), Phase::FirstByte | Phase::Head | Phase::Idle | Phase::Unknown) {
            self.enter(Phase::Closing);
        }
    }

    /// Nothing is left to be written.
    pub(super) fn written(&self) {
        if self.phase() == Phase::Writing {
            let (left, known) = (self.left.load(Relaxed), self.known.load(Relaxed));
            self.enter(match (left, known) {
                (true, _) => Phase::Closing,
                (false, true) => Phase::Idle,
                (false, false) => Phase::Unknown,
            });
        }
    }

    /// The stream is being closed in order.
    pub(super) fn closing(&self) {
        if self.phase() != Phase::Closing {
            self.enter(Phase::Closing);
        }
    }

    /// The connection has ended, however it did.
    pub(super) fn over(&self) {
        self.enter(Phase::Over);
    }

    pub(super) fn body_began(&self) {
        self.bodies.store(self.bodies.load(Relaxed) + 1, Relaxed);
    }

    /// A body is read no more; `whole` if it was read to its end.
    pub(super) fn body_ended(&self, whole: bool) {
        self.bodies.store(self.bodies.load(Relaxed) - 1, Relaxed);
        if !whole {
            self.left.store(true, Relaxed);
            if matches!(self.phase(), Phase::Idle | Phase::Unknown) {
                self.enter(Phase::Closing);
            }
        }
    }

    /// Whether nothing has begun since the last answer left, and nothing of what came before it may still be read.
    pub(super) fn is_at_rest(&self) -> bool {
        matches!(self.phase(), Phase::Idle | Phase::Unknown) && self.bodies.load(Relaxed) == 0
    }

    /// The connection has lived for `max_age`.
    pub(super) fn has_aged(&self) {
        self.aged.store(true, Relaxed);
    }

    /// Whether the next answer is the last one.
    pub(super) fn answers_last(&self) -> bool {
        self.aged.load(Relaxed) || self.ending.last_answers.load(Relaxed)
    }

    fn phase(&self) -> Phase {
        const PHASES: [Phase; 8] = [
            Phase::FirstByte,
            Phase::Head,
            Phase::Hook,
            Phase::Writing,
            Phase::Idle,
            Phase::Unknown,
            Phase::Closing,
            Phase::Over,
        ];
        PHASES[usize::from(self.phase.load(Relaxed))]
    }

    fn enter(&self, phase: Phase) {
        let has_hook = |phase| matches!(phase, Phase::Hook | Phase::Writing);
        let hooks = &self.ending.hooks;
        match (has_hook(self.phase()), has_hook(phase)) {
            (false, true) => hooks.store(hooks.load(Relaxed) + 1, Relaxed),
            (true, false) => hooks.store(hooks.load(Relaxed) - 1, Relaxed),
            _ => {}
        }
        self.phase.store(phase as u8, Relaxed);
        self.changes.store(self.changes.load(Relaxed).wrapping_add(1), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_reads_as_itself_and_only_hooks_and_their_answers_count_as_open() {
        let ending = Arc::new(Ending::default());
        let progress = Progress::new(Arc::clone(&ending));
        assert_eq!((progress.now().0, ending.hooks()), (Phase::FirstByte, 0));
        for (phase, open) in [
            (Phase::Head, 0),
            (Phase::Hook, 1),
            (Phase::Writing, 1),
            (Phase::Idle, 0),
            (Phase::Hook, 1),
            (Phase::Closing, 0),
            (Phase::Writing, 1),
            (Phase::Over, 0),
        ] {
            let (_, before) = progress.now();
            progress.enter(phase);
            assert_eq!((progress.now(), ending.hooks()), ((phase, before + 1), open));
        }
    }

    #[test]
    fn bytes_begin_a_head_unless_somebody_still_reads_a_body() {
        let progress = Progress::new(Arc::default());
        progress.asked();
        progress.body_began();
        progress.known();
        progress.answered();
        progress.written();
        progress.heard();
        assert_eq!(progress.now().0, Phase::Idle, "the rest of a body that was refused");
        progress.body_ended(true);
        progress.heard();
        assert_eq!(progress.now().0, Phase::Head);
    }

    #[test]
    fn what_follows_a_body_that_was_left_is_no_head() {
        for left_before_the_answer in [true, false] {
            let progress = Progress::new(Arc::default());
            progress.asked();
            progress.body_began();
            if left_before_the_answer {
                progress.body_ended(false);
            }
            progress.answered();
            progress.written();
            if !left_before_the_answer {
                progress.body_ended(false);
            }
            progress.heard();
            assert_eq!(progress.now().0, Phase::Closing);
        }
    }
}

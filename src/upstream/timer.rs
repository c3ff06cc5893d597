//! The timer of a connection.

use std::pin::Pin;

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is kept from one exchange to the next.
///
/// To move one to a later time costs a fraction of making one: the runtime leaves it where it is, and looks again when
/// its old time has come. Between two exchanges that wakes whoever had the last one, for nothing, once.
#[derive(Debug, Default)]
pub struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// The timer, which goes off then. Must run on the runtime on which it was asked for the first time.
    pub(super) fn at(&mut self, time: Instant) -> Pin<&mut Sleep> {
        let mut timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(time))).as_mut();
        if timer.deadline() != time {
            timer.as_mut().reset(time);
        }
        timer
    }
}

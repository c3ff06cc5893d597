//! The admin port: whether the process lives, whether it is ready, its metrics, its version.
//!
//! It has a thread of its own, so a scrape never takes a worker's time and a busy worker never makes a probe late.
//! Nothing here shows the configuration or a secret, or changes anything.

mod answer;
mod connections;
mod readiness;

use std::{fmt, io, net::TcpListener, sync::Arc, thread};

use tokio::sync::oneshot;

use crate::telemetry::Metrics;

pub use connections::serve;
pub use readiness::{Readiness, ReadinessState};

/// What the admin port tells.
#[derive(Debug)]
pub struct AdminState {
    /// Shown by `/metrics`.
    pub metrics: Metrics,
    /// Shown by `/readyz`.
    pub readiness: Readiness,
}

/// The thread that serves the admin port.
pub struct AdminServer {
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl AdminServer {
    /// Starts serving on a thread and a runtime of its own.
    pub fn spawn(listener: TcpListener, state: Arc<AdminState>) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _context = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name("admin".to_owned()).spawn(move || {
            // A dropped handle ends it just as a stop does.
            let shutdown = async { stopped.await.unwrap_or(()) };
            runtime.block_on(serve(listener, state, shutdown));
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends the thread, last of all: a drain is watched through this port. Waits at most a second for open answers.
    pub fn stop(self) {
        // An error here or there says that the thread has ended already, by a panic that has been reported.
        let _ended = self.stop.send(());
        let _panicked = self.thread.join();
    }
}

impl fmt::Debug for AdminServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminServer").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

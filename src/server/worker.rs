//! A worker: a thread with a runtime, connections of its own on both sides, and nothing shared on the way of a hook but
//! the limits.

use std::{future, io, panic::AssertUnwindSafe, sync::Arc, thread, time::Duration};

use futures_util::FutureExt as _;
use tokio::{
    runtime::{self, Runtime},
    sync::{OwnedSemaphorePermit, mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use super::{
    Drained,
    connection::{Port, serve_accepted},
    progress::Ending,
};
use crate::{gateway, telemetry::Counter};

/// Connections on their way from the accept loop to a worker.
const HAND_OVER: usize = 64;

/// How often idle connections to APIs are looked over.
const UPKEEP: Duration = Duration::from_secs(1);

/// Most threads for looking up names of APIs, which is all that blocks; made when needed and gone again after some
/// seconds. A name that does not resolve may hold one for many seconds, but each API only one: hooks of the other APIs
/// find another.
const LOOKUPS: usize = 64;

/// A connection and its place among `max_connections`, which is free again when both are dropped.
pub(super) type Accepted = (std::net::TcpStream, OwnedSemaphorePermit);

/// When everything must have ended, once that is known. It may be moved to an earlier time.
pub(super) type Stopping = watch::Receiver<Option<Instant>>;

/// Completes when everything must have ended, or nobody is left to say when.
pub(super) async fn stopped(mut stopping: Stopping) {
    loop {
        let until = *stopping.borrow_and_update();
        let passed = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => future::pending().await,
            }
        };
        tokio::select! {
            () = passed => return,
            moved = stopping.changed() => if moved.is_err() { return },
        }
    }
}

/// The accept loop's end of a worker.
#[derive(Debug)]
pub(super) struct Worker {
    accepted: mpsc::Sender<Accepted>,
    ending: Arc<Ending>,
    ended: oneshot::Receiver<Drained>,
}

impl Worker {
    pub(super) fn spawn(number: usize, worker: Arc<gateway::Worker>, stopping: Stopping) -> io::Result<Self> {
        let runtime =
            runtime::Builder::new_current_thread().enable_all().max_blocking_threads(LOOKUPS).build()?;
        let (accepted, connections) = mpsc::channel(HAND_OVER);
        let (tell_end, ended) = oneshot::channel();
        let ending = Arc::new(Ending::default());
        let port = Port { worker, ending: Arc::clone(&ending) };
        thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            let drained = work(&runtime, &port, connections, stopping);
            // What is left belongs to hooks that had their time.
            runtime.shutdown_background();
            let _ = tell_end.send(drained);
        })?;
        Ok(Self { accepted, ending, ended })
    }

    /// One for tests, whose connections come out at the other end.
    #[cfg(test)]
    pub(super) fn without_a_thread() -> (Self, mpsc::Receiver<Accepted>) {
        let (accepted, connections) = mpsc::channel(HAND_OVER);
        let (_, ended) = oneshot::channel();
        (Self { accepted, ending: Arc::default(), ended }, connections)
    }

    /// Takes connections; closed when the worker has ended.
    pub(super) fn accepted(&self) -> &mpsc::Sender<Accepted> {
        &self.accepted
    }

    /// From now on each answer is the last on its connection.
    pub(super) fn begin_ending(&self) {
        self.ending.begin();
    }

    /// Waits for its end. It hears of it through [`Stopping`], and no further connection can reach it.
    pub(super) async fn ended(self) -> Drained {
        drop(self.accepted);
        self.ended.await.unwrap_or(Drained::CutShort)
    }
}

fn work(
    runtime: &Runtime,
    port: &Port,
    mut connections: mpsc::Receiver<Accepted>,
    stopping: Stopping,
) -> Drained {
    runtime.block_on(async {
        tokio::spawn(upkeep(Arc::clone(&port.worker)));
        // Each connection holds a sender; when all are gone, so are the connections.
        let (alive, mut all_gone) = mpsc::channel::<()>(1);
        while let Some((stream, place)) = connections.recv().await {
            match tokio::net::TcpStream::from_std(stream) {
                Ok(stream) => {
                    // Boxed: each future that it is handed through would keep the place for it twice.
                    let serving = Box::pin(serve_accepted(stream, port.clone()));
                    let serving = guarded(serving, port.worker.metrics().panics());
                    let held = (place, alive.clone());
                    tokio::spawn(async move {
                        serving.await;
                        drop(held);
                    });
                }
                Err(error) => tracing::warn!(%error, "cannot take over a connection"),
            }
        }
        drop(alive);
        let ended = async {
            all_gone.recv().await;
            // Another worker's hook may wait for what a call here comes to.
            port.worker.calls_ended().await;
        };
        let drained = tokio::select! {
            biased;
            () = ended => Drained::Whole,
            () = stopped(stopping) => match port.ending.hooks() {
                // What is left is idle, or has not even sent a head.
                0 => Drained::Whole,
                _ => Drained::CutShort,
            },
        };
        port.worker.upkeep();
        drained
    })
}

/// A defect outside the life of a hook costs its connection, and is counted like any other.
async fn guarded(serving: impl Future<Output = ()>, panics: Counter) {
    // What the connection touches is dropped with it, or is a counter.
    if AssertUnwindSafe(serving).catch_unwind().await.is_err() {
        panics.inc();
    }
}

async fn upkeep(worker: Arc<gateway::Worker>) {
    tokio::spawn({
        let worker = Arc::clone(&worker);
        async move { worker.keep_log().await }
    });
    let mut tick = interval(UPKEEP);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        worker.upkeep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;

    #[tokio::test]
    async fn a_panic_outside_a_hook_ends_its_connection_and_is_counted() {
        let panics = Metrics::new().panics();
        guarded(async {}, panics.clone()).await;
        assert_eq!(panics.get(), 0);
        guarded(async { panic!("a defect, for the test") }, panics.clone()).await;
        assert_eq!(panics.get(), 1);
    }
}

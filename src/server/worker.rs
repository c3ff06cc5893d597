//! A worker: a thread with a runtime, connections of its own on both sides, and nothing shared on the way of a hook but
//! the limits.

use std::{io, sync::Arc, thread, time::Duration};

use tokio::{
    runtime::{self, Runtime},
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::{MissedTickBehavior, interval},
};

use super::{
    Drained,
    connection::{self, Stopping},
};
use crate::gateway;

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

/// The accept loop's end of a worker.
#[derive(Debug)]
pub(super) struct Worker {
    accepted: mpsc::Sender<Accepted>,
    ended: oneshot::Receiver<Drained>,
}

impl Worker {
    pub(super) fn spawn(
        number: usize,
        worker: Arc<gateway::Worker>,
        head_timeout: Duration,
        stopping: Stopping,
    ) -> io::Result<Self> {
        let runtime =
            runtime::Builder::new_current_thread().enable_all().max_blocking_threads(LOOKUPS).build()?;
        let (accepted, connections) = mpsc::channel(HAND_OVER);
        let (ending, ended) = oneshot::channel();
        thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            let drained = work(&runtime, &worker, head_timeout, connections, stopping);
            // What is left belongs to hooks that had their time.
            runtime.shutdown_background();
            let _ = ending.send(drained);
        })?;
        Ok(Self { accepted, ended })
    }

    /// Takes connections; closed when the worker has ended.
    pub(super) fn accepted(&self) -> &mpsc::Sender<Accepted> {
        &self.accepted
    }

    /// Waits for its end. It hears of it through [`Stopping`], and no further connection can reach it.
    pub(super) async fn ended(self) -> Drained {
        drop(self.accepted);
        self.ended.await.unwrap_or(Drained::CutShort)
    }
}

fn work(
    runtime: &Runtime,
    worker: &Arc<gateway::Worker>,
    head_timeout: Duration,
    mut connections: mpsc::Receiver<Accepted>,
    stopping: Stopping,
) -> Drained {
    runtime.block_on(async {
        tokio::spawn(upkeep(Arc::clone(worker)));
        // Each connection holds a sender; when all are gone, so are the connections.
        let (alive, mut all_gone) = mpsc::channel::<()>(1);
        while let Some((stream, place)) = connections.recv().await {
            match tokio::net::TcpStream::from_std(stream) {
                Ok(stream) => {
                    let serving =
                        connection::serve(stream, Arc::clone(worker), head_timeout, stopping.clone());
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
        let drained = tokio::select! {
            biased;
            _ = all_gone.recv() => Drained::Whole,
            () = connection::stopped(stopping) => Drained::CutShort,
        };
        worker.upkeep();
        drained
    })
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

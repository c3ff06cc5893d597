//! The hook port: listening, workers, connections, the end.
//!
//! One loop accepts and hands connections to the workers in turn; each worker is a thread with a runtime of its own.
//! An identity provider opens few connections and keeps them long, so taking turns spreads them where a hash over
//! addresses may not.

mod accept;
mod connection;
mod handshake;
mod listener;
mod progress;
mod watched;
mod watcher;
mod worker;

use std::{convert::Infallible, future, io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::{
    runtime,
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use crate::{config::Listen, gateway};
use worker::{Worker, stopped};

pub use connection::serve_stream;
pub use listener::{Queue, bind};

/// A hook port that is about to serve.
#[derive(Debug)]
pub struct Server {
    listener: std::net::TcpListener,
    queue: Queue,
    settings: Settings,
    workers: Vec<Arc<gateway::Worker>>,
}

/// What of `listen` matters once it listens.
#[derive(Clone, Copy, Debug)]
struct Settings {
    max_connections: usize,
}

/// How the last hooks fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// All were answered. Connections that were idle or silent do not count.
    Whole,
    /// `shutdown.grace` passed before they were, or it was cut short itself.
    CutShort,
}

/// How often the limits that all workers share are looked over.
const UPKEEP: Duration = Duration::from_secs(1);

impl Server {
    /// A server on `listener` with a thread for each of these workers.
    pub fn new(
        listener: std::net::TcpListener,
        queue: Queue,
        listen: &Listen,
        workers: Vec<Arc<gateway::Worker>>,
    ) -> Self {
        let settings = Settings { max_connections: listen.max_connections };
        Self { listener, queue, settings, workers }
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown` completes. Then it accepts no more, and each answer is the last on its connection; it ends
    /// when no connection is left, or `grace` has passed, or `hurry` completes too.
    ///
    /// An idle connection is kept that long because a hook may be on its way: closing it would lose that hook.
    ///
    /// The kernel holds connections from [`bind`] on, so what connects before this is called waits and is served.
    pub fn run(
        self,
        shutdown: impl Future<Output = ()>,
        grace: Duration,
        hurry: impl Future<Output = ()>,
    ) -> io::Result<Drained> {
        let (stop, stopping) = watch::channel(None);
        let any = self.workers.first().map(Arc::clone);
        let workers = (0..)
            .zip(self.workers)
            .map(|(number, worker)| Worker::spawn(number, worker, stopping.clone()))
            .collect::<io::Result<Vec<_>>>()?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let most = self.settings.max_connections;
        if let Some(worker) = any {
            runtime.spawn(upkeep(worker));
        }
        runtime.block_on(accept::accept(self.listener, self.queue, &workers, most, shutdown))?;
        runtime.block_on(async {
            workers.iter().for_each(Worker::begin_ending);
            stop.send_replace(Some(Instant::now() + grace));
            let hurried = async {
                hurry.await;
                stop.send_replace(Some(Instant::now()));
                future::pending::<Infallible>().await
            };
            // A worker that is stuck does not say that it has ended.
            let overdue = async {
                stopped(stop.subscribe()).await;
                sleep(Duration::from_millis(100)).await;
            };
            tokio::select! {
                ended = join_all(workers.into_iter().map(Worker::ended)) => {
                    let whole = ended.iter().all(|drained| *drained == Drained::Whole);
                    Ok(if whole { Drained::Whole } else { Drained::CutShort })
                }
                () = overdue => Ok(Drained::CutShort),
                never = hurried => match never {},
            }
        })
    }
}

/// On the thread that accepts, so that no worker's hooks wait for it.
async fn upkeep(worker: Arc<gateway::Worker>) {
    let mut tick = interval(UPKEEP);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        worker.upkeep_for_all();
    }
}

//! A running gateway: both ports, the workers, the access log, and its end in the right order.

use std::{
    future,
    io::{self, Write},
    net::SocketAddr,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::FutureExt as _;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

use super::sockets::{PassedError, Sockets};
use crate::{
    admin::{AdminServer, AdminState, Readiness},
    config::{Config, Shutdown},
    gateway::{SetupError, Snapshot, Worker},
    server::{Drained, Server},
    telemetry::{LogFormat, LogWriter, Metrics},
};

/// How long the last lines of the access log may take when everything else has ended.
const LAST_LINES: Duration = Duration::from_secs(1);

/// A gateway that listens on both ports and is about to serve.
#[derive(Debug)]
pub(super) struct Process {
    server: Server,
    admin: AdminServer,
    log: LogWriter,
    workers: Vec<Arc<Worker>>,
    snapshot: Arc<Snapshot>,
    readiness: Readiness,
    shutdown: Shutdown,
    pub(super) address: SocketAddr,
    pub(super) admin_address: SocketAddr,
}

/// Why a process cannot start.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("{key} {address}: {error}")]
    Bind { key: &'static str, address: SocketAddr, error: io::Error },
    #[error(transparent)]
    Passed(#[from] PassedError),
    #[error(
        "the socket that was passed listens at {0}, which is not loopback, and the port has no TLS: pass one of \
             127.0.0.1, or write `plain_text: allowed` if TLS ends before it"
    )]
    PlainText(SocketAddr),
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error("the system refuses what a process needs: {0}")]
    System(#[from] io::Error),
}

impl Process {
    /// Begins on two listening sockets.
    pub(super) fn start(
        sockets: Sockets,
        config: Config,
        workers: NonZeroUsize,
        format: LogFormat,
        events: impl Write + Send + 'static,
        metrics: Metrics,
    ) -> Result<Self, StartError> {
        let Sockets { hooks, admin, queue } = sockets;
        let (address, admin_address) = (hooks.local_addr()?, admin.local_addr()?);
        let readiness = Readiness::new();
        let (settings, shutdown) = (config.listen.clone(), config.shutdown.clone());
        let snapshot = Arc::new(Snapshot::new(config, metrics.clone())?);
        metrics.config_in_force(SystemTime::now());
        let (log, logs) = LogWriter::spawn(events, format, metrics.log_lines_dropped())?;
        let worker = |_| Arc::new(Worker::new(Arc::clone(&snapshot), logs.access_log()));
        let workers: Vec<_> = (0..workers.get()).map(worker).collect();
        let server = Server::new(hooks, queue, &settings, workers.clone());
        let state = AdminState { metrics, readiness: readiness.clone() };
        let admin = AdminServer::spawn(admin, Arc::new(state))?;
        Ok(Self { server, admin, log, workers, snapshot, readiness, shutdown, address, admin_address })
    }

    /// The workers, for a configuration that comes later.
    pub(super) fn workers(&self) -> Vec<Arc<Worker>> {
        self.workers.clone()
    }

    /// What they have in force at the beginning.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    /// Serves until `end` completes and `shutdown.drain_delay` has passed, and then until callers have left their
    /// connections or `shutdown.grace` has passed. A signal after `end` cuts all that short. The admin port goes last,
    /// because a drain is watched through it.
    pub(super) fn run(self, end: impl Future<Output = ()>) -> io::Result<Drained> {
        let Self { server, admin, log, workers, snapshot, readiness, shutdown, .. } = self;
        // With the configuration of the start they would keep its secrets for ever.
        drop((workers, snapshot));
        let Shutdown { drain_delay, grace } = shutdown;
        readiness.set_ready();
        let hurry = told_to_hurry().shared();
        let end = async {
            end.await;
            readiness.set_draining();
            if !drain_delay.is_zero() {
                tracing::info!(
                    ?drain_delay,
                    "not ready any more; serving on until shutdown.drain_delay has passed"
                );
                tokio::select! {
                    () = sleep(drain_delay) => {}
                    () = hurry.clone() => {}
                }
            }
            tracing::info!(?grace, "no new connections; finishing what is in flight");
        };
        let drained = server.run(end, grace, hurry.clone());
        if let Err(error) = log.finish(LAST_LINES) {
            tracing::warn!(%error, "the last lines of the access log are lost");
        }
        admin.stop();
        drained
    }
}

/// Completes at the first SIGTERM or SIGINT. Calls `listening` when both are caught: whoever is told that the process
/// listens may signal at once.
pub(super) async fn told_to_end(listening: impl FnOnce()) {
    let signals = Signals::catch();
    listening();
    let Ok(signals) = signals else {
        tracing::warn!("signals cannot be caught: hooks in flight will be cut off when the process is ended");
        return future::pending().await;
    };
    // Not inside the macro, which evaluates its fields only at that level.
    let signal = signals.next().await;
    tracing::info!(signal, "told to end");
}

/// Completes at the next one: whoever signals twice does not want to wait.
async fn told_to_hurry() {
    let Ok(signals) = Signals::catch() else { return future::pending().await };
    let signal = signals.next().await;
    tracing::info!(signal, "ending at once: told so a second time");
}

/// The signals that ask for the end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

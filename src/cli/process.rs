//! A running gateway: both ports, the workers, the access log, and its end in the right order.

use std::{
    future,
    io::{self, Write},
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};

use crate::{
    admin::{AdminServer, AdminState, Readiness},
    config::Config,
    gateway::{SetupError, Snapshot, Worker},
    server::{self, Drained, Server},
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
    grace: Duration,
    pub(super) address: SocketAddr,
    pub(super) admin_address: SocketAddr,
}

/// Why a process cannot start.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("{key} {address}: {error}")]
    Bind { key: &'static str, address: SocketAddr, error: io::Error },
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error("the system refuses what a process needs: {0}")]
    System(#[from] io::Error),
}

impl Process {
    /// Listens where the configuration says.
    pub(super) fn start(
        config: Config,
        workers: NonZeroUsize,
        format: LogFormat,
        events: impl Write + Send + 'static,
        metrics: Metrics,
    ) -> Result<Self, StartError> {
        let hooks = listen("listen.address", config.listen.address)?;
        let admin = listen("admin.address", config.admin.address)?;
        Self::start_on(hooks, admin, config, workers, format, events, metrics)
    }

    /// Takes over two listening sockets instead.
    pub(super) fn start_on(
        hooks: TcpListener,
        admin: TcpListener,
        config: Config,
        workers: NonZeroUsize,
        format: LogFormat,
        events: impl Write + Send + 'static,
        metrics: Metrics,
    ) -> Result<Self, StartError> {
        let (address, admin_address) = (hooks.local_addr()?, admin.local_addr()?);
        let readiness = Readiness::new();
        let (settings, grace) = (config.listen.clone(), config.shutdown.grace);
        let snapshot = Arc::new(Snapshot::new(config, metrics.clone())?);
        let (log, logs) = LogWriter::spawn(events, format, metrics.log_lines_dropped())?;
        let worker = |_| Arc::new(Worker::new(Arc::clone(&snapshot), logs.access_log()));
        let workers: Vec<_> = (0..workers.get()).map(worker).collect();
        let server = Server::new(hooks, &settings, workers.clone());
        let state = AdminState { metrics, readiness: readiness.clone() };
        let admin = AdminServer::spawn(admin, Arc::new(state))?;
        Ok(Self { server, admin, log, workers, snapshot, readiness, grace, address, admin_address })
    }

    /// The workers, for a configuration that comes later.
    pub(super) fn workers(&self) -> Vec<Arc<Worker>> {
        self.workers.clone()
    }

    /// What they have in force at the beginning.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    /// Serves until `end` completes, and then until every hook is answered, `shutdown.grace` has passed or a signal comes.
    /// The admin port goes last, because a drain is watched through it.
    pub(super) fn run(self, end: impl Future<Output = ()>) -> io::Result<Drained> {
        let readiness = self.readiness;
        readiness.set_ready();
        let end = async {
            end.await;
            readiness.set_draining();
        };
        let drained = self.server.run(end, self.grace, told_to_hurry());
        if let Err(error) = self.log.finish(LAST_LINES) {
            tracing::warn!(%error, "the last lines of the access log are lost");
        }
        self.admin.stop();
        drained
    }
}

/// Completes at the first SIGTERM or SIGINT.
pub(super) async fn told_to_end() {
    let Ok(signal) = told().await else {
        tracing::warn!("signals cannot be caught: hooks in flight will be cut off when the process is ended");
        return future::pending().await;
    };
    tracing::info!(signal, "ending: no new connections, finishing what is in flight");
}

/// Completes at the next one: whoever signals twice does not want to wait.
async fn told_to_hurry() {
    let Ok(signal) = told().await else { return future::pending().await };
    tracing::info!(signal, "ending at once: told so a second time");
}

/// The next signal that asks for the end.
async fn told() -> io::Result<&'static str> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    server::bind(address).map_err(|error| StartError::Bind { key, address, error })
}

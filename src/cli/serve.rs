//! `serve`: answers hooks until it is told to end.

use std::io;

use clap::Args;

use super::{
    CANNOT, ConfigArgs, FINE, LogArgs, PROBLEMS, WorkerArgs, budget, descriptors, load,
    process::{Process, StartError, told_to_end},
    reload::{Hangup, Reloader},
    sockets::{Passed, PassedError, Sockets},
    tell,
};
use crate::{
    config::{Config, Files, Secrets},
    server::{Drained, Queue},
    telemetry::{Metrics, diagnostics},
};

#[derive(Args, Debug)]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    workers: WorkerArgs,
}

impl Serve {
    pub(super) fn run(&self) -> u8 {
        // First of all, because it changes the environment.
        let passed = Passed::take();
        let hangup = Hangup::catch();
        let (config, files) = match load::checked(&self.config.config, Secrets::Load) {
            Ok(loaded) => loaded,
            Err(status) => return status,
        };
        let metrics = Metrics::new();
        let dropped = metrics.log_lines_dropped();
        let _diagnostics = match diagnostics::init(self.log.format(), self.log.level(), dropped) {
            Ok(diagnostics) => diagnostics,
            Err(error) => {
                tell::err(format_args!("error: {error}\n"));
                return CANNOT;
            }
        };
        diagnostics::hear_panics();
        match self.serve(passed, hangup, config, files, metrics) {
            Ok(()) => FINE,
            Err(error) => {
                tracing::error!(%error, "cannot serve");
                if matches!(error, StartError::Setup(_)) { PROBLEMS } else { CANNOT }
            }
        }
    }

    fn serve(
        &self,
        passed: Result<Passed, PassedError>,
        hangup: io::Result<Hangup>,
        config: Config,
        files: Files,
        metrics: Metrics,
    ) -> Result<(), StartError> {
        let calls = config.connectors.iter().map(|connector| connector.max_in_flight).sum();
        descriptors::raise(config.listen.max_connections, calls, self.workers.count().get());
        let grace = config.shutdown.grace;
        let workers = self.workers.count();
        let sockets = Sockets::open(passed?, &config)?;
        let passed = sockets.queue == Queue::Leave;
        let format = self.log.format();
        let process =
            Process::start(sockets, config.clone(), workers, format, io::stdout(), metrics.clone())?;
        let path = self.config.config.clone();
        budget::tell(&config);
        let reloader = Reloader::new(path, config, files, process.snapshot(), process.workers(), metrics);
        let _reloading = reloader.spawn(hangup?)?;
        let (address, admin) = (process.address, process.admin_address);
        let listening = || {
            tracing::info!(%address, %admin, passed, workers, version = env!("CARGO_PKG_VERSION"), "listening");
        };
        match process.run(told_to_end(listening))? {
            Drained::Whole => tracing::info!("ended: every hook was answered"),
            Drained::CutShort => {
                tracing::warn!(
                    ?grace,
                    "ended before every hook was answered: shutdown.grace passed, or a second signal cut it short"
                );
            }
        }
        Ok(())
    }
}

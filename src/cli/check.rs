//! `check`: says everything that is wrong with a configuration.

use std::time::SystemTime;

use clap::Args;

use super::{ConfigArgs, FINE, PROBLEMS, load, tell};
use crate::{config::Secrets, gateway::Snapshot, telemetry::Metrics};

#[derive(Args, Debug)]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigArgs,
    /// Do not read secrets: they need not exist where this runs.
    #[arg(long)]
    without_secrets: bool,
}

impl Check {
    pub(super) fn run(&self) -> u8 {
        let secrets = if self.without_secrets { Secrets::Skip } else { Secrets::Load };
        let outcome = match load::read(&self.config.config, secrets) {
            Ok(outcome) => outcome,
            Err(status) => return status,
        };
        let report = &outcome.report;
        tell::err(report);
        let path = self.config.config.display();
        // What only shows when it is put to work, such as a certificate that is no root.
        match outcome.config.map(|config| Snapshot::new(config, Metrics::new())) {
            Some(Err(error)) => {
                tell::err(format_args!("error: {error}\n"));
                tell::out(format_args!("{path}: cannot be put to work\n"));
                return PROBLEMS;
            }
            Some(Ok(snapshot)) => {
                let now = SystemTime::now();
                for warning in
                    snapshot.certificates().iter().filter_map(|certificate| certificate.warning(now))
                {
                    tell::err(format_args!("warning: {warning}\n"));
                }
            }
            None => {}
        }
        tell::out(format_args!("{path}: {}\n", report.summary()));
        if report.errors() == 0 { FINE } else { PROBLEMS }
    }
}

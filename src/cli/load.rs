//! A configuration file for a command.

use std::path::Path;

use super::{CANNOT, PROBLEMS, tell};
use crate::config::{self, Config, Files, Outcome, Secrets};

/// The file with all that can be said about it, or the exit status after the reason was told.
pub(super) fn read(path: &Path, secrets: Secrets) -> Result<Outcome, u8> {
    config::load(path, secrets).map_err(|error| {
        tell::err(format_args!("error: {} {error}\n", path.display()));
        CANNOT
    })
}

/// The checked configuration and the files it was read from, or the exit status after its problems were told. Warnings are told in any case.
pub(super) fn checked(path: &Path, secrets: Secrets) -> Result<(Config, Files), u8> {
    let Outcome { config, report, files } = read(path, secrets)?;
    tell::err(&report);
    config.map(|config| (config, files)).ok_or_else(|| {
        tell::err(format_args!("{}: {}\n", path.display(), report.summary()));
        PROBLEMS
    })
}

//! The command line; everything else is in the library.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    claimgate::cli::Cli::parse().run()
}

//! The command line; everything else is in the library.

use std::process::ExitCode;

use clap::Parser as _;
use mimalloc::MiMalloc;

/// A hook allocates some thirty times, up to 8 KiB at a time, more than the system's allocator keeps in a thread's own
/// cache; and what a burst of connections took is given back.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    claimgate::cli::Cli::parse().run()
}

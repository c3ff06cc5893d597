//! The command line; everything else is in the library.

use std::process::ExitCode;

use clap::Parser as _;
// A hook allocates some thirty times, up to 8 KiB at a time, more than the system's allocator keeps in a thread's own
// cache; and what a burst of connections took is given back. It takes the place of `malloc`: asked through
// `#[global_allocator]` it is told the alignment each time, even where any would do, and then goes a longer way with
// whatever is larger than 1 KiB or no power of two (2 % of a hook's instructions).
use mimalloc as _;

fn main() -> ExitCode {
    claimgate::cli::Cli::parse().run()
}

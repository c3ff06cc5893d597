//! The command line: one file for each command.

mod budget;
mod check;
pub mod demo;
mod descriptors;
mod explain;
mod load;
mod process;
mod reload;
mod schema;
mod serve;
mod sockets;
mod tell;

use std::{num::NonZeroUsize, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing::Level;

use crate::telemetry::LogFormat;

/// A reverse proxy for identity hooks: it authenticates the caller, sends only the selected claims to the web API, and
/// turns the API's answer into a flow decision.
#[derive(Debug, Parser)]
#[command(name = "claimgate", version, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve hooks.
    ///
    /// Access events go to standard output, diagnostics to standard error. Exit status: 0 after SIGTERM or SIGINT, 1 if
    /// the configuration has problems, 2 if it cannot be read or the process cannot start.
    Serve(serve::Serve),
    /// Check a configuration and say everything that is wrong with it.
    ///
    /// Of more than 100 problems the first errors are told, then warnings, and how many more there are.
    ///
    /// Exit status: 0 fine (warnings included), 1 problems, 2 cannot be read.
    Check(check::Check),
    /// Explain what claimgate does with one hook, and why.
    ///
    /// For the body of one hook: which claims are sent and which are not, and why; the request that would go out, secrets
    /// masked. With --call or --answer also what the answer comes to: repairs, decision, and what the user sees. It runs
    /// the gateway's own code. This is a tool for whoever may read the hook: the request, and an answer as it came, are
    /// shown with the claims in them. Without --call nothing is sent and no secret is read.
    ///
    /// Exit status: 0 explained, and the API decided if it was asked; 1 no such hook, a body that would be refused, or
    /// problems in the configuration; 2 cannot read a file; 3 the API gave no decision, so that `on_failure` spoke.
    Explain(explain::Explain),
    /// Play sign-ups against a real gateway with a small sample approval system behind it, and stay up.
    Demo(demo::Demo),
    /// Print the JSON Schema of the configuration, for editors; config/claimgate.schema.json is that text.
    Schema,
}

/// How `serve` writes.
#[derive(Args, Clone, Copy, Debug)]
struct LogArgs {
    /// The form of access events and diagnostics.
    #[arg(long, value_enum, default_value_t = Format::Json, value_name = "FORMAT")]
    log_format: Format,
    /// How much claimgate says about itself; dependencies are heard from warn on only.
    #[arg(long, value_enum, default_value_t = LogLevel::Info, value_name = "LEVEL")]
    log_level: LogLevel,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Json,
    Text,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// How many workers.
#[derive(Args, Clone, Copy, Debug)]
struct WorkerArgs {
    /// Threads that answer hooks [default: as many as the process may use processors].
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,
}

/// Which configuration.
#[derive(Args, Clone, Debug)]
struct ConfigArgs {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
}

/// A command that did what it was asked.
const FINE: u8 = 0;
/// The configuration has problems.
const PROBLEMS: u8 = 1;
/// The configuration cannot be read, or the process cannot start. Also clap's status for a wrong command line.
const CANNOT: u8 = 2;

impl Cli {
    /// Does what the command line says.
    pub fn run(self) -> ExitCode {
        ExitCode::from(match self.command {
            Command::Serve(serve) => serve.run(),
            Command::Check(check) => check.run(),
            Command::Explain(explain) => explain.run(),
            Command::Demo(demo) => demo.run(),
            Command::Schema => schema::run(),
        })
    }
}

impl LogArgs {
    fn format(self) -> LogFormat {
        match self.log_format {
            Format::Json => LogFormat::Json,
            Format::Text => LogFormat::Text,
        }
    }

    fn level(self) -> Level {
        match self.log_level {
            LogLevel::Error => Level::ERROR,
            LogLevel::Warn => Level::WARN,
            LogLevel::Info => Level::INFO,
            LogLevel::Debug => Level::DEBUG,
            LogLevel::Trace => Level::TRACE,
        }
    }
}

impl WorkerArgs {
    /// Honours affinity and, on Linux, a container's share of the processors.
    fn count(self) -> NonZeroUsize {
        self.workers.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN)
    }
}

//! Diagnostics: what the program has to say about itself, on standard error. Access events go elsewhere.
//!
//! Lines are written by a thread of their own. A reader of standard error that stalls would otherwise hold up the first
//! worker that has something to say, and with it every other one, for they share the lock of standard error.

use std::{
    any::Any,
    io::{self, Write},
    panic,
    time::Duration,
};

use tracing::{
    Level, Subscriber,
    level_filters::LevelFilter,
    subscriber::{SetGlobalDefaultError, set_global_default},
};
use tracing_subscriber::{
    Layer, Registry,
    filter::Targets,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
};

use super::{
    Counter, LogWriter,
    log_sink::{Ended, LineLog},
};

/// How long the last lines may take.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The form of all lines: access events and diagnostics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// A line for people.
    Text,
}

/// Diagnostics on their way to standard error.
///
/// Dropping it writes what was said so far, for at most a second: a reader that does not read must not keep the process.
/// What is said later is written at once by whoever says it.
#[derive(Debug)]
#[must_use = "dropping it ends the thread that writes"]
pub struct Diagnostics(Option<LogWriter>);

/// Why there are no diagnostics.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The thread that writes them cannot be started.
    #[error("diagnostics cannot be written: {0}")]
    Thread(#[from] io::Error),
    /// They go elsewhere already.
    #[error(transparent)]
    Taken(#[from] SetGlobalDefaultError),
}

/// Sends this process's diagnostics of `level` and graver to standard error, until what it returns is dropped.
///
/// Dependencies are heard from `warn` on only: below that they may write what they read, which may hold claims.
/// Nobody waits for a line to be written. A line for which there is no room is counted in `dropped` instead.
pub fn init(format: LogFormat, level: Level, dropped: Counter) -> Result<Diagnostics, InitError> {
    let (diagnostics, handover) = start(io::stderr, dropped)?;
    set_global_default(subscriber(format, level, handover))?;
    Ok(diagnostics)
}

impl Drop for Diagnostics {
    fn drop(&mut self) {
        // There is nowhere left to say that the last lines are lost.
        let _unwritten = self.0.take().map(|writer| writer.finish(LAST_LINES));
    }
}

/// Says where a panic happened, and nothing that was put into its message at run time: `{:?}` of a value, or the text
/// around a wrong index, may be a claim.
pub fn hear_panics() {
    panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(told = fixed_text(panic.payload()), location, "panic");
    }));
}

/// The message if it is a literal of the program.
fn fixed_text(payload: &(dyn Any + Send)) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or("the message may hold claims and is left out")
}

fn start<D, W>(direct: D, dropped: Counter) -> io::Result<(Diagnostics, Handover<D>)>
where
    D: Fn() -> W,
    W: Write + Send + 'static,
{
    let (writer, lines) = LogWriter::spawn_for_lines(direct(), dropped)?;
    Ok((Diagnostics(Some(writer)), Handover { lines, direct }))
}

/// Hands lines over to the writer, or writes them at once if it has ended.
#[derive(Clone)]
struct Handover<D> {
    lines: LineLog,
    direct: D,
}

impl<'w, D: Clone + 'w> MakeWriter<'w> for Handover<D>
where
    Self: Write,
{
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

impl<D: Fn() -> W, W: Write> Write for Handover<D> {
    /// The layer that formats a line writes it as a whole.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.lines.say(line) {
            Ok(()) => Ok(line.len()),
            Err(Ended) => (self.direct)().write(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn subscriber<W>(format: LogFormat, level: Level, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let level = LevelFilter::from_level(level);
    let targets = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target(env!("CARGO_CRATE_NAME"), level);
    let lines = fmt::layer().with_writer(writer).with_ansi(false);
    let lines = match format {
        // An event's fields stay in an object of their own: flattened, a field called `level` or `timestamp` would
        // stand twice in the line.
        LogFormat::Json => lines.json().with_current_span(false).with_span_list(false).boxed(),
        LogFormat::Text => lines.boxed(),
    };
    Registry::default().with(lines.with_filter(targets))
}

#[cfg(test)]
#[path = "diagnostics_tests.rs"]
mod tests;

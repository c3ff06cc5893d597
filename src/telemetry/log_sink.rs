//! How lines leave the process: handed over to a thread that writes, by whoever must not wait.
//!
//! Access events: a worker appends to its own buffer and hands it over when it is full or a tick has passed. A message per
//! line would cost a wake-up of the writer each, which is more than the rest of a hook. Diagnostics are rare, so each of
//! their lines is handed over at once. If the writer is behind, lines are dropped and counted.

use std::{
    convert::Infallible,
    fmt, io,
    io::Write,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval};

use super::{AccessEvent, Counter, LogFormat};

/// A buffer is handed over when it holds so many bytes.
const BATCH_BYTES: usize = 128 * 1024;

/// Room for the line that reaches [`BATCH_BYTES`].
const LINE_BYTES: usize = 4 * 1024;

/// Batches that wait for the writer; with a slow reader, at most some 2 MiB.
const BATCHES: usize = 16;

/// Diagnostic lines that wait for their writer; some hundred bytes each.
const LINES: usize = 1024;

/// The longest time that a line stays in the buffer of a quiet worker.
const TICK: Duration = Duration::from_millis(100);

/// The thread that writes a log.
#[derive(Debug)]
pub struct LogWriter {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
    /// Closed by the thread when it ends; nothing is ever sent.
    ended: Receiver<Infallible>,
}

/// Makes the [`AccessLog`] of each worker.
#[derive(Clone, Debug)]
pub struct AccessLogFactory {
    format: LogFormat,
    shared: Arc<Shared>,
}

/// The access log of one worker.
///
/// May be used from several threads, but then they wait for each other.
#[derive(Clone)]
pub struct AccessLog {
    format: LogFormat,
    buffer: Arc<Mutex<Batch>>,
    shared: Arc<Shared>,
}

/// A log of lines that are handed over one by one, for any number of threads.
#[derive(Clone, Debug)]
pub(super) struct LineLog(Arc<Shared>);

/// The writer has ended; nothing takes the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended;

/// The writer did not end in time: something holds up its output. It is left behind, and its lines are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log was not written to its end: its reader does not read")]
pub struct Unwritten;

impl LogWriter {
    /// Starts the thread of the access log; lines that it cannot write are counted in `dropped`.
    pub fn spawn(
        out: impl Write + Send + 'static,
        format: LogFormat,
        dropped: Counter,
    ) -> io::Result<(Self, AccessLogFactory)> {
        let (writer, shared) = Self::start("access-log", BATCHES, out, dropped)?;
        Ok((writer, AccessLogFactory { format, shared }))
    }

    /// Starts the thread of the diagnostics; lines that it cannot write are counted in `dropped`.
    pub(super) fn spawn_for_lines(
        out: impl Write + Send + 'static,
        dropped: Counter,
    ) -> io::Result<(Self, LineLog)> {
        let (writer, shared) = Self::start("diagnostics", LINES, out, dropped)?;
        Ok((writer, LineLog(shared)))
    }

    fn start(
        name: &str,
        room: usize,
        out: impl Write + Send + 'static,
        dropped: Counter,
    ) -> io::Result<(Self, Arc<Shared>)> {
        let (batches, received) = mpsc::sync_channel(room);
        let (alive, ended) = mpsc::sync_channel(0);
        let shared = Arc::new(Shared {
            batches,
            empty: Mutex::new(Vec::new()),
            buffers: Mutex::new(Vec::new()),
            closing: AtomicBool::new(false),
            dropped,
        });
        let output = Output { out, torn: false };
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _alive = alive;
            write_until_the_end(&received, output, &of_thread);
        })?;
        Ok((Self { shared: Arc::clone(&shared), thread, ended }, shared))
    }

    /// Writes what was recorded so far, by all workers, and ends the thread. What is recorded later is lost.
    ///
    /// A write that blocks, because nobody reads a pipe, cannot be taken back. So this waits for `patience` and then
    /// leaves the thread behind, for the process is about to end. Without this call the thread lives on.
    pub fn finish(self, patience: Duration) -> Result<(), Unwritten> {
        self.shared.closing.store(true, Ordering::Release);
        // Wakes the writer. If the channel is full, it is awake and looks at `closing` before it sleeps.
        let _full = self.shared.batches.try_send(Message::End);
        match self.ended.recv_timeout(patience) {
            Err(RecvTimeoutError::Disconnected) => self.thread.join().map_err(|_panic| Unwritten),
            Err(RecvTimeoutError::Timeout) => Err(Unwritten),
            Ok(never) => match never {},
        }
    }
}

impl AccessLogFactory {
    /// A log with a buffer of its own.
    pub fn access_log(&self) -> AccessLog {
        let buffer = Arc::new(Mutex::new(Batch::new(&self.shared)));
        lock(&self.shared.buffers).push(Arc::clone(&buffer));
        AccessLog { format: self.format, buffer, shared: Arc::clone(&self.shared) }
    }
}

impl AccessLog {
    /// Appends one line. Never waits for the writer.
    pub fn record(&self, event: &AccessEvent<'_>) {
        let mut batch = lock(&self.buffer);
        match self.format {
            LogFormat::Json => event.write_json(&mut batch.bytes),
            LogFormat::Text => event.write_text(&mut batch.bytes),
        }
        batch.lines += 1;
        if batch.bytes.len() >= BATCH_BYTES && !self.hand_over(&mut batch) {
            self.drop_lines(&mut batch);
        }
    }

    /// Hands over what there is; what the writer has no room for stays for the next time.
    pub fn flush(&self) {
        let mut batch = lock(&self.buffer);
        if batch.lines > 0 {
            self.hand_over(&mut batch);
        }
    }

    /// Flushes at every tick; the task of a worker, aborted with it.
    pub async fn flush_at_every_tick(&self) -> Infallible {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.flush();
        }
    }

    /// Whether `batch` is a new one now: its lines are with the writer, or lost because the writer has ended.
    fn hand_over(&self, batch: &mut Batch) -> bool {
        match self.shared.batches.try_send(Message::Batch(mem::take(batch))) {
            Ok(()) => *batch = Batch::new(&self.shared),
            Err(TrySendError::Disconnected(message)) => {
                *batch = message.into_batch();
                self.drop_lines(batch);
            }
            Err(TrySendError::Full(message)) => {
                *batch = message.into_batch();
                return false;
            }
        }
        true
    }

    fn drop_lines(&self, batch: &mut Batch) {
        self.shared.dropped.inc_by(batch.lines);
        batch.bytes.clear();
        batch.lines = 0;
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").finish_non_exhaustive()
    }
}

impl LineLog {
    /// Hands one line over, its end included. Never waits: a line for which there is no room is dropped and counted.
    pub(super) fn say(&self, line: &[u8]) -> Result<(), Ended> {
        let mut bytes = lock(&self.0.empty).pop().unwrap_or_default();
        bytes.extend_from_slice(line);
        match self.0.batches.try_send(Message::Batch(Batch { bytes, lines: 1 })) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => {
                self.0.dropped.inc();
                Ok(())
            }
            Err(TrySendError::Disconnected(_)) => Err(Ended),
        }
    }
}

struct Shared {
    batches: SyncSender<Message>,
    /// Written buffers, kept for reuse; at most [`BATCHES`].
    empty: Mutex<Vec<Vec<u8>>>,
    /// The buffer of every worker, for the end.
    buffers: Mutex<Vec<Arc<Mutex<Batch>>>>,
    /// The writer is to end once the channel is empty.
    closing: AtomicBool,
    dropped: Counter,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    lines: u64,
}

impl Batch {
    fn new(shared: &Shared) -> Self {
        let kept = lock(&shared.empty).pop();
        Self { bytes: kept.unwrap_or_else(|| Vec::with_capacity(BATCH_BYTES + LINE_BYTES)), lines: 0 }
    }
}

enum Message {
    Batch(Batch),
    End,
}

impl Message {
    fn into_batch(self) -> Batch {
        match self {
            Self::Batch(batch) => batch,
            Self::End => Batch::default(),
        }
    }
}

fn write_until_the_end(batches: &Receiver<Message>, mut output: Output<impl Write>, shared: &Shared) {
    while let Some(message) = next_message(batches, shared) {
        if let Message::Batch(batch) = message {
            write_batch(batch, &mut output, shared);
        }
    }
    // After the channel, so that the lines of each worker keep their order.
    for buffer in mem::take(&mut *lock(&shared.buffers)) {
        let batch = mem::take(&mut *lock(&buffer));
        write_batch(batch, &mut output, shared);
    }
}

fn next_message(batches: &Receiver<Message>, shared: &Shared) -> Option<Message> {
    if shared.closing.load(Ordering::Acquire) { batches.try_recv().ok() } else { batches.recv().ok() }
}

fn write_batch(mut batch: Batch, output: &mut Output<impl Write>, shared: &Shared) {
    let lost = output.write(&batch.bytes);
    if lost > 0 {
        shared.dropped.inc_by(lost);
    }
    batch.bytes.clear();
    let mut empty = lock(&shared.empty);
    if empty.len() < BATCHES {
        empty.push(batch.bytes);
    }
}

/// Where the lines go, and whether the last one there lacks its end.
struct Output<W> {
    out: W,
    torn: bool,
}

impl<W: Write> Output<W> {
    /// Writes the lines and returns how many were lost.
    ///
    /// An error loses the rest of the batch and nothing more: a full disk may have room again, and a reader that is
    /// gone must not take the process with it.
    fn write(&mut self, lines: &[u8]) -> u64 {
        if self.torn && !lines.is_empty() {
            // Ends the torn line, so that it does not spoil the first one of this batch as well.
            match self.out.write_all(b"\n") {
                Ok(()) => self.torn = false,
                Err(_) => return count_lines(lines),
            }
        }
        let mut rest = lines;
        while !rest.is_empty() {
            match self.out.write(rest) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
                Ok(written) => rest = &rest[written..],
            }
        }
        self.torn |=
            !rest.is_empty() && lines[..lines.len() - rest.len()].last().is_some_and(|&byte| byte != b'\n');
        // A failed flush leaves it open how much arrived; then nothing of the batch counts as written.
        if self.out.flush().is_err() { count_lines(lines) } else { count_lines(rest) }
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n")).count() as u64
}

/// A panic while a buffer was locked leaves at worst a torn line in it, which is no reason to stop logging.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "log_sink_tests.rs"]
mod tests;

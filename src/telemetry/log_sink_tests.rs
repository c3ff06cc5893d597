use std::{
    sync::mpsc::{Receiver, Sender, channel},
    time::UNIX_EPOCH,
};

use super::*;
use crate::telemetry::{DecisionLabel, Metrics, Outcome};

/// Long enough for any thread to get its turn; tests end as soon as what they wait for has happened.
const PATIENCE: Duration = Duration::from_secs(20);

/// Hands every write to the test; blocks in each write for as long as the test holds the gate.
struct Gated {
    gate: Arc<Mutex<()>>,
    arrived: Sender<Vec<u8>>,
}

impl Write for Gated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _open = lock(&self.gate);
        self.arrived.send(bytes.to_vec()).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Sink {
    gate: Arc<Mutex<()>>,
    arrived: Receiver<Vec<u8>>,
    writer: LogWriter,
    factory: AccessLogFactory,
    dropped: Counter,
}

fn sink() -> Sink {
    let gate = Arc::new(Mutex::new(()));
    let (sender, arrived) = channel();
    let dropped = Metrics::new().log_lines_dropped();
    let out = Gated { gate: Arc::clone(&gate), arrived: sender };
    let (writer, factory) = LogWriter::spawn(out, LogFormat::Json, dropped.clone()).unwrap();
    Sink { gate, arrived, writer, factory, dropped }
}

fn record(log: &AccessLog, number: u64) {
    let mut event = AccessEvent::new(UNIX_EPOCH, DecisionLabel::Continue, Outcome::Api);
    let id = number.to_string();
    event.request_id = Some(&id);
    log.record(&event);
}

/// The request ids of all lines, in the order in which they were written.
fn ids(written: &[u8]) -> Vec<u64> {
    let lines = std::str::from_utf8(written).unwrap().lines();
    lines
        .map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            event["request_id"].as_str().unwrap().parse().unwrap()
        })
        .collect()
}

fn written(arrived: &Receiver<Vec<u8>>) -> Vec<u8> {
    arrived.try_iter().flatten().collect()
}

#[test]
fn nothing_is_written_before_the_size_or_a_flush() {
    let sink = sink();
    let log = sink.factory.access_log();
    record(&log, 1);
    assert_eq!(sink.arrived.recv_timeout(Duration::from_millis(50)).ok(), None);
    log.flush();
    assert_eq!(ids(&sink.arrived.recv_timeout(PATIENCE).unwrap()), [1]);
}

#[test]
fn a_full_buffer_is_handed_over_whole_and_in_order() {
    let sink = sink();
    let log = sink.factory.access_log();
    let mut recorded = 0;
    let first = loop {
        record(&log, recorded);
        recorded += 1;
        if lock(&log.buffer).lines == 0 {
            break sink.arrived.recv_timeout(PATIENCE).unwrap();
        }
    };
    assert!((BATCH_BYTES..BATCH_BYTES + LINE_BYTES).contains(&first.len()));
    assert_eq!(ids(&first), (0..recorded).collect::<Vec<_>>());
}

#[test]
fn a_full_channel_drops_lines_and_counts_every_one() {
    let sink = sink();
    let log = sink.factory.access_log();
    let closed = lock(&sink.gate);
    let mut recorded = 0;
    while sink.dropped.get() == 0 {
        record(&log, recorded);
        recorded += 1;
        assert!(recorded < 100_000, "nothing is dropped, or it is not counted");
    }
    // The next ones stay in the buffer: there is room in it again.
    for _ in 0..10 {
        record(&log, recorded);
        recorded += 1;
    }
    log.flush();
    drop(closed);
    sink.writer.finish(PATIENCE).unwrap();
    let ids = ids(&written(&sink.arrived));
    let first_batches = recorded - 10 - sink.dropped.get();
    let expected: Vec<_> = (0..first_batches).chain(recorded - 10..recorded).collect();
    assert_eq!(ids, expected);
    assert!(sink.dropped.get() > 100, "a whole buffer of lines was dropped");
}

#[test]
fn written_buffers_are_used_again() {
    let sink = sink();
    let log = sink.factory.access_log();
    let first = lock(&log.buffer).bytes.as_ptr();
    // While the gate is closed no buffer goes back, so each hand-over has to do with those that are there.
    let closed = lock(&sink.gate);
    record(&log, 1);
    log.flush();
    assert_ne!(lock(&log.buffer).bytes.as_ptr(), first);
    drop(closed);
    while lock(&sink.factory.shared.empty).is_empty() {
        thread::yield_now();
    }
    let closed = lock(&sink.gate);
    record(&log, 2);
    log.flush();
    assert_eq!(lock(&log.buffer).bytes.as_ptr(), first);
    drop(closed);
    record(&log, 3);
    sink.writer.finish(PATIENCE).unwrap();
    assert_eq!(ids(&written(&sink.arrived)), [1, 2, 3], "a buffer holds nothing of its former lines");
}

#[test]
fn finish_writes_the_rest_of_every_worker() {
    let sink = sink();
    let workers: Vec<_> = (0..3).map(|_| sink.factory.access_log()).collect();
    for (number, log) in (0..).zip(&workers) {
        record(log, number);
    }
    workers[0].flush();
    record(&workers[0], 3);
    sink.writer.finish(PATIENCE).unwrap();
    let mut ids = ids(&written(&sink.arrived));
    assert!(ids.iter().position(|&id| id == 0) < ids.iter().position(|&id| id == 3));
    ids.sort_unstable();
    assert_eq!(ids, [0, 1, 2, 3]);
    assert_eq!(sink.dropped.get(), 0);
}

#[test]
fn what_comes_after_the_end_is_counted() {
    let sink = sink();
    let log = sink.factory.access_log();
    sink.writer.finish(PATIENCE).unwrap();
    record(&log, 1);
    record(&log, 2);
    log.flush();
    assert_eq!(sink.dropped.get(), 2);
}

#[test]
fn finish_does_not_wait_for_a_reader_that_does_not_read() {
    let sink = sink();
    let log = sink.factory.access_log();
    let _closed = lock(&sink.gate);
    record(&log, 1);
    log.flush();
    assert_eq!(sink.writer.finish(Duration::from_millis(20)), Err(Unwritten));
}

#[test]
fn finish_ends_also_when_the_channel_is_full() {
    let sink = sink();
    let log = sink.factory.access_log();
    let closed = lock(&sink.gate);
    for number in 0..2 * BATCHES as u64 {
        record(&log, number);
        log.flush();
    }
    let opener = thread::spawn({
        let shared = Arc::clone(&sink.factory.shared);
        let gate = Arc::clone(&sink.gate);
        move || {
            while !shared.closing.load(Ordering::Acquire) {
                thread::yield_now();
            }
            drop(lock(&gate));
        }
    });
    drop(closed);
    sink.writer.finish(PATIENCE).unwrap();
    opener.join().unwrap();
    assert_eq!(ids(&written(&sink.arrived)), (0..2 * BATCHES as u64).collect::<Vec<_>>());
    assert_eq!(sink.dropped.get(), 0);
}

#[test]
fn lines_for_people_come_from_the_same_place() {
    let (sender, arrived) = channel();
    let out = Gated { gate: Arc::default(), arrived: sender };
    let (writer, factory) =
        LogWriter::spawn(out, LogFormat::Text, Metrics::new().log_lines_dropped()).unwrap();
    record(&factory.access_log(), 7);
    writer.finish(PATIENCE).unwrap();
    assert_eq!(written(&arrived), b"1970-01-01T00:00:00.000Z Continue (api) -/- request_id=7\n");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_workers_line_waits_for_one_tick_at_most() {
    let sink = sink();
    let log = sink.factory.access_log();
    let flushing = tokio::spawn({
        let log = log.clone();
        async move { log.flush_at_every_tick().await }
    });
    tokio::time::sleep(Duration::from_millis(1)).await;
    record(&log, 1);
    tokio::time::sleep(TICK.saturating_sub(Duration::from_millis(2))).await;
    assert_eq!(lock(&log.buffer).lines, 1);
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(lock(&log.buffer).lines, 0);
    assert_eq!(ids(&sink.arrived.recv_timeout(PATIENCE).unwrap()), [1]);
    flushing.abort();
}

/// Fails as the script says, else takes what it is given.
struct Failing {
    script: Vec<io::Result<usize>>,
    taken: Vec<u8>,
}

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = if self.script.is_empty() { Ok(bytes.len()) } else { self.script.remove(0) };
        let taken = room?.min(bytes.len());
        self.taken.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_error_loses_the_rest_of_its_batch_and_no_other_line() {
    let broken = || Err(io::ErrorKind::BrokenPipe.into());
    let interrupted = || Err(io::ErrorKind::Interrupted.into());
    let cases = [
        (vec![], 0, "one\ntwo\nthree\n"),
        (vec![interrupted(), Ok(1), interrupted()], 0, "one\ntwo\nthree\n"),
        (vec![broken()], 2, "three\n"),
        (vec![Ok(4), broken()], 1, "one\nthree\n"),
        (vec![Ok(6), broken()], 1, "one\ntw\nthree\n"),
        (vec![Ok(6), broken(), broken()], 2, "one\ntw"),
        (vec![Ok(0)], 2, "three\n"),
    ];
    for (script, lost, expected) in cases {
        let about = format!("{script:?}");
        let mut output = Output { out: Failing { script, taken: Vec::new() }, torn: false };
        assert_eq!(output.write(b"one\ntwo\n") + output.write(b"three\n"), lost, "{about}");
        assert_eq!(String::from_utf8(output.out.taken).unwrap(), expected, "{about}");
    }
}

#[test]
fn a_reader_that_is_gone_costs_lines_and_not_the_process() {
    let (sender, arrived) = channel();
    drop(arrived);
    let dropped = Metrics::new().log_lines_dropped();
    let out = Gated { gate: Arc::default(), arrived: sender };
    let (writer, factory) = LogWriter::spawn(out, LogFormat::Json, dropped.clone()).unwrap();
    let log = factory.access_log();
    for number in 0..5 {
        record(&log, number);
        log.flush();
    }
    writer.finish(PATIENCE).unwrap();
    assert_eq!(dropped.get(), 5);
}

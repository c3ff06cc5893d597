use std::sync::{Arc, Mutex};

use tokio::time::Instant;
use tracing::{debug, info, subscriber::with_default, warn};

use super::*;
use crate::telemetry::Metrics;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `say` leaves on standard error.
fn said(format: LogFormat, level: Level, say: impl FnOnce()) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    with_default(subscriber(format, level, move || writer.clone()), say);
    let said = std::mem::take(&mut *lines.0.lock().unwrap());
    String::from_utf8(said).unwrap()
}

fn say_everything() {
    debug!("own debug");
    info!("own info");
    warn!("own warn");
    tracing::error!("own error");
    info!(target: "rustls::client", "foreign info");
    warn!(target: "rustls::client", "foreign warn");
    tracing::error!(target: "hyper", "foreign error");
}

#[test]
fn dependencies_are_heard_from_warn_on_and_never_below_the_level() {
    let cases = [
        (
            Level::DEBUG,
            vec!["own debug", "own info", "own warn", "own error", "foreign warn", "foreign error"],
        ),
        (Level::INFO, vec!["own info", "own warn", "own error", "foreign warn", "foreign error"]),
        (Level::ERROR, vec!["own error", "foreign error"]),
    ];
    for (level, expected) in cases {
        let text = said(LogFormat::Text, level, say_everything);
        let heard: Vec<_> = text.lines().map(|line| line.rsplit_once(": ").unwrap().1).collect();
        assert_eq!(heard, expected, "{level}");
    }
}

#[test]
fn a_json_line_has_every_key_once_whatever_the_fields_are_called() {
    let line = said(LogFormat::Json, Level::INFO, || {
        info!(timestamp = "t", level = "l", target = "x", reason = "dns", "no connection");
    });
    assert_eq!(line.lines().count(), 1);
    let read: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(read["level"], "INFO");
    assert_eq!(read["target"], module_path!());
    assert_eq!(read["fields"]["message"], "no connection");
    assert_eq!(read["fields"]["timestamp"], "t");
    assert_eq!(read["fields"]["reason"], "dns");
    assert_eq!(line.matches("\"timestamp\":").count(), 2, "one of the line, one of the fields");
}

#[test]
fn a_panic_is_located_and_what_it_was_told_at_run_time_is_left_out() {
    let claim = std::hint::black_box("jane@fabrikam.com");
    let told = said(LogFormat::Json, Level::ERROR, || {
        hear_panics();
        let caught = panic::catch_unwind(|| panic!("no such claim: {claim}"));
        assert!(caught.is_err());
        let caught = panic::catch_unwind(|| panic!("a literal"));
        assert!(caught.is_err());
        let _default = panic::take_hook();
    });
    assert!(!told.contains(claim), "{told}");
    assert!(told.contains("a literal") && told.matches(file!()).count() == 2, "{told}");
}

#[test]
fn no_line_can_steer_a_terminal() {
    for format in [LogFormat::Json, LogFormat::Text] {
        let hostile = "\u{1b}[2Jcleared";
        let line = said(format, Level::INFO, || warn!("certificate of {hostile}"));
        assert!(line.contains("cleared"));
        assert!(!line.contains('\u{1b}'), "{line:?}");
    }
}

/// The numbers at the ends of the lines.
fn numbers(lines: &Lines) -> Vec<usize> {
    let written = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    written.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap()).collect()
}

#[test]
fn a_reader_that_stalls_holds_up_nobody_and_its_lines_are_counted() {
    let lines = Lines::default();
    let stalled = lines.0.lock().unwrap();
    let dropped = Metrics::new().log_lines_dropped();
    let (writer, begin) = (lines.clone(), Instant::now());
    let (diagnostics, handover) = start(move || writer.clone(), dropped.clone()).unwrap();
    with_default(subscriber(LogFormat::Text, Level::INFO, handover), || {
        (0..10_000).for_each(|number| warn!("number {number}"));
        assert!(dropped.get() > 8_000, "{}", dropped.get());
        drop(diagnostics);
    });
    let took = begin.elapsed();
    assert!((LAST_LINES..LAST_LINES * 4).contains(&took), "the end waits for a while: {took:?}");
    drop(stalled);
    let most = 10_000 - usize::try_from(dropped.get()).unwrap();
    while numbers(&lines).len() < most {
        std::thread::yield_now();
    }
    assert!(numbers(&lines).is_sorted_by(|one, next| one < next), "what is not dropped comes in its order");
}

#[test]
fn every_line_is_written_at_the_end_and_later_ones_at_once() {
    let lines = Lines::default();
    let writer = lines.clone();
    let dropped = Metrics::new().log_lines_dropped();
    let (diagnostics, handover) = start(move || writer.clone(), dropped.clone()).unwrap();
    with_default(subscriber(LogFormat::Text, Level::INFO, handover), || {
        (0..500).for_each(|number| warn!("number {number}"));
        drop(diagnostics);
        assert_eq!(numbers(&lines), (0..500).collect::<Vec<_>>());
        warn!("number {}", 500);
        assert_eq!(numbers(&lines), (0..=500).collect::<Vec<_>>());
    });
    assert_eq!(dropped.get(), 0);
}

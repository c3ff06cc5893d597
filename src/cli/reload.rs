//! Taking a new configuration while running.
//!
//! The files of a configuration (itself, secrets, certificates) are read again and again and compared by what they hold:
//! Kubernetes swaps a whole directory behind a symbolic link, which no watch on a file would see twice. What differs is
//! taken once two readings in a row agree, and then as a whole or not at all: parse, check, build, swap. Whatever is wrong
//! leaves the configuration before it in force.

use std::{
    io, mem,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    time::{Instant, MissedTickBehavior, interval, interval_at, sleep},
};

use crate::{
    config::{self, Config, Files, Outcome, Problem, Secrets, Severity},
    gateway::{Snapshot, Worker},
    telemetry::Metrics,
};

/// How often the files are looked at. A change is in force after two looks, so within twice that.
const LOOK: Duration = Duration::from_secs(2);

/// How often it is said that a certificate ends soon.
const DAY: Duration = Duration::from_hours(24);

/// After a signal, which says that the files are written: the pause between two readings that must agree, and how many
/// readings there are at most. What does not settle is left to the looks.
const SETTLING: (Duration, usize) = (Duration::from_millis(100), 20);

/// The configuration in force, and what its files held.
#[derive(Debug)]
pub(super) struct Reloader {
    path: PathBuf,
    running: Config,
    snapshot: Arc<Snapshot>,
    workers: Vec<Arc<Worker>>,
    metrics: Metrics,
    /// What the last attempt was made of, whatever came of it: so a refusal is said once.
    seen: Files,
    /// A reading that differs from `seen`, and waits for a second one like it.
    changing: Option<Files>,
}

/// SIGHUP, which would end a process that does not catch it.
#[derive(Debug)]
pub(super) struct Hangup {
    runtime: runtime::Runtime,
    signal: Signal,
}

impl Hangup {
    /// Catches it from now on; what comes before [`Reloader::spawn`] is not forgotten.
    pub(super) fn catch() -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let signal = {
            let _context = runtime.enter();
            signal(SignalKind::hangup())?
        };
        Ok(Self { runtime, signal })
    }
}

/// The thread that reloads; told to end when this is dropped.
///
/// It is not waited for: it may be reading a file of a server that is gone, and nothing depends on its end.
#[derive(Debug)]
pub(super) struct Reloading(#[expect(dead_code, reason = "held for its drop")] oneshot::Sender<()>);

impl Reloader {
    /// `files` are those that `running` was read from, and `snapshot` is what `workers` have in force.
    pub(super) fn new(
        path: PathBuf,
        running: Config,
        files: Files,
        snapshot: Arc<Snapshot>,
        workers: Vec<Arc<Worker>>,
        metrics: Metrics,
    ) -> Self {
        Self { path, running, snapshot, workers, metrics, seen: files, changing: None }
    }

    /// Looks at the files on a thread of its own, at once after each SIGHUP.
    pub(super) fn spawn(self, hangup: Hangup) -> io::Result<Reloading> {
        let Hangup { runtime, signal } = hangup;
        let (stop, stopped) = oneshot::channel();
        thread::Builder::new().name("reload".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = self.watch(signal) => {}
                }
            });
        })?;
        Ok(Reloading(stop))
    }

    async fn watch(mut self, mut hangup: Signal) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut day = interval_at(Instant::now() + DAY, DAY);
        loop {
            tokio::select! {
                _ = hangup.recv() => self.told().await,
                _ = look.tick() => self.look(),
                _ = day.tick() => self.snapshot.watch_certificates(SystemTime::now()),
            }
        }
    }

    /// A regular look.
    fn look(&mut self) {
        let now = self.seen.now();
        if now == self.seen {
            self.changing = None;
        } else if self.changing.as_ref() == Some(&now) {
            self.attempt(now);
        } else {
            self.changing = Some(now);
        }
    }

    /// A signal: whether anything has changed does not matter.
    async fn told(&mut self) {
        tracing::info!(signal = "SIGHUP", "reloading");
        let (pause, most) = SETTLING;
        let mut before = self.seen.now();
        for _ in 1..most {
            sleep(pause).await;
            let now = self.seen.now();
            if now == before {
                return self.attempt(now);
            }
            before = now;
        }
        tracing::info!("the files are still being written; they are taken when they have settled");
    }

    /// Takes what the files hold, or says why not.
    fn attempt(&mut self, now: Files) {
        self.changing = None;
        let before = mem::replace(&mut self.seen, now);
        let Outcome { config, report, files } = match config::load(&self.path, Secrets::Load) {
            Ok(outcome) => outcome,
            Err(error) => return self.refuse(format_args!("{} {error}", self.path.display())),
        };
        // Written to while it was read: this is neither the old nor the new one, and was not tried.
        if files.now() != files {
            self.seen = before;
            return;
        }
        self.seen = files;
        report.problems().iter().for_each(log);
        if let Some(more) = report.more() {
            tracing::warn!(more, "there are more problems in the changed configuration than are told here");
        }
        let Some(config) = config else { return self.refuse(format_args!("{}", report.summary())) };
        let fixed = needs_restart(&self.running, &config);
        if !fixed.is_empty() {
            let keys = fixed.join(", ");
            return self.refuse(format_args!("{keys} cannot change while running; restart claimgate for it"));
        }
        if config == self.running {
            self.metrics.config_in_force(SystemTime::now());
            tracing::info!("the configuration is the one in force");
            return;
        }
        match self.snapshot.succeeded_by(config.clone()) {
            Ok(snapshot) => self.put_in_force(config, Arc::new(snapshot)),
            Err(error) => self.refuse(format_args!("{error}")),
        }
    }

    fn put_in_force(&mut self, config: Config, snapshot: Arc<Snapshot>) {
        self.workers.iter().for_each(|worker| worker.put_in_force(Arc::clone(&snapshot)));
        snapshot.show_instead_of(&self.snapshot);
        self.snapshot = snapshot;
        self.running = config;
        self.metrics.config_in_force(SystemTime::now());
        tracing::info!(path = %self.path.display(), "a new configuration is in force");
        super::budget::tell(&self.running);
    }

    fn refuse(&self, error: std::fmt::Arguments<'_>) {
        self.metrics.config_refused();
        // What was built of it before it was refused has left its names.
        self.snapshot.forget_others();
        tracing::error!(%error, "the changed configuration is refused; the one before it stays in force");
    }
}

/// The keys that only a new process can follow: sockets, and what was made with them.
fn needs_restart(running: &Config, new: &Config) -> Vec<&'static str> {
    let (listen, new_listen) = (&running.listen, &new.listen);
    let keys = [
        ("listen.address", listen.address == new_listen.address),
        ("listen.plain_text", listen.plain_text == new_listen.plain_text),
        ("listen.max_connections", listen.max_connections == new_listen.max_connections),
        ("listen.tls", listen.tls.is_some() == new_listen.tls.is_some()),
        ("admin.address", running.admin.address == new.admin.address),
        ("shutdown.drain_delay", running.shutdown.drain_delay == new.shutdown.drain_delay),
        ("shutdown.grace", running.shutdown.grace == new.shutdown.grace),
    ];
    keys.into_iter().filter(|(_, same)| !same).map(|(key, _)| key).collect()
}

fn log(problem: &Problem) {
    let Problem { severity, place, path, message: problem, help, .. } = problem;
    let (line, column, help) = (place.line, place.column, help.as_deref().unwrap_or_default());
    match severity {
        Severity::Error => tracing::error!(line, column, path, problem, help, "in the changed configuration"),
        Severity::Warning => {
            tracing::warn!(line, column, path, problem, help, "in the changed configuration");
        }
    }
}

#[cfg(test)]
mod tests;

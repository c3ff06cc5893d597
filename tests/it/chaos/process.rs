//! The gateway as the system sees it, with its access log in a file: a long run has too much of it for memory.

use std::{
    collections::{HashMap, VecDeque},
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::Command,
    sync::mpsc::{self, RecvTimeoutError},
    thread::JoinHandle,
    time::Duration,
};

use tempfile::TempDir;

use crate::support::{Gateway, gateway::written};

pub(super) struct Watched {
    pub(super) gateway: Gateway,
    directory: TempDir,
}

/// What a process holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) descriptors: usize,
    pub(super) threads: usize,
    /// Resident memory, in KiB.
    pub(super) memory: u64,
}

impl Watched {
    pub(super) fn start(config: &str) -> Self {
        let directory = written(config);
        let mut command = Command::new("sh");
        let script = r#"exec "$0" serve --workers 2 --config "$1/claimgate.yaml" > "$1/access.log""#;
        command.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_claimgate")).arg(directory.path());
        Self { gateway: Gateway::from_command(command), directory }
    }

    /// Puts another configuration in force, sooner or later.
    pub(super) fn change(&self, config: &str) {
        fs::write(self.directory.path().join("claimgate.yaml"), config).expect("the file can be written");
        self.gateway.signal("HUP");
    }

    pub(super) fn held(&self) -> Held {
        let process = PathBuf::from(format!("/proc/{}", self.gateway.pid()));
        let descriptors =
            fs::read_dir(process.join("fd")).expect("a running process has descriptors").count();
        let status = fs::read_to_string(process.join("status")).expect("a running process has a status");
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number =
                line.and_then(|rest| rest.split_whitespace().next()).and_then(|word| word.parse().ok());
            number.unwrap_or_else(|| panic!("no {name} in {status}"))
        };
        let threads = usize::try_from(number("Threads:")).expect("there are fewer");
        Held { descriptors, threads, memory: number("VmRSS:") }
    }

    /// Ends it, and hands over each line of its access log.
    pub(super) fn end(&mut self, mut each: impl FnMut(&str)) {
        assert!(self.gateway.terminate().success(), "{}", self.gateway.stderr_text());
        let file = fs::File::open(self.directory.path().join("access.log")).expect("the shell made it");
        for line in BufReader::new(file).lines() {
            each(&line.expect("the access log is UTF-8"));
        }
    }
}

/// Watches how long the threads of a process wait for a processor: on a busy machine it can be no earlier than that.
pub(super) struct Starvation {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<Duration>,
}

/// How often it looks, and how many looks a hook lasts at most.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS: usize = 50;

impl Starvation {
    pub(super) fn of(gateway: &Gateway) -> Self {
        let tasks = PathBuf::from(format!("/proc/{}/task", gateway.pid()));
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut waits: HashMap<PathBuf, VecDeque<u64>> = HashMap::new();
            let mut worst = 0;
            while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                for task in fs::read_dir(&tasks).into_iter().flatten().flatten() {
                    let Some(waited) = waited(&task.path()) else { continue };
                    let waits = waits.entry(task.path()).or_default();
                    waits.push_back(waited);
                    if waits.len() > LOOKS {
                        waits.pop_front();
                    }
                    worst = worst.max(waited - waits.front().copied().unwrap_or(waited));
                }
            }
            Duration::from_nanos(worst)
        });
        Self { stop, thread }
    }

    /// The longest wait of one thread within the time of a hook.
    pub(super) fn worst(self) -> Duration {
        drop(self.stop);
        self.thread.join().expect("it only reads and compares")
    }
}

/// The second number of `schedstat`, in nanoseconds: `sched-stats.rst` of the Linux documentation.
fn waited(task: &std::path::Path) -> Option<u64> {
    fs::read_to_string(task.join("schedstat")).ok()?.split(' ').nth(1)?.parse().ok()
}

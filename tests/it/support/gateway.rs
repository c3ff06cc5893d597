//! Starts the real program, and reads what it says.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    io::{BufRead as _, BufReader, Read},
    net::{SocketAddr, TcpListener},
    os::fd::{AsRawFd as _, OwnedFd},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread::JoinHandle,
    time::Duration,
};

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

use super::{client::Client, metrics};

/// Longest wait for the program to listen, to write something or to end.
const LIMIT: Duration = Duration::from_secs(15);

/// The configuration in its directory.
const FILE: &str = "claimgate.yaml";

/// A running program; it is killed when this is dropped.
pub(crate) struct Gateway {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
    stdout: Lines,
    stderr: Lines,
    /// Held for its drop: the file must live as long as the program may read it.
    directory: Option<TempDir>,
}

impl Gateway {
    /// Runs `claimgate serve` with this configuration, and returns once it listens.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_with_env(config, [])
    }

    /// The same with these environment variables.
    pub(crate) fn start_with_env<const N: usize>(config: &str, variables: [(&str, &str); N]) -> Self {
        Self::start_with(config, &[], variables)
    }

    /// The same with more arguments.
    pub(crate) fn start_with_arguments(config: &str, arguments: &[&str]) -> Self {
        Self::start_with(config, arguments, [])
    }

    fn start_with<const N: usize>(config: &str, arguments: &[&str], variables: [(&str, &str); N]) -> Self {
        let directory = written(config);
        let mut command = serve(&directory);
        command.args(arguments).envs(variables);
        let mut gateway = Self::from_command(command);
        gateway.directory = Some(directory);
        gateway
    }

    /// The same on these listening sockets, passed as `sd_listen_fds(3)` says; `names` is `LISTEN_FDNAMES`.
    pub(crate) fn start_on(config: &str, sockets: &[&TcpListener], names: Option<&str>) -> Self {
        let directory = written(config);
        let passing = passing(sockets, names, &serve(&directory));
        let mut gateway = Self::from_command(passing.command);
        gateway.directory = Some(directory);
        gateway
    }

    /// Runs this program, and returns once it has said on stderr where it listens.
    pub(crate) fn from_command(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be started");
        let stdout = Lines::read(child.stdout.take().expect("stdout is a pipe"));
        let stderr = Lines::read(child.stderr.take().expect("stderr is a pipe"));
        let listening = stderr.wait_for(|lines| lines.iter().find_map(|line| listening(line)));
        let Some((address, admin)) = listening else {
            child.kill().ok();
            let status = child.wait().expect("a child can be waited for");
            panic!("the program does not listen ({status}):\n{}", stderr.text());
        };
        Self { child, address, admin, stdout, stderr, directory: None }
    }

    /// The configuration file that [`Self::start`] has written.
    pub(crate) fn config(&self) -> PathBuf {
        self.directory.as_ref().expect("started with a configuration").path().join(FILE)
    }

    /// Where the hook port listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the admin port listens.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// A client for the hook port.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// A client for the admin port.
    pub(crate) fn admin_client(&self) -> Client {
        Client::admin(self.admin)
    }

    /// The metrics page.
    pub(crate) fn metrics(&self) -> String {
        let response = self.admin_client().get("/metrics").send();
        assert_eq!(response.status, 200, "GET /metrics");
        response.text().to_owned()
    }

    /// The value of `name{label="value",…}`; labels in any order, but all of them. Panics if there is no such sample.
    pub(crate) fn metric(&self, sample: &str) -> f64 {
        let page = self.metrics();
        metrics::value(&page, sample).unwrap_or_else(|| panic!("no {sample} in\n{page}"))
    }

    /// Waits until the sample has this value: a hook is counted after its answer has left.
    pub(crate) fn wait_for_metric(&self, sample: &str, wanted: f64) {
        let end = Instant::now() + LIMIT;
        loop {
            let seen = metrics::value(&self.metrics(), sample);
            if seen.is_some_and(|seen| (seen - wanted).abs() < f64::EPSILON) {
                return;
            }
            assert!(Instant::now() < end, "{sample} is {seen:?}, not {wanted}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The access events so far. Each line of stdout must be one JSON object.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.stdout.get().iter().map(|line| event(line)).collect()
    }

    /// The access events, once there are `count` of them.
    pub(crate) fn wait_for_events(&self, count: usize) -> Vec<Value> {
        let enough = self.stdout.wait_for(|lines| (lines.len() >= count).then_some(()));
        let events = self.events();
        assert!(enough.is_some(), "{} of {count} access events: {events:#?}", events.len());
        events
    }

    /// The one access event of the hook with this request id.
    pub(crate) fn event(&self, request_id: &str) -> Value {
        let field = format!("\"request_id\":\"{request_id}\"");
        let of_this = |line: &&String| line.contains(&field);
        let found = self.stdout.wait_for(|lines| lines.iter().find(of_this).map(|line| event(line)));
        let found = found.unwrap_or_else(|| panic!("no access event of {request_id}"));
        assert_eq!(self.stdout.get().iter().filter(of_this).count(), 1, "events of {request_id}");
        found
    }

    /// All that came on stderr so far.
    pub(crate) fn stderr_text(&self) -> String {
        self.stderr.text()
    }

    /// All that came on stdout so far.
    pub(crate) fn stdout_text(&self) -> String {
        self.stdout.text()
    }

    /// The number of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, `TERM` for example, and does not wait.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("/bin/kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(status.is_ok_and(|status| status.success()), "SIG{name} could not be sent");
    }

    /// Sends SIGTERM and waits for the end. Afterwards all output is there.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Waits for the end of the program. Afterwards all output is there.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            assert!(Instant::now() < end, "the program still runs:\n{}", self.stderr_text());
            std::thread::sleep(Duration::from_millis(5));
        };
        self.stdout.join();
        self.stderr.join();
        status
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Errors mean that it has ended and been waited for.
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("--- stderr of the program ---\n{}", self.stderr_text());
        }
    }
}

/// The program with these arguments, not yet running.
pub(crate) fn claimgate<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_claimgate"));
    command.args(arguments);
    command
}

/// `claimgate serve` with the configuration in this directory.
pub(crate) fn serve(directory: &TempDir) -> Command {
    let file = directory.path().join(FILE);
    claimgate([OsStr::new("serve"), OsStr::new("--config"), file.as_os_str()])
}

/// A directory with this configuration.
pub(crate) fn written(config: &str) -> TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    std::fs::write(directory.path().join(FILE), config).expect("the configuration can be written");
    directory
}

/// A program that is run with sockets as its file descriptors from 3 on.
pub(crate) struct Passing {
    pub(crate) command: Command,
    /// Without close-on-exec, so held only until the program runs.
    _inherited: Vec<OwnedFd>,
}

/// Lets a shell put the sockets where the protocol wants them, and become the program.
pub(crate) fn passing(sockets: &[&TcpListener], names: Option<&str>, program: &Command) -> Passing {
    let inherit = |socket: &&TcpListener| {
        // Far above the numbers that the shell moves them to.
        let copy = fcntl_dupfd_cloexec(socket, 100).expect("a descriptor is free");
        fcntl_setfd(&copy, FdFlags::empty()).expect("a flag can be cleared");
        copy
    };
    let inherited: Vec<OwnedFd> = sockets.iter().map(inherit).collect();
    let mut script = "exec".to_owned();
    for (to, fd) in (3..).zip(&inherited) {
        write!(script, " {to}<&{0} {0}<&-", fd.as_raw_fd()).expect("a string takes every write");
    }
    write!(script, "; LISTEN_PID=$$ LISTEN_FDS={} exec \"$@\"", sockets.len())
        .expect("a string takes every write");
    let mut command = Command::new("bash");
    command.args(["-c", &script, "bash"]).arg(program.get_program()).args(program.get_args());
    if let Some(names) = names {
        command.env("LISTEN_FDNAMES", names);
    }
    Passing { command, _inherited: inherited }
}

/// The two addresses, if this line of stderr is the one that names them: at its top or in an object within.
fn listening(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let Ok(value) = serde_json::from_str::<Value>(line) else { return listening_as_text(line) };
    let nested = value.as_object()?.values().filter(|inner| inner.is_object());
    std::iter::once(&value).chain(nested).find_map(|object| {
        let address = |key: &str| object.get(key)?.as_str()?.parse().ok();
        Some((address("address")?, address("admin")?))
    })
}

/// The same in a line for people.
fn listening_as_text(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let address = |key: &str| line.split(' ').find_map(|word| word.strip_prefix(key))?.parse().ok();
    Some((address("address=")?, address("admin=")?))
}

fn event(line: &str) -> Value {
    let value: Option<Value> = serde_json::from_str(line).ok();
    value.filter(Value::is_object).unwrap_or_else(|| panic!("a line of stdout is no JSON object: {line:?}"))
}

/// The lines of one output of the program, read by a thread so that the pipe never fills up.
struct Lines {
    shared: Arc<(Mutex<Seen>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    fn read(pipe: impl Read + Send + 'static) -> Self {
        let shared: Arc<(Mutex<Seen>, Condvar)> = Arc::default();
        let writer = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let (seen, changed) = &*writer;
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                seen.lock().expect(UNPOISONED).lines.push(String::from_utf8_lossy(&line).into_owned());
                changed.notify_all();
            }
            seen.lock().expect(UNPOISONED).ended = true;
            changed.notify_all();
        });
        Self { shared, thread: Some(thread) }
    }

    fn get(&self) -> Vec<String> {
        self.shared.0.lock().expect(UNPOISONED).lines.clone()
    }

    fn text(&self) -> String {
        self.get().join("\n")
    }

    /// What `find` finds, once it does; `None` if the output ends or [`LIMIT`] passes before.
    fn wait_for<T>(&self, mut find: impl FnMut(&[String]) -> Option<T>) -> Option<T> {
        let (seen, changed) = &*self.shared;
        let end = Instant::now() + LIMIT;
        let mut guard = seen.lock().expect(UNPOISONED);
        loop {
            let found = find(&guard.lines);
            let left = end.saturating_duration_since(Instant::now());
            if found.is_some() || guard.ended || left.is_zero() {
                return found;
            }
            guard = changed.wait_timeout(guard, left).expect(UNPOISONED).0;
        }
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the reading thread does not panic");
        }
    }
}

const UNPOISONED: &str = "nothing panics while it holds the lines";

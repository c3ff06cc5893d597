//! The program that is measured.

use std::{
    env, fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::Instant;

/// The caller's credential.
pub(crate) const CALLER: (&str, &str) = ("entra", "entra-password-of-thirty-two-bytes");
/// The name under which the program's certificate is valid.
pub(crate) const HOST: &str = "hooks.example.com";

/// The program that is measured.
pub(crate) fn program() -> PathBuf {
    env::var_os("CLAIMGATE_PROGRAM").map_or_else(|| env!("CARGO_BIN_EXE_claimgate").into(), PathBuf::from)
}

/// Its configuration.
pub(crate) struct Setup {
    /// So many connectors, and as many user flows, each with its own connector.
    pub(crate) connectors: usize,
    /// The APIs, which the connectors use in turn.
    pub(crate) apis: Vec<SocketAddr>,
    /// Further keys of `listen`.
    pub(crate) listen: String,
    /// Further keys of each connector.
    pub(crate) connector: String,
    /// Further keys of each hook.
    pub(crate) hook: &'static str,
}

impl Setup {
    /// One connector, with this API.
    pub(crate) fn new(api: SocketAddr) -> Self {
        Self { connectors: 1, apis: vec![api], listen: String::new(), connector: String::new(), hook: "" }
    }

    /// The name of the user flow with this number.
    pub(crate) fn flow(number: usize) -> String {
        format!("B2X_1_SignUp{number:04}")
    }

    fn text(&self) -> String {
        let mut text = format!(
            "listen: {{ address: 127.0.0.1:0{} }}\nadmin: {{ address: 127.0.0.1:0 }}\ncallers:\n  entra: \
             {{ basic: {{ username: {}, password: {{ env: CALLER_PASSWORD }} }} }}\nconnectors:\n",
            self.listen, CALLER.0
        );
        let numbered = || (0..self.connectors).zip(self.apis.iter().cycle());
        text.extend(numbered().map(|(number, api)| {
            format!(
                "  check{number:04}:\n    endpoint_url: http://{api}/check{number:04}\n    authentication: \
                 {{ basic: {{ username: claimgate, password: {{ env: API_PASSWORD }} }} }}\n    claims_to_send: \
                 [displayName, givenName, city, country, extension_LoyaltyId]\n    claims_to_receive: \
                 [displayName, extension_ApprovalId]\n{}",
                self.connector
            )
        }));
        text.push_str("user_flows:\n");
        text.extend(numbered().map(|(number, _)| {
            format!(
                "  {}:\n    callers: [entra]\n    postAttributeCollection: {{ connector: check{number:04}, \
                 on_failure: {{ block: \"Please try again later.\" }}{} }}\n",
                Self::flow(number),
                self.hook
            )
        }));
        text
    }

    /// Writes it as a file into this folder.
    pub(crate) fn write(&self, directory: &Path) -> PathBuf {
        let file = directory.join("claimgate.yaml");
        fs::write(&file, self.text()).expect("the folder can be written to");
        file
    }
}

/// A command with the secrets that the configuration names.
pub(crate) fn with_secrets(mut command: Command) -> Command {
    command.env("CALLER_PASSWORD", CALLER.1).env("API_PASSWORD", "api-password");
    command
}

/// The running program. It ends when this is dropped.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// From its start until it was ready.
    pub(crate) started: Duration,
    directory: TempDir,
}

impl Gateway {
    /// Starts it.
    pub(crate) fn start(setup: &Setup, workers: usize) -> Self {
        Self::start_in(folder(), setup, workers, Command::new(program()))
    }

    /// Starts it by this command, which may be one that runs it, and waits until it is ready.
    pub(crate) fn start_in(directory: TempDir, setup: &Setup, workers: usize, program: Command) -> Self {
        let file = setup.write(directory.path());
        Self::start_with(directory, &file, workers, program)
    }

    /// The same with the configuration in this file.
    pub(crate) fn start_with(directory: TempDir, file: &Path, workers: usize, program: Command) -> Self {
        let mut command = with_secrets(program);
        command.args(["serve", "--log-format", "json", "--workers", &workers.to_string(), "--config"]);
        command.arg(file);
        command.current_dir(directory.path()).stdout(Stdio::null()).stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = command.spawn().expect("the program can be started");
        let mut lines = BufReader::new(child.stderr.take().expect("stderr is a pipe")).lines();
        let mut said = Vec::new();
        let addresses = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let found = listening(&line);
            said.push(line);
            found
        });
        let Some((address, admin)) = addresses else { panic!("it does not listen: {}", said.join("\n")) };
        // The pipe must not fill up.
        thread::spawn(move || lines.for_each(drop));
        let mut gateway = Self { child, address, admin, started: Duration::ZERO, directory };
        while !gateway.get("/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            assert!(started.elapsed() < Duration::from_mins(5), "it does not become ready");
            thread::sleep(Duration::from_micros(200));
        }
        gateway.started = started.elapsed();
        gateway
    }

    /// Ends it, and says how it ended.
    pub(crate) fn end(mut self) -> ExitStatus {
        self.terminate().expect("it is a child of this process")
    }

    fn terminate(&mut self) -> io::Result<ExitStatus> {
        // It may have ended by itself, which the measurement has noticed.
        if self.child.try_wait()?.is_none() {
            let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
            pid.map(|pid| kill_process(pid, Signal::TERM));
        }
        self.child.wait()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// An answer of the admin port.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.admin).ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// A metric without labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let metrics = self.get("/metrics").expect("the admin port answers");
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_else(|| panic!("there is no metric {name}"))
    }

    /// A number of `/proc/PID/status`: KiB, or a count.
    pub(crate) fn status(&self, key: &str) -> u32 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the program runs");
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        let number = line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok());
        number.unwrap_or_else(|| panic!("the kernel does not say {key}"))
    }

    /// Open file descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("the program runs").count()
    }

    /// Processor time that its threads have had.
    pub(crate) fn cpu_time(&self) -> Duration {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid())).expect("the program runs");
        let of_thread = |thread: fs::DirEntry| {
            let schedstat = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            schedstat.split(' ').next()?.parse::<u64>().ok()
        };
        Duration::from_nanos(threads.map_while(Result::ok).filter_map(of_thread).sum())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        drop(self.terminate());
    }
}

/// An empty folder for a configuration.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder can be made")
}

/// The two addresses, if this line names them.
fn listening(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let address = |key: &str| line.get("fields")?.get(key)?.as_str()?.parse().ok();
    Some((address("address")?, address("admin")?))
}

//! `openssl s_server` as a web API: it takes what comes as text, and this answers each request.

use std::{
    io::{Read as _, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use tempfile::TempDir;

use super::peers::write_certificates;

/// Longest wait for it to listen.
const LIMIT: Duration = Duration::from_secs(15);

/// A running server; it is killed when this is dropped.
pub(crate) struct OpensslServer {
    child: Child,
    port: u16,
    directory: TempDir,
}

impl OpensslServer {
    /// Starts it with a certificate for `localhost` alone, these arguments, and `body` as its answer to everything.
    pub(crate) fn start(arguments: &[&str], body: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        write_certificates(directory.path());
        let mut command = Command::new("openssl");
        command.args(["s_server", "-accept", "127.0.0.1:0", "-cert", "server.pem", "-key", "server.key"]);
        command.args(arguments).current_dir(&directory);
        let log = std::fs::File::create(directory.path().join("stderr")).expect("a file can be created");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("callers have asked without_openssl");
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let stdin = child.stdin.take().expect("stdin is a pipe");
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let (listens, port) = mpsc::channel();
        thread::spawn(move || answer_all(stdout, stdin, &answer, &listens));
        let port = port.recv_timeout(LIMIT);
        let log = || std::fs::read_to_string(directory.path().join("stderr")).unwrap_or_default();
        let port = port.unwrap_or_else(|error| {
            child.kill().ok();
            panic!("openssl does not listen: {error}\n{}", log())
        });
        Self { child, port, directory }
    }

    /// `https://localhost:PORT` and this path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// The certificate of its authority.
    pub(crate) fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }
}

impl Drop for OpensslServer {
    fn drop(&mut self) {
        // Errors mean that it has ended and been waited for.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Says where it listens, and answers whatever looks like the end of a request, until it ends.
fn answer_all(mut stdout: ChildStdout, mut stdin: ChildStdin, answer: &str, listens: &mpsc::Sender<u16>) {
    let (mut said, mut listening) = (String::new(), false);
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = stdout.read(&mut piece) {
        said.push_str(&String::from_utf8_lossy(&piece[..count]));
        let port = said.split_once("ACCEPT 127.0.0.1:").and_then(|(_, rest)| rest.split_once('\n'));
        if let (false, Some((port, _))) = (listening, port) {
            listening = true;
            // Nobody waits any more: the test is over.
            if port.trim().parse().is_ok_and(|port| listens.send(port).is_err()) {
                return;
            }
        }
        let request = said.split_once("POST ").and_then(|(_, request)| request.split_once("\r\n\r\n"));
        if request.is_some_and(|(_, body)| body.contains('}')) {
            said.clear();
            if stdin.write_all(answer.as_bytes()).and_then(|()| stdin.flush()).is_err() {
                return;
            }
        }
    }
}

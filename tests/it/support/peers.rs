//! Real programs on the other side of the wire. One that is missing fails the test, unless the environment says openly
//! that this machine is without it.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::time::Instant;

/// Longest wait for a peer to start.
const LIMIT: Duration = Duration::from_secs(10);

/// Whether to go without nginx: `CLAIMGATE_WITHOUT_NGINX=1`.
pub(crate) fn without_nginx() -> bool {
    without("nginx", "CLAIMGATE_WITHOUT_NGINX")
}

/// Whether to go without curl: `CLAIMGATE_WITHOUT_CURL=1`.
pub(crate) fn without_curl() -> bool {
    without("curl", "CLAIMGATE_WITHOUT_CURL")
}

/// Whether to go without OpenSSL: `CLAIMGATE_WITHOUT_OPENSSL=1`.
pub(crate) fn without_openssl() -> bool {
    without("openssl", "CLAIMGATE_WITHOUT_OPENSSL")
}

/// Whether to go without sslscan: `CLAIMGATE_WITHOUT_SSLSCAN=1`.
pub(crate) fn without_sslscan() -> bool {
    without("sslscan", "CLAIMGATE_WITHOUT_SSLSCAN")
}

fn without(peer: &str, variable: &str) -> bool {
    let without = std::env::var_os(variable).is_some_and(|value| value == "1");
    if without {
        eprintln!("SKIPPED: {variable}=1 says that there is no {peer} here");
    } else {
        assert!(
            program(peer).is_some(),
            "{peer} is not installed; tests/run.sh installs it, or set {variable}=1"
        );
    }
    without
}

/// Where a program is. Servers are outside of an ordinary user's path on some systems.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    directories.map(|directory| directory.join(name)).find(|file| file.is_file())
}

/// curl, without whatever its user has configured.
pub(crate) fn curl() -> Command {
    let mut command = Command::new("curl");
    // Must be the first argument.
    command.args(["--disable", "--silent", "--show-error", "--max-time", "10"]).env("NO_PROXY", "*");
    command
}

/// What a program that must succeed writes on stdout.
pub(crate) fn stdout_of(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("the program can be started");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{stderr}\n{stdout}", output.status);
    stdout
}

/// An nginx with TLS, and the authority of its certificate; it is killed when this is dropped.
pub(crate) struct Nginx {
    child: Child,
    port: u16,
    directory: TempDir,
}

impl Nginx {
    /// Starts it with a certificate for `localhost` alone, and these directives in its `server`.
    pub(crate) fn start(directives: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        write_certificates(directory.path());
        // Another program may take the port between the choice and nginx: then nginx ends, and another port is chosen.
        for _ in 0..5 {
            let port = free_port();
            let file = directory.path().join("nginx.conf");
            std::fs::write(&file, configuration(directory.path(), port, directives))
                .expect("a file can be written");
            let mut command = Command::new(program("nginx").expect("callers have asked without_nginx"));
            command.arg("-p").arg(directory.path()).arg("-c").arg(&file).args(["-e", "error.log"]);
            let log = std::fs::File::create(directory.path().join("stderr")).expect("a file can be created");
            let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
            let mut child = child.expect("nginx can be started");
            let end = Instant::now() + LIMIT;
            // Written once the sockets listen.
            while !directory.path().join("nginx.pid").exists() {
                if child.try_wait().expect("a child can be waited for").is_some() {
                    break;
                }
                assert!(Instant::now() < end, "nginx does not start: {}", log_of(directory.path()));
                std::thread::sleep(Duration::from_millis(5));
            }
            if child.try_wait().expect("a child can be waited for").is_none() {
                return Self { child, port, directory };
            }
        }
        panic!("nginx does not start:\n{}", log_of(directory.path()));
    }

    /// `https://HOST:PORT` and this path.
    pub(crate) fn url(&self, host: &str, path: &str) -> String {
        format!("https://{host}:{}{path}", self.port)
    }

    /// The certificate of its authority, as a PEM file.
    pub(crate) fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// For each request so far: the number of its connection, and which request on that connection it was.
    pub(crate) fn requests(&self) -> Vec<(u64, u64)> {
        let log = std::fs::read_to_string(self.directory.path().join("access.log")).unwrap_or_default();
        let number =
            |text: Option<&str>| text.and_then(|text| text.parse().ok()).expect("the log has two numbers");
        log.lines()
            .map(|line| {
                let mut fields = line.split(' ');
                (number(fields.next()), number(fields.next()))
            })
            .collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Errors mean that it has ended and been waited for.
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("--- log of nginx ---\n{}", log_of(self.directory.path()));
        }
    }
}

fn log_of(directory: &Path) -> String {
    ["error.log", "stderr"]
        .into_iter()
        .filter_map(|name| std::fs::read_to_string(directory.join(name)).ok())
        .collect()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port exists");
    listener.local_addr().expect("a bound listener has an address").port()
}

/// One process in the foreground, which writes nowhere but into the directory.
fn configuration(directory: &Path, port: u16, directives: &str) -> String {
    let mut text = format!(
        "daemon off; master_process off; pid {directory}/nginx.pid; error_log {directory}/error.log info;\n\
         events {{ worker_connections 64; }}\n\
         http {{\n  log_format peers '$connection $connection_requests';\n  access_log {directory}/access.log peers;\n",
        directory = directory.display()
    );
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(text, "  {kind}_temp_path {}/{kind};", directory.display())
            .expect("a string takes every write");
    }
    let server = format!(
        "  server {{\n    listen 127.0.0.1:{port} ssl;\n    ssl_certificate {directory}/server.pem;\n    \
         ssl_certificate_key {directory}/server.key;\n    {directives}\n  }}\n}}\n",
        directory = directory.display()
    );
    text + &server
}

/// `ca.pem`, and `server.pem` with `server.key` for `localhost`.
pub(super) fn write_certificates(directory: &Path) {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // OpenSSL takes a certificate whose subject is that of its issuer for a self-signed one.
    parameters.distinguished_name.push(DnType::CommonName, "Authority of the tests");
    let key = || KeyPair::generate().expect("a key can be generated");
    let authority = CertifiedIssuer::self_signed(parameters, key()).expect("an authority can be made");
    let server_key = key();
    let server = CertificateParams::new(["localhost".to_owned()]).expect("localhost is a name");
    let server = server.signed_by(&server_key, &authority).expect("the authority can sign");
    let files = [
        ("ca.pem", authority.pem()),
        ("server.pem", server.pem()),
        ("server.key", server_key.serialize_pem()),
    ];
    for (name, pem) in files {
        std::fs::write(directory.join(name), pem).expect("a file can be written");
    }
}

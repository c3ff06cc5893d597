//! The README says what the program does: its tables come from the code, and what it shows is typed and compared.

mod document;
mod tables;

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, sync_channel},
    thread,
    time::Duration,
};

use self::document::{Typed, fenced, hold, text, typed};
use super::support::{
    CALLER, ConfigText, FLOW, Gateway, PASSWORD, Parts, Play, RefusingAddress, ScriptedApi,
    certificates::{self, Certificates},
    gateway::claimgate,
    peers::{Nginx, curl, stdout_of, without_curl, without_nginx, without_openssl},
};

/// Longest wait for a line of the demo.
const LIMIT: Duration = Duration::from_secs(15);
const USUAL_PORT: &str = "127.0.0.1:8080";
const USUAL_ADMIN_PORT: &str = "127.0.0.1:9090";

#[test]
fn the_tables_are_those_of_the_code() {
    hold(&tables::all());
}

#[test]
fn the_first_configuration_is_the_minimal_file() {
    let minimal = include_str!("../../config/minimal.yaml");
    assert_eq!(fenced(&text(), "the first configuration"), [minimal]);
}

#[test]
fn check_says_what_the_readme_shows() {
    for Typed { command, answer } in fenced(&text(), "check").iter().flat_map(|block| typed(block)) {
        assert_eq!(run(&on_this_program(&command)), answer);
    }
}

#[test]
fn explain_says_what_the_readme_shows() {
    let here = tempfile::tempdir().expect("a temporary directory can be made");
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
    std::os::unix::fs::symlink(config, here.path().join("config")).expect("a link can be made");
    for Typed { command, answer } in fenced(&text(), "explain").iter().flat_map(|block| typed(block)) {
        let said = run_in(here.path(), &on_this_program(&command));
        let same = said.lines().zip(answer.lines()).find(|(said, shown)| match shown.strip_suffix('…') {
            Some(begin) => !said.starts_with(begin),
            None => said != shown,
        });
        assert_eq!(same, None, "{command}");
        assert_eq!(said.lines().count(), answer.lines().count(), "{command}: {said}");
    }
}

#[test]
fn explain_writes_the_keys_that_the_readme_lists_and_no_others() {
    let readme = text();
    let table = readme.split_once("<!-- explain keys -->").and_then(|(_, rest)| rest.split_once("<!-- end"));
    let rows = table.expect("the README lists the keys").0.lines().filter(|line| line.starts_with("| `"));
    // The odd parts of a cell are what stands between backticks.
    let cells = rows.filter_map(|row| row.split(" | ").next());
    let mut listed: Vec<_> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    listed.sort_unstable();
    let said = run(&on_this_program(
        "echo '{}' | claimgate explain --json --config config/minimal.yaml \
         --flow B2X_1_SignUp --step postAttributeCollection",
    ));
    let said: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&said).expect("JSON");
    assert_eq!(said.keys().collect::<Vec<_>>(), listed);
}

#[test]
fn the_demo_prints_what_the_readme_shows() {
    let mut demo = Demo::start();
    let said = demo.read_until(|line| line.starts_with("curl http://") && line.ends_with("/metrics"));
    for block in fenced(&text(), "the demo") {
        let mut rest = said.iter();
        for line in block.lines().map(str::trim_end).filter(|line| !line.is_empty() && line.trim() != "…") {
            let shown = line.strip_suffix('…').map(str::trim_end);
            let same = |said: &&String| match shown {
                Some(begin) => said.starts_with(begin),
                None => said.trim_end() == line,
            };
            assert!(rest.any(|said| same(&said)), "the demo does not print, or not here: {line}");
        }
    }
}

#[test]
fn the_demo_shows_the_hooks_that_its_reader_sends_and_no_others() {
    if without_curl() {
        return;
    }
    let mut demo = Demo::start();
    let said = demo.read_until(|line| line.ends_with("/metrics"));
    let (address, admin) = addresses(&said);
    let typed = typed(&fenced(&text(), "typed at the demo")[0]);
    run(&at(&typed[0].command, address, admin));
    let shown = demo.read_until(|line| line.contains("request_id="));
    let events: Vec<_> = shown.iter().filter(|line| line.contains("request_id=")).collect();
    assert!(events.len() == 1 && !events[0].contains("request_id=demo-"), "{events:?}");
}

#[test]
fn curl_at_the_demo_gets_what_the_readme_shows() {
    if without_curl() {
        return;
    }
    let mut demo = Demo::start();
    let said = demo.read_until(|line| line.starts_with("curl http://") && line.ends_with("/metrics"));
    let (address, admin) = addresses(&said);
    for Typed { command, answer } in
        fenced(&text(), "typed at the demo").iter().flat_map(|block| typed(block))
    {
        assert_eq!(run(&at(&command, address, admin)), answer, "{command}");
    }
}

#[test]
fn curl_at_the_first_real_start_gets_what_the_readme_shows() {
    if without_curl() {
        return;
    }
    let readme = text();
    // No test calls a host of somebody else: the API is one that refuses, which the answer does not show.
    let refusing = RefusingAddress::take();
    let config = fenced(&readme, "the first configuration")[0]
        .replace(USUAL_PORT, "127.0.0.1:0")
        .replace("https://api.contoso.com", &refusing.url(""))
        .replace("\ncallers:\n", "\nadmin: { address: 127.0.0.1:0 }\ncallers:\n");
    let start = &typed(&fenced(&readme, "the first real start")[0])[0].command;
    let variable = |name: &str| {
        let value = start.split_once(&format!("{name}=")).expect("the start sets it").1;
        value.split_whitespace().next().expect("a value follows")
    };
    let variables = ["ENTRA_PASSWORD", "API_PASSWORD"].map(|name| (name, variable(name)));
    let gateway = Gateway::start_with_env(&config, variables);
    for Typed { command, answer } in
        fenced(&readme, "typed at the first real start").iter().flat_map(|block| typed(block))
    {
        assert_eq!(run(&at(&command, gateway.address(), gateway.admin())), answer, "{command}");
    }
}

#[test]
fn nginx_as_the_readme_shows_it_may_end_tls_before_the_hook_port() {
    if without_nginx() || without_curl() {
        return;
    }
    let api = ScriptedApi::start(Play::block("no"));
    let gateway = Gateway::start(&ConfigText::new(&api.url("/api")).text());
    let server = &fenced(&text(), "nginx")[0];
    let location = server.find("location").zip(server.rfind('}')).map(|(begin, end)| &server[begin..end]);
    let location = location.expect("the README's server has a location");
    let nginx = Nginx::start(&location.replace(USUAL_PORT, &gateway.address().to_string()));
    let mut call = curl();
    call.arg("--cacert").arg(nginx.ca()).args(["-u", &format!("{CALLER}:{PASSWORD}"), "--data", "{}"]);
    call.args(["-H", "Content-Type: application/json", "-H", "X-Request-ID: r-1"]);
    call.args(["-w", " %{http_code}"]);
    call.arg(nginx.url("localhost", &format!("/flows/{FLOW}/postAttributeCollection")));
    let answer = r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":"no"} 200"#;
    assert_eq!(stdout_of(&mut call), answer);
    assert_eq!(gateway.wait_for_events(1)[0]["request_id"], "r-1");
}

#[test]
fn a_client_certificate_made_as_the_readme_shows_is_a_caller() {
    if without_openssl() || without_curl() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let made = run_in(directory.path(), &format!("set -e\n{}", fenced(&text(), "a client certificate")[0]));
    let (_, thumbprint) = made.rsplit_once("sha256 Fingerprint=").expect("it ends with the thumbprint");
    let certificates = Certificates::new();
    let server = certificates.server(certificates::Kind::Ecdsa);
    let api = ScriptedApi::start(Play::block("no"));
    let file = |path: &Path| path.display().to_string();
    let shown = fenced(&text(), "a caller with a client certificate")[0]
        .replace("0.0.0.0:443", "127.0.0.1:0")
        .replace("hooks.pem", &file(&server.certificate))
        .replace("hooks.key", &file(&server.key))
        .replace("THUMBPRINT", thumbprint);
    let rest = Parts::new().connector("c", &api.url("/"), "").whole_flow(FLOW, "c", "").text();
    let rest = rest.split_once("connectors:").expect("it has some").1;
    let gateway = Gateway::start(&format!("{shown}admin: {{ address: 127.0.0.1:0 }}\nconnectors:{rest}"));
    let pem = ["--cert", "b2c.pem", "--key", "b2c.key"];
    for arguments in [&pem[..], &["--cert-type", "P12", "--cert", "b2c.pfx:change-me"]] {
        let mut call = curl();
        call.current_dir(&directory).arg("--cacert").arg(certificates.ca()).args(arguments);
        call.args(["--data", "{}", "-H", "Content-Type: application/json", "-w", " %{http_code}"]);
        let port = gateway.address().port();
        call.arg(format!("https://localhost:{port}/flows/{FLOW}/postAttributeCollection"));
        assert!(stdout_of(&mut call).ends_with(" 200"), "{arguments:?}");
    }
    assert_eq!(gateway.wait_for_events(2)[1]["credential"], "certificate");
}

/// A command for the usual ports, at these.
fn at(command: &str, address: SocketAddr, admin: SocketAddr) -> String {
    assert!(command.starts_with("curl "), "only curl is typed there: {command}");
    command.replace(USUAL_PORT, &address.to_string()).replace(USUAL_ADMIN_PORT, &admin.to_string())
}

/// A command, with the program that is tested in place of one that is installed.
fn on_this_program(command: &str) -> String {
    command
        .replace("claimgate explain", concat!(env!("CARGO_BIN_EXE_claimgate"), " explain"))
        .replace("claimgate check", concat!(env!("CARGO_BIN_EXE_claimgate"), " check"))
}

/// What a shell prints, without the blanks at its end.
fn run(command: &str) -> String {
    run_in(Path::new(env!("CARGO_MANIFEST_DIR")), command)
}

fn run_in(directory: &Path, command: &str) -> String {
    let empty = tempfile::tempdir().expect("a temporary directory can be made");
    let mut shell = Command::new("/bin/sh");
    // curl reads the configuration of its user; nothing there belongs to the README.
    shell.args(["-c", command]).env("CURL_HOME", empty.path()).env("NO_PROXY", "*");
    shell.current_dir(directory);
    stdout_of(&mut shell).trim_end().to_owned()
}

/// Hook port and admin port, as the demo's last lines tell them.
fn addresses(said: &[String]) -> (SocketAddr, SocketAddr) {
    let address = |end: &str| {
        let line = said.iter().rev().find(|line| line.contains("http://") && line.contains(end));
        let url = line.and_then(|line| line.split_once("http://")).expect("the demo prints it").1;
        url.split('/').next().and_then(|address| address.parse().ok()).expect("an address and a port")
    };
    (address("/flows/"), address("/metrics"))
}

/// A running demo; it is killed when this is dropped.
struct Demo {
    child: Child,
    lines: Receiver<String>,
}

impl Demo {
    fn start() -> Self {
        let mut command = claimgate(["demo", "--port", "0", "--admin-port", "0"]);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the demo can be started");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let (line, lines) = sync_channel(1024);
        // Ends with the demo's output, or when nobody wants another line.
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|text| line.send(text)));
        Self { child, lines }
    }

    /// The lines up to the first that is `last`.
    fn read_until(&mut self, last: impl Fn(&str) -> bool) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        while lines.last().is_none_or(|line| !last(line)) {
            let line = self.lines.recv_timeout(LIMIT);
            lines.push(line.unwrap_or_else(|error| panic!("the demo goes no further ({error}): {lines:#?}")));
        }
        lines
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Errors mean that it has ended and been waited for.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

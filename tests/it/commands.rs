//! The commands: what they say, where, and with which exit status.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use super::support::{Client, ConfigText, PASSWORD, claimgate};

/// A directory with this configuration as `c.yaml`.
pub(super) fn directory(config: &str) -> TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    std::fs::write(directory.path().join("c.yaml"), config).expect("the configuration can be written");
    directory
}

/// Runs it where the configuration is: status, standard output, standard error.
pub(super) fn run(directory: &TempDir, arguments: &[&str]) -> (i32, String, String) {
    let output = claimgate(arguments).current_dir(directory).stdin(Stdio::null()).output();
    finished(&output.expect("the program can be started"))
}

fn finished(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("what it writes is UTF-8");
    (output.status.code().expect("it ends by itself"), text(&output.stdout), text(&output.stderr))
}

fn send_signal(child: &Child, name: &str) {
    let status = Command::new("/bin/kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "SIG{name} could not be sent");
}

pub(super) fn good() -> String {
    let text = ConfigText::new("https://approvals.contoso.com/api").text();
    text.replace(&format!("password: {PASSWORD}"), "password: { file: password }")
}

pub(super) const TWO_FAULTS: &str = "timeout: 2 s\nmax_in_flite: 3";

#[test]
fn serve_does_not_start_with_a_broken_configuration_and_says_all_that_is_wrong() {
    let broken = directory(&ConfigText::new("https://approvals.contoso.com/").connector(TWO_FAULTS).text());
    let (status, said, details) = run(&broken, &["serve", "--config", "c.yaml"]);
    assert_eq!((status, said.as_str()), (1, ""), "standard output is for access events alone");
    for part in
        ["connectors.approvals.timeout", "connectors.approvals.max_in_flite", "c.yaml: 2 errors, 1 warning"]
    {
        assert!(details.contains(part), "{part} in {details}");
    }
    assert!(!details.contains("listening"));
    let (status, said, details) = run(&broken, &["serve", "--config", "nowhere.yaml"]);
    assert_eq!(
        (status, said.as_str(), details.starts_with("error: nowhere.yaml cannot be read: ")),
        (2, "", true),
        "{details}"
    );
}

#[test]
fn a_busy_port_is_named_with_its_key() {
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap().to_string();
    let text = ConfigText::new("https://approvals.contoso.com/").text();
    let as_hooks = text.replacen("127.0.0.1:0", &address, 1);
    let as_admin = text.replacen("127.0.0.1:0", "first", 1).replacen("127.0.0.1:0", &address, 1).replacen(
        "first",
        "127.0.0.1:0",
        1,
    );
    for (key, text) in [("listen.address", as_hooks), ("admin.address", as_admin)] {
        for format in ["json", "text"] {
            let (status, said, details) =
                run(&directory(&text), &["serve", "--log-format", format, "--config", "c.yaml"]);
            assert_eq!((status, said.as_str()), (2, ""), "{key}");
            let last = details.lines().last().unwrap();
            assert!(
                last.contains("cannot serve")
                    && last.contains(&format!("{key} {address}: "))
                    && last.contains("in use"),
                "{last}"
            );
        }
    }
}

#[test]
fn a_wrong_command_line_is_explained() {
    let here = directory("");
    let rows: [(&[&str], &str); 10] = [
        (&["chek"], "check"),
        (&["serve"], "--config"),
        (&["serve", "--config", "c.yaml", "--workers", "0"], "--workers"),
        (&["serve", "--config", "c.yaml", "--log-format", "xml"], "[possible values: json, text]"),
        (&["check", "--config", "c.yaml", "--without-secret"], "--without-secrets"),
        (&["demo", "--port", "70000"], "--port"),
        (&["explain", "--config", "c.yaml", "--flow", "x"], "--step"),
        (&["explain", "-c", "c.yaml", "--flow", "x", "--step", "y", "--call", "--answer", "a"], "--answer"),
        (&["explain", "-c", "c.yaml", "--flow", "x", "--step", "y", "--status", "200"], "--answer"),
        (
            &["explain", "-c", "c.yaml", "--flow", "x", "--step", "y", "--answer", "a", "--status", "100"],
            "200..=599",
        ),
    ];
    for (arguments, part) in rows {
        let (status, said, details) = run(&here, arguments);
        assert_eq!((status, said.as_str()), (2, ""), "{arguments:?}");
        assert!(details.starts_with("error: ") && details.contains(part), "{arguments:?}: {details}");
    }
    let (status, said, details) = run(&here, &[]);
    assert_eq!((status, said.as_str()), (2, ""));
    assert!(details.contains("Usage: claimgate <COMMAND>"), "{details}");
}

#[test]
fn version_and_help_go_to_standard_output() {
    let here = directory("");
    for option in ["--version", "-V"] {
        let version = format!("claimgate {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(run(&here, &[option]), (0, version, String::new()));
    }
    let (status, said, details) = run(&here, &["--help"]);
    assert_eq!((status, details.as_str()), (0, ""));
    let commands = ["serve", "check", "explain", "demo"];
    for command in commands {
        let line = said.lines().find(|line| line.trim_start().starts_with(command));
        assert!(
            line.is_some_and(|line| line.trim().len() > command.len() + 10),
            "{command} is explained in {said}"
        );
        let (status, own, _) = run(&here, &[command, "--help"]);
        assert!(status == 0 && own.contains(&format!("Usage: claimgate {command}")), "{own}");
    }
    for (command, options) in [
        ("serve", ["--config", "--log-format", "--log-level", "--workers"].as_slice()),
        ("check", &["--config", "--without-secrets"]),
        ("explain", &["--config", "--flow", "--step", "--call", "--answer", "--status", "--json"]),
        ("demo", &["--port", "--admin-port", "--exit", "--workers"]),
    ] {
        let own = run(&here, &[command, "--help"]).1;
        assert!(options.iter().all(|option| own.contains(option)), "{own}");
    }
    assert!(run(&here, &["serve", "--help"]).1.contains("Exit status: 0"));
    assert!(!said.contains('\u{1b}'), "no escape codes in a pipe");
}

#[test]
fn the_demo_plays_its_sign_ups_and_ends() {
    let (status, said, details) =
        run(&directory(""), &["demo", "--exit", "--port", "0", "--admin-port", "0"]);
    assert_eq!((status, details.as_str()), (0, ""), "{said}");
    assert!(!said.contains('\u{1b}'), "no escape codes in a pipe");
    for word in
        ["postFederationSignup", "postAttributeCollection", "Continue", "ShowBlockPage", "ValidationError"]
    {
        assert!(said.contains(word), "{word} in {said}");
    }
    for secret in ["demo-password", "demo-api-password", "demo+function/key=="] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
}

#[test]
fn the_demo_moves_to_free_ports_where_its_own_are_busy_and_stays_where_it_was_told_to_be() {
    // Either this takes the usual ports, or somebody else has them: busy they are.
    let _held = [8080, 9090].map(|port| TcpListener::bind(("127.0.0.1", port)));
    let here = directory("");
    let (status, said, details) = run(&here, &["demo", "--exit"]);
    assert_eq!((status, details.as_str()), (0, ""), "{said}");
    for port in [8080, 9090] {
        assert!(said.contains(&format!("Port {port} is busy; a free one is used instead.")), "{said}");
    }
    for option in ["--port", "--admin-port"] {
        let busy = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = busy.local_addr().unwrap().port().to_string();
        let other = if option == "--port" { "--admin-port" } else { "--port" };
        let (status, said, details) = run(&here, &["demo", "--exit", option, &port, other, "0"]);
        assert_eq!((status, said.as_str()), (2, ""));
        assert!(
            details.starts_with(&format!("error: {option} {port}: "))
                && details.contains(&format!("{option} 0 picks a free port")),
            "{details}"
        );
    }
}

#[test]
fn the_demo_stays_up_and_shows_how_to_go_on_until_it_is_told_to_end() {
    let mut command = claimgate(["demo", "--port", "0", "--admin-port", "0"]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let invitation = lines.find(|line| line.contains("curl")).expect("the demo ends with an invitation");
    send_signal(&child, "INT");
    let rest: Vec<String> = lines.collect();
    assert!(child.wait().unwrap().success(), "{invitation}\n{}", rest.join("\n"));
}

#[test]
fn a_reader_that_has_gone_changes_nothing_but_what_is_read() {
    let fine = directory(&ConfigText::new("https://approvals.contoso.com/").text());
    let broken = directory("listen: [\n");
    let demo = ["demo", "--port", "0", "--admin-port", "0"];
    let rows: [(&TempDir, &[&str], i32); 6] = [
        (&fine, &["check", "--config", "c.yaml"], 0),
        (&broken, &["check", "--config", "c.yaml"], 1),
        (&broken, &["serve", "--config", "c.yaml"], 1),
        (&broken, &["serve", "--config", "nowhere.yaml"], 2),
        (&fine, &demo, 0),
        (&fine, &["demo", "--exit", "--port", "0", "--admin-port", "0"], 0),
    ];
    for (directory, arguments, expected) in rows {
        let gone = || Stdio::from(std::io::pipe().expect("a pipe can be made").1);
        let mut command = claimgate(arguments);
        command.current_dir(directory).stdin(Stdio::null()).stdout(gone()).stderr(gone());
        assert_eq!(command.status().unwrap().code(), Some(expected), "{arguments:?}");
    }
    // Somebody reads a little of the story first, and standard error to its end.
    let mut command = claimgate(demo);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let (status, _, details) = finished(&child.wait_with_output().unwrap());
    assert_eq!((status, details.as_str()), (0, ""));
}

#[test]
fn a_reader_of_the_diagnostics_that_stalls_holds_up_nobody() {
    let directory = directory(&ConfigText::new("http://127.0.0.1:1/").text());
    let mut command = claimgate(["serve", "--config", "c.yaml", "--log-level", "debug", "--workers", "1"]);
    command.current_dir(&directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stalls = BufReader::new(child.stderr.take().unwrap());
    let listening = std::iter::from_fn(|| {
        let mut line = String::new();
        stalls.read_line(&mut line).is_ok_and(|read| read > 0).then_some(line)
    })
    .filter_map(|line| serde_json::from_str::<serde_json::Value>(&line).ok())
    .find(|line| line["fields"]["message"] == "listening")
    .unwrap();
    let [address, admin] = ["address", "admin"]
        .map(|key| listening["fields"][key].as_str().unwrap().parse::<SocketAddr>().unwrap());
    // Each leaves a line; all of them together are more than the pipe and the hand-over hold.
    for number in 0..3_000 {
        let mut broken = TcpStream::connect(address).unwrap();
        broken.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        broken.write_all(b"\0\r\n\r\n").unwrap();
        let ended = broken.read_to_end(&mut Vec::new());
        let open = ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!open, "connection {number} is served");
    }
    let page = Client::admin(admin).get("/metrics").send().text().to_owned();
    let dropped = page.lines().find_map(|line| line.strip_prefix("claimgate_log_lines_dropped_total "));
    assert!(dropped.unwrap().parse::<f64>().unwrap() > 0.0);
    send_signal(&child, "TERM");
    assert!(child.wait().unwrap().success());
}

//! The limit of open files under which the process runs.

use std::{ffi::OsStr, fs, process::Command};

use super::support::{ConfigText, Gateway};

/// A gateway that a shell with these limits has started, and what the kernel says its limits are: soft and hard.
fn started_under(limits: &str) -> (Gateway, [u64; 2]) {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let file = directory.path().join("claimgate.yaml");
    fs::write(&file, ConfigText::new("http://127.0.0.1:1/").text())
        .expect("the configuration can be written");
    let mut command = Command::new("sh");
    let script = format!(r#"{limits}; exec "$0" serve --workers 2 --config "$1""#);
    command.args([
        OsStr::new("-c"),
        script.as_ref(),
        env!("CARGO_BIN_EXE_claimgate").as_ref(),
        file.as_ref(),
    ]);
    let gateway = Gateway::from_command(command);
    let text =
        fs::read_to_string(format!("/proc/{}/limits", gateway.pid())).expect("a running process has limits");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .expect("this limit is always listed");
    let numbers: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
    let limits = numbers.try_into().expect("both limits were set to numbers");
    (gateway, limits)
}

#[test]
fn the_soft_limit_is_raised_to_the_hard_one() {
    let (_gateway, [soft, hard]) = started_under("ulimit -Sn 256; ulimit -Hn 5000");
    assert_eq!([soft, hard], [5000, 5000]);
}

#[test]
fn a_limit_that_cannot_be_enough_is_said_at_the_start() {
    let text = "the limit of open files is too low";
    let (mut short, _) = started_under("ulimit -Sn 256; ulimit -Hn 4303");
    short.terminate();
    assert!(short.stderr_text().contains(text), "{}", short.stderr_text());
    // 4096 connections, 64 to the API from each of two workers, and what these and a process need beside them.
    let (mut enough, _) = started_under("ulimit -Sn 256; ulimit -Hn 4304");
    enough.terminate();
    assert!(!enough.stderr_text().contains(text), "{}", enough.stderr_text());
}

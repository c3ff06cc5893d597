//! `deploy/build-release.sh` does its steps in order, does none in vain, and ends when one fails. The compiler, the load
//! and the tool that reads the counts are played here; what they really do is too long for a test.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::Instant;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/build-release.sh");

/// Writes down how it was called. What it builds is its flags.
const CARGO: &str = r#"#!/usr/bin/env bash
set -eu
case $1 in
  metadata) echo "{\"packages\":[],\"target_directory\":\"$HERE/target\",\"version\":1}" ;;
  build)
    while [[ $1 != --target ]]; do shift; done
    [[ $3 == --target-dir ]]
    mkdir -p "$4/$2/dist"
    echo "$CARGO_ENCODED_RUSTFLAGS" | tr '\037' ' ' >"$4/$2/dist/claimgate"
    echo "build ${4##*/}" >>"$HERE/calls"
    ;;
  bench)
    echo "train ${CLAIMGATE_PROGRAM#"$HERE/target/pgo/"}" | sed 's#/.*##' >>"$HERE/calls"
    if [[ -e $HERE/take-long ]]; then
      sleep 600 &
      echo "$$ $!" >"$HERE/written" && mv "$HERE/written" "$HERE/running"
      wait
    fi
    [[ ! -e $HERE/refuse-training ]]
    [[ -e $HERE/count-nothing || -z ${LLVM_PROFILE_FILE:-} ]] || echo counted >"${LLVM_PROFILE_FILE/\%m/1}"
    ;;
esac
"#;

/// Of this version of LLVM; merges.
const PROFDATA: &str = r#"#!/usr/bin/env bash
set -eu
case $1 in
  --version) printf 'LLVM (http://llvm.org/):\n  LLVM version %s\n' "$LLVM" ;;
  merge) cat "${@:4}" >"$3" ;;
esac
"#;

/// A folder with the players.
struct Stage {
    directory: TempDir,
    llvm: String,
}

impl Stage {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        for (name, text) in [("cargo", CARGO), ("llvm-profdata", PROFDATA)] {
            let file = directory.path().join(name);
            fs::write(&file, text).expect("the directory can be written to");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("it is a file of this test");
        }
        let rustc = Command::new("rustc").arg("-vV").output().expect("a Rust compiler is there");
        let rustc = String::from_utf8(rustc.stdout).expect("it is text");
        let llvm = rustc.lines().find_map(|line| line.strip_prefix("LLVM version: "));
        Self { directory, llvm: llvm.expect("rustc names its LLVM").to_owned() }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(SCRIPT);
        let path = std::env::var("PATH").expect("there is a search path");
        command.env("PATH", format!("{}:{path}", self.path().display())).env("HERE", self.path());
        command.env("LLVM_PROFDATA", self.path().join("llvm-profdata")).env("LLVM", &self.llvm);
        command
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("RUSTFLAGS", "-Cforce-frame-pointers -Cdebuginfo=1");
        command
    }

    /// What was called since the last time.
    fn calls(&self) -> Vec<String> {
        let file = self.path().join("calls");
        let calls = fs::read_to_string(&file).unwrap_or_default();
        fs::write(file, "").expect("the directory can be written to");
        calls.lines().map(str::to_owned).collect()
    }

    /// What there is in the folder of the builds.
    fn left(&self) -> Vec<OsString> {
        let left = fs::read_dir(self.path().join("target/pgo")).expect("it was made");
        left.map(|entry| entry.expect("it can be read").file_name()).collect()
    }

    fn program(&self) -> PathBuf {
        self.path().join("target/pgo/claimgate")
    }
}

fn run(command: &mut Command) -> Output {
    command.output().expect("the script can be started")
}

/// Ends with 1, and says this.
#[track_caller]
fn fails(command: &mut Command, with: &str) {
    let output = run(command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains(with), "{:?} {said}", output.status);
    assert!(output.stdout.is_empty(), "no path of a program");
}

#[test]
fn builds_trains_builds_tries_out_and_then_does_none_of_it_again() {
    let stage = Stage::new();
    let said = run(&mut stage.command());
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    assert_eq!(String::from_utf8_lossy(&said.stdout), format!("{}\n", stage.program().display()));
    assert_eq!(stage.calls(), ["build counting", "train counting", "build optimised", "train optimised"]);
    let flags = fs::read_to_string(stage.program()).expect("the program is there");
    let profile = flags.trim().strip_prefix("-Cforce-frame-pointers -Cdebuginfo=1 -Cprofile-use=");
    let profile = profile.unwrap_or_else(|| panic!("{flags}"));
    assert_eq!(fs::read_to_string(profile).expect("the profile is there"), "counted\n");

    let again = run(&mut stage.command());
    assert_eq!(again.stdout, said.stdout);
    assert_eq!(stage.calls(), ["build counting", "build optimised"]);

    // Another program needs another training, and what was built by the old profile goes.
    let other = run(stage.command().env("RUSTFLAGS", "-Cdebuginfo=0"));
    assert_eq!(other.stdout, said.stdout);
    assert_eq!(stage.calls(), ["build counting", "train counting", "build optimised", "train optimised"]);
    assert!(!Path::new(profile).exists(), "{profile}");
}

#[test]
fn a_training_that_fails_or_counts_nothing_yields_no_program() {
    for (what, with) in
        [("refuse-training", "the training failed"), ("count-nothing", "the program has written no counts")]
    {
        let stage = Stage::new();
        fs::write(stage.path().join(what), "").expect("the directory can be written to");
        fs::create_dir_all(stage.path().join("target/pgo")).expect("the directory can be written to");
        fs::write(stage.program(), "built by an earlier call").expect("the directory can be written to");
        fails(&mut stage.command(), with);
        assert_eq!(stage.calls(), ["build counting", "train counting"]);
        assert_eq!(stage.left(), ["counting"], "no counts, no profile and nothing of before are left");
    }
}

#[test]
fn what_it_started_ends_with_it() {
    let stage = Stage::new();
    fs::write(stage.path().join("take-long"), "").expect("the directory can be written to");
    let mut script = stage.command().spawn().expect("the script can be started");
    let running = eventually(|| fs::read_to_string(stage.path().join("running")).ok());
    let pid = i32::try_from(script.id()).ok().and_then(Pid::from_raw).expect("it is a process");
    kill_process(pid, Signal::TERM).expect("it runs");
    assert_eq!(script.wait().expect("it is a child of this test").code(), Some(128 + 15));
    for pid in running.split_whitespace() {
        // Nobody may have asked yet how it ended.
        let gone = || match fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => stat.contains(") Z ").then_some(()),
            Err(_) => Some(()),
        };
        eventually(gone);
    }
    assert_eq!(stage.left(), ["counting"]);
}

/// What comes, within a time that is long even on a busy machine.
fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "it does not come");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn says_what_is_missing_before_it_builds_anything() {
    let stage = Stage::new();
    let mend = "rustup component add llvm-tools";
    fails(stage.command().env("LLVM_PROFDATA", "/nowhere/llvm-profdata"), mend);
    fails(stage.command().env("LLVM", "3.9.1"), mend);
    assert_eq!(stage.calls(), [""; 0]);

    let help = run(stage.command().arg("--help"));
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains(mend), "{help:?}");
    assert_eq!(run(stage.command().arg("--fast")).status.code(), Some(2));
}

//! Asks the program about hooks.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::claimgate;

/// A configuration as a file, to be asked about hooks.
pub(super) struct Asked {
    directory: TempDir,
    pub(super) variables: Vec<(&'static str, &'static str)>,
}

/// What the program wrote, and its exit status.
pub(super) struct Said {
    pub(super) status: i32,
    pub(super) out: String,
    pub(super) err: String,
}

impl Asked {
    pub(super) fn about(config: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        std::fs::write(directory.path().join("c.yaml"), config).expect("the configuration can be written");
        Self { directory, variables: Vec::new() }
    }

    pub(super) fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        std::fs::write(self.directory.path().join(name), contents).expect("a file can be written");
    }

    /// Explains a hook whose body comes from standard input.
    pub(super) fn explain(&self, flow: &str, step: &str, body: impl AsRef<[u8]>, more: &[&str]) -> Said {
        let usual = ["explain", "--config", "c.yaml", "--flow", flow, "--step", step];
        self.run(claimgate([&usual, more].concat()), body.as_ref())
    }

    /// The same as the JSON that machines get.
    pub(super) fn json(&self, flow: &str, step: &str, body: &str, more: &[&str]) -> (i32, Value) {
        let said = self.explain(flow, step, body, &[&["--json"], more].concat());
        let value = serde_json::from_str(&said.out);
        (said.status, value.unwrap_or_else(|error| panic!("{error}: {}\n{}", said.out, said.err)))
    }

    pub(super) fn run(&self, mut command: Command, stdin: &[u8]) -> Said {
        command.current_dir(&self.directory).envs(self.variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be started");
        // Dropped at the end of the line, which ends the input. Nobody reads it where the command line is wrong.
        child.stdin.take().expect("stdin is a pipe").write_all(stdin).ok();
        let output = child.wait_with_output().expect("it ends by itself");
        let text = |bytes| String::from_utf8(bytes).expect("what it writes is UTF-8");
        Said {
            status: output.status.code().expect("it exits"),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

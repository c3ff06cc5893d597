//! Instructions that the program executes in user space, counted by callgrind: the same on a busy machine and an idle one.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    gateway::{Gateway, Setup, folder, program},
    hooks::{Hooks, block_on},
};

/// Instructions for each hook.
#[derive(Clone, Copy)]
pub(crate) struct PerHook {
    /// By the worker thread, which does all for a hook but write its access event.
    pub(crate) worker: u32,
    /// By all threads.
    pub(crate) all: u32,
}

/// What is sent to be measured.
pub(crate) struct Load {
    pub(crate) hooks: Hooks,
    pub(crate) connections: usize,
    /// Over each connection before the count begins, besides the one when it is opened.
    pub(crate) warm: usize,
    /// Over each connection, counted.
    pub(crate) each: usize,
    /// In flight together.
    pub(crate) at_a_time: usize,
}

/// Counts, on one worker.
pub(crate) fn instructions(setup: &Setup, load: &Load) -> PerHook {
    let directory = folder();
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--separate-threads=yes", "--callgrind-out-file=count"]);
    command.arg(program());
    let gateway = Gateway::start_in(directory, setup, 1, command);
    block_on(async {
        let mut connections = load.hooks.open(gateway.address, load.connections).await;
        load.hooks.send(&mut connections, load.warm, load.at_a_time).await;
        control(&gateway, "--zero");
        load.hooks.send(&mut connections, load.each, load.at_a_time).await;
        control(&gateway, "--dump");
    });
    let threads = totals(gateway.directory());
    let hooks = u64::try_from(load.each * load.connections).expect("it is small");
    let per_hook = |count: u64| u32::try_from(count / hooks).expect("a hook takes less than that");
    let worker = threads.iter().copied().max().expect("callgrind writes a file for each thread");
    PerHook { worker: per_hook(worker), all: per_hook(threads.iter().sum()) }
}

fn control(gateway: &Gateway, what: &str) {
    let mut command = Command::new("callgrind_control");
    let done = command.args([what, &gateway.pid().to_string()]).stdout(Stdio::null()).status();
    assert!(done.expect("callgrind_control can be run").success(), "callgrind_control {what}");
}

/// What each thread executed up to the first dump.
fn totals(directory: &Path) -> Vec<u64> {
    let files = fs::read_dir(directory).expect("the folder is there").map_while(Result::ok);
    let dumped = files.filter(|file| file.file_name().to_string_lossy().starts_with("count.1-"));
    let total = |text: &str| text.lines().find_map(|line| line.strip_prefix("totals: ")?.parse().ok());
    dumped.map(|file| total(&fs::read_to_string(file.path()).expect("it is text")).unwrap_or(0)).collect()
}

//! How the cost of a hook, and memory, grow with what there is more of; and whether anything grows with time.
//!
//! ```sh
//! cargo bench --profile dist --bench scaling -- --all                     # all but the soak
//! cargo bench --profile dist --bench scaling -- --only connections,memory
//! cargo bench --profile dist --bench scaling -- --soak 10m
//! cargo bench --profile dev --bench scaling -- --train 2000               # measures nothing: see deploy/build-release.sh
//! ```
//!
//! Each drives the real program over loopback and writes its part of `benches/README.md`, with a plot. The environment
//! variable `CLAIMGATE_PROGRAM` names another program to measure than the one that was just built. Without one of the flags,
//! as the ordinary `cargo bench` and `cargo test --benches` run it, it tries once whether the loads work.

use std::{path::Path, process::ExitCode, time::Duration};

#[path = "../peers/api.rs"]
mod api;
mod body;
mod callgrind;
mod gateway;
mod handshakes;
mod hooks;
mod instructions;
mod memory;
mod plot;
mod report;
mod soak;
mod startup;
mod train;

use report::{Part, Report};

/// What can be measured, by name.
const MEASUREMENTS: [(&str, fn() -> Part); 8] = [
    ("connections", instructions::connections),
    ("connectors", instructions::connectors),
    ("claims", instructions::claims),
    ("bodies", instructions::bodies),
    ("handshakes", handshakes::measure),
    ("memory", memory::measure),
    ("start", startup::start),
    ("check", startup::check),
];

/// Hooks of a training that only shows that it works: each kind of them a few times.
const TRAINING: u64 = 2_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match asked(&arguments) {
        Ok(None) => {
            hooks::try_out();
            println!("the load works; --all, --only or --soak measures, see benches/README.md");
            run(&Asked::Training(TRAINING))
        }
        Ok(Some(asked)) => run(&asked),
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::from(2)
        }
    }
}

/// What the command line asks for.
enum Asked {
    Measurements(Vec<(&'static str, fn() -> Part)>),
    Soak(Duration),
    /// With so many hooks.
    Training(u64),
}

/// Nothing, where none of the flags is there: names alone are those of other benches.
fn asked(arguments: &[String]) -> Result<Option<Asked>, String> {
    let value_of = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag)?;
        Some(arguments.get(at + 1).map_or("", String::as_str))
    };
    if let Some(hooks) = value_of("--train") {
        let count = hooks.parse().ok().filter(|count| *count > 0);
        let training = count.map(|count| Some(Asked::Training(count)));
        training.ok_or_else(|| format!("--train: {hooks:?} is no number of hooks, such as {TRAINING}"))
    } else if let Some(duration) = value_of("--soak") {
        let read = |unit, seconds: u64| Some(duration.strip_suffix(unit)?.parse::<u64>().ok()? * seconds);
        let seconds = read("s", 1).or_else(|| read("m", 60)).or_else(|| read("h", 3600));
        let seconds = seconds.filter(|seconds| *seconds >= soak::LEAST.as_secs());
        let soak = seconds.map(|seconds| Some(Asked::Soak(Duration::from_secs(seconds))));
        soak.ok_or_else(|| {
            format!("--soak: {duration:?} is no duration of {:?} or more, such as 10m", soak::LEAST)
        })
    } else if let Some(names) = value_of("--only") {
        let named = names.split(',').map(|name| {
            let known = MEASUREMENTS.iter().find(|(known, _)| *known == name);
            known.copied().ok_or_else(|| {
                let names = MEASUREMENTS.map(|(name, _)| name).join(", ");
                format!("--only: {name:?} is not a measurement; there are {names}")
            })
        });
        Ok(Some(Asked::Measurements(named.collect::<Result<_, _>>()?)))
    } else {
        let all = arguments.iter().any(|argument| argument == "--all");
        Ok(all.then(|| Asked::Measurements(MEASUREMENTS.to_vec())))
    }
}

fn run(asked: &Asked) -> ExitCode {
    let report = Report::at(&Path::new(env!("CARGO_MANIFEST_DIR")).join("benches"));
    match asked {
        Asked::Measurements(measurements) => {
            for (name, measure) in measurements {
                report.write(name, &measure());
            }
            ExitCode::SUCCESS
        }
        Asked::Soak(duration) => {
            let (part, flat) = soak::run(*duration);
            report.write("soak", &part);
            if flat { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Asked::Training(hooks) => match train::run(*hooks) {
            Ok(()) => ExitCode::SUCCESS,
            Err(fault) => {
                eprintln!("the training failed: {fault}");
                ExitCode::FAILURE
            }
        },
    }
}

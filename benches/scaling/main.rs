//! How the cost of a hook, and memory, grow with what there is more of; and whether anything grows with time.
//!
//! ```sh
//! cargo bench --profile dist --bench scaling                            # all but the soak
//! cargo bench --profile dist --bench scaling -- connections memory      # some of it
//! cargo bench --profile dist --bench scaling -- --soak 10m              # the soak
//! ```
//!
//! Each drives the real program over loopback and writes its part of `benches/README.md`, with a plot. The environment
//! variable `CLAIMGATE_PROGRAM` names another program to measure than the one that was just built.

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

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let measures = arguments.iter().any(|argument| argument == "--bench");
    arguments.retain(|argument| argument != "--bench");
    if !measures {
        hooks::try_out();
        println!("the load works; `cargo bench --profile dist --bench scaling` measures");
        return ExitCode::SUCCESS;
    }
    match asked(&arguments) {
        Ok(asked) => run(&asked),
        Err(fault) => {
            let names = MEASUREMENTS.map(|(name, _)| name).join(", ");
            eprintln!("{fault}\nnames: {names}; or --soak DURATION, for example --soak 10m");
            ExitCode::from(2)
        }
    }
}

/// What the command line asks for.
enum Asked {
    Measurements(Vec<(&'static str, fn() -> Part)>),
    Soak(Duration),
}

fn asked(arguments: &[String]) -> Result<Asked, String> {
    if let [flag, duration] = arguments
        && flag == "--soak"
    {
        let read = |unit, seconds: u64| Some(duration.strip_suffix(unit)?.parse::<u64>().ok()? * seconds);
        let seconds = read("s", 1).or_else(|| read("m", 60)).or_else(|| read("h", 3600));
        let seconds = seconds.filter(|seconds| *seconds >= soak::LEAST.as_secs());
        let soak = seconds.map(|seconds| Asked::Soak(Duration::from_secs(seconds)));
        return soak
            .ok_or_else(|| format!("--soak: {duration:?} is no duration of {:?} or more", soak::LEAST));
    }
    let named = |name: &String| {
        let known = MEASUREMENTS.iter().find(|(known, _)| known == name);
        known.copied().ok_or_else(|| format!("{name:?} is not a measurement"))
    };
    let named = arguments.iter().map(named).collect::<Result<Vec<_>, _>>()?;
    Ok(Asked::Measurements(if named.is_empty() { MEASUREMENTS.to_vec() } else { named }))
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
    }
}

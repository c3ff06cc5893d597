//! How long the start and a check take.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    gateway::{Gateway, Setup, folder, program, with_secrets},
    hooks::api,
    instructions::float,
    plot::{Axis, Plot},
    report::{Goal, Part, Table},
};

const COUNTS: [usize; 5] = [1, 10, 100, 1000, 5000];
/// Each is the median of so many.
const TIMES: usize = 7;

/// From the start of the process until `/readyz` says that it is ready.
pub(crate) fn start() -> Part {
    let measured = COUNTS.map(|connectors| {
        let api = api();
        let setup = Setup { connectors, ..Setup::new(api.address()) };
        let mut resident = 0;
        let median = median(|| {
            let gateway = Gateway::start(&setup, 2);
            resident = gateway.status("VmRSS");
            gateway.started
        });
        (connectors, median, resident)
    });
    let rows = measured.map(|(connectors, milliseconds, resident)| {
        let resident = format!("{:.1}", f64::from(resident) / 1024.0);
        vec![connectors.to_string(), format!("{milliseconds:.1}"), resident]
    });
    Part {
        goals: vec![Goal::at_most("from start to ready, one connector", measured[0].1, 50.0, "ms")],
        notes: vec![format!("Medians of {TIMES}.")],
        table: Table::new(
            &["connectors and user flows", "from start to ready, ms", "resident then, MiB"],
            rows.into(),
        ),
        plot: Some(plot("From start to ready", &measured.map(|(connectors, time, _)| (connectors, time)))),
    }
}

/// `claimgate check`, from the start of the process to its end.
pub(crate) fn check() -> Part {
    let measured = COUNTS.map(|connectors| {
        let directory = folder();
        let api = api();
        let file = Setup { connectors, ..Setup::new(api.address()) }.write(directory.path());
        let median = median(|| {
            let mut command = with_secrets(Command::new(program()));
            command.arg("check").arg("--config").arg(&file).stdout(Stdio::null());
            let begun = Instant::now();
            let status = command.status().expect("the program can be run");
            assert!(status.success(), "check finds the configuration fine");
            begun.elapsed()
        });
        (connectors, median)
    });
    let rows = measured.map(|(connectors, time)| vec![connectors.to_string(), format!("{time:.1}")]);
    Part {
        goals: vec![Goal::at_most("5,000 connectors checked", measured[4].1, 500.0, "ms")],
        notes: vec![format!("Medians of {TIMES}.")],
        table: Table::new(&["connectors and user flows", "ms"], rows.into()),
        plot: Some(plot("claimgate check", &measured)),
    }
}

/// Of several runs, in milliseconds.
fn median(mut run: impl FnMut() -> Duration) -> f64 {
    let mut times: Vec<Duration> = (0..TIMES).map(|_| run()).collect();
    times.sort();
    times[TIMES / 2].as_secs_f64() * 1000.0
}

fn plot(title: &str, measured: &[(usize, f64)]) -> Plot {
    Plot {
        title: title.to_owned(),
        x: Axis { name: "connectors and user flows".to_owned(), logarithmic: false },
        y: "time (ms)".to_owned(),
        series: vec![(title.to_owned(), measured.iter().map(|(x, time)| (float(*x), *time)).collect())],
    }
}

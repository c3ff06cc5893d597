//! The parts of a hook's life that are computing and not waiting, each beside the usual way to do the same, and the whole.
//!
//! `cargo bench` measures them, and `cargo bench -- claims` those whose names hold `claims`. What to read is the ratio
//! of two lines of one run: absolute times are those of a machine and a moment. `cargo test --benches` runs each once.
//! Before a part is measured, what it does is compared with what it should do.

use std::time::Duration;

mod answers;
mod callers;
mod claims;
mod cpu_time;
mod duplicates;
#[path = "../common/hook.rs"]
mod hook;
mod policies;
mod pool;
#[path = "../common/stage.rs"]
mod stage;
mod users;
mod whole;
#[path = "../common/wire.rs"]
mod wire;

use cpu_time::CpuTime;

/// What the parts are measured with.
type Criterion = criterion::Criterion<CpuTime>;

fn main() {
    // Each of these takes microseconds, so that two seconds hold samples enough. The command line may say otherwise.
    let usual = criterion::Criterion::default()
        .with_measurement(CpuTime)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    let mut criterion = usual.configure_from_args();
    claims::measure(&mut criterion);
    answers::measure(&mut criterion);
    callers::measure(&mut criterion);
    duplicates::measure(&mut criterion);
    policies::measure(&mut criterion);
    pool::measure(&mut criterion);
    users::measure(&mut criterion);
    whole::measure(&mut criterion);
    criterion.final_summary();
}

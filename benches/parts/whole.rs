//! The whole hook, from the first byte of the request to the last byte of its answer, on one thread with its caller and
//! its API, whose work is in every line.
//!
//! - `claimgate/alone`: one connector and one user flow are configured.
//! - `claimgate/among 5000`: so many of each are, and should take the same.
//! - `wire` of the group `pool` is what the API's side takes at the least, and the caller's side takes no more than that.

use criterion::measurement::Measurement as _;

use crate::{Criterion, cpu_time::CpuTime, hook::Hook, stage::Stage};

pub(crate) fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("whole");
    for (name, flows) in [("alone", 1), ("among 5000", 5_000)] {
        let mut stage = Stage::new(Hook::sign_up(), flows);
        group.bench_function(format!("claimgate/{name}"), |bencher| {
            bencher.iter_custom(|rounds| {
                // No two are the same, and making them is not what is measured.
                let requests = stage.requests(usize::try_from(rounds).expect("they fit into memory"));
                let started = CpuTime.start();
                stage.play(&requests);
                CpuTime.end(started)
            });
        });
        stage.check();
    }
    group.finish();
}

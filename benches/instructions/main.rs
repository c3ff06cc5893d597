//! How many instructions a hook takes, and its parts: counted under valgrind, and so the same on a busy machine.
//!
//! `benches/instructions/run.sh` counts them and holds them against `figures.txt`.

#![expect(missing_docs, reason = "of what the macros make")]

use gungraun::{Callgrind, prelude::*};

#[path = "../common/hook.rs"]
mod hook;
mod parts;
#[path = "../common/stage.rs"]
mod stage;
#[path = "../common/wire.rs"]
mod wire;

use hook::Hook;
use parts::Part;
use stage::Stage;

/// How often each does what it does in one count, so that what comes only now and then has its share. `run.sh` divides by
/// it.
const ROUNDS: usize = 100;

#[library_benchmark]
#[bench::sign_up(args = (Hook::sign_up(), 1), setup = hooks, teardown = check)]
#[bench::of_5000_flows(args = (Hook::sign_up(), 5_000), setup = hooks, teardown = check)]
#[bench::of_150_claims(args = (Hook::generated(150, 4_400), 1), setup = hooks, teardown = check)]
#[bench::of_300_claims(args = (Hook::generated(300, 8_800), 1), setup = hooks, teardown = check)]
#[bench::of_600_claims(args = (Hook::generated(600, 17_600), 1), setup = hooks, teardown = check)]
fn whole((mut stage, requests): (Stage, Vec<Vec<u8>>)) -> Stage {
    stage.play(&requests);
    stage
}

#[library_benchmark]
#[bench::authenticate_of_1(parts::authenticate(1))]
#[bench::authenticate_of_100(parts::authenticate(100))]
#[bench::decode_24_claims(parts::decode(Hook::sign_up()))]
#[bench::decode_600_claims(parts::decode(Hook::generated(600, 17_600)))]
#[bench::duplicates_first(parts::duplicates_first())]
#[bench::duplicates_again(parts::duplicates_again())]
#[bench::user_limit(parts::user_limit())]
#[bench::select_10_of_24_claims(parts::select(Hook::sign_up()))]
#[bench::select_10_of_600_claims(parts::select(Hook::generated(600, 17_600)))]
#[bench::breaker(parts::breaker())]
#[bench::call_of_the_api(parts::call())]
#[bench::decide(parts::decide())]
#[bench::access_event(parts::access_event())]
fn part(mut once: Part) -> Part {
    for _ in 0..ROUNDS {
        once();
    }
    once
}

fn hooks(hook: Hook, flows: usize) -> (Stage, Vec<Vec<u8>>) {
    let mut stage = Stage::new(hook, flows);
    let requests = stage.requests(ROUNDS);
    (stage, requests)
}

fn check(stage: Stage) {
    stage.check();
}

library_benchmark_group!(name = hook_group; benchmarks = whole, part);

main!(
    config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--cache-sim=no"]));
    library_benchmark_groups = hook_group
);

//! What stands before every call of an API: the breaker, beside the two looks at the clock that it takes.
//!
//! - `claimgate/closed`: a call is let through, and what it found is counted.
//! - `claimgate/open`: a call is refused.
//! - `clock`: only the looks at the clock; what `closed` takes beyond them is the breaker's own.

use std::{hint::black_box, time::Duration};

use claimgate::{
    config,
    limits::{Availability, Breaker},
};
use tokio::time::Instant;

use crate::Criterion;

/// The defaults, but once open it stays so.
const SETTINGS: config::Breaker = config::Breaker {
    window: Duration::from_secs(10),
    least_calls: 20,
    failures: 50,
    open_for: Duration::from_hours(1),
    probes: 3,
};

pub(crate) fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("breaker");
    let breaker = Breaker::new(SETTINGS, Instant::now());
    let call = |availability| {
        breaker.admit(Instant::now()).map(|pass| pass.ended(black_box(availability), Instant::now()))
    };
    assert_eq!(call(Availability::Available), Ok(None));
    group.bench_function("claimgate/closed", |bencher| bencher.iter(|| call(Availability::Available)));
    group.bench_function("clock", |bencher| bencher.iter(|| (Instant::now(), Instant::now())));
    while call(Availability::Unavailable).is_ok() {}
    group.bench_function("claimgate/open", |bencher| bencher.iter(|| call(Availability::Available)));
    group.finish();
}

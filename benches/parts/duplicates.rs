//! A hook that may come again: known by what it says, noted, its decision kept and given once more.
//!
//! - `claimgate`: a keyed hash of the hook in a bounded store, from which each leaves when its time is over. `first` is
//!   all that a hook costs more that comes once: looked for, noted, its call in a box, its decision kept. `again` is one
//!   whose decision is there.
//! - `map`: the whole hook as the key of a hash map, which keeps everything for ever; here it is emptied when it is large.

use std::{
    collections::HashMap,
    future::ready,
    hint::black_box,
    sync::{Arc, Mutex},
    time::Duration,
};

use claimgate::{
    connector::{Decided, Facts, Notes},
    flow::FlowDecision,
    gateway::duplicates::{Duplicates, Earlier, HookIdentity, Seen},
    telemetry::Metrics,
};
use futures_util::FutureExt as _;
use tokio::time::Instant;

use crate::Criterion;

/// So short that those whose time is over leave while it is measured.
const WINDOW: Duration = Duration::from_millis(1);

pub(crate) fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("duplicates");
    for (name, length) in [("a hook of 1 KiB", 1024), ("a hook of 16 KiB", 16 * 1024)] {
        let mut body = vec![b'x'; length];
        let mut next = move || {
            let (number, _) = body.split_first_chunk_mut().expect("it is longer than a number");
            *number = (u64::from_le_bytes(*number) + 1).to_le_bytes();
            body.clone()
        };
        let (duplicates, hook) = (Duplicates::new(&Metrics::new()), HookIdentity::unused());
        group.bench_function(format!("claimgate/first, {name}"), |bencher| {
            bencher.iter_with_setup(&mut next, |body| first(&duplicates, hook, black_box(&body), WINDOW));
        });
        let body = next();
        first(&duplicates, hook, &body, Duration::from_hours(1));
        group.bench_function(format!("claimgate/again, {name}"), |bencher| {
            bencher.iter(|| again(&duplicates, hook, black_box(&body)));
        });

        let map = Mutex::new(HashMap::new());
        group.bench_function(format!("map/first, {name}"), |bencher| {
            bencher.iter_with_setup(&mut next, |body| {
                let mut map = map.lock().expect("nothing panics while it holds the map");
                if map.len() == 1_000 {
                    map.clear();
                }
                map.entry(body).or_insert_with(decision).clone()
            });
        });
        map.lock().expect("nothing panics while it holds the map").insert(body.clone(), decision());
        group.bench_function(format!("map/again, {name}"), |bencher| {
            bencher.iter(|| {
                map.lock().expect("nothing panics while it holds the map")[black_box(&body)].clone()
            });
        });
    }
    group.finish();
}

fn first(duplicates: &Arc<Duplicates>, hook: HookIdentity, body: &[u8], window: Duration) -> Decided {
    let Seen::First(lead) = duplicates.look("entra", hook, body, window, Instant::now()) else {
        panic!("it was not seen before")
    };
    assert!(!lead.is_undetected(), "there is room");
    let facts = Facts { took: Some(Duration::ZERO), ..Facts::default() };
    let decided = Decided { decision: Ok(decision()), notes: Notes { facts, ..Notes::default() } };
    lead.call(ready(decided), ()).now_or_never().expect("the call is ready")
}

fn again(duplicates: &Arc<Duplicates>, hook: HookIdentity, body: &[u8]) -> Earlier {
    match duplicates.look("entra", hook, body, WINDOW, Instant::now()) {
        Seen::Before(earlier) => earlier,
        Seen::First(lead) => panic!("it was seen before: {lead:?}"),
    }
}

fn decision() -> FlowDecision {
    FlowDecision::ShowBlockPage("Please come back when your request has been approved.".to_owned())
}

//! Chaos: APIs that do everything wrong, at chance and all the time, and an identity provider that tries again. Whatever
//! happens, each hook has its one right answer in time, nobody gets another one's, and nothing is left over.
//!
//! `CLAIMGATE_CHAOS_HOOKS` says how many hooks there are, and `CLAIMGATE_CHAOS_SEED` makes a run again.

mod api;
mod cast;
mod dice;
mod idp;
mod judge;
mod ledger;
mod mood;
mod process;
mod sums;

use std::{sync::Arc, time::Duration};

use tokio::{
    runtime::Builder,
    time::{Instant, sleep},
};

use self::{
    api::Apis,
    cast::{ANSWER_WITHIN, CAST, LIMITED, PERMITS, config},
    idp::Idp,
    judge::Judge,
    ledger::{End, Ledger, Told},
    process::{Held, Starvation, Watched},
};
use super::support::{Gateway, metrics, wait_until};

/// Hooks of a run, tries again not counted.
const HOOKS: u32 = 50_000;
/// Connections of the identity provider.
const CONNECTIONS: usize = 96;
/// Hooks that begin in a second, at most: so many that all of one window are known.
const RATE: u32 = 2500;
/// Good hooks in a row for each connector in the quiet afterwards; how often the row may begin anew after so many good
/// ones, for a busy machine can make a call too slow.
const QUIET: u32 = 60;
const SURE: u32 = 5;
const SLIPS: u32 = 2;
/// How long a call is out when all of them are to be out together, and how often that is tried on a busy machine.
const SLOW: Duration = Duration::from_millis(150);
const ATTEMPTS: u32 = 5;
/// How often the configuration changes, in what is no hook's.
const CHANGES: Duration = Duration::from_millis(700);
/// How much resident memory may grow after a third of the run, in KiB.
const GROWTH: u64 = 16 * 1024;
/// Longest wait for the APIs to be called again.
const RECOVERY: Duration = Duration::from_secs(30);

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

#[test]
fn whatever_happens_each_hook_has_its_one_right_answer_and_nothing_is_left_over() {
    let hooks =
        setting("CLAIMGATE_CHAOS_HOOKS").map_or(HOOKS, |count| u32::try_from(count).expect("fewer hooks"));
    let by_chance = || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.expect("it is later than 1970").subsec_nanos().into()
    };
    let seed = setting("CLAIMGATE_CHAOS_SEED").unwrap_or_else(by_chance);
    println!("{hooks} hooks; again with CLAIMGATE_CHAOS_SEED={seed}");

    let ledger = Arc::new(Ledger::new(hooks + 1));
    let apis = Apis::start(seed, Arc::clone(&ledger));
    let mut watched = Watched::start(&config(&apis.addresses, 0));
    let before = watched.held();
    let idp = Arc::new(Idp::new(watched.gateway.address(), seed, Arc::clone(&ledger), RATE));
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
    let (begin, starvation) = (Instant::now(), Starvation::of(&watched.gateway));
    let mut judge = Judge::default();

    let memory = runtime.block_on(storm(&idp, &watched, &apis, hooks + 1));
    let took = begin.elapsed();
    judge.starved = starvation.worst();
    apis.calm_down();
    for text in runtime.block_on(quiet(&idp, &ledger)) {
        judge.violation("wrong in the quiet", text);
    }
    apis.slow_down(SLOW);
    if !runtime.block_on(all_permits(&idp, &ledger)) {
        judge.violation("a permit is lost", format!("not {PERMITS} calls at a time"));
    }
    // Its connections with it.
    drop(runtime);
    nothing_left(&watched, &apis, before);

    let page = watched.gateway.metrics();
    let after = watched.held();
    watched.end(|line| judge.line(line));
    let all = ledger.hooks();
    for (id, hook) in (0_u32..).zip(all.iter()).skip(1) {
        judge.hook(id, hook);
    }
    for violation in apis.violations() {
        judge.violation("a request that an API refuses", violation);
    }
    sums::check(&mut judge, &page, idp.sent(), &all);

    let (connections, deaths) = apis.accepted_and_deaths();
    println!(
        "{hooks} hooks in {took:.1?}: {} tries, {} requests at the APIs over {connections} connections, {deaths} deaths",
        idp.sent(),
        all.iter().map(|hook| hook.asked.len()).sum::<usize>()
    );
    let said = watched.gateway.stderr_text();
    let changes = said.matches("a new configuration is in force").count();
    println!("{changes} changes of the configuration");
    assert!(changes > 0 && !said.contains("is refused"), "the configuration changes: {said}");
    println!(
        "the longest answer took {:.0} ms of {ANSWER_WITHIN:?}, the longest wait for a processor {:.1?}",
        judge.longest, judge.starved
    );
    println!("memory after a third {} KiB, at the end {} KiB; {before:?}, {after:?}", memory.0, memory.1);
    for (what, count) in &judge.seen {
        println!("{count:>8} {what}");
    }
    judge.verdict().unwrap_or_else(|text| panic!("CLAIMGATE_CHAOS_SEED={seed}: {text}"));
    assert!(memory.1 < memory.0 + GROWTH, "memory grew from {} to {} KiB", memory.0, memory.1);
}

/// The hooks, all at once, while the configuration changes; resident memory after a third of them, and at the end.
async fn storm(idp: &Arc<Idp>, watched: &Watched, apis: &Apis, end: u32) -> (u64, u64) {
    let sending = idp.send_all(CONNECTIONS, end);
    tokio::pin!(sending);
    let (mut third, mut changes) = (None, 0);
    loop {
        tokio::select! {
            () = &mut sending => break,
            () = sleep(CHANGES) => {
                changes += 1;
                watched.change(&config(&apis.addresses, changes));
                if idp.begun() > end / 3 {
                    third.get_or_insert_with(|| watched.held().memory);
                }
            }
        }
    }
    let last = watched.held().memory;
    (third.unwrap_or(last), last)
}

/// Now that the APIs behave, every hook has its own decision of its own API, as soon as the breakers have seen that.
async fn quiet(idp: &Arc<Idp>, ledger: &Arc<Ledger>) -> Vec<String> {
    let parts = (0_u8..).zip(&CAST).map(|(number, part)| {
        let (idp, ledger) = (Arc::clone(idp), Arc::clone(ledger));
        tokio::spawn(async move {
            let (mut kept, mut in_row, mut slips, mut wrong) = (None, 0, 0, Vec::new());
            let until = Instant::now() + RECOVERY;
            while in_row < QUIET {
                let id = ledger.extend(1);
                let end = idp.ask(id, number, &mut kept).await;
                let good = is_of_api(&end, id);
                slips += u32::from(!good && in_row >= SURE);
                if slips > SLIPS || (!good && Instant::now() > until) {
                    wrong.push(format!("{} after {in_row} good ones: {end:?}", part.name));
                    break;
                }
                in_row = if good { in_row + 1 } else { 0 };
                // Within the rate of the one that has one.
                sleep(Duration::from_millis(30)).await;
            }
            wrong
        })
    });
    let mut wrong = Vec::new();
    for part in parts.collect::<Vec<_>>() {
        wrong.extend(part.await.expect("a connection does not panic"));
    }
    wrong
}

/// Whether as many calls can be out at a time as may be.
async fn all_permits(idp: &Arc<Idp>, ledger: &Arc<Ledger>) -> bool {
    for _ in 0..ATTEMPTS {
        // Until its rate has room for them.
        sleep(Duration::from_millis(500)).await;
        let calls = (0..PERMITS).map(|_| {
            let (idp, id) = (Arc::clone(idp), ledger.extend(1));
            tokio::spawn(async move { is_of_api(&idp.ask(id, LIMITED, &mut None).await, id) })
        });
        let mut all = true;
        for call in calls.collect::<Vec<_>>() {
            all &= call.await.expect("a connection does not panic");
        }
        if all {
            return true;
        }
    }
    false
}

/// Before the token is sent a refusal is none of the decisions.
fn is_of_api(end: &End, id: u32) -> bool {
    match end {
        End::Told(Told::Api(_, of, 1)) => *of == id,
        End::Told(Told::Problem(502, reason)) => reason == "contract_decision_not_allowed",
        _ => false,
    }
}

/// No hook in flight, no connection, no descriptor, no thread.
fn nothing_left(watched: &Watched, apis: &Apis, before: Held) {
    let Watched { gateway, .. } = watched;
    gateway.wait_for_metric("claimgate_in_flight_hooks", 0.0);
    wait_until("the connections to the APIs are closed", || apis.open() == 0);
    wait_until("the descriptors are back", || watched.held().descriptors <= before.descriptors);
    let after = watched.held();
    assert!(after.threads <= before.threads, "{before:?}, {after:?}");
    closed(gateway);
}

/// No breaker is open, and nothing panicked.
fn closed(gateway: &Gateway) {
    let page = metrics::samples(&gateway.metrics());
    for (sample, value) in &page {
        if sample.starts_with("claimgate_circuit_state") || sample.starts_with("claimgate_panics_total") {
            assert!(value.abs() < f64::EPSILON, "{sample} {value}");
        }
    }
}

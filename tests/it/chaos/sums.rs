//! Requests sent, requests received, events and metrics are the same numbers.

use std::collections::BTreeMap;

use super::{
    cast::CAST,
    judge::Judge,
    ledger::{End, Hook},
};
use crate::support::metrics;

/// Compares them all, when everything is over.
pub(super) fn check(judge: &mut Judge, page: &str, sent: u32, hooks: &[Hook]) {
    let page = metrics::samples(page);
    let mut wrong = Vec::new();
    requests(judge, sent, hooks, &mut wrong);
    for (name, labels, counts) in [
        ("claimgate_requests_total", ["user_flow", "step", "decision", "outcome"], &judge.requests),
        ("claimgate_fallback_decisions_total", ["user_flow", "step", "reason", "decision"], &judge.fallbacks),
    ] {
        events(&page, name, labels, counts, &mut wrong);
    }
    calls(&page, hooks, &mut wrong);
    for (sample, value) in &page {
        let never = sample.starts_with("claimgate_unparsed_requests_total")
            || sample.starts_with("claimgate_log_lines_dropped_total")
            || (sample.starts_with("claimgate_duplicates_total") && sample.contains("undetected"));
        if never && *value > 0.0 {
            wrong.push(format!("{sample} is {value}"));
        }
    }
    for text in wrong {
        judge.violation("it does not add up", text);
    }
}

/// Each request has one event; one that was hung up at once has one at most.
fn requests(judge: &Judge, sent: u32, hooks: &[Hook], wrong: &mut Vec<String>) {
    let tries = count(hooks.iter().map(|hook| hook.tries.len()));
    let hung_up = |hook: &Hook| hook.tries.iter().filter(|tried| tried.end == End::HungUp).count();
    let hung_up = count(hooks.iter().map(hung_up));
    if tries != sent || judge.lines > sent || judge.lines + hung_up < sent {
        wrong.push(format!("{sent} sent, {tries} tries, {hung_up} of them hung up, {} events", judge.lines));
    }
}

/// Each event is counted under its labels, and nothing else is.
fn events(
    page: &BTreeMap<String, f64>,
    name: &str,
    labels: [&str; 4],
    counts: &BTreeMap<[String; 4], u32>,
    wrong: &mut Vec<String>,
) {
    let all: f64 = page.iter().filter(|(sample, _)| sample.starts_with(name)).map(|(_, value)| value).sum();
    let events: u32 = counts.values().sum();
    if differ(all, events) {
        wrong.push(format!("{name} is {all} in all, and there are {events} such events"));
    }
    for (values, events) in counts {
        let pairs = labels.iter().zip(values).map(|(label, value)| format!("{label}=\"{value}\""));
        let sample = metrics::canonical(&format!("{name}{{{}}}", pairs.collect::<Vec<_>>().join(",")));
        let counted = page.get(&sample).copied().unwrap_or_default();
        if differ(counted, *events) {
            wrong.push(format!("{sample} is {counted}, and there are {events} such events"));
        }
    }
}

/// No API got a request that is not counted as a call.
fn calls(page: &BTreeMap<String, f64>, hooks: &[Hook], wrong: &mut Vec<String>) {
    for (number, part) in (0_u8..).zip(&CAST) {
        let requests = count(hooks.iter().filter(|hook| hook.part == number).map(|hook| hook.asked.len()));
        let connector = format!("\"connector\": \"{}\"", part.name);
        let of_part = |sample: &str| {
            sample.starts_with("claimgate_upstream_requests_total") && sample.contains(&connector)
        };
        let calls: f64 = page.iter().filter(|(sample, _)| of_part(sample)).map(|(_, value)| value).sum();
        if calls < f64::from(requests) {
            wrong.push(format!("{requests} requests at the API of {}, and {calls} counted", part.name));
        }
    }
}

fn differ(value: f64, count: u32) -> bool {
    (value - f64::from(count)).abs() > 0.5
}

fn count(counts: impl Iterator<Item = usize>) -> u32 {
    u32::try_from(counts.sum::<usize>()).expect("there are fewer")
}

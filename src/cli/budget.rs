//! What is told at the start of how the time of each hook is spent.

use std::{collections::BTreeMap, time::Duration};

use crate::config::{Config, Connector, Hook, UserFlow};

/// Most different budgets that are told one by one.
const MOST: usize = 20;

/// Most hooks that are named beside their budget.
const NAMED: usize = 3;

/// The times that a hook's answer is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Budget {
    answer_within: Duration,
    wait: Duration,
    timeout: Duration,
    connect_timeout: Duration,
    idempotent: bool,
}

/// Tells the diagnostics how the time of each hook is spent; hooks with the same budget share a line.
pub(super) fn tell(config: &Config) {
    let budgets = budgets(config);
    for (budget, hooks) in budgets.iter().take(MOST) {
        let &Budget { answer_within, wait, timeout, connect_timeout, idempotent } = budget;
        // What is over when waiting and one attempt took all that they may.
        let left = answer_within.saturating_sub(wait).saturating_sub(timeout);
        let hooks = names(hooks);
        tracing::info!(
            ?answer_within,
            ?wait,
            ?connect_timeout,
            ?timeout,
            idempotent,
            ?left,
            hooks,
            "time budget: each hook is answered within answer_within, whatever the API does"
        );
    }
    if let Some(more @ 1..) = budgets.len().checked_sub(MOST) {
        tracing::info!(more, "there are more time budgets than are told here");
    }
}

fn budgets(config: &Config) -> BTreeMap<Budget, Vec<String>> {
    let mut budgets: BTreeMap<Budget, Vec<String>> = BTreeMap::new();
    for flow in &config.user_flows {
        for hook in &flow.hooks {
            let name = format!("{}/{}", flow.name, hook.step);
            budgets.entry(Budget::of(flow, hook, &config.connectors)).or_default().push(name);
        }
    }
    budgets
}

fn names(hooks: &[String]) -> String {
    match hooks.len().checked_sub(NAMED) {
        Some(more @ 1..) => format!("{} and {more} more", hooks[..NAMED].join(", ")),
        _ => hooks.join(", "),
    }
}

impl Budget {
    fn of(flow: &UserFlow, hook: &Hook, connectors: &[Connector]) -> Self {
        let &Connector { wait, timeout, connect_timeout, idempotent, .. } = &connectors[hook.connector];
        Self { answer_within: flow.answer_within, wait, timeout, connect_timeout, idempotent }
    }
}

//! The connectors and user flows of a run.

use std::{net::SocketAddr, time::Duration};

use crate::support::{Parts, STEPS};

/// `answer_within` of each user flow.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_millis(1500);
/// `timeout` of each connector.
pub(super) const TIMEOUT: Duration = Duration::from_millis(600);
/// `duplicate_window`, where there is one.
pub(super) const WINDOW: Duration = Duration::from_secs(3);
/// How many calls the limited connector may have out at a time, and its number in the cast.
pub(super) const PERMITS: usize = 8;
pub(super) const LIMITED: u8 = 3;
/// In the messages of `on_failure`; no answer of an API has it.
pub(super) const FALLBACK: &str = "Please try again later.";
/// The claims that carry the number of a hook there, and that of its answer back.
pub(super) const HOOK: &str = "extension_Hook";
pub(super) const ECHO: &str = "extension_Echo";

/// One user flow with one step, and the connector that it alone calls.
#[derive(Debug)]
pub(super) struct Part {
    /// Of the connector and of the user flow.
    pub(super) name: &'static str,
    pub(super) step: &'static str,
    on_failure: &'static str,
    /// Whether a hook that was sent before is known as such.
    pub(super) window: bool,
    pub(super) idempotent: bool,
    /// Whether its API sends more than was asked for.
    pub(super) loud: bool,
    keys: &'static str,
    /// How many of a hundred hooks are for it.
    pub(super) share: u64,
}

const PART: Part = Part {
    name: "plain",
    step: STEPS[1],
    on_failure: "block",
    window: true,
    idempotent: false,
    loud: false,
    keys: "",
    share: 0,
};

pub(super) static CAST: [Part; 6] = [
    Part { share: 34, ..PART },
    Part { name: "early", step: STEPS[0], on_failure: "continue", share: 12, ..PART },
    Part { name: "idempotent", idempotent: true, on_failure: "continue", share: 22, ..PART },
    Part {
        name: "limited",
        on_failure: "error",
        keys: "wait: 30ms\nrate_limit: { rate: 40/s, burst: 20 }",
        share: 10,
        ..PART
    },
    Part { name: "token", step: STEPS[2], on_failure: "continue", window: false, share: 12, ..PART },
    Part { name: "loud", on_failure: "validation_error", loud: true, share: 10, ..PART },
];

/// The configuration, with each connector at its address. From one `number` to another all hooks stay as they are.
pub(super) fn config(addresses: &[SocketAddr], number: u32) -> String {
    let timeout = TIMEOUT.as_millis();
    let parts = Parts::new().listen(&format!("max_in_flight: {}", 1000 + number % 2));
    let parts = CAST.iter().zip(addresses).fold(parts, |parts, (part, address)| {
        let Part { name, step, idempotent, keys, .. } = part;
        let permits = if *name == CAST[usize::from(LIMITED)].name { PERMITS } else { 64 };
        let keys = format!(
            "max_in_flight: {permits}\ntimeout: {timeout}ms\nconnect_timeout: 200ms\nmax_answer: 8KiB\nidempotent: {idempotent}\n\
             claims_to_send: [{HOOK}]\nclaims_to_receive: [{ECHO}]\n\
             breaker: {{ window: 1s, least_calls: 40, failures: 60%, open_for: 300ms, probes: 3 }}\n{keys}"
        );
        let on_failure = match part.on_failure {
            word @ ("continue" | "error") => word.to_owned(),
            key => format!("{{ {key}: \"{FALLBACK}\" }}"),
        };
        let window = if part.window { WINDOW.as_millis() } else { 0 };
        let hook = format!(
            "answer_within: {}ms\n{step}: {{ duplicate_window: {window}ms, connector: {name}, on_failure: {on_failure} }}",
            ANSWER_WITHIN.as_millis()
        );
        parts.connector(name, &format!("http://{address}/{name}"), &keys).flow(name, &hook)
    });
    parts.text()
}

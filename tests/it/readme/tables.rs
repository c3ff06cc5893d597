//! The README's tables, from their sources in the code.

use std::fmt::{Display, Write as _};

use claimgate::{
    config::keys::{self, Kind, Presence, Section},
    connector::normalize::Repair,
    flow::{Failure, Reason, Step},
    telemetry::{ACCESS_FIELDS, METRIC_TABLE},
};

/// Every generated block of the README, by name.
pub(super) fn all() -> Vec<(&'static str, String)> {
    vec![
        ("reasons", reasons()),
        ("repairs", repairs()),
        ("keys", keys()),
        ("limits", limits()),
        ("metrics", metrics()),
        ("access event", access_event()),
    ]
}

fn reasons() -> String {
    let rows = Reason::all().map(|reason| {
        let allowed = |step| Failure::from(reason).may_continue(step);
        let may_continue = match (allowed(Step::PostFederationSignup), allowed(Step::PreTokenIssuance)) {
            (true, _) => "yes",
            (false, true) => "preTokenIssuance only",
            (false, false) => "no",
        };
        [
            code(reason.as_str()),
            reason.blame().as_str().to_owned(),
            reason.status().to_string(),
            may_continue.to_owned(),
            plain(reason.hint()),
        ]
    });
    table(["reason", "blame", "status", "`continue` applies", "what it means, what to do"], rows)
}

fn repairs() -> String {
    let rows = Repair::ALL.into_iter().map(|repair| [code(repair.as_str()), repair.meaning().to_owned()]);
    table(["repair", "what the API sent"], rows)
}

fn keys() -> String {
    let mut text = String::new();
    for section in keys::ALL {
        let title = if section.name.is_empty() { "the file".to_owned() } else { code(section.name) };
        let rows = section.keys.iter().map(|key| {
            let default = match key.presence {
                Presence::Required => "required".to_owned(),
                Presence::Default(value) => code(value),
                Presence::Optional => String::new(),
            };
            [code(key.name), default, plain(key.doc)]
        });
        writeln!(text, "{title}:\n\n{}", table(["key", "default", "meaning"], rows)).expect(MEMORY);
    }
    text
}

/// What happens at each limit; every key with a number must stand here.
const AT_THE_LIMIT: [(&str, &str, &str); 28] = [
    ("listen", "handshake_timeout", "the connection is closed"),
    ("listen", "max_connections", "further connections wait in the kernel's queue"),
    ("listen", "max_body", "`content_too_large`, 413"),
    ("listen", "first_byte_timeout", "the connection is closed"),
    ("listen", "head_timeout", "408 without a body, and the connection is closed; no access event"),
    ("listen", "body_timeout", "`request_timeout`, 408"),
    ("listen", "write_timeout", "the connection is closed"),
    (
        "listen",
        "idle_timeout",
        "the connection is closed; one that has shown no good credential yet, after `first_byte_timeout`",
    ),
    ("listen", "max_age", "the next answer says `Connection: close`"),
    ("listen", "max_in_flight", "`overloaded`, 503 with `Retry-After`"),
    ("shutdown", "drain_delay", "no new connections; each answer says `Connection: close`"),
    ("shutdown", "grace", "idle connections are closed, open hooks cut off"),
    ("callers.NAME", "rate_limit", "`caller_limited`, 429 with `Retry-After`"),
    ("connectors.NAME", "timeout", "`first_byte_timeout` or `body_timeout`, then on_failure"),
    ("connectors.NAME", "connect_timeout", "`connect_timeout`, then on_failure"),
    ("connectors.NAME", "max_answer", "`answer_too_large`, then on_failure"),
    ("connectors.NAME", "rate_limit", "`connector_limited`, then on_failure"),
    ("connectors.NAME", "max_in_flight", "the hook waits for `wait`"),
    ("connectors.NAME", "wait", "`in_flight_full`, then on_failure"),
    (
        "listen",
        "unauthenticated_limit",
        "`unauthenticated_limited`, 429 with `Retry-After`, and the connection is closed",
    ),
    ("breaker", "window", "a call is forgotten"),
    ("breaker", "least_calls", "the breaker may open"),
    ("breaker", "failures", "the breaker opens: `circuit_open`, then on_failure"),
    ("breaker", "open_for", "calls are let through to probe the API"),
    ("breaker", "probes", "the breaker closes, if all of them found the API available"),
    ("user_flows.NAME.STEP", "duplicate_window", "the same hook is a new one"),
    ("user_flows.NAME.STEP", "rate_limit_per_user", "`user_limited`, then on_failure"),
    ("user_flows.NAME", "answer_within", "`deadline`, then on_failure"),
];

fn limits() -> String {
    let limits = keys::ALL.into_iter().flat_map(|section| section.keys.iter().map(move |key| (section, key)));
    let limits = limits.filter(|(_, key)| is_limit(&key.kind));
    let rows: Vec<_> = limits
        .filter(|(section, _)| !std::ptr::eq(*section, &raw const keys::RATE_LIMIT))
        .map(|(section, key)| {
            let default = match (key.presence, key.name) {
                (Presence::Default(value), _) => code(value),
                (_, "unauthenticated_limit") => "`20/s`, burst `100`".to_owned(),
                (_, "duplicate_window") => "`10s`; `0s` at preTokenIssuance".to_owned(),
                (_, "connect_timeout") => "`1s`, or `timeout` if shorter".to_owned(),
                _ => "none".to_owned(),
            };
            [code(format_args!("{}.{}", section.name, key.name)), default, consequence(section, key.name)]
        })
        .collect();
    table(["limit", "default", "when it is reached"], rows)
}

fn is_limit(kind: &Kind) -> bool {
    match kind {
        Kind::Duration(_) | Kind::Size(_) | Kind::Count(_) | Kind::Rate(_) | Kind::Percent(_) => true,
        Kind::Section(section) => std::ptr::eq(*section, &raw const keys::RATE_LIMIT),
        _ => false,
    }
}

fn consequence(section: &Section, key: &str) -> String {
    let row = AT_THE_LIMIT.iter().find(|(of, name, _)| (*of, *name) == (section.name, key));
    row.unwrap_or_else(|| panic!("AT_THE_LIMIT does not say what happens at {}.{key}", section.name))
        .2
        .to_owned()
}

fn metrics() -> String {
    let rows = METRIC_TABLE.iter().map(|row| {
        let labels: Vec<_> = row.labels.iter().map(code).collect();
        [code(row.name), row.kind.as_str().to_owned(), labels.join(", "), plain(row.help)]
    });
    table(["metric", "type", "labels", "meaning"], rows)
}

fn access_event() -> String {
    let rows = ACCESS_FIELDS.iter().map(|field| {
        [code(field.name), if field.always { "always" } else { "if known" }.to_owned(), plain(field.meaning)]
    });
    table(["field", "present", "meaning"], rows)
}

fn code(text: impl Display) -> String {
    format!("`{text}`")
}

/// A sentence of the code in a cell: a bar would end the cell, and keys in angle brackets would be HTML.
fn plain(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(N));
    for row in rows {
        writeln!(text, "| {} |", row.join(" | ")).expect(MEMORY);
    }
    text
}

const MEMORY: &str = "a string takes every write";

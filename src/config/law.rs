//! The laws of reading a configuration, for any text.

use std::{collections::HashSet, sync::LazyLock, time::Duration};

use super::{
    Config, Connector, MissingAction, Outcome, Problem, Secrets, UserFlow,
    endpoint::{is_loopback, is_loopback_address},
    read,
};
use crate::flow::{OnFailure, Step};

/// Nothing beside it exists, so that no text leads to a file of this machine.
const SOURCE: &str = "/nonexistent/claimgate.yaml";

/// Stands around a secret.
const FRAME: &str = "xxxx";

/// The whole is the text.
pub fn reading(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let outcome = read(SOURCE, text, Secrets::Skip);
    reported(text, &outcome);
    if let Some(config) = &outcome.config {
        consistent(config, text);
    }
    no_secret_shows(text);
}

/// There is a configuration or an error; each problem has a place in the file and says something, in one line.
pub(super) fn reported(text: &str, Outcome { config, report, .. }: &Outcome) {
    assert_eq!(config.is_none(), report.errors() > 0, "{report}");
    assert!(report.problems().is_sorted_by_key(|problem| problem.place));
    // The end of the file is a place too: one line and one column behind the last ones.
    let lines: Vec<&str> = text.split(['\n', '\r']).collect();
    for problem in report.problems() {
        assert!(problem.place.line as usize <= lines.len() + 1, "{report}");
        assert!(problem.place.column >= 1 && !problem.message.is_empty());
        let one_line = [&problem.message, &problem.path].into_iter().chain(&problem.help);
        assert!(one_line.into_iter().all(|text| !text.contains(char::is_control)), "{report}");
    }
}

/// What was taken can be put to work as it is: every name leads somewhere, every time fits into the one around it, and
/// nothing travels in plain text that the file does not allow to.
fn consistent(config: &Config, text: &str) {
    let Config { listen, admin, shutdown, callers, connectors, user_flows } = config;
    let plain_text_allowed = text.contains("allowed");
    assert!(is_loopback_address(listen.address.ip()) || plain_text_allowed);
    assert!(listen.address.port() == 0 || listen.address != admin.address);
    let hour = Duration::from_millis(1)..=Duration::from_hours(1);
    for time in [listen.head_timeout, listen.body_timeout, shutdown.grace] {
        assert!(hour.contains(&time));
    }
    assert!((1..=16 * 1024 * 1024).contains(&listen.max_body));
    assert!(listen.max_connections > 0 && listen.max_in_flight > 0);
    distinct(callers.iter().map(|caller| caller.name.as_str()));
    distinct(connectors.iter().map(|connector| connector.name.as_str()));
    distinct(user_flows.iter().map(|flow| flow.name.as_str()));
    for caller in callers {
        assert!(caller.basic.len() + caller.code.len() + caller.header.len() > 0);
        assert!(caller.basic.iter().all(|basic| !basic.username.contains([':', '\n', '\r'])));
    }
    for connector in connectors {
        usable(connector, plain_text_allowed);
    }
    for flow in user_flows {
        leads_somewhere(flow, callers.len(), connectors);
    }
}

fn distinct<'n>(mut names: impl Iterator<Item = &'n str>) {
    let mut seen = HashSet::new();
    assert!(names.all(|name| seen.insert(name) && (1..=80).contains(&name.len())));
    assert!(!seen.is_empty());
}

fn usable(connector: &Connector, plain_text_allowed: bool) {
    let endpoint = &connector.endpoint;
    assert!(endpoint.tls || is_loopback(&endpoint.host) || plain_text_allowed);
    assert!(endpoint.path.starts_with('/') && endpoint.port > 0 && !endpoint.host.is_empty());
    let sent = [&endpoint.authority, &endpoint.path].into_iter().chain(&endpoint.query);
    assert!(sent.into_iter().all(|text| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')));
    assert!(!connector.connect_timeout.is_zero() && connector.connect_timeout <= connector.timeout);
    assert!((1..=16 * 1024 * 1024).contains(&connector.max_answer));
    assert!(connector.max_in_flight > 0 && !connector.wait.is_zero());
    assert!(!connector.strict || connector.missing_action == MissingAction::Fail);
    for shown in [&connector.display_name, &connector.default_message] {
        assert!(!shown.trim().is_empty() && shown.chars().all(|c| !c.is_control() || c == '\n'));
    }
}

fn leads_somewhere(flow: &UserFlow, callers: usize, connectors: &[Connector]) {
    assert!((Duration::from_millis(10)..=Duration::from_mins(1)).contains(&flow.answer_within));
    let named: HashSet<&usize> = flow.callers.iter().collect();
    assert!(!named.is_empty() && named.len() == flow.callers.len());
    assert!(named.iter().all(|caller| **caller < callers));
    let steps: HashSet<Step> = flow.hooks.iter().map(|hook| hook.step).collect();
    assert!(!steps.is_empty() && steps.len() == flow.hooks.len());
    for hook in &flow.hooks {
        let connector = &connectors[hook.connector];
        assert!(connector.timeout <= flow.answer_within && connector.wait < flow.answer_within);
        assert!(hook.on_failure.allowed_at(hook.step));
        if let OnFailure::Block(message) | OnFailure::ValidationError(message) = &hook.on_failure {
            assert!(!message.trim().is_empty() && message.chars().count() <= 1000);
        }
    }
}

/// Whatever a secret is, right or wrong where it stands, the report is the same as with any other one.
fn no_secret_shows(text: &str) {
    static OF_ANOTHER: LazyLock<Vec<String>> = LazyLock::new(|| said_beside("another"));
    let secret: String = text.chars().filter(|c| (' '..='~').contains(c)).take(40).collect();
    assert_eq!(said_beside(&secret), *OF_ANOTHER, "with {secret}");
}

/// What is said about a configuration in which this secret stands at many places, most of them wrong.
fn said_beside(secret: &str) -> Vec<String> {
    // Framed, so that it is never a word that means something, and can be found.
    let secret = format!("'{FRAME}{}{FRAME}'", secret.replace('\'', "''"));
    let text = format!(
        "listen: {{ address: 127.0.0.1:0 }}
callers: {{ a: {{
  basic: [{{ username: a, password: {secret} }}, {{ username: b, passwort: {secret} }}],
  code: [{secret}, {{ evn: {secret} }}, {{ file: a, {secret}: b }}],
  header: {{ name: X-A, value: {secret} }} }} }}
connectors: {{ b: {{
  endpoint_url: [{secret}],
  authentication: {secret},
  claims_to_send: [],
  claims_to_receive: [] }} }}
user_flows: {{ f: {{ callers: [a], preTokenIssuance: {{ connector: b, on_failure: error }} }} }}
"
    );
    let report = read(SOURCE, &text, Secrets::Skip).report;
    assert!(!report.to_string().contains(FRAME), "{report}");
    let said = |Problem { place, path, message, help, .. }: &Problem| {
        format!("{} {path} {message} {help:?}", place.line)
    };
    report.problems().iter().map(said).collect()
}

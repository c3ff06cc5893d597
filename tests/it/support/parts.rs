//! Configurations with several callers, connectors and user flows, for tables that share one gateway.

use std::fmt::Write as _;

use super::config_text::{CALLER, PASSWORD, each_a_new_one};

/// What the identity provider gets for a failure where a test does not care.
pub(crate) const BLOCK: &str = r#"{ block: "Please try again later." }"#;

/// A configuration that is put together by name. It begins with the usual caller.
///
/// Texts stand in the file as they are, indented to their place; they may have several lines.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    listen: String,
    top: String,
    callers: String,
    connectors: String,
    flows: String,
}

impl Parts {
    /// With the usual caller, and nothing for it to call yet.
    pub(crate) fn new() -> Self {
        let parts = Self {
            listen: String::new(),
            top: String::new(),
            callers: String::new(),
            connectors: String::new(),
            flows: String::new(),
        };
        parts.caller(CALLER, &format!("basic: {{ username: {CALLER}, password: {PASSWORD} }}"))
    }

    /// More keys of `listen`.
    pub(crate) fn listen(mut self, yaml: &str) -> Self {
        indent(&mut self.listen, 2, yaml);
        self
    }

    /// More keys of the file itself.
    pub(crate) fn top(mut self, yaml: &str) -> Self {
        indent(&mut self.top, 0, yaml);
        self
    }

    /// One more caller.
    pub(crate) fn caller(mut self, name: &str, yaml: &str) -> Self {
        indent(&mut self.callers, 2, &format!("{name}:"));
        indent(&mut self.callers, 4, yaml);
        self
    }

    /// One more connector; what it must have and `yaml` does not say is `none` or empty, and no breaker opens.
    pub(crate) fn connector(mut self, name: &str, endpoint_url: &str, yaml: &str) -> Self {
        indent(&mut self.connectors, 2, &format!("{name}:"));
        indent(&mut self.connectors, 4, &format!("endpoint_url: {endpoint_url}"));
        for (key, value) in [
            ("authentication", "none"),
            ("claims_to_send", "[]"),
            ("claims_to_receive", "[]"),
            ("breaker", "off"),
        ] {
            if !yaml.lines().any(|line| line.trim_start().starts_with(key)) {
                indent(&mut self.connectors, 4, &format!("{key}: {value}"));
            }
        }
        indent(&mut self.connectors, 4, yaml);
        self
    }

    /// One more user flow; the usual caller may call it if `yaml` names none.
    pub(crate) fn flow(mut self, name: &str, yaml: &str) -> Self {
        indent(&mut self.flows, 2, &format!("{name}:"));
        if !yaml.contains("callers:") {
            indent(&mut self.flows, 4, &format!("callers: [{CALLER}]"));
        }
        indent(&mut self.flows, 4, yaml);
        self
    }

    /// One more user flow with all three steps, of which the first two show the block page for a failure.
    pub(crate) fn whole_flow(self, name: &str, connector: &str, more: &str) -> Self {
        let hooks = format!(
            "postFederationSignup: {{ connector: {connector}, on_failure: {BLOCK} }}\n\
             postAttributeCollection: {{ connector: {connector}, on_failure: {BLOCK} }}\n\
             preTokenIssuance: {{ connector: {connector}, on_failure: error }}\n{more}"
        );
        self.flow(name, &hooks)
    }

    /// The file. A hook that does not say otherwise takes each for a new one.
    pub(crate) fn text(&self) -> String {
        let Self { listen, top, callers, connectors, flows } = self;
        let flows = each_a_new_one(flows);
        format!(
            "listen:\n  address: 127.0.0.1:0\n{listen}admin:\n  address: 127.0.0.1:0\n{top}\
             callers:\n{callers}connectors:\n{connectors}user_flows:\n{flows}"
        )
    }
}

fn indent(target: &mut String, depth: usize, yaml: &str) {
    for line in yaml.lines().filter(|line| !line.trim().is_empty()) {
        writeln!(target, "{:depth$}{line}", "").expect("writing into a string does not fail");
    }
}

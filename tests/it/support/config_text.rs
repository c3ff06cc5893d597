//! Configurations for the tests, as the text of the file.

use std::fmt::Write as _;

/// The only user flow.
pub(crate) const FLOW: &str = "B2X_1_SignUp";
/// The only caller; also its user name.
pub(crate) const CALLER: &str = "entra";
/// The caller's password.
pub(crate) const PASSWORD: &str = "s3cret";
/// The only connector.
pub(crate) const CONNECTOR: &str = "approvals";

/// One caller, one connector, and one user flow with all three steps.
///
/// Every text that is added stands in the file as it is, indented to its place; it may have several lines.
#[derive(Clone, Debug)]
pub(crate) struct ConfigText {
    endpoint_url: String,
    authentication: String,
    claims_to_send: String,
    claims_to_receive: String,
    on_failure: [(&'static str, String); 3],
    listen: String,
    caller: String,
    connector: String,
    flow: String,
    top: String,
}

impl ConfigText {
    /// With this endpoint, no authentication, no claims, and failures blocked, or an error before the token is sent.
    pub(crate) fn new(endpoint_url: &str) -> Self {
        let block = r#"{ block: "Please try again later." }"#;
        Self {
            endpoint_url: endpoint_url.to_owned(),
            authentication: "none".to_owned(),
            claims_to_send: "[]".to_owned(),
            claims_to_receive: "[]".to_owned(),
            on_failure: [
                ("postFederationSignup", block.to_owned()),
                ("postAttributeCollection", block.to_owned()),
                ("preTokenIssuance", "error".to_owned()),
            ],
            listen: String::new(),
            caller: String::new(),
            connector: String::new(),
            flow: String::new(),
            top: String::new(),
        }
    }

    /// The connector's `authentication`.
    pub(crate) fn authentication(mut self, yaml: &str) -> Self {
        yaml.clone_into(&mut self.authentication);
        self
    }

    /// The connector's `claims_to_send`.
    pub(crate) fn send(mut self, names: &[&str]) -> Self {
        self.claims_to_send = format!("[{}]", names.join(", "));
        self
    }

    /// The connector's `claims_to_receive`.
    pub(crate) fn receive(mut self, names: &[&str]) -> Self {
        self.claims_to_receive = format!("[{}]", names.join(", "));
        self
    }

    /// The `on_failure` of one step.
    pub(crate) fn on_failure(mut self, step: &str, yaml: &str) -> Self {
        let hook = self.on_failure.iter_mut().find(|(name, _)| *name == step).expect("the step exists");
        yaml.clone_into(&mut hook.1);
        self
    }

    /// More keys of `listen`.
    pub(crate) fn listen(mut self, yaml: &str) -> Self {
        indent(&mut self.listen, 2, yaml);
        self
    }

    /// More keys of the caller.
    pub(crate) fn caller(mut self, yaml: &str) -> Self {
        indent(&mut self.caller, 4, yaml);
        self
    }

    /// More keys of the connector.
    pub(crate) fn connector(mut self, yaml: &str) -> Self {
        indent(&mut self.connector, 4, yaml);
        self
    }

    /// More keys of the user flow.
    pub(crate) fn flow(mut self, yaml: &str) -> Self {
        indent(&mut self.flow, 4, yaml);
        self
    }

    /// More keys of the file itself.
    pub(crate) fn top(mut self, yaml: &str) -> Self {
        indent(&mut self.top, 0, yaml);
        self
    }

    /// The file. What does not say otherwise has no breaker, and takes each hook for a new one.
    pub(crate) fn text(&self) -> String {
        let Self { endpoint_url, authentication, claims_to_send, claims_to_receive, .. } = self;
        let Self { listen, caller, connector, flow, top, .. } = self;
        let breaker = if connector.contains("breaker:") { "" } else { "    breaker: off\n" };
        let mut text = format!(
            "listen:\n  address: 127.0.0.1:0\n{listen}\
             admin:\n  address: 127.0.0.1:0\n\
             {top}\
             callers:\n  {CALLER}:\n    basic: {{ username: {CALLER}, password: {PASSWORD} }}\n{caller}\
             connectors:\n  {CONNECTOR}:\n    endpoint_url: {endpoint_url}\n    authentication: {authentication}\n    \
             claims_to_send: {claims_to_send}\n    claims_to_receive: {claims_to_receive}\n{breaker}{connector}\
             user_flows:\n  {FLOW}:\n    callers: [{CALLER}]\n{flow}"
        );
        for (step, on_failure) in &self.on_failure {
            writeln!(text, "    {step}: {{ connector: {CONNECTOR}, on_failure: {on_failure} }}")
                .expect("writing into a string does not fail");
        }
        each_a_new_one(&text)
    }
}

/// Adds `duplicate_window: 0s` to the hooks of a text that say nothing about it.
pub(super) fn each_a_new_one(text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| {
            if line.contains("duplicate_window") {
                return line.to_owned();
            }
            line.replace("{ connector: ", "{ duplicate_window: 0s, connector: ")
        })
        .collect()
}

fn indent(target: &mut String, depth: usize, yaml: &str) {
    for line in yaml.lines().filter(|line| !line.trim().is_empty()) {
        writeln!(target, "{:depth$}{line}", "").expect("writing into a string does not fail");
    }
}

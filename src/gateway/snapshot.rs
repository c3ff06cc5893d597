//! What one configuration comes to: looked up by each hook, changed by none.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use super::correlation;
use crate::{
    caller::{self, Guard},
    config::{self, Config, Name},
    connector::Api,
    flow::{OnFailure, Reason, Step},
    limits::{InFlight, Rate},
    telemetry::{Counter, HookMetrics, Metrics},
    tls::TlsSetupError,
};

/// Everything that comes from one configuration.
#[derive(Debug)]
pub struct Snapshot {
    flows: HashMap<Box<str>, Flow>,
    callers: Vec<Arc<Caller>>,
    pub(super) apis: Vec<Arc<Api>>,
    pub(super) in_flight: Arc<InFlight>,
    pub(super) max_body: usize,
    pub(super) body_timeout: Duration,
    pub(super) metrics: Metrics,
    /// For requests that belong to no hook.
    pub(super) unrouted: HookMetrics,
}

/// A checked configuration cannot be put to work: all connectors whose trust cannot be set up, and why.
#[derive(Debug, thiserror::Error)]
pub struct SetupError(Vec<(Name, TlsSetupError)>);

impl fmt::Display for SetupError {
    /// One line for each connector.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (connector, error)) in self.0.iter().enumerate() {
            let line_end = if number > 0 { "\n" } else { "" };
            write!(f, "{line_end}connector `{connector}`: {error}")?;
        }
        Ok(())
    }
}

/// A user flow.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) name: Name,
    pub(super) guard: Guard,
    pub(super) answer_within: Duration,
    callers: Vec<Arc<Caller>>,
    hooks: Vec<Hook>,
}

/// A caller; one for all flows that name it, so that its rate is one.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) name: Name,
    pub(super) rate: Option<Arc<Rate>>,
    credentials: Vec<Credential>,
}

/// What is counted of a credential.
#[derive(Debug)]
pub(super) struct Credential {
    pub(super) label: String,
    pub(super) uses: Counter,
}

/// A step of a user flow that calls an API.
#[derive(Debug)]
pub(super) struct Hook {
    pub(super) step: Step,
    pub(super) on_failure: OnFailure,
    pub(super) metrics: HookMetrics,
    pub(super) connector: usize,
}

impl Snapshot {
    /// Puts a checked configuration to work.
    pub fn new(config: Config, metrics: Metrics) -> Result<Self, SetupError> {
        correlation::prepare();
        Self::build(config, metrics, None)
    }

    /// Puts another configuration to work after this one. What lives is carried over where its settings are the same:
    /// rates, numbers at a time, connections.
    pub fn succeeded_by(&self, config: Config) -> Result<Self, SetupError> {
        Self::build(config, self.metrics.clone(), Some(self))
    }

    fn build(config: Config, metrics: Metrics, before: Option<&Self>) -> Result<Self, SetupError> {
        let caller = |caller| Arc::new(Caller::new(caller, &metrics, before));
        let callers: Vec<_> = config.callers.iter().map(caller).collect();
        let flows = config.user_flows.iter().map(|flow| {
            let guard = Guard::new(flow.callers.iter().map(|&caller| &config.callers[caller]));
            let callers = flow.callers.iter().map(|&caller| Arc::clone(&callers[caller])).collect();
            let hooks = flow.hooks.iter().map(|hook| Hook::new(&flow.name, hook, &metrics)).collect();
            let name = flow.name.clone();
            (name.as_str().into(), Flow { name, guard, answer_within: flow.answer_within, callers, hooks })
        });
        let flows = flows.collect();
        let (mut apis, mut unusable) = (Vec::new(), Vec::new());
        for connector in config.connectors {
            let name = connector.name.clone();
            let before = before.and_then(|before| before.apis.iter().find(|api| api.name() == name.as_str()));
            match Api::succeeding(connector, &metrics, before) {
                Ok(api) => apis.push(api),
                Err(error) => unusable.push((name, error)),
            }
        }
        if !unusable.is_empty() {
            return Err(SetupError(unusable));
        }
        Ok(Self {
            flows,
            callers,
            apis,
            in_flight: InFlight::succeeding(
                config.listen.max_in_flight,
                before.map(|before| &before.in_flight),
            ),
            max_body: config.listen.max_body,
            body_timeout: config.listen.body_timeout,
            unrouted: metrics.unrouted(),
            metrics,
        })
    }

    /// Forgets the metrics of every user flow, connector and caller that is not in this configuration.
    pub fn forget_others(&self) {
        let connectors: HashSet<_> = self.apis.iter().map(|api| api.name()).collect();
        let callers: HashSet<_> = self.callers.iter().map(|caller| caller.name.as_str()).collect();
        self.metrics.forget_unless(&|label, value| match label {
            // Requests without a hook have none.
            "user_flow" => value.is_empty() || self.flows.contains_key(value),
            "connector" => connectors.contains(value),
            "caller" => callers.contains(value),
            _ => true,
        });
    }

    /// The hook at `/flows/{user_flow}/{step}`.
    pub(super) fn route(&self, path: &str) -> Result<(&Flow, &Hook), Reason> {
        let (flow, step) = path
            .strip_prefix("/flows/")
            .and_then(|rest| rest.split_once('/'))
            .and_then(|(flow, step)| Some((self.flows.get(flow)?, Step::from_name(step)?)))
            .ok_or(Reason::NotFound)?;
        let hook = flow.hooks.iter().find(|hook| hook.step == step).ok_or(Reason::NotFound)?;
        Ok((flow, hook))
    }
}

impl Flow {
    pub(super) fn caller(&self, key: caller::Key) -> (&Caller, &Credential) {
        let caller = &self.callers[key.caller];
        (caller, &caller.credentials[key.credential])
    }
}

impl Caller {
    fn new(caller: &config::Caller, metrics: &Metrics, before: Option<&Snapshot>) -> Self {
        let same_name = |before: &&Arc<Self>| before.name == caller.name;
        let before = before.and_then(|before| before.callers.iter().find(same_name));
        let rate_before = before.and_then(|before| before.rate.as_ref());
        let credentials = caller::credential_labels(caller).into_iter().map(|label| {
            let uses = metrics.for_caller_credential(caller.name.as_str(), &label);
            Credential { label, uses }
        });
        Self {
            name: caller.name.clone(),
            rate: caller.rate_limit.map(|limit| Rate::succeeding(limit, rate_before)),
            credentials: credentials.collect(),
        }
    }
}

impl Hook {
    fn new(flow: &Name, hook: &config::Hook, metrics: &Metrics) -> Self {
        Self {
            step: hook.step,
            on_failure: hook.on_failure.clone(),
            metrics: metrics.for_hook(flow.as_str(), hook.step),
            connector: hook.connector,
        }
    }
}

//! What one configuration comes to: looked up by each hook, changed by none.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::request::Parts;
use tokio::time::Instant;

use super::{
    correlation,
    duplicates::{Duplicates, HookIdentity, Lead, Seen},
    setup::{self, SetupError},
};
use crate::{
    caller::{self, AuthFailure, Guard},
    config::{self, Config, Listen, Name},
    connector::Api,
    flow::{
        OnFailure, Reason, Step,
        claims::{self, Member, names_subject},
    },
    limits::{Limited, PerUser, Places, Rate, RetryBudget},
    telemetry::{Certificate, Counter, HookMetrics, Metrics},
    tls::{HandshakeFailure, Peer, ServerTls},
};

/// Everything that comes from one configuration.
#[derive(Debug)]
pub struct Snapshot {
    flows: HashMap<Box<str>, Flow>,
    callers: Vec<Arc<Caller>>,
    pub(super) apis: Vec<Arc<Api>>,
    pub(super) in_flight: Arc<Places>,
    retry_budget: Arc<RetryBudget>,
    pub(super) duplicates: Arc<Duplicates>,
    /// What requests without a good credential share.
    pub(super) unauthenticated: Arc<Rate>,
    pub(super) max_body: usize,
    pub(super) body_timeout: Duration,
    pub(super) listen: Listen,
    pub(super) tls: Option<ServerTls>,
    certificates: Vec<Certificate>,
    pub(super) metrics: Metrics,
    /// For requests that belong to no hook.
    pub(super) unrouted: HookMetrics,
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
    config: config::Hook,
    identity: HookIdentity,
    per_user: Option<Arc<PerUser>>,
}

impl Snapshot {
    /// Puts a checked configuration to work. Says what certificates end soon.
    pub fn new(config: Config, metrics: Metrics) -> Result<Self, SetupError> {
        correlation::prepare();
        let snapshot = Self::build(config, metrics, None)?;
        snapshot.apis.iter().for_each(|api| api.show_circuit());
        Ok(snapshot)
    }

    /// Puts another configuration to work after this one. What lives is carried over where its settings are the same:
    /// rates, also those of users, numbers at a time, breakers, connections to APIs, TLS sessions of callers, decisions on
    /// hooks that may come again.
    pub fn succeeded_by(&self, config: Config) -> Result<Self, SetupError> {
        Ok(Self::build(config, self.metrics.clone(), Some(self))?.keeping_sessions_of(self))
    }

    fn build(config: Config, metrics: Metrics, before: Option<&Self>) -> Result<Self, SetupError> {
        let Config { listen, callers, connectors, user_flows, .. } = config;
        let mut faults = SetupError::default();
        let trusts: Vec<_> = callers.iter().map(|caller| setup::trusts(caller, &mut faults)).collect();
        let retry_budget = before.map(|before| Arc::clone(&before.retry_budget)).unwrap_or_default();
        let apis_before: HashMap<_, _> =
            before.into_iter().flat_map(|before| &before.apis).map(|api| (api.name(), api)).collect();
        let apis = connectors.into_iter().filter_map(|connector| {
            let before = apis_before.get(connector.name.as_str()).copied();
            setup::api(connector, &metrics, &retry_budget, before, &mut faults)
        });
        let apis: Vec<_> = apis.collect();
        let all_trusts = trusts.iter().flatten().cloned();
        let tls = listen.tls.clone().and_then(|tls| setup::listener(tls, all_trusts, &mut faults));
        faults.none()?;

        let duplicates =
            before.map_or_else(|| Duplicates::new(&metrics), |before| Arc::clone(&before.duplicates));
        let callers_before: HashMap<_, _> = before
            .into_iter()
            .flat_map(|before| &before.callers)
            .map(|caller| (&caller.name, &**caller))
            .collect();
        let shared = callers
            .iter()
            .map(|caller| Arc::new(Caller::new(caller, &metrics, callers_before.get(&caller.name).copied())));
        let shared: Vec<_> = shared.collect();
        let flows = user_flows.iter().map(|flow| {
            let named = flow.callers.iter().map(|&caller| (&callers[caller], trusts[caller].as_slice()));
            let guard = Guard::new(named);
            let callers = flow.callers.iter().map(|&caller| Arc::clone(&shared[caller])).collect();
            let hooks = flow.hooks.iter().map(|hook| {
                let api = &apis[hook.connector];
                Hook::new(&flow.name, hook, api, &metrics, before)
            });
            let hooks = hooks.collect();
            let name = flow.name.clone();
            (name.as_str().into(), Flow { name, guard, answer_within: flow.answer_within, callers, hooks })
        });
        let snapshot = Self {
            flows: flows.collect(),
            callers: shared,
            in_flight: Places::succeeding(listen.max_in_flight, before.map(|before| &before.in_flight)),
            retry_budget,
            duplicates,
            unauthenticated: Rate::succeeding(
                listen.unauthenticated_limit,
                before.map(|before| &before.unauthenticated),
            ),
            max_body: listen.max_body,
            body_timeout: listen.body_timeout,
            listen,
            certificates: setup::certificates(tls.as_ref(), &apis),
            apis,
            tls,
            unrouted: metrics.unrouted(),
            metrics,
        };
        if snapshot.tls.is_some() {
            snapshot.metrics.expect_failed_handshakes(HandshakeFailure::ALL.map(HandshakeFailure::as_str));
        }
        snapshot.watch_certificates(SystemTime::now());
        Ok(snapshot)
    }

    /// With the TLS of `previous` where it shows and trusts the same, so that sessions of its clients stay resumable.
    pub(super) fn keeping_sessions_of(mut self, previous: &Self) -> Self {
        if let (Some(tls), Some(previous)) = (&mut self.tls, &previous.tls)
            && tls.is_same(previous)
        {
            tls.clone_from(previous);
        }
        self
    }

    /// The certificates that claimgate shows to others.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// Shows in the metrics when each certificate ends, and warns of those that end soon. Worth doing once a day.
    pub fn watch_certificates(&self, now: SystemTime) {
        self.certificates.iter().for_each(|certificate| self.metrics.watch(certificate, now));
    }

    /// Whose credential this request has. Asked of the configuration as it is now: the connection, or the session that it
    /// resumed, may be older.
    pub(super) fn admit(
        &self,
        flow: &Flow,
        head: &Parts,
        peer: Option<&Peer>,
    ) -> Result<caller::Key, AuthFailure> {
        if let Some(tls) = &self.tls {
            tls.admit(peer, SystemTime::now())?;
        }
        flow.guard.admit(head, peer, SystemTime::now)
    }

    /// Lets the metrics show what is in force now, instead of what was in `before`.
    pub fn show_instead_of(&self, before: &Self) {
        before.apis.iter().for_each(|api| api.hide_circuit());
        self.apis.iter().for_each(|api| api.show_circuit());
        self.forget_others();
    }

    /// Forgets the users of limits whose burst is whole again. Takes up to some milliseconds for each hook with a limit.
    pub(super) fn forget_users(&self) {
        let hooks = self.flows.values().flat_map(|flow| &flow.hooks);
        let users: usize = hooks.filter_map(|hook| hook.per_user.as_ref()).map(|limit| limit.upkeep()).sum();
        if users > 0 {
            tracing::debug!(users, "forgot users whose burst is whole again");
        }
    }

    /// Forgets the metrics of every user flow, connector and caller that is not in this configuration.
    pub fn forget_others(&self) {
        let connectors: HashSet<_> = self.apis.iter().map(|api| api.name()).collect();
        let callers: HashSet<_> = self.callers.iter().map(|caller| caller.name.as_str()).collect();
        let certificates: HashSet<_> =
            self.certificates.iter().map(|certificate| certificate.name.as_str()).collect();
        self.metrics.forget_unless(&|label, value| match label {
            // Requests without a hook have none.
            "user_flow" => value.is_empty() || self.flows.contains_key(value),
            "connector" => connectors.contains(value),
            "caller" => callers.contains(value),
            // Of a certificate.
            "name" => certificates.contains(value),
            _ => true,
        });
    }

    /// The hook that goes on as this one, under the same configuration, over the same API: what was decided for it holds.
    fn same_hook(&self, flow: &Name, hook: &config::Hook, api: &Arc<Api>) -> Option<&Hook> {
        self.hook(flow, hook.step).filter(|before| {
            let config = config::Hook { connector: hook.connector, ..before.config.clone() };
            config == *hook && Arc::ptr_eq(&self.apis[before.connector], api)
        })
    }

    /// The hook of this user flow and step.
    fn hook(&self, flow: &Name, step: Step) -> Option<&Hook> {
        self.flows.get(flow.as_str())?.hooks.iter().find(|hook| hook.step == step)
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
    fn new(caller: &config::Caller, metrics: &Metrics, before: Option<&Self>) -> Self {
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
    fn new(
        flow: &Name,
        hook: &config::Hook,
        api: &Arc<Api>,
        metrics: &Metrics,
        before: Option<&Snapshot>,
    ) -> Self {
        let same = before.and_then(|before| before.same_hook(flow, hook, api));
        let users_before = before.and_then(|before| before.hook(flow, hook.step)?.per_user.as_ref());
        let per_user = hook
            .rate_limit_per_user
            .map(|limit| PerUser::succeeding(limit, metrics.users_unlimited(), users_before));
        Self {
            step: hook.step,
            on_failure: hook.on_failure.clone(),
            metrics: metrics.for_hook(flow.as_str(), hook.step),
            connector: hook.connector,
            config: hook.clone(),
            identity: same.map_or_else(HookIdentity::unused, |same| same.identity),
            per_user,
        }
    }

    /// What a hook is among those that came before. Only one that names somebody is looked for: without a subject, those
    /// of different users may well be the same.
    pub(super) fn look(
        &self,
        duplicates: &Arc<Duplicates>,
        caller: &Caller,
        body: &[u8],
        members: &[Member<'_>],
        now: Instant,
    ) -> Seen {
        let Some(window) = self.config.duplicate_window.filter(|_| names_subject(members)) else {
            return Seen::First(Lead::alone());
        };
        let seen = duplicates.look(caller.name.as_str(), self.identity, body, window, now);
        if matches!(&seen, Seen::First(first) if first.is_undetected()) {
            self.metrics.undetected();
        }
        seen
    }

    /// Takes one of what the user of these claims has. A hook without a user is not limited.
    pub(super) fn take_of_user(&self, members: &[Member<'_>], caller: &Caller) -> Result<(), Limited> {
        let Some(limit) = &self.per_user else { return Ok(()) };
        claims::user(members).map_or(Ok(()), |user| limit.take(&user, caller.name.as_str()))
    }
}

//! One web API: for the process what its limits need, for each worker its connections.

use std::sync::Arc;

use tokio::time::Instant;
use tower::service_fn;

use super::{
    Correlation, Decided, Notes,
    attempt::{self, Line},
    batch,
    call::{self, Call, Policies},
    circuit::Circuit,
    normalize,
    report::Reporter,
    request::RequestHead,
    retry::Retries,
};
use crate::{
    config::{self, Endpoint},
    flow::{
        Claims, Step,
        claims::{Member, Verdict},
    },
    limits::{Breaker, InFlight, Rate, RetryBudget},
    telemetry::{CircuitState, ClaimNames, ConnectorMetrics, Direction, Metrics},
    tls::{ClientSettings, ClientTls, TlsSetupError, Validity},
    upstream::{IDLE_TIMEOUT, Lookups, MAX_AGE, Pool, Target, Trust},
};

/// A web API as the whole process sees it.
#[derive(Debug)]
pub struct Api {
    config: config::Connector,
    head: RequestHead,
    target: Arc<Target>,
    breaker: Option<Arc<Breaker>>,
    rate: Option<Arc<Rate>>,
    permits: Arc<InFlight>,
    retry_budget: Arc<RetryBudget>,
    reporter: Reporter,
    metrics: ConnectorMetrics,
}

/// A web API as one worker sees it.
#[derive(Debug)]
pub struct Connector {
    api: Arc<Api>,
    pool: Arc<Pool>,
}

/// One hook's question to an API.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The claims that leave.
    pub claims: &'a Claims,
    /// At which step of the user flow.
    pub step: Step,
    /// What ties it to its hook.
    pub correlation: Correlation<'a>,
    /// When the hook must be answered.
    pub deadline: Instant,
}

/// The claims that leave.
#[derive(Debug)]
pub struct Sent {
    /// The selected claims.
    pub claims: Claims,
    /// How many they are.
    pub count: usize,
    /// Names of those that stay.
    pub dropped: ClaimNames,
}

impl Api {
    /// The API of a checked configuration, after `before` of the same name if there was one: whatever has the same
    /// settings goes on as it stands. Fails where its trust cannot be set up.
    pub fn succeeding(
        config: config::Connector,
        metrics: &Metrics,
        retry_budget: &Arc<RetryBudget>,
        before: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, TlsSetupError> {
        if let Some(before) = before.filter(|before| before.config == config) {
            return Ok(Arc::clone(before));
        }
        let same_target = before.filter(|before| has_same_target(&before.config, &config));
        let target = match same_target {
            Some(before) => Arc::clone(&before.target),
            None => Arc::new(target(&config)?),
        };
        // What was learnt of another place says nothing about this one.
        let breaker_before = same_target.and_then(|before| before.breaker.as_ref());
        let breaker = |settings| Breaker::succeeding(settings, breaker_before, Instant::now());
        let rate_before = before.and_then(|before| before.rate.as_ref());
        Ok(Arc::new(Self {
            head: RequestHead::new(&config),
            target,
            breaker: config.breaker.map(breaker),
            rate: config.rate_limit.map(|limit| Rate::succeeding(limit, rate_before)),
            permits: InFlight::succeeding(config.max_in_flight, before.map(|before| &before.permits)),
            retry_budget: Arc::clone(retry_budget),
            reporter: Reporter::new(config.name.clone()),
            metrics: metrics.for_connector(config.name.as_str()),
            config,
        }))
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        self.config.name.as_str()
    }

    /// Shows in the metrics what the breaker lets through, from now on; without a breaker that is every call.
    pub fn show_circuit(&self) {
        match &self.breaker {
            None => self.metrics.circuit(CircuitState::Closed),
            Some(breaker) => {
                let metrics = self.metrics.clone();
                breaker.watch(Some(Box::new(move |state| metrics.circuit(state))));
            }
        }
    }

    /// Shows it no more, for calls may go on that began before another configuration was in force.
    pub fn hide_circuit(&self) {
        if let Some(breaker) = &self.breaker {
            breaker.watch(None);
        }
    }

    /// When its client certificates are valid, in the order of the configuration.
    pub fn certificates(&self) -> impl Iterator<Item = Validity> {
        self.target.tls.iter().flat_map(ClientTls::validities)
    }
}

impl Connector {
    /// The API with connections of this worker's own: those of `before` if they would be made the same way.
    pub fn succeeding(api: Arc<Api>, before: Option<&Self>) -> Self {
        let same = before.filter(|before| Arc::ptr_eq(&before.api.target, &api.target));
        let pool = match same {
            Some(before) => Arc::clone(&before.pool),
            None => Arc::new(Pool::new(Arc::clone(&api.target))),
        };
        Self { api, pool }
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        self.api.name()
    }

    /// Selects the claims that leave.
    pub fn select(&self, members: &[Member<'_>]) -> Sent {
        let mut dropped = ClaimNames::none();
        let selected = self.api.config.claims_to_send.apply(members, |name| dropped.push(name));
        self.api.metrics.claims_dropped(Direction::Sent, dropped.total());
        Sent { claims: selected.claims, count: selected.count, dropped }
    }

    /// Why each member of a hook leaves or stays, in its order; [`Self::select`] goes by the same.
    pub fn verdicts<'a>(&'a self, members: &'a [Member<'_>]) -> impl Iterator<Item = Verdict<'a>> {
        members.iter().map(|member| self.api.config.claims_to_send.judge(member))
    }

    /// The request that [`Self::call`] would send, with every secret masked, for people.
    pub fn masked_request(&self, claims: &Claims, correlation: Correlation<'_>) -> Vec<u8> {
        RequestHead::masked(&self.api.config).request(claims, correlation)
    }

    /// Where the API is. Shown with its query masked.
    pub fn endpoint(&self) -> &Endpoint {
        &self.api.config.endpoint
    }

    /// Largest body of an answer, in bytes.
    pub fn max_answer(&self) -> usize {
        self.api.config.max_answer
    }

    /// Calls the API under its policies and reads its answer. The call is whole in itself: dropping it gives it up, and
    /// whoever keeps it may go. Boxed where it is made: its state is large, and is handed on.
    pub fn call(self: &Arc<Self>, ask: Ask<'_>) -> impl Future<Output = Decided> + Send + Unpin + use<> {
        let request = self.api.head.request(ask.claims, ask.correlation);
        let Ask { step, deadline, .. } = ask;
        let connector = Arc::clone(self);
        // Into a box that is there already: the compiler writes what the state begins with, and moves nothing of the rest.
        let boxed = Box::new_uninit();
        let call = async move {
            batch::after_the_others().await;
            // Not before: until now the API was not asked.
            let call = Call { fresh: false, now: Some(Instant::now()), deadline };
            let line = connector.line(&request, step);
            let attempt = service_fn(|attempt| line.attempt(attempt));
            call::through(connector.api.policies(), attempt, call).await.into()
        };
        Box::into_pin(Box::write(boxed, call))
    }

    /// What an answer means at `step` that was recorded instead of received, as [`Self::call`] would read it.
    pub fn read(&self, step: Step, status: u16, body: Vec<u8>) -> Decided {
        let config = &self.api.config;
        attempt::judge(config, step, attempt::recorded(status, body, config.max_answer)).into()
    }

    /// All names of claims in the answer at `step` that were not taken over, also those that no log lists.
    pub fn not_taken_over(&self, step: Step, notes: &Notes) -> Vec<String> {
        let names = |answer| normalize::not_taken_over(&self.api.config, step, attempt::raw(answer));
        notes.answer.as_ref().map(names).unwrap_or_default()
    }

    /// Closes connections that idled too long.
    pub fn sweep(&self) {
        self.pool.sweep();
    }

    fn line<'a>(&'a self, request: &'a [u8], step: Step) -> Line<'a> {
        let Api { config, reporter, metrics, .. } = &*self.api;
        Line { request, step, config, pool: &self.pool, reporter, metrics }
    }
}

impl Api {
    fn policies(&self) -> Policies<'_> {
        let Self { config, breaker, rate, permits, retry_budget, metrics, .. } = self;
        let circuit = breaker.as_ref().map(|breaker| {
            let (connector, timeout) = (&config.name, config.timeout);
            Circuit { connector, breaker, timeout }
        });
        Policies {
            circuit,
            retries: Retries { idempotent: config.idempotent, budget: retry_budget, metrics },
            rate: rate.as_deref(),
            permits,
            wait: config.wait,
            timeout: config.timeout,
        }
    }
}

fn target(config: &config::Connector) -> Result<Target, TlsSetupError> {
    let endpoint = &config.endpoint;
    let tls = if endpoint.tls { Some(ClientTls::new(&tls_settings(config))?) } else { None };
    Ok(Target {
        host: endpoint.host.clone(),
        port: endpoint.port,
        lookups: Lookups::default(),
        trust: Trust::default(),
        tls,
        connect_timeout: config.connect_timeout,
        max_answer: config.max_answer,
        max_idle: config.max_in_flight,
        idle_timeout: IDLE_TIMEOUT,
        max_age: MAX_AGE,
    })
}

fn tls_settings(config: &config::Connector) -> ClientSettings<'_> {
    ClientSettings {
        connector: config.name.as_str(),
        roots: &config.roots,
        server_name: &config.server_name,
        min_version: config.min_tls,
        certificates: &config.certificates,
    }
}

/// Whether both make connections in the same way, to the same place, under the same identity. Each key of a connector
/// stands here, on one side or the other.
fn has_same_target(one: &config::Connector, other: &config::Connector) -> bool {
    let config::Connector {
        endpoint: Endpoint { tls, host, port, authority: _, path: _, query: _ },
        connect_timeout,
        max_answer,
        max_in_flight,
        roots,
        server_name,
        min_tls,
        certificates,
        // What is asked and what is made of the answer, not how it is reached.
        name: _,
        display_name: _,
        basic: _,
        code: _,
        claims_to_send: _,
        claims_to_receive: _,
        timeout: _,
        rate_limit: _,
        wait: _,
        idempotent: _,
        breaker: _,
        strict: _,
        missing_action: _,
        default_message: _,
    } = one;
    (tls, host, port) == (&other.endpoint.tls, &other.endpoint.host, &other.endpoint.port)
        && (roots, certificates) == (&other.roots, &other.certificates)
        && (server_name, min_tls) == (&other.server_name, &other.min_tls)
        && (connect_timeout, max_answer, max_in_flight)
            == (&other.connect_timeout, &other.max_answer, &other.max_in_flight)
}

//! One web API: for the process what its limits need, for each worker its connections.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    Correlation,
    call::{self, Answer, Call, Facts, Failed, Policies},
    normalize::{Normalized, RawAnswer, Repairs, normalize},
    report::Reporter,
    request::RequestHead,
};
use crate::{
    config::{self, Endpoint},
    flow::{
        Claims, Failure, FlowDecision, Reason, Step,
        claims::{Member, Verdict},
    },
    limits::{InFlight, Rate},
    telemetry::{ConnectorMetrics, Direction, Metrics},
    tls::{ClientSettings, ClientTls, TlsSetupError, Validity},
    upstream::{IDLE_TIMEOUT, Lookups, MAX_AGE, Pool, Target, Trust},
};

/// A web API as the whole process sees it.
#[derive(Debug)]
pub struct Api {
    config: config::Connector,
    head: RequestHead,
    target: Arc<Target>,
    rate: Option<Arc<Rate>>,
    permits: Arc<InFlight>,
    reporter: Reporter,
    metrics: ConnectorMetrics,
}

/// A web API as one worker sees it.
#[derive(Debug)]
pub struct Connector {
    api: Arc<Api>,
    pool: Arc<Pool>,
}

/// What a call came to.
#[derive(Debug)]
pub struct Decided {
    /// The decision, or why there is none.
    pub decision: Result<FlowDecision, Failure>,
    /// What had to be repaired in the answer.
    pub repairs: Repairs,
    /// Names of claims in the answer that were not selected.
    pub dropped: Vec<String>,
    /// How the call went.
    pub facts: Facts,
}

/// The claims that leave.
#[derive(Debug)]
pub struct Sent<'a> {
    /// The selected claims.
    pub claims: Claims,
    /// How many they are.
    pub count: usize,
    /// Names of those that stay.
    pub dropped: Vec<&'a str>,
}

impl Api {
    /// The API of a checked configuration, after `before` of the same name if there was one: whatever has the same
    /// settings goes on as it stands. Fails where its trust cannot be set up.
    pub fn succeeding(
        config: config::Connector,
        metrics: &Metrics,
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
        let rate_before = before.and_then(|before| before.rate.as_ref());
        Ok(Arc::new(Self {
            head: RequestHead::new(&config),
            target,
            rate: config.rate_limit.map(|limit| Rate::succeeding(limit, rate_before)),
            permits: InFlight::succeeding(config.max_in_flight, before.map(|before| &before.permits)),
            reporter: Reporter::new(config.name.clone()),
            metrics: metrics.for_connector(config.name.as_str()),
            config,
        }))
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        self.config.name.as_str()
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
    pub fn select<'a>(&self, members: &'a [Member<'_>]) -> Sent<'a> {
        let selected = self.api.config.claims_to_send.apply(members);
        self.api.metrics.claims_dropped(Direction::Sent, selected.dropped.len());
        Sent { claims: selected.claims, count: selected.count, dropped: selected.dropped }
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

    /// Calls the API under its policies. `began` is told when the call goes out.
    pub async fn call(
        &self,
        claims: &Claims,
        correlation: Correlation<'_>,
        deadline: Instant,
        began: &OnceLock<Instant>,
    ) -> Result<Answer, Failed> {
        let api = &*self.api;
        let request = Bytes::from(api.head.request(claims, correlation));
        let policies = Policies {
            rate: api.rate.as_deref(),
            permits: &api.permits,
            wait: api.config.wait,
            timeout: api.config.timeout,
        };
        call::call(policies, &self.pool, &api.reporter, began, Call { request, deadline }).await
    }

    /// A call that was given up after so long.
    pub fn abandoned(&self, after: Duration, reason: Reason) {
        self.api.metrics.call(after, Some(reason));
    }

    /// What the call means at `step`; counted here, because only here it is known.
    pub fn decide(&self, step: Step, called: Result<Answer, Failed>) -> Decided {
        let decided = match called {
            Err(Failed { failure, facts }) => {
                Decided { decision: Err(failure), repairs: Repairs::default(), dropped: Vec::new(), facts }
            }
            Ok(Answer { answer, held, facts }) => {
                let (status, encoded) = (answer.status, answer.content_encoding);
                let raw = RawAnswer { status, encoded, body: &answer.body };
                let Normalized { decision, repairs, dropped } = normalize(&self.api.config, step, raw);
                if !is_contract_failure(&decision) {
                    self.pool.release(held);
                }
                Decided { decision, repairs, dropped, facts }
            }
        };
        let metrics = &self.api.metrics;
        if let Some(took) = decided.facts.took {
            metrics.call(took, decided.decision.as_ref().err().map(|failure| failure.reason));
        }
        metrics.claims_dropped(Direction::Received, decided.dropped.len());
        decided.repairs.iter().for_each(|repair| metrics.answer_repaired(repair.as_str()));
        decided
    }

    /// Closes connections that idled too long.
    pub fn sweep(&self) {
        self.pool.sweep();
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

/// An API that breaks the contract may have lost its place in the conversation: its connection is not used again.
fn is_contract_failure(decision: &Result<FlowDecision, Failure>) -> bool {
    matches!(decision, Err(Failure { reason: Reason::Contract(_), .. }))
}

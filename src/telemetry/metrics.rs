//! The metrics: bound once per hook and connector, counted by plain calls.

use std::{fmt, time::SystemTime};

use prometheus::{Encoder, Histogram, HistogramVec, IntGauge, IntGaugeVec, Registry, TextEncoder};

use crate::flow::{Blame, Step};

use super::{
    AccessEvent, Counter, DecisionLabel, Duplicate, Limit, Outcome, Unparsed,
    family::CounterFamily,
    metric_table as table,
    registry::{counters, gauges, histograms, register_process},
};

/// `Content-Type` of [`Metrics::encode`]: the Prometheus text format.
pub const METRICS_CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Every metric of the process, in a registry of its own.
///
/// Cheap to clone: all clones count into the same metrics.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    connections: IntGauge,
    unparsed_requests: [Counter; Unparsed::ALL.len()],
    requests: CounterFamily,
    request_duration: HistogramVec,
    deadline_remaining: HistogramVec,
    pub(super) upstream_requests: CounterFamily,
    pub(super) upstream_duration: HistogramVec,
    pub(super) retries: CounterFamily,
    pub(super) retries_withheld: CounterFamily,
    pub(super) keep_alive_races: CounterFamily,
    pub(super) circuit_state: IntGaugeVec,
    duplicates: CounterFamily,
    users_unlimited: Counter,
    fallback_decisions: CounterFamily,
    caller_failures: CounterFamily,
    credential_uses: CounterFamily,
    handshakes_failed: CounterFamily,
    certificates: IntGaugeVec,
    pub(super) claims_dropped: CounterFamily,
    pub(super) answer_repairs: CounterFamily,
    rate_limited: [Counter; Limit::ALL.len()],
    in_flight_hooks: IntGauge,
    config_reloaded: IntGauge,
    config_reload_time: IntGauge,
    log_lines_dropped: Counter,
    panics: Counter,
}

impl Metrics {
    /// All metrics at their beginning.
    pub fn new() -> Self {
        let registry = Registry::new();
        let unparsed = counters(&registry, &table::UNPARSED_REQUESTS);
        let rate_limited = counters(&registry, &table::RATE_LIMITED);
        let build_info = gauges(&registry, &table::BUILD_INFO);
        build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        register_process(&registry);
        Self {
            connections: gauges(&registry, &table::CONNECTIONS).with_label_values(NO_LABELS),
            unparsed_requests: Unparsed::ALL.map(|fault| unparsed.with_label_values([fault.as_str()])),
            requests: counters(&registry, &table::REQUESTS),
            request_duration: histograms(&registry, &table::REQUEST_DURATION),
            deadline_remaining: histograms(&registry, &table::DEADLINE_REMAINING),
            upstream_requests: counters(&registry, &table::UPSTREAM_REQUESTS),
            upstream_duration: histograms(&registry, &table::UPSTREAM_DURATION),
            retries: counters(&registry, &table::RETRIES),
            retries_withheld: counters(&registry, &table::RETRIES_WITHHELD),
            keep_alive_races: counters(&registry, &table::KEEP_ALIVE_RACES),
            circuit_state: gauges(&registry, &table::CIRCUIT_STATE),
            duplicates: counters(&registry, &table::DUPLICATES),
            users_unlimited: counters(&registry, &table::USERS_UNLIMITED).with_label_values([]),
            fallback_decisions: counters(&registry, &table::FALLBACK_DECISIONS),
            caller_failures: counters(&registry, &table::CALLER_FAILURES),
            credential_uses: counters(&registry, &table::CREDENTIAL_USES),
            handshakes_failed: counters(&registry, &table::TLS_HANDSHAKES_FAILED),
            certificates: gauges(&registry, &table::CERTIFICATE_NOT_AFTER),
            claims_dropped: counters(&registry, &table::CLAIMS_DROPPED),
            answer_repairs: counters(&registry, &table::ANSWER_REPAIRS),
            rate_limited: Limit::ALL.map(|limit| rate_limited.with_label_values([limit.as_str()])),
            in_flight_hooks: gauges(&registry, &table::IN_FLIGHT_HOOKS).with_label_values(NO_LABELS),
            config_reloaded: gauges(&registry, &table::CONFIG_LAST_RELOAD_SUCCESSFUL)
                .with_label_values(NO_LABELS),
            config_reload_time: gauges(&registry, &table::CONFIG_LAST_RELOAD_SUCCESS)
                .with_label_values(NO_LABELS),
            log_lines_dropped: counters(&registry, &table::LOG_LINES_DROPPED).with_label_values([]),
            panics: counters(&registry, &table::PANICS).with_label_values([]),
            registry,
        }
    }

    /// The metrics of one hook. Binding the same hook again goes on counting where it stood.
    pub fn for_hook(&self, user_flow: &str, step: Step) -> HookMetrics {
        self.bind_hook(user_flow, step.as_str(), &POSSIBLE)
    }

    /// The metrics of requests that were refused before their hook was known.
    ///
    /// Their `user_flow` and `step` are empty, which Prometheus takes for absent.
    pub fn unrouted(&self) -> HookMetrics {
        const POSSIBLE: [Ending; 2] =
            [(DecisionLabel::Error, Outcome::Refused), (DecisionLabel::None, Outcome::Abandoned)];
        self.bind_hook("", "", &POSSIBLE)
    }

    /// Counts the uses of one credential of a caller; `credential` is an identifier, never the credential itself.
    pub fn for_caller_credential(&self, caller: &str, credential: &str) -> Counter {
        self.credential_uses.with_label_values([caller, credential])
    }

    /// Counts a request that could not be read.
    pub fn request_unparsed(&self, fault: Unparsed) {
        self.unparsed_requests[fault as usize].inc();
    }

    /// Shows these reasons from the start, so that `rate()` sees the first failure.
    pub fn expect_failed_handshakes<const N: usize>(&self, reasons: [&'static str; N]) {
        for reason in reasons {
            self.handshakes_failed.with_label_values([reason]);
        }
    }

    /// Counts a TLS handshake on the hook port that failed; `reason` is one of a closed list.
    pub fn handshake_failed(&self, reason: &'static str) {
        self.handshakes_failed.with_label_values([reason]).inc();
    }

    /// Shows when a certificate ends, in seconds since 1970.
    pub(super) fn certificate_not_after(&self, role: &'static str, name: &str, seconds: u64) {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        self.certificates.with_label_values(&[role, name]).set(seconds);
    }

    /// Counts a hook as being answered until the guard is dropped.
    pub fn enter_hook(&self) -> OneMore<'_> {
        OneMore::of(&self.in_flight_hooks)
    }

    /// Counts a connection on the hook port as open until the guard is dropped.
    pub fn enter_connection(&self) -> OneMore<'_> {
        OneMore::of(&self.connections)
    }

    /// Counts the lines of the access log and diagnostics that were not written.
    pub fn log_lines_dropped(&self) -> Counter {
        self.log_lines_dropped.clone()
    }

    /// The configuration that its files hold is in force since `now`.
    pub fn config_in_force(&self, now: SystemTime) {
        let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.config_reload_time.set(i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX));
        self.config_reloaded.set(1);
    }

    /// What the files hold was refused; an earlier configuration stays in force.
    pub fn config_refused(&self) {
        self.config_reloaded.set(0);
    }

    /// Counts the panics that were caught.
    pub fn panics(&self) -> Counter {
        self.panics.clone()
    }

    /// Counts the hooks of users that could not be counted.
    pub fn users_unlimited(&self) -> Counter {
        self.users_unlimited.clone()
    }

    /// Those with a label whose values come from the configuration.
    pub(super) fn counters_with_names(&self) -> [&CounterFamily; 10] {
        [
            &self.requests,
            &self.upstream_requests,
            &self.retries,
            &self.retries_withheld,
            &self.keep_alive_races,
            &self.duplicates,
            &self.fallback_decisions,
            &self.credential_uses,
            &self.claims_dropped,
            &self.answer_repairs,
        ]
    }

    /// The same of gauges.
    pub(super) fn gauges_with_names(&self) -> [&IntGaugeVec; 2] {
        [&self.certificates, &self.circuit_state]
    }

    /// The same of histograms.
    pub(super) fn histograms_with_names(&self) -> [&HistogramVec; 3] {
        [&self.request_duration, &self.deadline_remaining, &self.upstream_duration]
    }

    /// The whole page in the text format of [`METRICS_CONTENT_TYPE`].
    ///
    /// Takes some milliseconds with many hooks, so it belongs on a thread that answers no hooks.
    pub fn encode(&self) -> Vec<u8> {
        let mut page = Vec::with_capacity(64 * 1024);
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut page)
            .expect("gathered families have a name and a metric, and memory takes every write");
        page
    }

    fn bind_hook(&self, user_flow: &str, step: &str, possible: &[Ending]) -> HookMetrics {
        let requests = possible
            .iter()
            .map(|&(decision, outcome)| {
                let labels = [user_flow, step, decision.as_str(), outcome.as_str()];
                ((decision, outcome), self.requests.with_label_values(labels))
            })
            .collect();
        let duplicates = |action| self.duplicates.with_label_values([user_flow, step, action]);
        HookMetrics {
            user_flow: user_flow.to_owned(),
            step: step.to_owned(),
            requests,
            joined: duplicates(Duplicate::Joined.as_str()),
            replayed: duplicates(Duplicate::Replayed.as_str()),
            undetected: duplicates("undetected"),
            duration: self.request_duration.with_label_values(&[user_flow, step]),
            deadline_remaining: self.deadline_remaining.with_label_values(&[user_flow, step]),
            metrics: self.clone(),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// One more of what a gauge counts; dropping it ends that, also when the future that holds it is cancelled.
#[derive(Debug)]
pub struct OneMore<'m>(&'m IntGauge);

impl<'m> OneMore<'m> {
    fn of(gauge: &'m IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for OneMore<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The metrics of one hook.
#[derive(Clone, Debug)]
pub struct HookMetrics {
    user_flow: String,
    step: String,
    requests: Vec<(Ending, Counter)>,
    joined: Counter,
    replayed: Counter,
    undetected: Counter,
    duration: Histogram,
    deadline_remaining: Histogram,
    metrics: Metrics,
}

impl HookMetrics {
    /// Counts everything that follows from how a hook ended; call it once a hook, with what is logged.
    ///
    /// That is: the request, its durations, and by its reason the fallback, the caller's failure and the limit. The
    /// call to the API, claims, repairs, the credential and a panic are counted where they happen.
    pub fn record(&self, event: &AccessEvent<'_>) {
        self.request(event.decision, event.outcome);
        if let Some(total) = event.total {
            self.duration.observe(total.as_secs_f64());
        }
        if let Some(remaining) = event.deadline_remaining {
            self.deadline_remaining.observe(remaining.as_secs_f64());
        }
        match event.duplicate {
            Some(Duplicate::Joined) => self.joined.inc(),
            Some(Duplicate::Replayed) => self.replayed.inc(),
            None => {}
        }
        let Some(reason) = event.reason else { return };
        if event.outcome == Outcome::Fallback {
            let labels = [&self.user_flow, &self.step, reason.as_str(), event.decision.as_str()];
            self.metrics.fallback_decisions.with_label_values(labels).inc();
        }
        if reason.blame() == Blame::Caller {
            let label = event.credential_failure.unwrap_or(reason.as_str());
            self.metrics.caller_failures.with_label_values([label]).inc();
        }
        if let Some(limit) = Limit::of(reason) {
            self.metrics.rate_limited[limit as usize].inc();
        }
    }

    /// Counts a hook of which is not known whether it had been sent before.
    pub fn undetected(&self) {
        self.undetected.inc();
    }

    fn request(&self, decision: DecisionLabel, outcome: Outcome) {
        let bound = self.requests.iter().find(|(ending, _)| *ending == (decision, outcome));
        if let Some((_, counter)) = bound {
            counter.inc();
        } else {
            let labels = [&self.user_flow, &self.step, decision.as_str(), outcome.as_str()];
            self.metrics.requests.with_label_values(labels).inc();
        }
    }
}

type Ending = (DecisionLabel, Outcome);

/// The pairs that a hook can end with; they stand on the page from the start, so that `rate()` sees the first one.
const POSSIBLE: [Ending; 12] = [
    (DecisionLabel::Continue, Outcome::Api),
    (DecisionLabel::ShowBlockPage, Outcome::Api),
    (DecisionLabel::ValidationError, Outcome::Api),
    (DecisionLabel::Continue, Outcome::Replayed),
    (DecisionLabel::ShowBlockPage, Outcome::Replayed),
    (DecisionLabel::ValidationError, Outcome::Replayed),
    (DecisionLabel::Continue, Outcome::Fallback),
    (DecisionLabel::ShowBlockPage, Outcome::Fallback),
    (DecisionLabel::ValidationError, Outcome::Fallback),
    (DecisionLabel::Error, Outcome::Fallback),
    (DecisionLabel::Error, Outcome::Refused),
    (DecisionLabel::None, Outcome::Abandoned),
];

const NO_LABELS: &[&str] = &[];

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;

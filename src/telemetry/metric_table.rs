//! Every metric of claimgate: name, type, labels, help. The one source of all four.

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Durations in seconds, counted in buckets from 1 ms to 20 s.
    Histogram,
}

impl MetricKind {
    /// The word of the text format's `# TYPE` line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric as operators meet it.
#[derive(Clone, Copy, Debug)]
pub struct MetricRow {
    /// The whole name, with its prefix and its unit.
    pub name: &'static str,
    /// Its type.
    pub kind: MetricKind,
    /// Its labels; values come from the configuration or from closed sets.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

/// Edges of every histogram, in seconds: where the deadlines of identity providers and of connectors live.
pub(super) const BUCKETS: [f64; 17] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0];

/// Every metric of claimgate, in the order of a hook's life. `process_*` (Linux only) stands beside them.
#[rustfmt::skip]
pub const METRIC_TABLE: [MetricRow; 27] = [
    CONNECTIONS, UNPARSED_REQUESTS, REQUESTS, REQUEST_DURATION, DEADLINE_REMAINING, UPSTREAM_REQUESTS, UPSTREAM_DURATION, RETRIES,
    RETRIES_WITHHELD, KEEP_ALIVE_RACES, CIRCUIT_STATE, DUPLICATES, USERS_UNLIMITED, FALLBACK_DECISIONS,
    TLS_HANDSHAKES_FAILED, CALLER_FAILURES, CREDENTIAL_USES, CERTIFICATE_NOT_AFTER, CLAIMS_DROPPED, ANSWER_REPAIRS,
    RATE_LIMITED, IN_FLIGHT_HOOKS, CONFIG_LAST_RELOAD_SUCCESSFUL, CONFIG_LAST_RELOAD_SUCCESS, LOG_LINES_DROPPED,
    PANICS, BUILD_INFO,
];

macro_rules! rows {
    ($($row:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(pub(super) const $row: MetricRow = MetricRow {
            name: concat!("claimgate_", $name),
            kind: MetricKind::$kind,
            labels: &[$($label),*],
            help: $help,
        };)+
    };
}

#[rustfmt::skip]
rows! {
    CONNECTIONS = Gauge "connections" []
        "Open connections on the hook port. At listen.max_connections further ones wait in the kernel's queue, which no other metric shows.";
    UNPARSED_REQUESTS = Counter "unparsed_requests_total" ["fault"]
        "Requests on the hook port that could not be read as HTTP/1.1: malformed, too_large (head or target) or http2. Answered 400, 414, 431 or not at all, without an access event.";
    REQUESTS = Counter "requests_total" ["user_flow", "step", "decision", "outcome"]
        "Requests on the hook port, by what the identity provider was told and how it came to that.";
    REQUEST_DURATION = Histogram "request_duration_seconds" ["user_flow", "step"]
        "Time from the complete request head to the answer.";
    DEADLINE_REMAINING = Histogram "deadline_remaining_seconds" ["user_flow", "step"]
        "What was left of answer_within when the hook was answered.";
    UPSTREAM_REQUESTS = Counter "upstream_requests_total" ["connector", "reason"]
        "Calls to the API, by the reason of their failure; none means that it answered with a decision.";
    UPSTREAM_DURATION = Histogram "upstream_duration_seconds" ["connector"]
        "Time that a call to the API took, whatever came of it.";
    RETRIES = Counter "retries_total" ["connector", "cause"]
        "Calls to the API that were repeated: unsent (nothing had been sent), keep_alive_race, or idempotent (it had been sent).";
    RETRIES_WITHHELD = Counter "retries_withheld_total" ["connector", "cause"]
        "Calls that could have been repeated and were not: budget (too many were repeated lately) or time (not enough was left).";
    KEEP_ALIVE_RACES = Counter "keep_alive_races_total" ["connector"]
        "Calls on a reused connection that the API closed before it answered a byte; it closed for idling, as a rule.";
    CIRCUIT_STATE = Gauge "circuit_state" ["connector"]
        "The connector's breaker: 0 closed, 1 half-open (probing), 2 open (the API is not called).";
    DUPLICATES = Counter "duplicates_total" ["user_flow", "step", "action"]
        "Hooks that had been sent before and joined the first one or were replayed its decision; undetected: the table was full, and whether they had been is not known.";
    USERS_UNLIMITED = Counter "users_unlimited_total" []
        "Hooks of users that rate_limit_per_user could not count, because its table was full.";
    FALLBACK_DECISIONS = Counter "fallback_decisions_total" ["user_flow", "step", "reason", "decision"]
        "Hooks that on_failure answered, by the reason of the failure.";
    TLS_HANDSHAKES_FAILED = Counter "tls_handshakes_failed_total" ["reason"]
        "TLS handshakes on the hook port that failed: timeout, no_certificate, certificate_refused, client_refused, protocol, closed.";
    CALLER_FAILURES = Counter "caller_failures_total" ["reason"]
        "Requests that failed through the caller: wrong credential, wrong path, broken hook, hung up.";
    CREDENTIAL_USES = Counter "credential_uses_total" ["caller", "credential"]
        "Hooks authenticated by this credential; shows when an old one is no longer used.";
    CERTIFICATE_NOT_AFTER = Gauge "certificate_not_after_timestamp_seconds" ["role", "name"]
        "When a certificate that claimgate shows ends, in seconds since 1970.";
    CLAIMS_DROPPED = Counter "claims_dropped_total" ["connector", "direction"]
        "Claims that were not selected and went no further: sent to the API, or received from it.";
    ANSWER_REPAIRS = Counter "answer_repairs_total" ["connector", "repair"]
        "Answers of the API that were accepted although they are not in the documented form.";
    RATE_LIMITED = Counter "rate_limited_total" ["limit"]
        "Hooks that a limit turned away.";
    IN_FLIGHT_HOOKS = Gauge "in_flight_hooks" []
        "Hooks being answered right now.";
    CONFIG_LAST_RELOAD_SUCCESSFUL = Gauge "config_last_reload_successful" []
        "1 if the configuration in force is what its files hold; 0 if they were changed to something that was refused.";
    CONFIG_LAST_RELOAD_SUCCESS = Gauge "config_last_reload_success_timestamp_seconds" []
        "When a configuration was last put in force or found unchanged, in seconds since 1970.";
    LOG_LINES_DROPPED = Counter "log_lines_dropped_total" []
        "Lines of the access log and diagnostics that could not be written: the reader is too slow or gone.";
    PANICS = Counter "panics_total" []
        "Defects of claimgate that were caught; each is worth a report.";
    BUILD_INFO = Gauge "build_info" ["version"]
        "Always 1; the version is the label.";
}

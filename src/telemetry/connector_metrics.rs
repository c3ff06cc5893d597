//! The metrics of one connector: its calls, what was repeated of them, what was made of its answers.

use std::time::Duration;

use prometheus::{Histogram, IntGauge};

use crate::flow::Reason;

use super::{Counter, Direction, Metrics, family::CounterFamily};

/// Why a call was repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryCause {
    /// Nothing of the request had been sent.
    Unsent,
    /// The API had closed the connection, which had been used before, without a byte of an answer.
    KeepAliveRace,
    /// It had been sent, and the connector is idempotent.
    Idempotent,
}

/// Why a call that could have been repeated was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// Too many calls were repeated lately.
    Budget,
    /// Not enough was left of the hook's time.
    Time,
}

/// What the breaker of a connector lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitState {
    /// Every call.
    Closed = 0,
    /// A few calls, to see whether the API is back.
    HalfOpen = 1,
    /// No call.
    Open = 2,
}

impl RetryCause {
    /// Every cause.
    pub const ALL: [Self; 3] = [Self::Unsent, Self::KeepAliveRace, Self::Idempotent];

    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unsent => "unsent",
            Self::KeepAliveRace => "keep_alive_race",
            Self::Idempotent => "idempotent",
        }
    }
}

impl Withheld {
    /// Every cause.
    pub const ALL: [Self; 2] = [Self::Budget, Self::Time];

    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Time => "time",
        }
    }
}

impl Metrics {
    /// The metrics of one connector. Binding the same connector again goes on counting where it stood.
    pub fn for_connector(&self, connector: &str) -> ConnectorMetrics {
        let dropped =
            |direction: Direction| self.claims_dropped.with_label_values([connector, direction.as_str()]);
        ConnectorMetrics {
            connector: connector.to_owned(),
            answered: self.upstream_requests.with_label_values([connector, "none"]),
            duration: self.upstream_duration.with_label_values(&[connector]),
            dropped_sent: dropped(Direction::Sent),
            dropped_received: dropped(Direction::Received),
            retries: RetryCause::ALL.map(|cause| self.retries.with_label_values([connector, cause.as_str()])),
            retries_withheld: Withheld::ALL
                .map(|cause| self.retries_withheld.with_label_values([connector, cause.as_str()])),
            keep_alive_races: self.keep_alive_races.with_label_values([connector]),
            circuit_state: self.circuit_state.with_label_values(&[connector]),
            upstream_requests: self.upstream_requests.clone(),
            answer_repairs: self.answer_repairs.clone(),
        }
    }
}

/// The metrics of one connector.
#[derive(Clone, Debug)]
pub struct ConnectorMetrics {
    connector: String,
    answered: Counter,
    duration: Histogram,
    dropped_sent: Counter,
    dropped_received: Counter,
    retries: [Counter; RetryCause::ALL.len()],
    retries_withheld: [Counter; Withheld::ALL.len()],
    keep_alive_races: Counter,
    circuit_state: IntGauge,
    upstream_requests: CounterFamily,
    answer_repairs: CounterFamily,
}

impl ConnectorMetrics {
    /// Counts a call to the API: how long it took, and the reason if it gave no decision.
    pub fn call(&self, took: Duration, failure: Option<Reason>) {
        self.duration.observe(took.as_secs_f64());
        match failure {
            None => self.answered.inc(),
            Some(reason) => {
                self.upstream_requests.with_label_values([&self.connector, reason.as_str()]).inc();
            }
        }
    }

    /// Counts a call that is repeated.
    pub fn retried(&self, cause: RetryCause) {
        self.retries[cause as usize].inc();
    }

    /// Counts a call that could have been repeated.
    pub fn retry_withheld(&self, cause: Withheld) {
        self.retries_withheld[cause as usize].inc();
    }

    /// Counts a reused connection that the API closed before it answered a byte.
    pub fn keep_alive_race(&self) {
        self.keep_alive_races.inc();
    }

    /// Shows what the breaker lets through.
    pub fn circuit(&self, state: CircuitState) {
        self.circuit_state.set(state as i64);
    }

    /// Counts claims that went no further.
    pub fn claims_dropped(&self, direction: Direction, count: usize) {
        let counter = match direction {
            Direction::Sent => &self.dropped_sent,
            Direction::Received => &self.dropped_received,
        };
        counter.inc_by(count as u64);
    }

    /// Counts a repair of the API's answer by its name.
    pub fn answer_repaired(&self, repair: &'static str) {
        self.answer_repairs.with_label_values([self.connector.as_str(), repair]).inc();
    }
}

//! What operators see of a hook: metrics, access events, diagnostics.
//!
//! - [`Metrics`]: the only place with metric names; [`METRIC_TABLE`] is their one source.
//! - [`Certificate`]: one of claimgate's own, whose end is shown and announced.
//! - [`AccessEvent`]: one line a hook, written on every path.
//! - [`LogWriter`] and [`AccessLog`]: how lines leave the process without holding up a worker.
//! - [`diagnostics`]: what the program has to say about itself, on standard error.
//!
//! Names of claims may pass through here; a claim's value or a secret never does, because no type here takes one.

mod access;
mod access_fields;
mod certificates;
mod claim_names;
mod connector_metrics;
pub mod diagnostics;
mod escape;
mod family;
mod forget;
mod labels;
mod log_sink;
mod metric_table;
mod metrics;
mod registry;
mod timestamp;

pub use access::AccessEvent;
pub use access_fields::{ACCESS_FIELDS, AccessField};
pub use certificates::{Certificate, CertificateRole};
pub use claim_names::ClaimNames;
pub use connector_metrics::{CircuitState, ConnectorMetrics, RetryCause, Withheld};
pub use diagnostics::LogFormat;
pub use escape::hex_digits;
pub use family::Counter;
pub use labels::{DecisionLabel, Direction, Duplicate, Limit, Outcome, Unparsed};
pub use log_sink::{AccessLog, AccessLogFactory, LogWriter, Unwritten};
pub use metric_table::{METRIC_TABLE, MetricKind, MetricRow};
pub use metrics::{HookMetrics, METRICS_CONTENT_TYPE, Metrics, OneMore};

//! Limits that callers, connectors and the process share: a rate with a burst, a number at a time, a share of calls that
//! may be repeated.
//!
//! Each is one for the whole process, whatever the number of workers. Neither queues without a bound.

mod in_flight;
mod rate;
mod retries;

pub use in_flight::{InFlight, Permit};
pub use rate::{Limited, Rate};
pub use retries::{RetryBudget, full_jitter};

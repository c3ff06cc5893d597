//! Limits that callers, connectors and the process share: a rate with a burst, and a number at a time.
//!
//! Each is one for the whole process, whatever the number of workers. Neither queues without a bound.

mod in_flight;
mod rate;

pub use in_flight::{InFlight, Permit};
pub use rate::{Limited, Rate};

//! Limits that callers, connectors and the process share: a rate with a burst, a number at a time, a share of calls that
//! may be repeated, a breaker that spares an API that is down; and the hash under which those that are kept for each user,
//! or each hook, remember it.
//!
//! Each is one for the whole process, whatever the number of workers. None queues without a bound.

mod breaker;
mod in_flight;
mod keyed_hash;
mod per_user;
mod places;
mod rate;
mod retries;

pub use breaker::{Availability, Breaker, Pass, Turn};
pub use in_flight::{InFlight, Permit};
pub use keyed_hash::{KeyedHash, Tag};
pub use per_user::PerUser;
pub use places::{Place, Places};
pub use rate::{Limited, Rate};
pub use retries::{RetryBudget, full_jitter};

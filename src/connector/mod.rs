//! The API's side: what a web API is sent, under which limits, and what its answer means.
//!
//! - [`Api`]: one web API for the whole process: its limits are one whatever the number of workers.
//! - [`Connector`]: the API as one worker sees it, with connections of its own.
//! - [`Connector::call`]: the call, and the policies around it: a stack of `tower` layers.
//! - [`mod@normalize`]: from an answer to a decision.

mod api;
mod attempt;
mod batch;
mod call;
mod circuit;
mod idempotency_key;
pub mod normalize;
mod outcome;
mod report;
mod request;
mod retry;

pub use api::{Api, Ask, Connector, Sent};
pub use idempotency_key::IdempotencyKey;
pub use outcome::{Decided, Facts, Notes};
pub use request::Correlation;

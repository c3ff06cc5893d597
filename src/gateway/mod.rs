//! The life of a hook, from the request's head to the answer.
//!
//! - [`answer`]: what the server calls for each request; the file `hook` tells the life itself, top to bottom.
//! - [`Snapshot`]: everything that comes from one configuration, shared by all workers and never changed.
//! - [`duplicates`]: hooks that were seen, so that the identity provider's retry is no second call.
//! - [`Rehearsal`]: one hook taken apart, stage by stage, for `explain`.
//! - [`Worker`]: what one worker has for itself: the snapshot in force, which a reload swaps, with connections for it,
//!   and a log buffer.

mod account;
mod body;
mod client;
mod correlation;
pub mod duplicates;
mod hook;
#[cfg(any(test, fuzzing))]
pub mod law;
mod rehearsal;
mod reply;
mod setup;
mod snapshot;
#[cfg(test)]
mod tests;
mod unambiguous;
mod worker;

pub use client::Client;
pub use hook::{answer, gone};
pub use rehearsal::Rehearsal;
pub use setup::SetupError;
pub use snapshot::Snapshot;
pub use worker::{Current, Worker};

//! The pure core: what a hook is about, without I/O, clock or runtime.
//!
//! - [`Step`]: where in the user flow the hook fires.
//! - [`claims`]: names of claims, the selected set, and the filter that lets only the selected set through.
//! - [`FlowDecision`]: what the identity provider is told.
//! - [`Reason`]: why no decision was reached, with everything that follows from it.
//! - [`OnFailure`]: what the identity provider gets instead of a decision.

pub mod claims;
mod decision;
mod every_reason;
mod on_failure;
mod reason;
mod rules;
mod step;

pub use claims::Selection;
pub use decision::{Claims, FlowDecision};
pub use on_failure::{Given, OnFailure};
pub use reason::{Blame, Failure, Reason};
pub use rules::{ContractRule, RequestRule};
pub use step::Step;

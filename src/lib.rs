//! claimgate stands between an identity provider and a customer's web APIs.
//!
//! At each hook of a user flow the identity provider sends the user's claims. claimgate authenticates the caller, sends
//! only the selected claims to the right API with the right credentials, holds the API to a deadline and to limits,
//! turns whatever comes back into a flow decision, and always answers in time and in a shape that is accepted.
//!
//! The tenets, in order: correct, private, in time, operable, fast, small.
//!
//! # The rooms
//!
//! Each uses only rooms further down, never one of its own line:
//!
//! | room | what is in it |
//! |---|---|
//! | [`cli`] | the commands: serve, check, explain, schema, demo |
//! | [`server`] | the hook port: listening, workers, connections, the end |
//! | [`admin`] | the admin port: livez, readyz, metrics, version |
//! | [`gateway`] | **the life of a hook**, and what one configuration comes to |
//! | [`dialect`] · [`caller`] · [`connector`] | the identity provider's wire · who may call · the API's side and what its answer means |
//! | [`limits`] · [`upstream`] | rates and numbers at a time · connections to an API |
//! | [`tls`] · [`telemetry`] | the only place that knows rustls · the only place with metric names and log lines |
//! | [`config`] | the file as written, read into types that the program may trust |
//! | [`flow`] | the pure core: step, claims, decision, reason |
//!
//! To learn how it works, read `src/gateway/hook.rs` from top to bottom.

pub mod admin;
pub mod caller;
pub mod cli;
pub mod config;
pub mod connector;
pub mod dialect;
pub mod flow;
pub mod gateway;
pub mod limits;
pub mod server;
pub mod telemetry;
pub mod tls;
pub mod upstream;

/// The fuzzer's inputs as ordinary tests.
#[cfg(test)]
#[path = "../tests/fuzz/replay.rs"]
mod replay;

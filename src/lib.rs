//! claimgate stands between an identity provider and a customer's web APIs.

pub mod admin;
pub mod caller;
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

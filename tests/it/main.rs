//! One integration binary: it links once.

mod bodies;
mod callers;
mod claims;
mod client_certificates;
mod commands;
mod connections;
mod decisions;
mod descriptors;
mod explain;
mod failures;
mod handover;
mod hostile_api;
mod hostile_callers;
mod leak;
mod life;
mod logs;
mod peers;
mod readme;
mod refusals;
mod reload;
mod rooms;
mod schema;
mod stages;
mod support;
mod support_works;
mod tls;

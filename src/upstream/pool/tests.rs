//! Exchanges over real sockets: what is used again, what is not, and how each end of a connection is told.

mod api;
mod certificates;
mod reuse;
mod tls;
mod wire;

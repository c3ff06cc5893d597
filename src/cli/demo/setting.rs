//! Where the demo takes place.

use std::net::SocketAddr;

use crate::flow::Step;

/// The user flow of `config/demo.yaml`.
pub const USER_FLOW: &str = "B2X_1_PartnerSignUp";

/// Where the gateway is.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The hook port.
    pub address: SocketAddr,
    /// The admin port.
    pub admin: SocketAddr,
}

/// The path of a hook in the demo's user flow.
pub(super) fn path(step: Step) -> String {
    format!("/flows/{USER_FLOW}/{step}")
}

//! What the integration tests need: a web API that follows a script, a strict client, the program itself, and
//! configurations for it.

// A toolbox: which of its tools are in use changes with the tests.
#![allow(dead_code)]

pub(crate) mod certificates;
pub(crate) mod client;
mod client_authority;
mod config_text;
pub(crate) mod flood;
pub(crate) mod gateway;
pub(crate) mod load;
pub(crate) mod metrics;
pub(crate) mod openssl;
mod parts;
pub(crate) mod peers;
pub(crate) mod play;
mod recorded;
mod refusal;
pub(crate) mod scripted_api;
pub(crate) mod wire;

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use socket2::{Domain, Socket, Type};

pub(crate) use client::{Client, Request, Response};
pub(crate) use client_authority::ClientAuthority;
pub(crate) use config_text::{CALLER, CONNECTOR, ConfigText, FLOW, PASSWORD};
pub(crate) use gateway::{Gateway, claimgate};
pub(crate) use load::Load;
pub(crate) use parts::{BLOCK, Parts};
pub(crate) use play::{Act, Play, answer};
pub(crate) use recorded::RecordedRequest;
pub(crate) use refusal::{all_refused, check_refused, refused};
pub(crate) use scripted_api::ScriptedApi;

/// The steps, in the order in which a sign-up meets them.
pub(crate) const STEPS: [&str; 3] = ["postFederationSignup", "postAttributeCollection", "preTokenIssuance"];

/// How long a soak lasts: 5 seconds, or as many as `CLAIMGATE_SOAK_SECONDS` says.
pub(crate) fn soak() -> Duration {
    let seconds = std::env::var("CLAIMGATE_SOAK_SECONDS");
    Duration::from_secs(seconds.map_or(5, |text| text.parse().expect("it is a number of seconds")))
}

/// Waits until something is so, at most [`client::LIMIT`].
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + client::LIMIT;
    while !is_so() {
        assert!(tokio::time::Instant::now() < end, "{what}: not within {:?}", client::LIMIT);
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// An address at which every connection is refused as long as this lives.
pub(crate) struct RefusingAddress {
    // Bound, so that nobody else gets the port, and never listening.
    _socket: Socket,
    address: SocketAddr,
}

impl RefusingAddress {
    /// Takes a free port of 127.0.0.1.
    pub(crate) fn take() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port exists");
        let address = socket.local_addr().ok().and_then(|address| address.as_socket());
        Self { _socket: socket, address: address.expect("a bound IPv4 socket has an address") }
    }

    /// `http://127.0.0.1:PORT` and this path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

//! TLS: the only place that knows rustls' types.
//!
//! - [`Identity`]: a certificate with its key, which claimgate shows to the other side.
//! - [`ClientTls`]: whom to trust, which name to expect and which certificate to show; one for each connector.
//! - [`ServerTls`]: what the hook port shows, and which clients may connect.
//! - [`Peer`]: the certificate that a client has shown; [`ClientTrust`]: one way for it to be trusted.
//! - [`Stream`]: a connection, plain or encrypted, that can be asked whether it still is as it was left.
//! - [`Fault`]: what went wrong in TLS, for the diagnostic log.
//!
//! The provider of cryptography is passed to every builder and never taken from the process: where features of two
//! providers meet in one program, rustls cannot choose and panics at first use.

mod asked;
mod client;
mod fault;
mod identity;
mod in_use;
mod peer;
mod roots;
mod server;
mod sessions;
mod stream;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod trust;
mod verifier;

pub use client::{ClientSettings, ClientTls, TlsSetupError};
pub use fault::Fault;
pub use identity::{Identity, IdentityError, Validity};
pub use peer::Peer;
pub use roots::RootsError;
pub use server::{Failed, HandshakeFailure, ServerTls, ServerTlsError};
pub use stream::{Condition, Stream};
pub use trust::{ClientCa, ClientTrust};
pub use verifier::Inadmissible;

/// What claimgate speaks inside TLS (RFC 7301): who would rather speak HTTP/2 is told so in the handshake.
const ALPN: &[u8] = b"http/1.1";

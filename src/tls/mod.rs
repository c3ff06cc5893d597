//! TLS: the only place that knows rustls' types.
//!
//! - [`Identity`]: a certificate with its key, which claimgate shows to the other side.
//! - [`ClientTls`]: whom to trust, which name to expect and which certificate to show; one for each connector.
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
mod stream;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use client::{ClientSettings, ClientTls, TlsSetupError};
pub use fault::Fault;
pub use identity::{Identity, IdentityError, Validity};
pub use stream::{Condition, Stream};

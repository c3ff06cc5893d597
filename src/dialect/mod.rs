//! The identity provider's side of the wire: one file for each dialect.
//!
//! A dialect decodes a hook's body into its claims and encodes a decision. It knows nothing of APIs: the same hook and
//! the same decision could travel in another dialect.

pub mod api_connector;

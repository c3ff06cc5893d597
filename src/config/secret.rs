//! Secrets, kept out of every text that a person or a machine may read.

use std::fmt;

use zeroize::Zeroizing;

/// A password, code or key. Never printed; wiped when dropped.
///
/// Comparing two takes a time that depends on them: for what the operator wrote, never for what a caller presents.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// What is shown in place of a secret.
    pub const MASK: &'static str = "***";

    /// Takes over the bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes: for digests and for the request to the API, nothing else.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::MASK)
    }
}

//! Digests of credentials, compared in constant time.

use aws_lc_rs::{constant_time, digest};

/// A SHA-256 digest: of one length whatever the credential's, so that comparing says nothing about that either.
#[derive(Clone, Copy)]
pub(super) struct Digest([u8; digest::SHA256_OUTPUT_LEN]);

impl Digest {
    pub(super) fn of(credential: &[u8]) -> Self {
        Self::finish(digest::digest(&digest::SHA256, credential))
    }

    /// Of `username:password`; a user name has no colon (RFC 7617 section 2), so the pair is unambiguous.
    pub(super) fn of_basic(username: &[u8], password: &[u8]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in [username, b":", password] {
            context.update(part);
        }
        Self::finish(context.finish())
    }

    pub(super) fn is_equal(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }

    fn finish(digest: digest::Digest) -> Self {
        Self(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digest")
    }
}

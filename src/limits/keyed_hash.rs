//! A hash under a key that only this process knows.
//!
//! What is remembered of a user is remembered under such a hash: without the key nobody can tell from it who the user
//! was, nor make two users collide.

use std::fmt;

use aws_lc_rs::{
    hmac::{self, HMAC_SHA256},
    rand::SystemRandom,
};

/// HMAC-SHA256 (RFC 2104) under a random key of 256 bits, which is gone with the process.
pub struct KeyedHash(hmac::Key);

impl KeyedHash {
    /// With a new key. Draw it at the start: the first use of the system's randomness takes tens of milliseconds.
    pub fn new() -> Self {
        let key = hmac::Key::generate(HMAC_SHA256, &SystemRandom::new());
        Self(key.expect("the system has a source of randomness"))
    }

    /// Of these parts in this order. Each is preceded by its length, so that no two lists of parts are the same bytes.
    pub fn of(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        context.sign().as_ref().try_into().expect("a tag of HMAC-SHA256 has 32 bytes")
    }
}

impl Default for KeyedHash {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for KeyedHash {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedHash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_key(key: &[u8]) -> KeyedHash {
        KeyedHash(hmac::Key::new(HMAC_SHA256, key))
    }

    /// What is expected was computed by OpenSSL over `\x02`, seven zeros, `ab`, eight zeros.
    #[test]
    fn it_is_the_hmac_of_the_parts_each_behind_its_length() {
        let hash = with_key(b"key").of(&[b"ab", b""]);
        let (high, low) =
            (0xc6fe_77ec_4000_8d17_f468_1558_41db_8b26, 0xfe8d_5fca_cfda_ed92_3587_6e79_e387_8768);
        assert_eq!(hash.as_slice(), [u128::to_be_bytes(high), u128::to_be_bytes(low)].concat());
    }

    #[test]
    fn other_parts_or_another_key_are_another_hash() {
        let hash = KeyedHash::new();
        let lists: [&[&[u8]]; 8] =
            [&[], &[b""], &[b"", b""], &[b"ab"], &[b"a", b"b"], &[b"b", b"a"], &[b"ab", b""], &[b"", b"ab"]];
        for (position, one) in lists.iter().enumerate() {
            assert_eq!(hash.of(one), hash.of(one));
            assert_ne!(hash.of(one), KeyedHash::new().of(one), "the key is a process's own");
            for other in &lists[..position] {
                assert_ne!(hash.of(one), hash.of(other), "{one:?} {other:?}");
            }
        }
        assert_eq!(format!("{hash:?}"), "KeyedHash");
    }
}

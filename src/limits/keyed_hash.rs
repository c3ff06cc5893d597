//! A hash under a key that only this process knows.
//!
//! What is remembered of a user is remembered under such a hash: without the key nobody can tell from it who the user
//! was, nor make two users collide.

use std::{fmt, hash::Hasher as _};

use siphasher::sip128::{Hasher128 as _, SipHasher24};

/// SipHash-2-4 with 128 bits, under a random key of 128 bits that is gone with the process.
///
/// Every hook that may come again is hashed whole, and an HMAC-SHA256 takes longer over it. This one is a message
/// authentication code too: without the key its hashes look random, and the best differential that is known has a
/// probability of 2^-236.3 (Dobraunig, Mendel and Schläffer, "Differential Cryptanalysis of SipHash", SAC 2014), less than
/// that of a guess.
pub struct KeyedHash(SipHasher24);

impl KeyedHash {
    /// With a new key. Draw it at the start: the first use of the system's randomness takes tens of milliseconds.
    pub fn new() -> Self {
        let mut key = [0; 16];
        aws_lc_rs::rand::fill(&mut key).expect("the system has a source of randomness");
        Self::with_key(&key)
    }

    fn with_key(key: &[u8; 16]) -> Self {
        Self(SipHasher24::new_with_key(key))
    }

    /// Of these parts in this order. Each is preceded by its length, so that no two lists of parts are the same bytes.
    pub fn of(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut hasher = self.0;
        for part in parts {
            hasher.write(&(part.len() as u64).to_le_bytes());
            hasher.write(part);
        }
        hasher.finish128().as_bytes()
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

    /// What is expected for no parts is the first vector of the reference implementation (`vectors_sip128`); the other was
    /// computed by a second implementation, over `\x02`, seven zeros, `ab`, eight zeros.
    #[test]
    fn it_is_the_siphash_of_the_parts_each_behind_its_length() {
        let hash = KeyedHash::with_key(&std::array::from_fn(|byte| byte.to_le_bytes()[0]));
        for (parts, expected) in [
            (&[][..], 0xa381_7f04_ba25_a8e6_6df6_7214_c755_0293_u128),
            (&[&b"ab"[..], b""], 0xd477_a77f_4b82_c9d8_4fd1_43c3_dcb5_b420),
        ] {
            assert_eq!(hash.of(parts), expected.to_be_bytes());
        }
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

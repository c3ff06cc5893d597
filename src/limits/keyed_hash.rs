//! A hash under a key that only this process knows.
//!
//! What is remembered of a user is remembered under such a hash: without the key nobody can tell from it who the user
//! was, nor make two users collide.

use std::fmt;

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// The authentication tag of AES-128-GCM (NIST SP 800-38D) over nothing but additional data, under a random key that is
/// gone with the process.
///
/// Every hook that may come again is hashed whole, and this is the fastest hash with a proof behind it: whoever does not
/// know the key makes two texts of 1 MiB collide with a probability below 2^-111 (2^-107 for 16 MiB), however they are
/// chosen, as far as AES cannot be told from a random permutation. The proof holds for one nonce used for all texts because
/// nobody sees a hash: of two tags under one nonce the key could be computed.
pub struct KeyedHash(LessSafeKey);

/// What [`KeyedHash`] makes of a text. It never leaves the process, so it has no form in which it could. Only the whole is
/// what nobody can choose: some of its bits can be made to be those of another text's (Ferguson, "Authentication weaknesses
/// in GCM", 2005), so a table hashes it once more.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag([u8; 16]);

impl KeyedHash {
    /// With a new key. Draw it at the start: the first use of the system's randomness takes tens of milliseconds.
    pub fn new() -> Self {
        let mut key = [0; 16];
        aws_lc_rs::rand::fill(&mut key).expect("the system has a source of randomness");
        Self::with_key(&key)
    }

    fn with_key(key: &[u8; 16]) -> Self {
        let key = UnboundKey::new(&AES_128_GCM, key).expect("a key of AES-128 has 16 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Of these parts in this order. Each is preceded by its length, so that no two lists of parts are the same bytes.
    pub fn of(&self, parts: &[&[u8]]) -> Tag {
        let mut text = Vec::with_capacity(parts.iter().map(|part| size_of::<u64>() + part.len()).sum());
        for part in parts {
            text.extend_from_slice(&(part.len() as u64).to_le_bytes());
            text.extend_from_slice(part);
        }
        let one_for_all = Nonce::assume_unique_for_key([0; 12]);
        let tag = self.0.seal_in_place_separate_tag(one_for_all, Aad::from(text), &mut []);
        let tag = tag.expect("no text in memory is too long for AES-GCM");
        Tag(tag.as_ref().try_into().expect("a tag has 16 bytes"))
    }
}

#[cfg(test)]
impl From<[u8; 16]> for Tag {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Tag {
    /// Without what it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tag")
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

    /// What is expected was computed by OpenSSL, over nothing, and over `\x02`, seven zeros, `ab`, eight zeros.
    #[test]
    fn it_is_the_tag_of_the_parts_each_behind_its_length() {
        let hash = KeyedHash::with_key(&std::array::from_fn(|byte| byte.to_le_bytes()[0]));
        for (parts, expected) in [
            (&[][..], 0x7346_1395_95c0_b41e_497b_bde3_65f4_2d0a_u128),
            (&[&b"ab"[..], b""], 0x7802_103d_334f_9fb1_bd47_1ac3_f15f_7cea),
        ] {
            assert_eq!(hash.of(parts).0, expected.to_be_bytes());
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
        assert_eq!(format!("{hash:?} {:?}", hash.of(&[])), "KeyedHash Tag");
    }
}

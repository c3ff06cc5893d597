//! What an API knows a call by.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::SystemTime,
};

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// Tells an API that it has seen a call before (Internet-Draft "The Idempotency-Key HTTP Header Field"): 128 bits that no
/// other hook of any process has, and that say nothing about the hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdempotencyKey([u8; 16]);

impl IdempotencyKey {
    /// One that was never used before: time and a counter, encrypted under the process's own key, for to draw 128 bits from
    /// the system's source takes far longer. The counter, for many hooks may come in one nanosecond of a coarse clock; the
    /// time, for a machine may be set back to an earlier moment, or doubled, with all that the process knows.
    pub fn fresh() -> Self {
        static KEY: LazyLock<LessSafeKey> = LazyLock::new(|| {
            let mut key = [0; 16];
            aws_lc_rs::rand::fill(&mut key).expect("the system has a source of randomness");
            let key = UnboundKey::new(&AES_128_GCM, &key).expect("a key of AES-128 has 16 bytes");
            LessSafeKey::new(key)
        });
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        // 64 bits of nanoseconds last until the year 2554.
        let time = u64::try_from(time).unwrap_or(u64::MAX);
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&time.to_le_bytes());
        nonce[8..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        // The tag over nothing is the nonce, filled up and encrypted (NIST SP 800-38D section 7.1): one block of AES, which
        // makes two of two.
        let tag = KEY.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut []);
        let tag = tag.expect("no text in memory is too long for AES-GCM");
        Self(tag.as_ref().try_into().expect("a tag has 16 bytes"))
    }

    /// Its bytes, as they are written to an API.
    pub(super) fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    #[cfg(test)]
    pub(super) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, thread};

    use super::*;

    #[test]
    fn no_two_are_the_same_whatever_thread_asks() {
        let some = || (0..10_000).map(|_| IdempotencyKey::fresh().to_bytes()).collect::<Vec<_>>();
        let mut seen = HashSet::new();
        for thread in [thread::spawn(some), thread::spawn(some)] {
            seen.extend(thread.join().unwrap());
        }
        assert_eq!(seen.len(), 20_000);
    }

    #[test]
    fn one_says_nothing_about_the_next() {
        let differing = |one: [u8; 16], next: [u8; 16]| -> u32 {
            one.iter().zip(next).map(|(one, next)| (one ^ next).count_ones()).sum()
        };
        let keys: Vec<_> = (0..1_000).map(|_| IdempotencyKey::fresh().to_bytes()).collect();
        let total: u32 = keys.windows(2).map(|pair| differing(pair[0], pair[1])).sum();
        // Half of 128 bits, 999 times over; a counter alone would differ in two.
        assert!((60 * 999..68 * 999).contains(&total), "{total}");
    }
}

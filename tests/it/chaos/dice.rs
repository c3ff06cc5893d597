//! Chance that comes out the same each time: what happens to a hook follows from the seed and its number alone.

/// A stream of numbers (`SplitMix64`, by Steele, Lea and Flood).
pub(super) struct Dice(u64);

impl Dice {
    /// For one purpose, named by numbers.
    pub(super) fn of(seed: u64, purpose: &[u64]) -> Self {
        purpose.iter().fold(Self(seed), |mut dice, part| {
            dice.0 ^= part.wrapping_mul(0xD6E8_FEB8_6659_FD93);
            Self(dice.next())
        })
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// At least `from`, less than `to`.
    pub(super) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from)
    }

    /// In so many of a thousand cases.
    pub(super) fn chance(&mut self, per_mille: u64) -> bool {
        self.between(0, 1000) < per_mille
    }

    /// One of these.
    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.between(0, from.len() as u64)).expect("it is an index")]
    }

    /// One of these, as often as its weight says.
    pub(super) fn weighted<T: Copy>(&mut self, from: &[(u64, T)]) -> T {
        let mut at = self.between(0, from.iter().map(|(weight, _)| weight).sum());
        for (weight, what) in from {
            if at < *weight {
                return *what;
            }
            at -= weight;
        }
        unreachable!("the number is less than the sum of the weights")
    }
}

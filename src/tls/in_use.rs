//! Which of several certificates is in use.

use std::time::SystemTime;

use super::Validity;

/// Which one, and whether it is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InUse {
    pub(super) index: usize,
    pub(super) valid: bool,
}

/// The newest of those that are valid at `now`, which is the one that began last; if none is valid, the one that ends
/// last. So a certificate is replaced by putting the next one beside it. Nothing of nothing.
pub(super) fn choose(validities: impl Iterator<Item = Validity> + Clone, now: SystemTime) -> Option<InUse> {
    let indexed = validities.enumerate();
    let valid = indexed.clone().filter(|(_, validity)| validity.holds_at(now));
    // The later of two equal ones in the list would be preferred only by accident.
    let newest = valid.reduce(|best, next| if begins_later(next.1, best.1) { next } else { best });
    let last = || indexed.reduce(|best, next| if next.1.not_after > best.1.not_after { next } else { best });
    match newest {
        Some((index, _)) => Some(InUse { index, valid: true }),
        None => last().map(|(index, _)| InUse { index, valid: false }),
    }
}

fn begins_later(one: Validity, other: Validity) -> bool {
    (one.not_before, one.not_after) > (other.not_before, other.not_after)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn day(day: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(24 * day)
    }

    #[test]
    fn the_newest_valid_one_is_in_use_and_else_the_one_that_ends_last() {
        let old_and_new = [(10, 30), (20, 50)];
        let rows: [(&[(u64, u64)], u64, Option<(usize, bool)>); 14] = [
            (&[], 1, None),
            (&[(10, 30)], 9, Some((0, false))),
            (&[(10, 30)], 10, Some((0, true))),
            (&[(10, 30)], 30, Some((0, true))),
            (&[(10, 30)], 31, Some((0, false))),
            (&old_and_new, 9, Some((1, false))),
            (&old_and_new, 19, Some((0, true))),
            (&old_and_new, 20, Some((1, true))),
            (&old_and_new, 40, Some((1, true))),
            (&old_and_new, 51, Some((1, false))),
            // The order in the file makes no difference, and a new one that ends early is the newest all the same.
            (&[(20, 50), (10, 30)], 25, Some((0, true))),
            (&[(10, 60), (20, 30)], 25, Some((1, true))),
            (&[(10, 60), (20, 30)], 31, Some((0, true))),
            (&[(10, 30), (10, 30)], 20, Some((0, true))),
        ];
        for (days, now, expected) in rows {
            let validities =
                days.iter().map(|&(from, to)| Validity { not_before: day(from), not_after: day(to) });
            let chosen = choose(validities, day(now)).map(|in_use| (in_use.index, in_use.valid));
            assert_eq!(chosen, expected, "{days:?} on day {now}");
        }
    }
}

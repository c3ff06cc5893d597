//! Points in time as log lines write them.

use std::{
    cell::Cell,
    time::{SystemTime, UNIX_EPOCH},
};

use super::escape::last_three_digits;

/// Appends `2026-01-31T23:59:59.999Z`: RFC 3339 in UTC with milliseconds.
///
/// A clock before 1970 or after 9999, which the form cannot show, stands at that end.
pub(super) fn push_rfc3339(out: &mut Vec<u8>, at: SystemTime) {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs().min(LAST_SECOND);
    let (second, mut text) = WRITTEN.get();
    if second != seconds {
        text = at_the_second(seconds);
        WRITTEN.set((seconds, text));
    }
    out.extend_from_slice(&text);
    out.extend_from_slice(&last_three_digits(u64::from(since.subsec_millis())));
    out.push(b'Z');
}

thread_local! {
    /// The second that was written last, and its text: most lines of a busy worker share it.
    static WRITTEN: Cell<(u64, [u8; 20])> = const { Cell::new((0, *b"1970-01-01T00:00:00.")) };
}

fn at_the_second(seconds: u64) -> [u8; 20] {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil_from_days(days);
    let mut text = *b"yyyy-mm-ddThh:mm:ss.";
    fill(&mut text[0..4], year);
    fill(&mut text[5..7], month);
    fill(&mut text[8..10], day);
    fill(&mut text[11..13], second / 3_600);
    fill(&mut text[14..16], second / 60 % 60);
    fill(&mut text[17..19], second % 60);
    text
}

/// The number's last digits, as many as there is room for.
fn fill(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        // A remainder of ten is below ten.
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// 9999-12-31T23:59:59Z.
const LAST_SECOND: u64 = 253_402_300_799;

/// Year, month and day of the proleptic Gregorian calendar for the days since 1970-01-01.
///
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`, for days that are not negative. Its
/// years begin in March, so that the leap day is a year's last.
const fn civil_from_days(days: u64) -> (u64, u64, u64) {
    // Days from 0000-03-01 to 1970-01-01; an era is 400 years.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + (month <= 2) as u64;
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn rfc3339(at: SystemTime) -> String {
        let mut out = Vec::new();
        push_rfc3339(&mut out, at);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn known_moments_are_written_as_known() {
        // Checked with `date -u -d @SECONDS`.
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_709_210_096_007, "2024-02-29T12:34:56.007Z"),
            (1_767_225_599_990, "2025-12-31T23:59:59.990Z"),
            (1_767_225_600_000, "2026-01-01T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ];
        // Also after another second, and a second time in the same one.
        for (millis, expected) in cases.into_iter().chain(cases).flat_map(|case| [case, case]) {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_millis(millis)), expected);
        }
        for (millis, expected) in cases.map(|(millis, expected)| (millis / 1_000 * 1_000 + 42, expected)) {
            assert_eq!(
                rfc3339(UNIX_EPOCH + Duration::from_millis(millis)),
                format!("{}042Z", &expected[..20])
            );
        }
    }

    #[test]
    fn every_day_follows_the_day_before_it() {
        let leap =
            |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..400 * 366 {
            assert_eq!(civil_from_days(days), (year, month, day));
            let length = match month {
                2 => 28 + u64::from(leap(year)),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }

    #[test]
    fn a_clock_out_of_range_stands_at_the_end() {
        assert_eq!(rfc3339(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00.000Z");
        assert!(
            rfc3339(UNIX_EPOCH + Duration::from_secs(LAST_SECOND + 1)).starts_with("9999-12-31T23:59:59")
        );
    }
}

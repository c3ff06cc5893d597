//! Durations, sizes, counts and rates as they are written. A bare number is refused: nobody can see its unit.

use std::{num::NonZeroU32, ops::RangeInclusive, time::Duration};

use super::{
    model::Per,
    problem::{Wrong, quoted},
};

/// The units of a duration, in milliseconds.
pub(super) const DURATIONS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

/// The units of a size, in bytes.
pub(super) const SIZES: [(&str, u64); 3] = [("B", 1), ("KiB", 1024), ("MiB", 1024 * 1024)];

/// The periods of a rate.
pub(super) const RATES: [(&str, Per); 2] = [("/s", Per::Second), ("/m", Per::Minute)];

/// `2s`: an integer with `ms`, `s`, `m` or `h`.
pub(super) fn duration(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, Wrong> {
    const HELP: &str = "write an integer and ms, s, m or h, such as 500ms or 2s";
    let (number, unit) = number_and_unit(text, "a duration", HELP)?;
    let millis = unit_of(&DURATIONS, unit).ok_or_else(|| not_a("a duration", text, HELP))?;
    number
        .checked_mul(millis)
        .map(Duration::from_millis)
        .filter(|duration| range.contains(duration))
        .ok_or_else(|| out_of_range(text, &show_duration(*range.start()), &show_duration(*range.end())))
}

/// `64KiB`: an integer with `B`, `KiB` or `MiB`.
pub(super) fn size(text: &str, range: &RangeInclusive<usize>) -> Result<usize, Wrong> {
    const HELP: &str = "write an integer and B, KiB or MiB, such as 64KiB";
    let (number, unit) = number_and_unit(text, "a size", HELP)?;
    let bytes = unit_of(&SIZES, unit).ok_or_else(|| not_a("a size", text, HELP))?;
    number
        .checked_mul(bytes)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .filter(|bytes| range.contains(bytes))
        .ok_or_else(|| out_of_range(text, &show_size(*range.start()), &show_size(*range.end())))
}

/// `1024`: an integer.
pub(super) fn count(text: &str, range: &RangeInclusive<u32>) -> Result<u32, Wrong> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(not_a("a whole number", text, "write digits only, such as 100"));
    }
    text.parse()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| out_of_range(text, &range.start().to_string(), &range.end().to_string()))
}

/// `200/s` or `200/m`.
pub(super) fn rate(text: &str, range: &RangeInclusive<u32>) -> Result<(NonZeroU32, Per), Wrong> {
    const HELP: &str = "write an integer and /s or /m, such as 200/s";
    let (number, unit) = number_and_unit(text, "a rate", HELP)?;
    let per = unit_of(&RATES, unit).ok_or_else(|| not_a("a rate", text, HELP))?;
    u32::try_from(number)
        .ok()
        .filter(|number| range.contains(number))
        .and_then(NonZeroU32::new)
        .map(|number| (number, per))
        .ok_or_else(|| out_of_range(text, &format!("{}/s", range.start()), &format!("{}/s", range.end())))
}

/// `50%`: an integer with a percent sign.
pub(super) fn percent(text: &str, range: &RangeInclusive<u32>) -> Result<u32, Wrong> {
    const HELP: &str = "write an integer and %, such as 50%";
    let (number, unit) = number_and_unit(text, "a share", HELP)?;
    if unit != "%" {
        return Err(not_a("a share", text, HELP));
    }
    u32::try_from(number)
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| out_of_range(text, &format!("{}%", range.start()), &format!("{}%", range.end())))
}

/// `true` or `false`; YAML 1.1's `yes`, `no`, `on` and `off` mean different things to different readers.
pub(super) fn flag(text: &str) -> Result<bool, Wrong> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Wrong::new(format!("{} is neither `true` nor `false`", quoted(text)))),
    }
}

/// In the largest unit that has no remainder.
pub(super) fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    match millis {
        0 => "0ms".to_owned(),
        _ if millis.is_multiple_of(3_600_000) => format!("{}h", millis / 3_600_000),
        _ if millis.is_multiple_of(60_000) => format!("{}m", millis / 60_000),
        _ if millis.is_multiple_of(1000) => format!("{}s", millis / 1000),
        _ => format!("{millis}ms"),
    }
}

/// In the largest unit that has no remainder.
pub(super) fn show_size(bytes: usize) -> String {
    match bytes {
        _ if bytes.is_multiple_of(1024 * 1024) => format!("{}MiB", bytes / 1024 / 1024),
        _ if bytes.is_multiple_of(1024) => format!("{}KiB", bytes / 1024),
        _ => format!("{bytes}B"),
    }
}

fn number_and_unit<'t>(text: &'t str, what: &str, help: &str) -> Result<(u64, &'t str), Wrong> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(not_a(what, text, help));
    }
    if unit.is_empty() {
        return Err(Wrong::new(format!("{} has no unit", quoted(text))).help(help));
    }
    // More digits than fit are out of every range; the largest number lets the range say so.
    Ok((number.parse().unwrap_or(u64::MAX), unit))
}

fn unit_of<T: Copy>(units: &[(&str, T)], written: &str) -> Option<T> {
    units.iter().find(|(unit, _)| *unit == written).map(|(_, means)| *means)
}

fn not_a(what: &str, text: &str, help: &str) -> Wrong {
    Wrong::new(format!("{} is not {what}", quoted(text))).help(help)
}

fn out_of_range(text: &str, least: &str, most: &str) -> Wrong {
    Wrong::new(format!("{} is out of range", quoted(text))).help(format!("{least} to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_an_integer_with_a_unit_in_its_range() {
        let range = Duration::from_millis(1)..=Duration::from_hours(1);
        for (text, expected) in [
            ("1ms", Ok(1)),
            ("2s", Ok(2000)),
            ("2m", Ok(120_000)),
            ("1h", Ok(3_600_000)),
            ("0s", Err("out of range")),
            ("2h", Err("out of range")),
            ("99999999999999999999999s", Err("out of range")),
            ("18446744073709551615h", Err("out of range")),
            ("2", Err("no unit")),
            ("2 s", Err("not a duration")),
            ("1.5s", Err("not a duration")),
            ("-1s", Err("not a duration")),
            ("+1s", Err("not a duration")),
            ("2S", Err("not a duration")),
            ("s", Err("not a duration")),
            ("", Err("not a duration")),
        ] {
            match (duration(text, &range), expected) {
                (Ok(found), Ok(millis)) => assert_eq!(found, Duration::from_millis(millis)),
                (Err(wrong), Err(part)) => assert!(wrong.message.contains(part), "{}", wrong.message),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn a_size_is_an_integer_with_a_binary_unit_in_its_range() {
        let range = 1..=16 * 1024 * 1024;
        assert_eq!(size("64KiB", &range).ok(), Some(65536));
        assert_eq!(size("1B", &range).ok(), Some(1));
        assert_eq!(size("16MiB", &range).ok(), Some(16 * 1024 * 1024));
        for text in ["0B", "17MiB", "64", "64KB", "64k", "18446744073709551615MiB", "1.5MiB", ""] {
            assert!(size(text, &range).is_err(), "{text}");
        }
    }

    #[test]
    fn counts_rates_and_flags_are_written_one_way() {
        assert_eq!(count("1", &(1..=9)).ok(), Some(1));
        for text in ["0", "10", "-1", "+1", "1_0", "0x1", "1.0", "1e0", "", "99999999999"] {
            assert!(count(text, &(1..=9)).is_err(), "{text}");
        }
        assert_eq!(rate("5/m", &(1..=9)).ok().map(|(n, per)| (n.get(), per)), Some((5, Per::Minute)));
        for text in ["0/s", "10/s", "5", "5/h", "5 /s", "5/", "/s"] {
            assert!(rate(text, &(1..=9)).is_err(), "{text}");
        }
        assert_eq!((flag("true").ok(), flag("false").ok()), (Some(true), Some(false)));
        for text in ["yes", "no", "on", "True", "1", ""] {
            assert!(flag(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_shown_can_be_written() {
        let range = Duration::ZERO..=Duration::MAX;
        for millis in [0, 1, 999, 1000, 1500, 60_000, 61_000, 3_600_000, 5_400_000] {
            let given = Duration::from_millis(millis);
            assert_eq!(duration(&show_duration(given), &range).ok(), Some(given));
        }
        for bytes in [1, 1023, 1024, 1025, 65536, 1024 * 1024] {
            assert_eq!(size(&show_size(bytes), &(0..=usize::MAX)).ok(), Some(bytes));
        }
    }
}

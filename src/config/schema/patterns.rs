//! What may be written at a key, as regular expressions that ECMA-262 and the validators of other languages share.
//!
//! Units and bounds are those of the reader. A pattern of a unit, a count, a message, a name or a variable takes exactly
//! what the reader takes; tests hold that. Addresses and URLs are judged more coarsely, and never too strictly.

use std::{ops::RangeInclusive, time::Duration};

use crate::config::units::{DURATIONS, RATES, SIZES};

/// `char::is_control` without the line feed.
const CONTROLS_BUT_LINE_FEED: &str = r"\u0000-\u0009\u000b-\u001f\u007f-\u009f";
/// `char::is_whitespace` without the control characters, and the line feed.
const BLANKS: &str = r"\u000a\u0020\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000";

/// A name, beside its greatest length: not only dots.
pub(super) const NAME: &str = "^[A-Za-z0-9_.-]*[A-Za-z0-9_-][A-Za-z0-9_.-]*$";
/// The name of an environment variable.
pub(super) const VARIABLE: &str = "^[A-Za-z_][A-Za-z0-9_]*$";
/// A claim's name, beside its greatest length.
pub(super) const CLAIM: &str = r"^[^\u0000-\u001f\u007f-\u009f]+$";
/// RFC 7617 section 2.
pub(super) const USER_NAME: &str = r"^[^:\u0000-\u001f\u007f-\u009f]*$";
/// What every secret obeys, wherever it is used: something, and no ASCII control character.
pub(super) const SECRET: &str = r"^[^\u0000-\u001f\u007f]+$";
/// A token (RFC 9110 section 5.6.2).
pub(super) const HEADER_NAME: &str = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";
/// 64 hexadecimal digits, colons ignored.
pub(super) const THUMBPRINT: &str = "^:*(?:[0-9A-Fa-f]:*){64}$";
/// A DNS name of letters, digits, `_` and `-`, beside its greatest length; that its last label is no number, and how
/// long each may be, only the reader says.
pub(super) const DNS_NAME: &str =
    "^[0-9A-Za-z_](?:[0-9A-Za-z_-]*[0-9A-Za-z_])?(?:[.][0-9A-Za-z_](?:[0-9A-Za-z_-]*[0-9A-Za-z_])?)*$";
pub(super) const FLAG: &str = "^(?:true|false)$";

/// A text for a person, beside its greatest length: not only blanks.
pub(super) fn message() -> String {
    let (any, seen) =
        (format!("[^{CONTROLS_BUT_LINE_FEED}]"), format!("[^{CONTROLS_BUT_LINE_FEED}{BLANKS}]"));
    format!("^{any}*{seen}{any}*$")
}

/// IP address and port.
pub(super) fn address() -> String {
    let byte = numbers(0, 255);
    // Zeros before an octet could mean base 8 and are refused; those before a port mean nothing.
    let port = numbers(0, u16::MAX.into());
    format!(r"^(?:{byte}(?:\.{byte}){{3}}|\[[0-9A-Fa-f:.]+(?:%[0-9]+)?\]):0*{port}$")
}

/// Absolute http or https URL without user info and fragment, of characters that a URL can have (RFC 3986).
pub(super) fn url() -> String {
    let port = numbers(1, u16::MAX.into());
    let host = r"(?:\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z_.-]+)";
    let target = r"(?:[/?](?:%[0-9A-Fa-f]{2}|[!$&-;=?-\[\]_a-z~])*)?";
    format!("^[Hh][Tt][Tt][Pp][Ss]?://{host}(?::0*{port})?{target}$")
}

pub(super) fn duration(range: &RangeInclusive<Duration>) -> String {
    let millis = |duration: &Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    with_units(millis(range.start()), millis(range.end()), &DURATIONS)
}

pub(super) fn size(range: &RangeInclusive<usize>) -> String {
    with_units(*range.start() as u64, *range.end() as u64, &SIZES)
}

pub(super) fn rate(range: &RangeInclusive<u32>) -> String {
    let units = RATES.map(|(unit, _)| (unit, 1));
    with_units((*range.start()).into(), (*range.end()).into(), &units)
}

pub(super) fn count(range: &RangeInclusive<u32>) -> String {
    format!("^0*{}$", numbers((*range.start()).into(), (*range.end()).into()))
}

pub(super) fn percent(range: &RangeInclusive<u32>) -> String {
    with_units((*range.start()).into(), (*range.end()).into(), &[("%", 1)])
}

/// An integer and a unit that together lie in the range.
fn with_units(least: u64, most: u64, units: &[(&str, u64)]) -> String {
    let mut any = Vec::new();
    for (unit, factor) in units {
        let (least, most) = (least.div_ceil(*factor), most / factor);
        if least <= most {
            any.push(format!("{}{unit}", numbers(least, most)));
        }
    }
    format!("^0*{}$", either(&any))
}

/// The integers from `least` to `most` in base 10, without zeros before them.
fn numbers(least: u64, most: u64) -> String {
    let mut any: Vec<String> = Vec::new();
    // Numbers of digits for which all numbers are in the range.
    let mut whole: Option<(u32, u32)> = None;
    let digits = |number: u64| number.checked_ilog10().unwrap_or(0) + 1;
    for count in digits(least)..=digits(most) {
        let smallest = if count == 1 { 1 } else { 10_u64.pow(count - 1) };
        let largest = 10_u64.checked_pow(count).map_or(u64::MAX, |next| next - 1);
        if least <= smallest && largest <= most {
            whole = Some((whole.map_or(count, |(from, _)| from), count));
        } else {
            any.extend(of_one_length(&least.max(smallest).to_string(), &most.min(largest).to_string()));
        }
    }
    if let Some((from, to)) = whole {
        any.push(format!("[1-9]{}", repeated(from as usize - 1, to as usize - 1)));
    }
    if least == 0 {
        any.push("0".to_owned());
    }
    either(&any)
}

/// The integers between two that have the same number of digits.
fn of_one_length(least: &str, most: &str) -> Vec<String> {
    let (Some(low), Some(high)) = (least.chars().next(), most.chars().next()) else {
        return vec![String::new()];
    };
    let (least, most) = (&least[1..], &most[1..]);
    let (zeros, nines) = ("0".repeat(least.len()), "9".repeat(least.len()));
    let behind =
        |digit: char, least: &str, most: &str| format!("{digit}{}", either(&of_one_length(least, most)));
    if low == high {
        return vec![behind(low, least, most)];
    }
    let mut any = Vec::new();
    let mut first_digits = low..=high;
    if least != zeros {
        any.push(behind(low, least, &nines));
        first_digits.next();
    }
    if most != nines {
        any.push(behind(high, &zeros, most));
        first_digits.next_back();
    }
    let rest = repeated(least.len(), least.len());
    match (first_digits.clone().next(), first_digits.last()) {
        (Some(from), Some(to)) if from == to => any.push(format!("{from}{rest}")),
        (Some(from), Some(to)) => any.push(format!("[{from}-{to}]{rest}")),
        _ => {}
    }
    any
}

/// So many digits of any kind.
fn repeated(least: usize, most: usize) -> String {
    match (least, most) {
        (0, 0) => String::new(),
        (0, 1) => "[0-9]?".to_owned(),
        (1, 1) => "[0-9]".to_owned(),
        _ if least == most => format!("[0-9]{{{most}}}"),
        _ => format!("[0-9]{{{least},{most}}}"),
    }
}

fn either(any: &[String]) -> String {
    match any {
        [one] => one.clone(),
        _ => format!("(?:{})", any.join("|")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_those_of_the_range() {
        for (least, most) in [
            (0, 0),
            (0, 255),
            (1, 1),
            (1, 9),
            (1, 10),
            (1, 3600),
            (7, 12),
            (10, 60),
            (19, 301),
            (99, 1001),
            (540, 562),
        ] {
            let pattern = format!("^0*{}$", numbers(least, most));
            let validator = jsonschema::validator_for(&json!({ "pattern": pattern })).unwrap();
            for number in 0..=4000 {
                let taken = validator.is_valid(&json!(number.to_string()));
                assert_eq!(
                    taken,
                    (least..=most).contains(&number),
                    "{number} in {least}..={most}: {pattern}"
                );
            }
            assert!(validator.is_valid(&json!(format!("00{least}"))) && !validator.is_valid(&json!("")));
        }
    }

    #[test]
    fn what_is_just_within_a_bound_is_taken_and_what_is_just_beyond_is_not() {
        for most in [u64::from(u16::MAX), 1_000_000, 3_600_000, 16 * 1024 * 1024, u64::MAX - 1] {
            let validator =
                jsonschema::validator_for(&json!({ "pattern": format!("^{}$", numbers(1, most)) })).unwrap();
            for (number, taken) in [(0, false), (1, true), (most - 1, true), (most, true), (most + 1, false)]
            {
                assert_eq!(validator.is_valid(&json!(number.to_string())), taken, "{number} in 1..={most}");
            }
        }
    }
}

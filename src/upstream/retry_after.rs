//! `Retry-After` (RFC 9110 section 10.2.3).

use std::time::{Duration, SystemTime};

/// When an API asks to be called again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// After so long.
    Delay(Duration),
    /// At that time.
    At(SystemTime),
}

impl RetryAfter {
    /// The value of the field, if it is one: whole seconds or a date. More seconds than can be counted are the most that can.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?.trim_matches([' ', '\t']);
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Self::Delay(Duration::from_secs(text.parse().unwrap_or(u64::MAX))));
        }
        httpdate::parse_http_date(text).ok().map(Self::At)
    }

    /// How long that is from now.
    pub fn wait(self) -> Duration {
        match self {
            Self::Delay(delay) => delay,
            Self::At(time) => time.duration_since(SystemTime::now()).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_whole_seconds_or_a_date_and_else_nothing() {
        let delay = |seconds| Some(RetryAfter::Delay(Duration::from_secs(seconds)));
        for (value, expected) in [
            ("0", delay(0)),
            ("120", delay(120)),
            (" 7\t", delay(7)),
            ("99999999999999999999999", delay(u64::MAX)),
            ("", None),
            ("1.5", None),
            ("-1", None),
            ("+1", None),
            ("1 s", None),
            ("soon", None),
            ("Sun, 06 Nov", None),
        ] {
            assert_eq!(RetryAfter::parse(value.as_bytes()), expected, "{value:?}");
        }
        assert_eq!(RetryAfter::parse(b"\xff"), None);
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for date in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT"] {
            assert_eq!(RetryAfter::parse(date.as_bytes()), Some(RetryAfter::At(at)), "{date}");
        }
        assert_eq!(RetryAfter::At(at).wait(), Duration::ZERO, "a time that has passed is now");
        let wait = RetryAfter::At(SystemTime::now() + Duration::from_mins(1)).wait();
        assert!((Duration::from_secs(50)..=Duration::from_mins(1)).contains(&wait), "{wait:?}");
    }
}

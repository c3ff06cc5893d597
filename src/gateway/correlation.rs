//! What ties a hook to the lines and spans of others: the request id and the trace.

use std::{
    borrow::Cow,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::telemetry::hex_digits;

/// The header of the request id, in both directions.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const MAX_TRACESTATE: usize = 512;

/// The caller's request id if it is well-formed, else a new one.
pub(super) fn request_id(headers: &HeaderMap) -> Cow<'_, str> {
    let given = only(headers, &REQUEST_ID).and_then(|value| value.to_str().ok());
    match given.filter(|id| is_request_id(id)) {
        Some(id) => Cow::Borrowed(id),
        None => Cow::Owned(new_request_id()),
    }
}

/// `[A-Za-z0-9._-]{1,64}`
fn is_request_id(id: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=64).contains(&id.len()) && id.bytes().all(fits)
}

/// Unique across restarts and replicas by a random half, within a process by a counted half: an id is no secret, and
/// drawing randomness for each hook would cost more than the rest of its bookkeeping.
pub(super) fn new_request_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut id = String::with_capacity(32);
    id.push_str(&PROCESS);
    let counted = hex_digits(NEXT.fetch_add(1, Ordering::Relaxed));
    id.push_str(str::from_utf8(&counted).expect("digits are text"));
    id
}

/// The random half in hexadecimal.
static PROCESS: LazyLock<String> = LazyLock::new(|| {
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random).expect("the system has a source of randomness");
    format!("{:016x}", u64::from_ne_bytes(random))
});

/// Draws the random half now: the first use of the source takes tens of milliseconds, which no hook should pay.
pub(super) fn prepare() {
    LazyLock::force(&PROCESS);
}

/// The caller's position in a trace (W3C Trace Context), which is handed on unchanged.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Trace<'a> {
    pub(super) traceparent: Option<&'a str>,
    pub(super) tracestate: Option<Cow<'a, str>>,
}

impl<'a> Trace<'a> {
    /// What the headers say, as far as it is well-formed: a `tracestate` counts only beside a `traceparent`.
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let traceparent = only(headers, &HeaderName::from_static("traceparent"))
            .and_then(|value| value.to_str().ok())
            .filter(|text| is_traceparent(text));
        let tracestate = traceparent.and_then(|_| tracestate(headers));
        Self { traceparent, tracestate }
    }

    /// The trace id: 32 hexadecimal digits.
    pub(super) fn id(&self) -> Option<&'a str> {
        self.traceparent.map(|text| &text[3..35])
    }
}

/// `version-trace-parent-flags` in lower-case hexadecimal, neither id all zero (section 3.2). A later version may go on
/// behind its flags; version `ff` is invalid.
fn is_traceparent(text: &str) -> bool {
    let Some((fixed, rest)) = text.split_at_checked(55) else { return false };
    let mut fields = fixed.split('-');
    let mut field = |length: usize| {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        fields.next().filter(|field| field.len() == length && field.bytes().all(hex))
    };
    let (Some(version), Some(trace), Some(parent), Some(_)) = (field(2), field(32), field(16), field(2))
    else {
        return false;
    };
    let zero = |field: &str| field.bytes().all(|byte| byte == b'0');
    let ends = rest.is_empty() || (version != "00" && rest.starts_with('-') && rest.len() <= 64);
    version != "ff" && !zero(trace) && !zero(parent) && ends
}

/// The list members of all `tracestate` headers as one (section 3.3.1.1), if they are short visible ASCII.
fn tracestate(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    let mut values = headers.get_all("tracestate").iter().map(HeaderValue::to_str);
    let first = values.next()?.ok()?;
    let mut joined = Cow::Borrowed(first);
    for value in values {
        let joined = joined.to_mut();
        joined.push(',');
        joined.push_str(value.ok()?);
    }
    let visible = joined.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    (visible && !joined.is_empty() && joined.len() <= MAX_TRACESTATE).then_some(joined)
}

/// The value of a header that must not stand twice.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    fn headers_with_repeats(list: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in list {
            map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        map
    }

    #[test]
    fn a_well_formed_request_id_is_kept_and_any_other_replaced() {
        let longest = "x".repeat(64);
        for id in ["a", "5f0c.A_b-9", &longest] {
            assert_eq!(request_id(&headers(&[("x-request-id", id)])), id);
        }
        let too_long = "x".repeat(65);
        for id in ["", "a b", "a\"b", "jane@fabrikam.com", &too_long] {
            let made = request_id(&headers(&[("x-request-id", id)])).into_owned();
            assert!(made != id && is_request_id(&made), "{id}: {made}");
        }
        let twice = headers_with_repeats(&[("x-request-id", "a"), ("x-request-id", "a")]);
        assert_ne!(request_id(&twice), "a");
        assert_ne!(request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
    }

    #[test]
    fn an_id_of_our_own_is_both_halves_in_hexadecimal_digits() {
        let [one, other] = [new_request_id(), new_request_id()];
        assert_eq!((one.len(), &one[..16]), (32, PROCESS.as_str()));
        assert_eq!(one[..16], other[..16]);
        assert!(one.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)), "{one}");
    }

    #[test]
    fn a_traceparent_is_handed_on_only_if_it_is_one() {
        let later = format!("{}-more", PARENT.replacen("00-", "01-", 1));
        for good in [PARENT, &later] {
            let headers = headers(&[("traceparent", good)]);
            let trace = Trace::of(&headers);
            assert_eq!(trace.traceparent, Some(good));
            assert_eq!(trace.id(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        }
        let bad = [
            String::new(),
            PARENT[1..].to_owned(),
            format!("{PARENT}-more"),
            PARENT.to_uppercase(),
            PARENT.replacen("00-", "ff-", 1),
            PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            PARENT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            PARENT.replace('-', "_"),
        ];
        for bad in &bad {
            assert_eq!(
                Trace::of(&headers(&[("traceparent", bad), ("tracestate", "a=1")])),
                Trace::default(),
                "{bad}"
            );
        }
        let twice = headers_with_repeats(&[("traceparent", PARENT), ("traceparent", PARENT)]);
        assert_eq!(Trace::of(&twice), Trace::default());
    }

    #[test]
    fn tracestates_are_joined_and_bounded() {
        let two =
            headers_with_repeats(&[("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")]);
        assert_eq!(Trace::of(&two).tracestate.as_deref(), Some("a=1,b=2"));
        for bad in [String::new(), "x".repeat(513)] {
            assert_eq!(
                Trace::of(&headers(&[("traceparent", PARENT), ("tracestate", &bad)])).tracestate,
                None
            );
        }
    }
}

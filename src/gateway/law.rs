//! The laws of what a caller sends, for any bytes.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::correlation::{REQUEST_ID, Trace, request_id};
use crate::dialect::api_connector;

/// Lines of a head, an empty line, and the body of a hook.
pub fn hook(data: &[u8]) {
    let end = data.windows(2).position(|two| two == b"\n\n");
    let (head, body) = end.map_or((data, &[][..]), |end| (&data[..end], &data[end + 2..]));
    correlated(&headers(head));
    api_connector::law::hook(body);
}

fn headers(head: &[u8]) -> HeaderMap {
    let field = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        Some((name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?))
    };
    let mut headers = HeaderMap::new();
    for (name, value) in head.split(|byte| *byte == b'\n').filter_map(field) {
        headers.append(name, value);
    }
    headers
}

/// What is handed on to the API and into the log is well-formed, came from the caller as it is, and is the only one of
/// its kind; whatever else came, the hook has an id.
fn correlated(headers: &HeaderMap) {
    let given =
        |name: &HeaderName| headers.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
    let id = request_id(headers);
    assert!(is_id(id.as_bytes()));
    match &given(&REQUEST_ID)[..] {
        [one] if is_id(one) => assert_eq!(id.as_bytes(), *one),
        came => assert!(id.len() == 32 && !came.contains(&id.as_bytes())),
    }
    let trace = Trace::of(headers);
    let parents = given(&HeaderName::from_static("traceparent"));
    if let Some(parent) = trace.traceparent {
        assert_eq!(parents, [parent.as_bytes()]);
        assert!(is_traceparent(parent), "{parent}");
        assert_eq!(trace.id(), parent.split('-').nth(1));
    } else {
        assert!(trace.tracestate.is_none() && trace.id().is_none());
        let alone = parents.first().filter(|_| parents.len() == 1);
        let text = alone.and_then(|parent| std::str::from_utf8(parent).ok());
        assert!(!text.is_some_and(is_traceparent), "{text:?}");
    }
    if let Some(state) = &trace.tracestate {
        let states = given(&HeaderName::from_static("tracestate"));
        assert_eq!(states.join(&b','), state.as_bytes());
        assert!((1..=512).contains(&state.len()) && state.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    }
}

fn is_id(id: &[u8]) -> bool {
    (1..=64).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
}

/// `version "-" trace-id "-" parent-id "-" flags` (W3C Trace Context section 3.2); a later version may go on.
fn is_traceparent(text: &str) -> bool {
    let fields: Vec<&str> = text.splitn(5, '-').collect();
    let hex = |field: &str, length: usize| {
        field.len() == length && field.bytes().all(|byte| b"0123456789abcdef".contains(&byte))
    };
    let (known, later) = fields.split_at(fields.len().min(4));
    let &[version, trace, parent, flags] = known else { return false };
    let well_formed = hex(version, 2) && hex(trace, 32) && hex(parent, 16) && hex(flags, 2);
    let ids = [trace, parent].iter().all(|id| id.bytes().any(|byte| byte != b'0'));
    let ends = later.is_empty() || (version != "00" && later[0].len() < 64);
    well_formed && ids && version != "ff" && ends && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

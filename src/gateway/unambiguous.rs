//! What the head of a request must say before anything is made of it: one Host, and one way to find the body's end.
//!
//! The HTTP layer takes more than that. What it takes beyond may mean one thing here and another to the proxy before
//! the hook port, and that is how one request is smuggled inside another.

use http::{HeaderMap, HeaderValue, Version, header, request::Parts, uri::Authority};

use crate::flow::{Reason, RequestRule};

/// Whether the head says one thing to everybody.
pub(super) fn check_unambiguous(head: &Parts) -> Result<(), Reason> {
    if !has_one_host(&head.headers, head.version) {
        return Err(Reason::BadRequest(RequestRule::Host));
    }
    if !is_coded_at_most_once(&head.headers) {
        return Err(Reason::BadRequest(RequestRule::Framing));
    }
    Ok(())
}

/// Exactly one, which HTTP/1.0 alone may leave out, and a valid one: all else a server MUST answer with 400 (RFC 9112
/// section 3.2).
fn has_one_host(headers: &HeaderMap, version: Version) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => is_host(host),
        (None, _) => version < Version::HTTP_11,
        (Some(_), Some(_)) => false,
    }
}

/// `uri-host [ ":" port ]`, or nothing for a target without authority (RFC 9110 section 7.2).
fn is_host(value: &HeaderValue) -> bool {
    let Ok(text) = value.to_str() else { return false };
    // Nearly everybody is called by a plain name, which need not be taken apart.
    let (name, port) = text.split_once(':').unwrap_or((text, ""));
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    if !name.is_empty() && name.bytes().all(is_plain) && port.bytes().all(|digit| digit.is_ascii_digit()) {
        return true;
    }
    let Ok(authority) = text.parse::<Authority>() else { return text.is_empty() };
    let port = text.strip_prefix(authority.host()).map(|rest| rest.strip_prefix(':').unwrap_or(rest));
    // What is left before the host would be user info.
    port.is_some_and(|port| port.bytes().all(|digit| digit.is_ascii_digit()))
}

/// No coding but `chunked`, and that once (RFC 9112 sections 6.1 and 7). The HTTP layer looks at the last one only.
fn is_coded_at_most_once(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let chunked = codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    chunked && codings.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for good in
            ["", "h", "h:", "h:80", "hooks.example.com:443", "my_host", "10.0.0.1:8080", "[::1]", "[::1]:80"]
        {
            assert!(is_host(&HeaderValue::from_static(good)), "{good:?}");
        }
        for bad in [
            "h/x", "u@h", "u:p@h:80", "h i", "h, i", "h:http", "h:-1", "h:1:2", "[::1", "::1", ":80:", "h?x",
            "h#x", "http://h", "h\\x",
        ] {
            assert!(!is_host(&HeaderValue::from_static(bad)), "{bad:?}");
        }
    }
}

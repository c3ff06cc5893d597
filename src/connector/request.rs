//! The request to an API: a closed set of headers and the selected claims, in one buffer.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use zeroize::Zeroizing;

use super::IdempotencyKey;
use crate::{
    config::{self, Secret},
    flow::Claims,
    telemetry::hex_digits,
};

/// Everything but the unreserved characters (RFC 3986 section 2.3), so that a key with `+`, `/` or `=` arrives whole.
const CODE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What ties a call to the hook it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Correlation<'a> {
    /// `[A-Za-z0-9._-]{1,64}`
    pub request_id: &'a str,
    /// A `traceparent` that was checked (W3C Trace Context section 3.2).
    pub traceparent: Option<&'a str>,
    /// A `tracestate` of visible ASCII (W3C Trace Context section 3.3).
    pub tracestate: Option<&'a str>,
    /// The same for every call that this hook leads to.
    pub idempotency_key: IdempotencyKey,
}

/// The part of the head that is the same for every call of a connector, credentials included.
pub(super) struct RequestHead(Zeroizing<Vec<u8>>);

/// What is in a head and must not be seen by people.
struct Secrets {
    query: Option<Zeroizing<String>>,
    code: Option<Zeroizing<String>>,
    authorization: Option<Zeroizing<String>>,
}

impl Secrets {
    fn of(connector: &config::Connector) -> Self {
        let code = |code: &Secret| Zeroizing::new(percent_encode(code.expose(), CODE).to_string());
        let authorization = |basic: &config::Basic| {
            let mut pair = Zeroizing::new(basic.username.clone().into_bytes());
            pair.push(b':');
            pair.extend_from_slice(basic.password.expose());
            let encoded = Zeroizing::new(STANDARD.encode(&*pair));
            Zeroizing::new(["Basic ", &encoded].concat())
        };
        Self {
            query: connector.endpoint.query.clone().map(Zeroizing::new),
            code: connector.code.as_ref().map(code),
            authorization: connector.basic.as_ref().map(authorization),
        }
    }

    /// Each as a whole, so that not even its length or its first letters show.
    fn masked(connector: &config::Connector) -> Self {
        let mask = || Zeroizing::new(Secret::MASK.to_owned());
        Self {
            query: connector.endpoint.query.as_ref().map(|_| mask()),
            code: connector.code.as_ref().map(|_| mask()),
            authorization: connector.basic.as_ref().map(|_| mask()),
        }
    }
}

impl RequestHead {
    pub(super) fn new(connector: &config::Connector) -> Self {
        Self::with(connector, &Secrets::of(connector))
    }

    /// For people: the same head with [`Secret::MASK`] in place of each secret.
    pub(super) fn masked(connector: &config::Connector) -> Self {
        Self::with(connector, &Secrets::masked(connector))
    }

    fn with(connector: &config::Connector, secrets: &Secrets) -> Self {
        let mut head = Zeroizing::new(Vec::with_capacity(512));
        let endpoint = &connector.endpoint;
        push(&mut head, &["POST ", &endpoint.path]);
        let mut separator = "?";
        if let Some(query) = &secrets.query {
            push(&mut head, &[separator, query]);
            separator = "&";
        }
        if let Some(code) = &secrets.code {
            push(&mut head, &[separator, "code=", code]);
        }
        push(&mut head, &[" HTTP/1.1\r\nHost: ", &endpoint.authority, "\r\n"]);
        if let Some(authorization) = &secrets.authorization {
            push(&mut head, &["Authorization: ", authorization, "\r\n"]);
        }
        push(
            &mut head,
            &[
                "Content-Type: application/json\r\nAccept: application/json\r\nUser-Agent: claimgate/",
                env!("CARGO_PKG_VERSION"),
                "\r\n",
            ],
        );
        Self(head)
    }

    /// The whole request for these claims.
    pub(super) fn request(&self, claims: &Claims, correlation: Correlation<'_>) -> Vec<u8> {
        const ROOM_FOR_THE_REST: usize = 640;
        let body = claims.members();
        let mut request = Vec::with_capacity(self.0.len() + ROOM_FOR_THE_REST + body.len());
        request.extend_from_slice(&self.0);
        push(&mut request, &["X-Request-ID: ", correlation.request_id, "\r\nIdempotency-Key: \""]);
        let key = correlation.idempotency_key.to_bytes();
        let (halves, _) = key.as_chunks();
        for half in halves {
            request.extend_from_slice(&hex_digits(u64::from_be_bytes(*half)));
        }
        request.extend_from_slice(b"\"\r\n");
        if let Some(traceparent) = correlation.traceparent {
            push(&mut request, &["traceparent: ", traceparent, "\r\n"]);
            if let Some(tracestate) = correlation.tracestate {
                push(&mut request, &["tracestate: ", tracestate, "\r\n"]);
            }
        }
        push(&mut request, &["Content-Length: ", &(body.len() + 2).to_string(), "\r\n\r\n{"]);
        request.extend_from_slice(body);
        request.push(b'}');
        request
    }
}

impl std::fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RequestHead")
    }
}

fn push(out: &mut Vec<u8>, pieces: &[&str]) {
    for piece in pieces {
        out.extend_from_slice(piece.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Basic, connector::normalize::tests::connector};

    const PLAIN: Correlation<'_> = Correlation {
        request_id: "r-1",
        traceparent: None,
        tracestate: None,
        idempotency_key: IdempotencyKey::from_bytes(
            0x0123_4567_89ab_cdef_0000_0000_0000_0abc_u128.to_be_bytes(),
        ),
    };

    fn request(connector: &config::Connector, correlation: Correlation<'_>) -> String {
        let mut claims = Claims::default();
        claims.push("email", "\"jane@fabrikam.com\"");
        String::from_utf8(RequestHead::new(connector).request(&claims, correlation)).unwrap()
    }

    #[test]
    fn the_request_has_the_closed_set_of_headers_and_its_exact_length() {
        let expected = format!(
            "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json\r\n\
             User-Agent: claimgate/{}\r\nX-Request-ID: r-1\r\n\
             Idempotency-Key: \"0123456789abcdef0000000000000abc\"\r\nContent-Length: 29\r\n\r\n{{\"email\":\"jane@fabrikam.com\"}}",
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(request(&connector(), PLAIN), expected);
        let empty = RequestHead::new(&connector()).request(&Claims::default(), PLAIN);
        assert!(empty.ends_with(b"Content-Length: 2\r\n\r\n{}"));
    }

    #[test]
    fn credentials_go_where_the_connector_says_and_a_code_is_percent_encoded() {
        let basic = Basic { username: "claimgate".to_owned(), password: Secret::new(b"p:w".to_vec()) };
        let rows = [
            (None, None, "POST / HTTP/1.1\r\n"),
            (None, Some("a+b/c=="), "POST /?code=a%2Bb%2Fc%3D%3D HTTP/1.1\r\n"),
            (Some("v=1"), Some("x y\r\n&"), "POST /?v=1&code=x%20y%0D%0A%26 HTTP/1.1\r\n"),
            (Some("v=1"), None, "POST /?v=1 HTTP/1.1\r\n"),
        ];
        for (query, code, line) in rows {
            let mut connector = connector();
            connector.endpoint.query = query.map(str::to_owned);
            connector.code = code.map(|code| Secret::new(code.as_bytes().to_vec()));
            let text = request(&connector, PLAIN);
            assert!(text.starts_with(line), "{text}");
            assert!(!text.contains("Authorization"));
            connector.basic = Some(basic.clone());
            let text = request(&connector, PLAIN);
            assert!(text.starts_with(line));
            assert!(text.contains("\r\nAuthorization: Basic Y2xhaW1nYXRlOnA6dw==\r\n"), "{text}");
        }
    }

    #[test]
    fn a_masked_request_is_the_same_with_each_secret_masked_whole() {
        let mut connector = connector();
        let plain = request(&connector, PLAIN);
        let masked = |connector: &config::Connector| {
            let request = RequestHead::masked(connector).request(&Claims::default(), PLAIN);
            String::from_utf8(request).unwrap()
        };
        let (head, _) = plain.split_once("Content-Length").unwrap();
        assert!(masked(&connector).starts_with(head), "without a secret nothing is masked");
        connector.endpoint.query = Some("marked=1".to_owned());
        connector.code = Some(Secret::new(b"marked".to_vec()));
        connector.basic =
            Some(Basic { username: "marked".to_owned(), password: Secret::new(b"marked".to_vec()) });
        let text = masked(&connector);
        assert!(text.starts_with("POST /?***&code=*** HTTP/1.1\r\n"), "{text}");
        assert!(text.contains("\r\nAuthorization: ***\r\n") && !text.contains("mark"), "{text}");
    }

    #[test]
    fn a_tracestate_goes_only_with_its_traceparent() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let both = Correlation { traceparent: Some(parent), tracestate: Some("a=1"), ..PLAIN };
        assert!(
            request(&connector(), both)
                .contains(&format!("\r\ntraceparent: {parent}\r\ntracestate: a=1\r\n"))
        );
        let orphan = Correlation { tracestate: Some("a=1"), ..PLAIN };
        assert!(!request(&connector(), orphan).contains("tracestate"));
    }
}

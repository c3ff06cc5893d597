//! The body of a hook: its type, its bytes within their limits, and what becomes of bytes nobody wants.

use std::{error::Error as _, io, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header, request::Parts};
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout, timeout_at};

use crate::flow::{Reason, RequestRule};

/// How much of an unwanted body is read, and for how long, so that the client sees the answer and not a reset: closing
/// a connection with unread bytes resets it, and a reset may overtake the answer (RFC 9112 section 9.6).
const LINGER_BYTES: usize = 4 * 1024 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(1);

/// Whether the body says it is unencoded JSON, in the only charset JSON has (RFC 8259 section 8.1).
pub(super) fn check_type(head: &Parts) -> Result<(), Reason> {
    let unencoded = header_values(&head.headers, &header::CONTENT_ENCODING)
        .all(|value| value.is_some_and(|value| value.eq_ignore_ascii_case("identity")));
    let mut types = header_values(&head.headers, &header::CONTENT_TYPE);
    let json = types.next().flatten().is_some_and(is_json) && types.next().is_none();
    if unencoded && json { Ok(()) } else { Err(Reason::UnsupportedMediaType) }
}

fn header_values<'a>(
    headers: &'a HeaderMap,
    name: &header::HeaderName,
) -> impl Iterator<Item = Option<&'a str>> {
    headers.get_all(name).iter().map(|value| value.to_str().ok().map(str::trim))
}

/// `application/json` with at most a charset of UTF-8.
fn is_json(value: &str) -> bool {
    // Nearly everybody writes one of these, which need not be taken apart.
    if matches!(value, "application/json" | "application/json; charset=utf-8") {
        return true;
    }
    let mut parts = value.split(';').map(str::trim);
    let json = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    json && parts.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.trim_end().eq_ignore_ascii_case("charset") => {
            let charset = value.trim().trim_matches('"');
            charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
        }
        _ => true,
    })
}

/// The whole body, at most `max` bytes, by `until`.
pub(super) async fn read_body<B>(body: &mut B, max: usize, until: Instant) -> Result<Bytes, Reason>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    // A length that is stated is refused before the first byte of it is read.
    if body.size_hint().lower() > max as u64 {
        return Err(Reason::ContentTooLarge);
    }
    timeout_at(until, collect(body, max)).await.unwrap_or(Err(Reason::RequestTimeout))
}

async fn collect<B>(body: &mut B, max: usize) -> Result<Bytes, Reason>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    // An ordinary hook is one frame, which is taken as it is; only a torn one is put together.
    let mut whole = Bytes::new();
    let mut torn = BytesMut::new();
    // Where the head says how long it is, its end need not be asked for.
    while !body.is_end_stream()
        && let Some(frame) = body.frame().await
    {
        let Ok(data) = frame.map_err(reason_of)?.into_data() else { continue };
        if whole.len() + torn.len() + data.len() > max {
            return Err(Reason::ContentTooLarge);
        }
        if whole.is_empty() && torn.is_empty() {
            whole = data;
            continue;
        }
        torn.extend_from_slice(&std::mem::take(&mut whole));
        torn.extend_from_slice(&data);
    }
    Ok(if torn.is_empty() { whole } else { torn.freeze() })
}

#[expect(clippy::needless_pass_by_value, reason = "it is the end of the error")]
fn reason_of(error: hyper::Error) -> Reason {
    // The server does not name the end of the stream inside a body; the kind of its cause does.
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    let hung_up = error.is_incomplete_message() || error.is_closed() || error.is_canceled();
    let ended = matches!(
        cause,
        Some(
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
        )
    );
    if hung_up || ended { Reason::ClientGone } else { Reason::BadRequest(RequestRule::Framing) }
}

/// Reads and drops what is left of a body, within bounds, after the answer.
pub(super) fn linger<B>(head: &Parts, mut body: B)
where
    B: Body<Data = Bytes, Error = hyper::Error> + Send + Unpin + 'static,
{
    // A client that waits for "100 Continue" sends nothing after another answer.
    if body.is_end_stream() || head.headers.contains_key(header::EXPECT) {
        return;
    }
    tokio::spawn(timeout(LINGER_TIME, async move {
        let mut left = LINGER_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            let Some(rest) = left.checked_sub(length) else { return };
            left = rest;
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_known_however_its_type_is_written() {
        let rows = [
            ("application/json", true),
            ("application/json; charset=utf-8", true),
            ("application/json;charset=utf-8", true),
            ("Application/JSON ; Charset = \"UTF-8\"", true),
            ("application/json; odata=verbose; charset=utf8", true),
            ("application/json; charset=utf-16", false),
            ("application/json; charset=utf-8; charset=latin1", false),
            ("application/jsonl", false),
            ("application/problem+json", false),
            ("text/json", false),
            ("", false),
        ];
        for (value, expected) in rows {
            assert_eq!(is_json(value), expected, "{value}");
        }
    }
}

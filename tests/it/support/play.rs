//! What a scripted API does in one exchange.

use std::time::Duration;

/// How long the API waits before it sends bytes that nobody asked for.
pub(crate) const STRAY_DELAY: Duration = Duration::from_millis(50);

/// One thing to do.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Reads the whole request of this exchange, head and body, and records it. Does nothing if that was done before.
    ReadRequest,
    /// Reads the head of the request and records it without a body; a later `ReadRequest` adds the body.
    ReadHeadOnly,
    /// Sends these bytes at once.
    Send(Vec<u8>),
    /// Sends each byte by itself, with a pause after each.
    SendByteByByte(Vec<u8>, Duration),
    /// Waits, reading nothing.
    Pause(Duration),
    /// Waits until the connection has been idle for [`STRAY_DELAY`], then sends these bytes. It stays open.
    StrayAfter(Vec<u8>),
    /// Sends FIN and goes on to read.
    HalfClose,
    /// Closes. The kernel turns this into a reset if bytes of the peer have not been read.
    Close,
    /// Closes with RST.
    Reset,
    /// Keeps the connection open and discards what comes, until the peer closes it.
    Forever,
}

/// What happens in one exchange. After the last act the connection waits for the next request.
#[derive(Clone, Debug)]
pub(crate) struct Play(Vec<Act>);

impl Play {
    /// These acts, in this order.
    pub(crate) fn new(acts: impl Into<Vec<Act>>) -> Self {
        Self(acts.into())
    }

    /// Reads the request and sends these bytes.
    pub(crate) fn answer(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new([Act::ReadRequest, Act::Send(bytes.into())])
    }

    /// Reads the request and answers with this JSON body.
    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::answer(answer(status, body))
    }

    /// `Continue` without claims.
    pub(crate) fn continue_() -> Self {
        Self::json(200, r#"{"version":"1.0.0","action":"Continue"}"#)
    }

    /// `ShowBlockPage` with this message.
    pub(crate) fn block(message: &str) -> Self {
        let body = serde_json::json!({"version": "1.0.0", "action": "ShowBlockPage", "userMessage": message});
        Self::json(200, &body.to_string())
    }

    /// `ValidationError` with this message.
    pub(crate) fn validation(message: &str) -> Self {
        let body = serde_json::json!({
            "version": "1.0.0", "status": 400, "action": "ValidationError", "userMessage": message,
        });
        Self::json(400, &body.to_string())
    }

    /// Answers in chunks of these sizes; what is left over goes into one more chunk.
    pub(crate) fn chunked(status: u16, body: &str, chunk_sizes: &[usize]) -> Self {
        let mut bytes = head(status, "Transfer-Encoding: chunked\r\n");
        let mut rest = body.as_bytes();
        for size in chunk_sizes.iter().copied().chain([usize::MAX]) {
            let (chunk, after) = rest.split_at(size.min(rest.len()));
            rest = after;
            // An empty chunk would end the body.
            if !chunk.is_empty() {
                bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        Self::answer(bytes)
    }

    /// Answers when the head has been read, and reads the body only afterwards.
    pub(crate) fn early(answer: impl Into<Vec<u8>>) -> Self {
        Self::new([Act::ReadHeadOnly, Act::Send(answer.into()), Act::ReadRequest])
    }

    /// Answers a new connection before any byte of a request, and reads the request afterwards.
    pub(crate) fn unasked(answer: impl Into<Vec<u8>>) -> Self {
        Self::new([Act::Send(answer.into()), Act::ReadRequest])
    }

    /// Sends the same answer twice in one piece.
    pub(crate) fn twice(answer: impl Into<Vec<u8>>) -> Self {
        let once = answer.into();
        Self::answer([once.as_slice(), once.as_slice()].concat())
    }

    /// Answers with a Content-Length that is not the body's. The connection stays open.
    pub(crate) fn wrong_length(status: u16, body: &str, claimed: usize) -> Self {
        let mut bytes = head(status, &format!("Content-Length: {claimed}\r\n"));
        bytes.extend_from_slice(body.as_bytes());
        Self::answer(bytes)
    }

    /// Sends the first half of the answer and closes.
    pub(crate) fn half(answer: impl Into<Vec<u8>>) -> Self {
        let mut bytes = answer.into();
        bytes.truncate(bytes.len() / 2);
        Self::answer(bytes).then(Act::Close)
    }

    /// Sends bytes that are no HTTP and closes.
    pub(crate) fn garbage(bytes: impl Into<Vec<u8>>) -> Self {
        Self::answer(bytes).then(Act::Close)
    }

    /// Reads the request and never answers.
    pub(crate) fn silence() -> Self {
        Self::new([Act::ReadRequest, Act::Forever])
    }

    /// The same, with a pause before the first byte of the answer.
    pub(crate) fn after(mut self, delay: Duration) -> Self {
        let sends = |act: &Act| matches!(act, Act::Send(_) | Act::SendByteByByte(..));
        let at = self.0.iter().position(sends).unwrap_or(self.0.len());
        self.0.insert(at, Act::Pause(delay));
        self
    }

    /// The same, and then this.
    pub(crate) fn then(mut self, act: Act) -> Self {
        self.0.push(act);
        self
    }

    /// The acts in their order.
    pub(crate) fn acts(&self) -> &[Act] {
        &self.0
    }

    /// Whether it does something to a new connection before a request arrives.
    pub(crate) fn acts_at_accept(&self) -> bool {
        !matches!(self.0.first(), None | Some(Act::ReadRequest | Act::ReadHeadOnly))
    }
}

/// A whole answer: JSON with Content-Length.
pub(crate) fn answer(status: u16, body: &str) -> Vec<u8> {
    let mut bytes = head(status, &format!("Content-Length: {}\r\n", body.len()));
    bytes.extend_from_slice(body.as_bytes());
    bytes
}

fn head(status: u16, framing: &str) -> Vec<u8> {
    let reason = http::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason());
    let reason = reason.unwrap_or("Unnamed");
    format!("HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\n{framing}\r\n").into_bytes()
}

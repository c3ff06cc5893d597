//! A small blocking HTTP/1.1 client that trusts nothing.
//!
//! Every response is parsed strictly and its headers are checked against a closed list, so any test fails on a header
//! that the gateway should not send. Every wait ends after [`LIMIT`].

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use tokio::time::Instant;

use super::wire::{self, Head};

/// Longest wait for one answer.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
/// How long `raw` waits for surplus bytes after a whole answer on a connection that stays open.
const QUIET: Duration = Duration::from_millis(200);
/// The headers that may be in a response, each at most once.
const ALLOWED: [&str; 9] = [
    "content-type",
    "content-length",
    "date",
    "connection",
    "www-authenticate",
    "retry-after",
    "allow",
    "x-request-id",
    "cache-control",
];
/// The one of them that belongs to the admin port alone.
const ADMIN_ONLY: &str = "cache-control";
const VERSION: &[u8] = b"HTTP/1.1 ";
const HOOK_TYPES: [&str; 2] = ["application/json", "application/problem+json"];
const ADMIN_TYPES: [&str; 3] = ["application/json", "application/problem+json", "text/plain"];

/// Where to send to, and which content types may come back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    types: &'static [&'static str],
}

impl Client {
    /// For the hook port: JSON alone comes back.
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, types: &HOOK_TYPES }
    }

    /// For the admin port: text may come back.
    pub(crate) fn admin(address: SocketAddr) -> Self {
        Self { address, types: &ADMIN_TYPES }
    }

    /// A hook: `POST /flows/FLOW/STEP` with a JSON body.
    pub(crate) fn post_hook(self, flow: &str, step: &str, body: &str) -> Request {
        let request = self.request("POST", &format!("/flows/{flow}/{step}"));
        request.header("Content-Type", "application/json").body(body)
    }

    /// A `GET` without a body.
    pub(crate) fn get(self, target: &str) -> Request {
        self.request("GET", target)
    }

    /// Any request.
    pub(crate) fn request(self, method: &str, target: &str) -> Request {
        let (method, target) = (method.to_owned(), target.to_owned());
        Request { client: self, method, target, headers: Vec::new(), body: None }
    }

    /// Opens a connection that is kept over several requests.
    pub(crate) fn connect(self) -> Connection {
        let stream =
            TcpStream::connect_timeout(&self.address, LIMIT).expect("the server accepts connections");
        stream.set_nodelay(true).expect("TCP_NODELAY can be set");
        stream.set_write_timeout(Some(LIMIT)).expect("a write time-out can be set");
        Connection { client: self, stream, buffer: Vec::new(), closing: false }
    }

    /// Sends these bytes on a new connection and returns all bytes that come back.
    ///
    /// Ends with the server's close, or a little after a whole answer. What came back is checked like any response.
    pub(crate) fn raw(self, bytes: &[u8]) -> Vec<u8> {
        let mut connection = self.connect();
        connection.write(bytes);
        let end = Instant::now() + LIMIT;
        let mut quiet_since = Instant::now();
        loop {
            // Headers are checked as soon as they are whole, however the connection ends.
            let whole = self.is_whole(&connection.buffer);
            let until = if whole { end.min(quiet_since + QUIET) } else { end };
            match connection.fill(until) {
                Fill::Bytes => quiet_since = Instant::now(),
                Fill::Closed => return connection.buffer,
                Fill::TimedOut if whole => return connection.buffer,
                Fill::TimedOut => panic!("neither a whole answer nor a close within {LIMIT:?}"),
            }
        }
    }

    /// Whether the bytes are one or more whole responses; checks each of them.
    fn is_whole(self, mut bytes: &[u8]) -> bool {
        let mut any_final = false;
        while !bytes.is_empty() {
            let Some((response, length)) = self.parse(bytes, "GET") else { return false };
            any_final |= response.status >= 200;
            bytes = &bytes[length..];
        }
        any_final
    }

    /// The first response in `bytes` and its length, once it is whole. Panics on anything that is not allowed.
    fn parse(self, bytes: &[u8], method: &str) -> Option<(Response, usize)> {
        assert!(
            VERSION.starts_with(&bytes[..bytes.len().min(VERSION.len())]),
            "the answer is no HTTP: {bytes:?}"
        );
        let head_length = wire::head_length(bytes)?;
        let head = Head::parse(&bytes[..head_length]).expect("a response has a strict head");
        let status = status(&head.start_line);
        self.check_headers(status, &head);
        let claimed = head.content_length().expect("the length of a response is unambiguous");
        let bodiless = status < 200 || matches!(status, 204 | 304);
        let length = match claimed {
            Some(_) if method == "HEAD" => 0,
            Some(length) => length,
            None if bodiless => 0,
            None => panic!("a response of {status} without Content-Length"),
        };
        let body = bytes.get(head_length..head_length + length)?.to_vec();
        assert!(body.is_empty() || head.one("content-type") != Ok(None), "a body without Content-Type");
        Some((Response { status, headers: head.headers, body }, head_length + length))
    }

    fn check_headers(self, status: u16, head: &Head) {
        for (name, _) in &head.headers {
            let lower = name.to_ascii_lowercase();
            let here = lower != ADMIN_ONLY || self.types == ADMIN_TYPES;
            assert!(
                here && ALLOWED.contains(&lower.as_str()),
                "a response of {status} has the header {name:?}"
            );
            head.one(name).expect("each header of a response stands there once");
        }
        if let Ok(Some(value)) = head.one("content-type") {
            let essence = value.split(';').next().unwrap_or_default().trim();
            assert!(self.types.contains(&essence), "a response of {status} has the content type {value:?}");
        }
    }
}

/// A request that is being put together. It is sent with Host and, if it has a body, Content-Length.
#[derive(Clone, Debug)]
#[must_use = "a request is sent by send or send_on"]
pub(crate) struct Request {
    client: Client,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    /// `Authorization: Basic …` (RFC 7617).
    pub(crate) fn basic(self, username: &str, password: &str) -> Self {
        let value = BASE64_STANDARD.encode(format!("{username}:{password}"));
        self.header("Authorization", &format!("Basic {value}"))
    }

    /// Appends `code=…` to the query, percent-encoded.
    pub(crate) fn code(mut self, code: &str) -> Self {
        self.target += if self.target.contains('?') { "&code=" } else { "?code=" };
        self.target.extend(percent_encoding::utf8_percent_encode(code, percent_encoding::NON_ALPHANUMERIC));
        self
    }

    /// One more header line; names may stand twice.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Removes every line of a header that was set before.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self
    }

    /// The body.
    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = Some(body.as_ref().to_vec());
        self
    }

    /// The bytes as they are sent.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let lines = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        let length = self.body.iter().map(|body| format!("Content-Length: {}\r\n", body.len()));
        let fields: String = lines.chain(length).collect();
        let Self { client: Client { address, .. }, method, target, .. } = self;
        let mut bytes = format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\n{fields}\r\n").into_bytes();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }

    /// Sends it on a connection of its own.
    pub(crate) fn send(self) -> Response {
        let mut connection = self.client.connect();
        self.send_on(&mut connection)
    }

    /// Sends it on a connection that is kept.
    pub(crate) fn send_on(self, connection: &mut Connection) -> Response {
        assert!(!connection.closing, "the last response on this connection announced its end");
        connection.write(&self.to_bytes());
        connection.response(&self.method)
    }
}

/// A connection that is kept over several requests.
#[derive(Debug)]
pub(crate) struct Connection {
    client: Client,
    stream: TcpStream,
    buffer: Vec<u8>,
    closing: bool,
}

enum Fill {
    Bytes,
    Closed,
    TimedOut,
}

impl Connection {
    /// Sends bytes and reads nothing. A server that has already closed is no error: its answer may be waiting.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let gone = |kind| matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset);
        if let Err(error) = self.stream.write_all(bytes) {
            assert!(gone(error.kind()), "sending failed: {error}");
        }
    }

    /// Reads the one response to a request with this method.
    pub(crate) fn response(&mut self, method: &str) -> Response {
        let end = Instant::now() + LIMIT;
        loop {
            if let Some((response, length)) = self.client.parse(&self.buffer, method) {
                self.buffer.drain(..length);
                assert!(response.status >= 200, "an interim response that was not asked for");
                assert!(self.buffer.is_empty(), "bytes after the response");
                self.closing =
                    response.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
                return response;
            }
            match self.fill(end) {
                Fill::Bytes => {}
                Fill::Closed => panic!("closed after {} bytes of a response", self.buffer.len()),
                Fill::TimedOut => panic!("no whole response within {LIMIT:?}"),
            }
        }
    }

    /// Whether the server closes the connection within `limit`, without another byte.
    pub(crate) fn is_closed_within(&mut self, limit: Duration) -> bool {
        match self.fill(Instant::now() + limit) {
            Fill::Closed => true,
            Fill::TimedOut => false,
            Fill::Bytes => panic!("bytes that belong to no request"),
        }
    }

    /// Hangs up in both directions.
    pub(crate) fn hang_up(self) {
        // An error means that the server was quicker, which is the same to the caller.
        self.stream.shutdown(Shutdown::Both).ok();
    }

    fn fill(&mut self, end: Instant) -> Fill {
        let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(left)).expect("a read time-out can be set");
        let mut piece = [0; 16 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) => Fill::Closed,
            Ok(length) => {
                self.buffer.extend_from_slice(&piece[..length]);
                Fill::Bytes
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Fill::TimedOut,
                ErrorKind::ConnectionReset => Fill::Closed,
                kind => panic!("reading failed: {kind}"),
            },
        }
    }
}

/// A response that has passed every check.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    /// The HTTP status.
    pub(crate) status: u16,
    /// Header lines in their order, names exactly as sent.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The value of a header, by its name in any letter case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body of a response is UTF-8")
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body of this response is JSON")
    }
}

fn status(line: &str) -> u16 {
    let rest = line.strip_prefix("HTTP/1.1 ").expect("a status line begins with HTTP/1.1");
    let (digits, _) = rest.split_once(' ').expect("a status line has a blank after the status");
    let three = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let status = digits.parse().ok().filter(|status| three && (100..=599).contains(status));
    status.unwrap_or_else(|| panic!("{line:?} has no valid status"))
}

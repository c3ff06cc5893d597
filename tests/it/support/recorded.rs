//! What a scripted API received, and the rules that it holds a request to.

use super::wire::Head;

/// Largest body of a request, in bytes.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct RecordedRequest {
    /// Which connection it came on; the first accepted one is 0.
    pub(crate) connection: usize,
    /// `POST`
    pub(crate) method: String,
    /// Path and query as sent.
    pub(crate) target: String,
    /// Header lines in their order, names exactly as sent.
    pub(crate) headers: Vec<(String, String)>,
    /// The head's bytes, with its empty line.
    pub(crate) raw_head: Vec<u8>,
    /// The body's bytes; empty until it has been read.
    pub(crate) body: Vec<u8>,
}

impl RecordedRequest {
    /// The value of a header, by its name in any letter case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the recorded body is JSON")
    }

    /// Checks a head; the request still without its body, and how long that is.
    pub(crate) fn parse(connection: usize, raw: &[u8]) -> Result<(Self, usize), String> {
        let head = Head::parse(raw)?;
        let parts: Vec<&str> = head.start_line.split(' ').collect();
        let [method, target, "HTTP/1.1"] = parts[..] else {
            return Err(format!("{:?} is no HTTP/1.1 request line", head.start_line));
        };
        if method.is_empty()
            || !method.bytes().all(|byte| byte.is_ascii_uppercase())
            || !target.starts_with('/')
        {
            return Err(format!("{:?} has a wrong method or target", head.start_line));
        }
        if head.one("host")?.is_none_or(str::is_empty) {
            return Err("a request without Host".to_owned());
        }
        let length = match head.content_length()? {
            Some(length) if length > MAX_BODY => return Err(format!("a body of {length} bytes")),
            None if method == "POST" => return Err("a POST without Content-Length".to_owned()),
            length => length.unwrap_or(0),
        };
        let (method, target) = (method.to_owned(), target.to_owned());
        let request =
            Self { connection, method, target, headers: head.headers, raw_head: head.raw, body: vec![] };
        Ok((request, length))
    }
}

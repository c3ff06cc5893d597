//! Strict HTTP/1.1 heads for both ends of the tests.
//!
//! It refuses what a lenient parser would repair, so that a test fails where another server or client might be
//! confused (RFC 9112 sections 2.2, 3, 4, 5 and 6.3).

/// A head that has passed every check.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// Request line or status line, without its line end.
    pub(crate) start_line: String,
    /// Header lines in their order, names exactly as sent.
    pub(crate) headers: Vec<(String, String)>,
    /// All bytes up to and with the empty line.
    pub(crate) raw: Vec<u8>,
}

/// How many bytes the head at the beginning of `bytes` has, with its empty line.
pub(crate) fn head_length(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// Whether these bytes can no longer become a valid head, so that waiting for more is useless.
pub(crate) fn is_hopeless(bytes: &[u8]) -> bool {
    let bare = |at: usize| bytes[at] == b'\n' && (at == 0 || bytes[at - 1] != b'\r');
    (0..bytes.len()).any(bare) || bytes.len() > MAX_HEAD
}

/// Largest head that either end takes, in bytes.
pub(crate) const MAX_HEAD: usize = 64 * 1024;

impl Head {
    /// Checks a whole head.
    pub(crate) fn parse(raw: &[u8]) -> Result<Self, String> {
        let text = raw.strip_suffix(b"\r\n\r\n").ok_or("the head does not end with an empty line")?;
        let text = std::str::from_utf8(text).map_err(|_| "the head is not ASCII")?;
        let mut lines = text.split("\r\n");
        let start_line = lines.next().unwrap_or_default();
        check_text("the start line", start_line)?;
        let headers = lines.map(header).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { start_line: start_line.to_owned(), headers, raw: raw.to_vec() })
    }

    /// The value of a header that stands there at most once, in any letter case.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, String> {
        let mut values = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let first = values.next().map(|(_, value)| value.as_str());
        match values.next() {
            Some(_) => Err(format!("{name} stands twice")),
            None => Ok(first),
        }
    }

    /// The value of Content-Length; digits alone.
    pub(crate) fn content_length(&self) -> Result<Option<usize>, String> {
        if self.one("transfer-encoding")?.is_some() {
            return Err("Transfer-Encoding is not expected here".to_owned());
        }
        let Some(value) = self.one("content-length")? else { return Ok(None) };
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let length = value.parse().ok().filter(|_| digits);
        length.map(Some).ok_or_else(|| format!("Content-Length {value:?} is no length"))
    }
}

fn header(line: &str) -> Result<(String, String), String> {
    let (name, value) =
        line.split_once(':').ok_or_else(|| format!("the header line {line:?} has no colon"))?;
    // A token (RFC 9110 section 5.6.2); this also refuses obs-fold and a blank before the colon.
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(format!("{name:?} is no header name"));
    }
    check_text(name, value)?;
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

fn check_text(what: &str, text: &str) -> Result<(), String> {
    let fits = |byte: u8| byte == b'\t' || (b' '..=b'~').contains(&byte);
    if text.bytes().all(fits) { Ok(()) } else { Err(format!("{what} has bytes outside visible ASCII")) }
}

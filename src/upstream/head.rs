//! The head of an answer (RFC 9112 sections 2 to 6).

use std::mem::MaybeUninit;

use httparse::{EMPTY_HEADER, Header, ParserConfig, Response, Status};
use memchr::memchr;

use super::{Defect, RetryAfter};

/// Most bytes of a head, its empty line included.
pub(super) const MAX_HEAD: usize = 16 * 1024;

/// Most fields of a head or a trailer section.
const MAX_FIELDS: usize = 64;

/// What every answer begins with; the minor version is left to the parser.
const PREFIX: &[u8] = b"HTTP/1.";

/// What a head says about the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// 100 to 999.
    pub(super) status: u16,
    /// Whether the connection may carry another exchange.
    pub(super) keep_alive: bool,
    /// Any `Content-Encoding` but `identity`.
    pub(super) content_encoding: bool,
    /// The first `Retry-After` that is well-formed.
    pub(super) retry_after: Option<RetryAfter>,
    /// How the body ends; what is wrong with that is kept apart, for the status counts all the same.
    pub(super) framing: Result<Framing, Defect>,
}

/// How the body of an answer ends (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After that many bytes.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    Close,
}

/// Looks for the empty line that ends a section of lines, each byte once however the section arrives.
#[derive(Debug, Default)]
pub(super) struct Section {
    scanned: usize,
    line: usize,
}

impl Section {
    /// The length of the section at the beginning of `bytes`, its empty line included; `None` if it has not ended
    /// yet. `bytes` begins with the same bytes at each call.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Defect> {
        while let Some(offset) = memchr(b'\n', &bytes[self.scanned..]) {
            let feed = self.scanned + offset;
            let Some((b'\r', line)) = bytes[self.line..feed].split_last() else {
                return Err(Defect::BareLineFeed);
            };
            if matches!(line.first(), Some(b' ' | b'\t')) {
                return Err(Defect::FoldedLine);
            }
            self.scanned = feed + 1;
            self.line = feed + 1;
            if line.is_empty() {
                return Ok(Some(feed + 1));
            }
        }
        self.scanned = bytes.len();
        Ok(None)
    }
}

/// Whether `bytes`, complete or not, can be the beginning of an answer. Tells a server of another kind at its first
/// byte, where waiting for the end of a head would take the whole time.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    let length = bytes.len().min(PREFIX.len());
    bytes[..length] == PREFIX[..length]
}

/// The status of a final answer whose head has only begun.
pub(super) fn status(begun: &[u8]) -> Option<u16> {
    let code = begun.strip_prefix(PREFIX)?.get(2..5)?;
    let status = std::str::from_utf8(code).ok()?.parse().ok()?;
    (200..1000).contains(&status).then_some(status)
}

/// Reads a complete head.
pub(super) fn parse(head: &[u8]) -> Result<Head, Defect> {
    let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_FIELDS];
    let mut response = Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut response, head, &mut fields);
    match parsed {
        Ok(Status::Complete(length)) if length == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Defect::HeadTooLarge),
        Ok(_) | Err(_) => return Err(Defect::MalformedHead),
    }
    let (Some(status @ 100..), Some(minor)) = (response.code, response.version) else {
        return Err(Defect::MalformedHead);
    };
    let mut fields = Fields::default();
    for field in response.headers.iter() {
        fields.add(field);
    }
    Ok(Head {
        status,
        keep_alive: minor == 1 && !fields.close,
        content_encoding: fields.content_encoding,
        retry_after: fields.retry_after,
        framing: fields.framing(status, minor),
    })
}

/// Checks a complete trailer section (RFC 9112 section 7.1.2), whose fields nobody reads.
pub(super) fn check_trailers(section: &[u8]) -> Result<(), Defect> {
    match httparse::parse_headers(section, &mut [EMPTY_HEADER; MAX_FIELDS]) {
        Ok(Status::Complete((length, _))) if length == section.len() => Ok(()),
        Err(httparse::Error::TooManyHeaders) => Err(Defect::TrailerTooLarge),
        Ok(_) | Err(_) => Err(Defect::Trailer),
    }
}

/// The fields that concern the exchange itself.
#[derive(Default)]
struct Fields {
    length: Option<Result<u64, Defect>>,
    transfer: Option<Result<(), Defect>>,
    close: bool,
    content_encoding: bool,
    retry_after: Option<RetryAfter>,
}

impl Fields {
    fn add(&mut self, field: &Header<'_>) {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            self.length = Some(match self.length {
                None => decimal(field.value),
                Some(_) => Err(Defect::SeveralLengths),
            });
        } else if is("transfer-encoding") {
            // A second field extends the list of the first, so there is more than the one coding.
            let only = self.transfer.is_none() && field.value.eq_ignore_ascii_case(b"chunked");
            self.transfer = Some(if only { Ok(()) } else { Err(Defect::TransferCoding) });
        } else if is("connection") {
            self.close |= tokens(field.value).any(|token| token.eq_ignore_ascii_case(b"close"));
        } else if is("content-encoding") {
            self.content_encoding |=
                tokens(field.value).any(|token| !token.eq_ignore_ascii_case(b"identity"));
        } else if is("retry-after") {
            self.retry_after = self.retry_after.or_else(|| RetryAfter::parse(field.value));
        }
    }

    fn framing(&self, status: u16, minor: u8) -> Result<Framing, Defect> {
        match (self.transfer, self.length) {
            (Some(_), Some(_)) => Err(Defect::BothFramings),
            // These two never have a body. A 304 may tell the length that another answer would have (RFC 9110
            // section 8.6); a 204 must not, and one that does is followed by a body in some servers.
            (_, length) if status == 304 => length.unwrap_or(Ok(0)).map(|_| Framing::Length(0)),
            (None, None | Some(Ok(0))) if status == 204 => Ok(Framing::Length(0)),
            (None, Some(Err(defect))) | (Some(Err(defect)), None) => Err(defect),
            (Some(Ok(())), None) | (None, Some(Ok(_))) if status == 204 => Err(Defect::BodyWhereNone),
            (Some(Ok(())), None) if minor == 0 => Err(Defect::ChunkedInHttp10),
            (Some(Ok(())), None) => Ok(Framing::Chunked),
            (None, Some(Ok(length))) => Ok(Framing::Length(length)),
            (None, None) if minor == 0 || self.close => Ok(Framing::Close),
            (None, None) => Err(Defect::NoLength),
        }
    }
}

/// `1*DIGIT`, nothing around it: a list of equal numbers, which RFC 9112 section 6.3 lets a recipient accept, is refused.
fn decimal(text: &[u8]) -> Result<u64, Defect> {
    if text.contains(&b',') {
        return Err(Defect::SeveralLengths);
    }
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Err(Defect::MalformedLength);
    }
    text.iter()
        .try_fold(0_u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
        .ok_or(Defect::MalformedLength)
}

/// The members of a comma-separated list, empty ones left out (RFC 9110 section 5.6.1).
fn tokens(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

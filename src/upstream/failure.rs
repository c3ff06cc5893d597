//! What went wrong on the wire.

use std::{fmt, io};

use super::Answer;
use crate::{
    flow::{ContractRule, Reason},
    tls::Fault,
};

/// Why there is no complete answer, and what is known about it.
#[derive(Debug, PartialEq)]
pub struct WireFailure {
    /// The reason.
    pub reason: Reason,
    /// Whether any byte of the request may have reached the API. `false` is certain, `true` is not.
    pub sent: bool,
    /// Whether the connection had carried an earlier exchange; the API may then just have closed it for idling.
    pub reused: bool,
    /// Whether the API had asked for a client certificate in TLS and not answered anything yet: it may have refused it, or
    /// that there was none, by closing.
    pub certificate_pending: bool,
    /// What arrived of an answer whose head was read. It decides nothing, but may be evidence of a refusal.
    pub partial: Option<Partial>,
    /// More, for the diagnostic log.
    pub detail: Detail,
}

impl WireFailure {
    /// A failure before there was a connection.
    pub(super) fn before_sending(reason: Reason, detail: Detail) -> Self {
        Self { reason, sent: false, reused: false, certificate_pending: false, partial: None, detail }
    }

    /// A failure that shows behind what looked like an answer.
    pub(super) fn after_answer(defect: Defect, answer: &Answer) -> Self {
        let Answer { status, content_encoding, reused, .. } = *answer;
        let partial = Some(Partial { status, content_encoding, body: Vec::new() });
        Self {
            reason: defect.reason(),
            sent: true,
            reused,
            certificate_pending: false,
            partial,
            detail: Detail::Answer(defect),
        }
    }

    /// Whether another attempt may do better. What TLS itself says of certificates and versions does not change so soon.
    pub fn is_transient(&self) -> bool {
        match self.reason {
            Reason::Tls => matches!(self.detail, Detail::Closed | Detail::Io(_)),
            reason => reason.is_transient(),
        }
    }

    /// What an operator can do beyond the hint of the reason.
    pub fn hint(&self) -> Option<&'static str> {
        match (&self.detail, self.reason) {
            (Detail::Tls(fault), _) => fault.hint(),
            (Detail::Closed | Detail::Io(_), Reason::Tls) => Some(
                "the API broke off the handshake and did not say why: it may want a client certificate or another server_name, or speak no TLS there",
            ),
            (Detail::Closed | Detail::Io(_), Reason::Reset) if self.certificate_pending => Some(
                "the API had asked for a client certificate and may have refused it by closing: see the API's own log",
            ),
            _ => None,
        }
    }
}

impl fmt::Display for WireFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.as_str(), self.detail)
    }
}

impl std::error::Error for WireFailure {}

/// An answer whose end is missing or not to be trusted.
#[derive(Clone, PartialEq, Eq)]
pub struct Partial {
    /// HTTP status, 200 to 999.
    pub status: u16,
    /// Whether the body is encoded: any `Content-Encoding` but `identity`.
    pub content_encoding: bool,
    /// The beginning of the body. Where its framing is broken, the end of it may be raw.
    pub body: Vec<u8>,
}

impl fmt::Debug for Partial {
    /// Without the body, for it holds claims.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partial")
            .field("status", &self.status)
            .field("content_encoding", &self.content_encoding)
            .field("body_length", &self.body.len())
            .finish()
    }
}

/// What a [`WireFailure`] tells the diagnostic log beyond its reason. Holds no byte of a request or an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Detail {
    /// Time ran out.
    Elapsed,
    /// The API closed the connection.
    Closed,
    /// The operating system's word.
    Io(SystemFault),
    /// The resolver's word on the API's name.
    Resolver(String),
    /// TLS' word.
    Tls(Fault),
    /// What is wrong with the answer.
    Answer(Defect),
}

/// What TLS' word means where nothing of an answer has arrived.
pub(super) fn of_tls(fault: Fault) -> (Reason, Detail) {
    let reason = if fault.refuses_client_certificate() { Reason::CredentialsRefused } else { Reason::Tls };
    (reason, Detail::Tls(fault))
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elapsed => f.write_str("time ran out"),
            Self::Closed => f.write_str("the API closed the connection"),
            Self::Io(fault) => fault.fmt(f),
            Self::Resolver(text) => f.write_str(text),
            Self::Tls(fault) => fault.fmt(f),
            Self::Answer(defect) => f.write_str(defect.as_str()),
        }
    }
}

/// What the operating system says about a socket. Only its own words: the text of an error that comes from elsewhere is
/// not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemFault {
    kind: io::ErrorKind,
    code: Option<i32>,
}

/// ENFILE and EMFILE, the same on every Unix.
const NO_DESCRIPTORS: [i32; 2] = [23, 24];
const ENOBUFS: i32 = if cfg!(target_os = "linux") { 105 } else { 55 };

impl SystemFault {
    /// What `error` holds of it.
    pub fn of(error: &io::Error) -> Self {
        Self { kind: error.kind(), code: error.raw_os_error() }
    }

    /// The kind, the same on every system.
    pub const fn kind(self) -> io::ErrorKind {
        self.kind
    }

    /// Whether it is about claimgate's own side: no file descriptor, port or memory left.
    pub fn is_lack_of_resources(self) -> bool {
        // The standard library has no kind for the others.
        matches!(self.kind, io::ErrorKind::OutOfMemory | io::ErrorKind::AddrNotAvailable)
            || self.code.is_some_and(|code| NO_DESCRIPTORS.contains(&code) || code == ENOBUFS)
    }
}

impl fmt::Display for SystemFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => io::Error::from_raw_os_error(code).fmt(f),
            None => self.kind.fmt(f),
        }
    }
}

/// What is wrong with an answer as HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// It does not begin with `HTTP/1.`
    NotHttp,
    /// A line of the head ends with LF alone. RFC 9112 section 2.2 lets a recipient accept it; two recipients that
    /// differ in this see two different heads.
    BareLineFeed,
    /// A line of the head begins with white space (obs-fold, RFC 9112 section 5.2).
    FoldedLine,
    /// The head is over its limit, in bytes or in fields.
    HeadTooLarge,
    /// The head breaks the grammar in another way: version, status, a name, a control character.
    MalformedHead,
    /// `Transfer-Encoding` and `Content-Length` (RFC 9112 section 6.3, rule 3).
    BothFramings,
    /// More than one `Content-Length`, equal or not.
    SeveralLengths,
    /// `Content-Length` is no decimal number, or does not fit.
    MalformedLength,
    /// `Transfer-Encoding` is not exactly `chunked`.
    TransferCoding,
    /// `chunked` in an HTTP/1.0 answer (RFC 9112 section 6.1).
    ChunkedInHttp10,
    /// Neither a length nor the announcement that the connection ends with the body.
    NoLength,
    /// A 204 or 304 with a body (RFC 9110 section 8.6, RFC 9112 sections 6.1 and 6.3).
    BodyWhereNone,
    /// The line before a chunk is malformed.
    ChunkSize,
    /// The line before a chunk is over its limit.
    ChunkLineTooLong,
    /// No line end behind a chunk.
    ChunkEnd,
    /// The trailer section is malformed.
    Trailer,
    /// The trailer section is over its limit.
    TrailerTooLarge,
    /// An interim answer other than 100, a change of protocol among them.
    Interim,
    /// One 100 after the other.
    TooManyInterim,
    /// It began before the whole request was sent, on a connection that had carried an earlier exchange: it may be a
    /// second answer to the earlier request.
    Stray,
    /// The body is over `max_answer`.
    TooLarge,
}

impl Defect {
    /// The reason it is.
    pub const fn reason(self) -> Reason {
        match self {
            Self::NotHttp
            | Self::BareLineFeed
            | Self::FoldedLine
            | Self::HeadTooLarge
            | Self::MalformedHead => Reason::Contract(ContractRule::HttpHead),
            Self::BothFramings
            | Self::SeveralLengths
            | Self::MalformedLength
            | Self::TransferCoding
            | Self::ChunkedInHttp10
            | Self::NoLength
            | Self::BodyWhereNone
            | Self::ChunkSize
            | Self::ChunkLineTooLong
            | Self::ChunkEnd
            | Self::Trailer
            | Self::TrailerTooLarge => Reason::Contract(ContractRule::HttpFraming),
            Self::Interim | Self::TooManyInterim => Reason::Contract(ContractRule::HttpInterim),
            Self::Stray => Reason::Contract(ContractRule::HttpStray),
            Self::TooLarge => Reason::AnswerTooLarge,
        }
    }

    /// For the diagnostic log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotHttp => "the answer does not begin with HTTP/1.",
            Self::BareLineFeed => "a line of the head ends with LF instead of CRLF",
            Self::FoldedLine => "a line of the head begins with white space",
            Self::HeadTooLarge => "the head has more than 16 KiB or 64 fields",
            Self::MalformedHead => "the head is malformed",
            Self::BothFramings => "Transfer-Encoding together with Content-Length",
            Self::SeveralLengths => "more than one Content-Length",
            Self::MalformedLength => "Content-Length is no number that fits",
            Self::TransferCoding => "Transfer-Encoding is not exactly chunked",
            Self::ChunkedInHttp10 => "Transfer-Encoding in an HTTP/1.0 answer",
            Self::NoLength => "neither a length nor Connection: close",
            Self::BodyWhereNone => "a 204 or 304 with a body",
            Self::ChunkSize => "the size of a chunk is malformed",
            Self::ChunkLineTooLong => "the line before a chunk has more than 256 bytes",
            Self::ChunkEnd => "no line end behind a chunk",
            Self::Trailer => "the trailer section is malformed",
            Self::TrailerTooLarge => "the trailer section has more than 4 KiB",
            Self::Interim => "an interim answer other than 100",
            Self::TooManyInterim => "more than 8 interim answers",
            Self::Stray => "an answer before the request was sent, on a connection used before",
            Self::TooLarge => "the body has more than max_answer bytes",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_speaks_with_the_words_of_the_system_and_no_others() {
        let cases = [
            (io::Error::from_raw_os_error(24), "Too many open files (os error 24)"),
            (io::ErrorKind::BrokenPipe.into(), "broken pipe"),
            (io::Error::other("secret"), "other error"),
        ];
        for (error, expected) in cases {
            let detail = Detail::Io(SystemFault::of(&error));
            assert_eq!(detail.to_string(), expected);
            assert!(!format!("{detail:?}").contains("secret"));
        }
    }
}

//! Answers, odd and hostile ones above all, and what each must become.

use std::io::ErrorKind;

use super::script::Then::{self, End, Error, Silence};
use crate::flow::{
    ContractRule::{HttpFraming, HttpHead, HttpInterim},
    Reason::{self, AnswerTooLarge, BodyTimeout, Contract, CutOff, FirstByteTimeout, Reset},
};

/// An answer, and what it must become.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) raw: Vec<u8>,
    pub(super) then: Then,
    pub(super) expected: Expected,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Expected {
    /// Status, body, and the connection may be used again.
    Kept(u16, &'static str),
    /// The same, and the connection must be closed.
    Closed(u16, &'static str),
    /// No answer, and nothing of one.
    Fails(Reason),
    /// No answer, and so much of one: all of it, or the beginning if the framing is broken.
    Breaks(Reason, u16, &'static str),
}

use Expected::{Breaks, Closed, Fails, Kept};

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const HEAD: Reason = Contract(HttpHead);
const FRAMING: Reason = Contract(HttpFraming);
const INTERIM: Reason = Contract(HttpInterim);
/// A body of exactly the limit.
const FULL: &str = "0123456789abcdef0123456789abcdef";

/// Every case; `{ok}`, `{chunked}` and `{full}` stand for the constants above.
pub(super) fn cases() -> Vec<Case> {
    let groups = [lengths, sizes, close, chunks, broken_chunks, codings, statuses, heads, broken_heads, ends]
        .map(|group| group());
    groups.into_iter().flatten().collect()
}

fn case(name: &'static str, raw: impl AsRef<str>, then: Then, expected: Expected) -> Case {
    let raw = raw.as_ref().replace("{ok}", OK).replace("{chunked}", CHUNKED).replace("{full}", FULL);
    Case { name, raw: raw.into_bytes(), then, expected }
}

#[rustfmt::skip]
fn lengths() -> Vec<Case> {
    vec![
        case("a length", "{ok}Content-Length: 5\r\n\r\nhello", Silence, Kept(200, "hello")),
        case("a length of nothing", "{ok}Content-Length: 0\r\n\r\n", Silence, Kept(200, "")),
        case("names in any case", "{ok}cONTENT-lENGTH: 5\r\n\r\nhello", Silence, Kept(200, "hello")),
        case("white space around a value", "{ok}Content-Length: \t 5 \t\r\n\r\nhello", Silence, Kept(200, "hello")),
        case("leading zeros", "{ok}Content-Length: 000000000000000000000005\r\n\r\nhello", Silence, Kept(200, "hello")),
        case("two equal lengths", "{ok}Content-Length: 5\r\nContent-Length: 5\r\n\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("a list of equal lengths", "{ok}Content-Length: 5, 5\r\n\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("two different lengths", "{ok}Content-Length: 5\r\nContent-Length: 6\r\n\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("an empty length", "{ok}Content-Length:\r\n\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("a signed length", "{ok}Content-Length: +5\r\n\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("a negative length", "{ok}Content-Length: -5\r\n\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("a hexadecimal length", "{ok}Content-Length: 0x5\r\n\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("white space in a length", "{ok}Content-Length: 1 0\r\n\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("a length of 2^64", "{ok}Content-Length: 18446744073709551616\r\n\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("both framings", "{ok}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("both framings, even for a 304", "HTTP/1.1 304 Same\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", Silence, Breaks(FRAMING, 304, "")),
        case("no length, though the connection stays", "{ok}\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("no length, and then the end", "{ok}\r\nhello", End, Breaks(FRAMING, 200, "hello")),
        case("a block under a broken framing is evidence", "{ok}Content-Length: x\r\n\r\nShowBlockPage", Silence, Breaks(FRAMING, 200, "")),
    ]
}

#[rustfmt::skip]
fn sizes() -> Vec<Case> {
    vec![
        case("a full body", "{ok}Content-Length: 32\r\n\r\n{full}", Silence, Kept(200, FULL)),
        case("a full body in chunks", "{chunked}20\r\n{full}\r\n0\r\n\r\n", Silence, Kept(200, FULL)),
        case("a full body without length", "{ok}Connection: close\r\n\r\n{full}", End, Closed(200, FULL)),
        case("an announced body over the limit", "{ok}Content-Length: 33\r\n\r\n{full}g", Silence, Breaks(AnswerTooLarge, 200, FULL)),
        case("as soon as what fits is read", "{ok}Content-Length: 33\r\n\r\n{full}", Silence, Breaks(AnswerTooLarge, 200, FULL)),
        case("even if it never comes", "{ok}Content-Length: 18446744073709551615\r\n\r\n0123", Silence, Breaks(AnswerTooLarge, 200, "0123")),
        case("even if it is cut off", "{ok}Content-Length: 33\r\n\r\n0123", End, Breaks(AnswerTooLarge, 200, "0123")),
        case("a chunk over the limit", "{chunked}21\r\n{full}g", Silence, Breaks(AnswerTooLarge, 200, FULL)),
        case("chunks over the limit together", "{chunked}20\r\n{full}\r\n1\r\ng", Silence, Breaks(AnswerTooLarge, 200, FULL)),
        case("a body without length over the limit", "{ok}Connection: close\r\n\r\n{full}g", Silence, Breaks(AnswerTooLarge, 200, FULL)),
    ]
}

#[rustfmt::skip]
fn close() -> Vec<Case> {
    vec![
        case("HTTP/1.1 with close", "{ok}Connection: close\r\n\r\nhello", End, Closed(200, "hello")),
        case("close among others", "{ok}Connection: x, CLOSE ,y\r\n\r\nhello", End, Closed(200, "hello")),
        case("close in a second field", "{ok}Connection: x\r\nConnection: close\r\n\r\nhello", End, Closed(200, "hello")),
        case("HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nhello", End, Closed(200, "hello")),
        case("a length and close", "{ok}Connection: close\r\nContent-Length: 5\r\n\r\nhello", Silence, Closed(200, "hello")),
        case("HTTP/1.0 with a length", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", Silence, Closed(200, "hello")),
        case("a close that TLS did not announce", "{ok}Connection: close\r\n\r\nhello", Error(ErrorKind::UnexpectedEof), Breaks(CutOff, 200, "hello")),
        case("a reset is no end", "{ok}Connection: close\r\n\r\nhello", Error(ErrorKind::ConnectionReset), Breaks(CutOff, 200, "hello")),
    ]
}

#[rustfmt::skip]
fn chunks() -> Vec<Case> {
    let line = |length: usize| format!("{CHUNKED}1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(length - 4));
    let trailers = |length: usize| format!("{CHUNKED}1\r\nx\r\n0\r\nT: {}\r\n\r\n", "t".repeat(length - 7));
    vec![
        case("chunks", "{chunked}5\r\nhello\r\nC\r\n, 0123456789\r\n0\r\n\r\n", Silence, Kept(200, "hello, 0123456789")),
        case("no chunks", "{chunked}0\r\n\r\n", Silence, Kept(200, "")),
        case("chunked in any case", "{ok}transfer-encoding: CHUNKED\r\n\r\n1\r\nx\r\n0\r\n\r\n", Silence, Kept(200, "x")),
        case("chunked and close", "{ok}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", Silence, Closed(200, "x")),
        case("leading zeros and either case in a size", "{chunked}00a\r\n0123456789\r\n0A\r\n0123456789\r\n000\r\n\r\n", Silence, Kept(200, "01234567890123456789")),
        case("many leading zeros in a size", "{chunked}00000000000000000000001\r\nx\r\n0\r\n\r\n", Silence, Kept(200, "x")),
        case("chunk extensions", "{chunked}1;a=b;c\r\nx\r\n0 \t;last\r\n\r\n", Silence, Kept(200, "x")),
        case("trailers", "{chunked}1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n", Silence, Kept(200, "x")),
        case("trailers that look like framing", "{chunked}1\r\nx\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\n\r\n", Silence, Kept(200, "x")),
        case("a line end inside a quoted extension", "{chunked}1;a=\"\r\nx\r\n0\r\n\r\n", Silence, Kept(200, "x")),
        case("a full chunk line", line(256), Silence, Kept(200, "x")),
        case("a chunk line over the limit", line(257), Silence, Breaks(FRAMING, 200, "")),
        case("a chunk line without end", format!("{CHUNKED}1;{}", "e".repeat(254)), Silence, Breaks(FRAMING, 200, "")),
        case("full trailers", trailers(4096), Silence, Kept(200, "x")),
        case("trailers over the limit", trailers(4097), Silence, Breaks(FRAMING, 200, "x")),
        case("trailers without end", format!("{CHUNKED}1\r\nx\r\n0\r\nT: {}", "t".repeat(4094)), Silence, Breaks(FRAMING, 200, "x")),
    ]
}

#[rustfmt::skip]
fn broken_chunks() -> Vec<Case> {
    vec![
        case("a trailer that is no field", "{chunked}1\r\nx\r\n0\r\nnothing\r\n\r\n", Silence, Breaks(FRAMING, 200, "x")),
        case("a trailer with a bare LF", "{chunked}1\r\nx\r\n0\r\nA: b\n\r\n", Silence, Breaks(FRAMING, 200, "x")),
        case("a folded trailer", "{chunked}1\r\nx\r\n0\r\nA: b\r\n c\r\n\r\n", Silence, Breaks(FRAMING, 200, "x")),
        case("no size", "{chunked}\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("an extension without a size", "{chunked};a\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("no hexadecimal size", "{chunked}g\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("a prefixed size", "{chunked}0x1\r\nx\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("a signed size", "{chunked}+1\r\nx\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("white space before a size", "{chunked} 1\r\nx\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("white space behind a size", "{chunked}1 \r\nx\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("a size of 2^64", "{chunked}10000000000000000\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("a bare LF behind a size", "{chunked}1\nx\r\n0\r\n\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("a bare CR in an extension", "{chunked}1;a\rb\r\nx\r\n0\r\n\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("a control character in an extension", "{chunked}1;a\0\r\nx\r\n0\r\n\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("a bare LF behind a chunk", "{chunked}1\r\nx\n0\r\n\r\n", Silence, Breaks(FRAMING, 200, "x")),
        case("a CR and something else behind a chunk", "{chunked}1\r\nx\ry", Silence, Breaks(FRAMING, 200, "x")),
        case("a chunk longer than its size", "{chunked}1\r\nxy\r\n0\r\n\r\n", Silence, Breaks(FRAMING, 200, "x")),
    ]
}

#[rustfmt::skip]
fn codings() -> Vec<Case> {
    vec![
        case("another coding", "{ok}Transfer-Encoding: gzip\r\n\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("two codings", "{ok}Transfer-Encoding: gzip, chunked\r\n\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("chunked twice", "{ok}Transfer-Encoding: chunked, chunked\r\n\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("two fields of chunked", "{ok}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("two fields, the first one broken", "{ok}Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("identity", "{ok}Transfer-Encoding: identity\r\n\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("an almost-chunked coding", "{ok}Transfer-Encoding: xchunked\r\n\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("an empty coding", "{ok}Transfer-Encoding:\r\n\r\n", Silence, Breaks(FRAMING, 200, "")),
        case("chunked in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Silence, Breaks(FRAMING, 200, "")),
    ]
}

#[rustfmt::skip]
fn statuses() -> Vec<Case> {
    let continues = |count: usize| format!("{}{OK}Content-Length: 1\r\n\r\nx", "HTTP/1.1 100 Continue\r\n\r\n".repeat(count));
    vec![
        case("an error status", "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", Silence, Kept(404, "no")),
        case("a status without a meaning", "HTTP/1.1 999 No\r\nContent-Length: 2\r\n\r\nno", Silence, Kept(999, "no")),
        case("a 204", "HTTP/1.1 204 No Content\r\n\r\n", Silence, Kept(204, "")),
        case("a 204 with a length of nothing", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", Silence, Kept(204, "")),
        case("a 204 with a length", "HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\n", Silence, Breaks(FRAMING, 204, "")),
        case("a 204 with chunks", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", Silence, Breaks(FRAMING, 204, "")),
        case("a 204 of HTTP/1.0", "HTTP/1.0 204 No Content\r\n\r\n", Silence, Closed(204, "")),
        case("a 304 with the length of another answer", "HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n", Silence, Kept(304, "")),
        case("a 304 with a broken length", "HTTP/1.1 304 Same\r\nContent-Length: x\r\n\r\n", Silence, Breaks(FRAMING, 304, "")),
        case("one 100", continues(1), Silence, Kept(200, "x")),
        case("eight 100", continues(8), Silence, Kept(200, "x")),
        case("nine 100", continues(9), Silence, Fails(INTERIM)),
        case("a 100 with a length", "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n{ok}Content-Length: 1\r\n\r\nx", Silence, Kept(200, "x")),
        case("a 100 of HTTP/1.0", "HTTP/1.0 100 Continue\r\n\r\n{ok}Content-Length: 1\r\n\r\nx", Silence, Kept(200, "x")),
        case("a 205 with a length", "HTTP/1.1 205 Reset Content\r\nContent-Length: 1\r\n\r\nx", Silence, Kept(205, "x")),
        case("a 102", "HTTP/1.1 102 Processing\r\n\r\n", Silence, Fails(INTERIM)),
        case("an interim status without a meaning", "HTTP/1.1 199 Wait\r\n\r\n{ok}Content-Length: 0\r\n\r\n", Silence, Fails(INTERIM)),
        case("a change of protocol", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", Silence, Fails(INTERIM)),
        case("an early hint", "HTTP/1.1 103 Early Hints\r\n\r\n", Silence, Fails(INTERIM)),
        case("a mere offer to upgrade", "{ok}Upgrade: h2,h2c\r\nConnection: Upgrade, Keep-Alive\r\nContent-Length: 2\r\n\r\nhi", Silence, Kept(200, "hi")),
    ]
}

#[rustfmt::skip]
fn heads() -> Vec<Case> {
    let padded = |length: usize| format!("{OK}Content-Length: 1\r\nX: {}\r\n\r\nx", "p".repeat(length - OK.len() - 26));
    let fields = |count: usize| format!("{OK}Content-Length: 1\r\n{}\r\nx", "X: y\r\n".repeat(count - 1));
    vec![
        case("no reason phrase", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", Silence, Kept(200, "")),
        case("a head beyond ASCII", "HTTP/1.1 200 \u{e9}\r\nX: \u{e9}\r\nContent-Length: 0\r\n\r\n", Silence, Kept(200, "")),
        case("a full head", padded(16 * 1024), Silence, Kept(200, "x")),
        case("a head over the limit", padded(16 * 1024 + 1), Silence, Fails(HEAD)),
        case("a head without end", format!("{OK}X: {}", "p".repeat(16 * 1024)), Silence, Fails(HEAD)),
        case("64 fields", fields(64), Silence, Kept(200, "x")),
        case("65 fields", fields(65), Silence, Fails(HEAD)),
    ]
}

#[rustfmt::skip]
fn broken_heads() -> Vec<Case> {
    vec![
        case("bare LF throughout", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", Silence, Fails(HEAD)),
        case("one bare LF", "{ok}X: y\nContent-Length: 0\r\n\r\n", Silence, Fails(HEAD)),
        case("a bare LF for the empty line", "{ok}Content-Length: 0\r\n\n", Silence, Fails(HEAD)),
        case("a bare CR", "{ok}X: y\rContent-Length: 9\r\nContent-Length: 0\r\n\r\n", Silence, Fails(HEAD)),
        case("two CR", "{ok}X: y\r\r\nContent-Length: 0\r\n\r\n", Silence, Fails(HEAD)),
        case("a folded line", "{ok}X: y\r\n z\r\nContent-Length: 0\r\n\r\n", Silence, Fails(HEAD)),
        case("a folded first line", "{ok}\tX: y\r\nContent-Length: 0\r\n\r\n", Silence, Fails(HEAD)),
        case("a NUL in a value", "{ok}X: \0\r\nContent-Length: 0\r\n\r\n", Silence, Fails(HEAD)),
        case("a DEL in a value", "{ok}X: \x7f\r\nContent-Length: 0\r\n\r\n", Silence, Fails(HEAD)),
        case("a control character in the reason phrase", "HTTP/1.1 200 \x01\r\nContent-Length: 0\r\n\r\n", Silence, Fails(HEAD)),
        case("white space before the colon", "{ok}Content-Length : 0\r\n\r\n", Silence, Fails(HEAD)),
        case("no colon", "{ok}Content-Length 0\r\n\r\n", Silence, Fails(HEAD)),
        case("no name", "{ok}: 0\r\nContent-Length: 0\r\n\r\n", Silence, Fails(HEAD)),
        case("an empty line first", "\r\n{ok}Content-Length: 0\r\n\r\n", Silence, Fails(HEAD)),
        case("HTTP/2", "HTTP/2 200\r\n\r\n", Silence, Fails(HEAD)),
        case("HTTP/1.2", "HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n", Silence, Fails(HEAD)),
        case("HTTP/0.9", "{\"action\":\"Continue\"}", Silence, Fails(HEAD)),
        case("another protocol", "SSH-2.0-OpenSSH_9.9\r\n", Silence, Fails(HEAD)),
        case("a status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", Silence, Fails(HEAD)),
        case("a status of four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", Silence, Fails(HEAD)),
        case("a status below 100", "HTTP/1.1 099 No\r\nContent-Length: 0\r\n\r\n", Silence, Fails(HEAD)),
        case("no status", "HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n", Silence, Fails(HEAD)),
        case("a status with a sign", "HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n", Silence, Fails(HEAD)),
        case("nothing between status and reason phrase", "HTTP/1.1 200OK\r\nContent-Length: 0\r\n\r\n", Silence, Fails(HEAD)),
        case("a tab before the status", "HTTP/1.1\t200 OK\r\nContent-Length: 0\r\n\r\n", Silence, Fails(HEAD)),
        case("a version in lower case", "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Silence, Fails(HEAD)),
        case("a name beyond ASCII", "{ok}X\u{e9}: y\r\nContent-Length: 0\r\n\r\n", Silence, Fails(HEAD)),
        case("a NUL in a name", "{ok}X\0: y\r\nContent-Length: 0\r\n\r\n", Silence, Fails(HEAD)),
        case("two spaces before the status", "HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n", Silence, Fails(HEAD)),
    ]
}

/// Bytes behind the answer, and answers without an end.
#[rustfmt::skip]
fn ends() -> Vec<Case> {
    vec![
        case("bytes behind a length", "{ok}Content-Length: 5\r\n\r\nhello!", Silence, Closed(200, "hello")),
        case("a second answer", "{ok}Content-Length: 2\r\n\r\nhi{ok}Content-Length: 2\r\n\r\nno", Silence, Closed(200, "hi")),
        case("bytes behind the last chunk", "{chunked}1\r\nx\r\n0\r\n\r\n\r\n", Silence, Closed(200, "x")),
        case("a body behind a 304", "HTTP/1.1 304 Same\r\n\r\nx", Silence, Closed(304, "")),
        case("a body behind a 204", "HTTP/1.1 204 No Content\r\n\r\nx", Silence, Closed(204, "")),
        case("nothing, then the end", "", End, Fails(Reset)),
        case("nothing, then a reset", "", Error(ErrorKind::ConnectionReset), Fails(Reset)),
        case("nothing, then the end of TLS", "", Error(ErrorKind::UnexpectedEof), Fails(Reset)),
        case("nothing at all", "", Silence, Fails(FirstByteTimeout)),
        case("a 100, then the end", "HTTP/1.1 100 Continue\r\n\r\n", End, Fails(Reset)),
        case("a 100, then nothing", "HTTP/1.1 100 Continue\r\n\r\n", Silence, Fails(FirstByteTimeout)),
        case("the end inside the status line", "HT", End, Fails(CutOff)),
        case("the end inside the head", "{ok}Content-", End, Breaks(CutOff, 200, "")),
        case("silence inside the head", "{ok}Content-", Silence, Breaks(BodyTimeout, 200, "")),
        case("the end inside a length", "{ok}Content-Length: 5\r\n\r\nhell", End, Breaks(CutOff, 200, "hell")),
        case("a reset inside a length", "{ok}Content-Length: 5\r\n\r\nhell", Error(ErrorKind::ConnectionReset), Breaks(CutOff, 200, "hell")),
        case("silence inside a length", "{ok}Content-Length: 5\r\n\r\nhell", Silence, Breaks(BodyTimeout, 200, "hell")),
        case("the end inside a chunk", "{chunked}5\r\nhell", End, Breaks(CutOff, 200, "hell")),
        case("the end before the last chunk", "{chunked}5\r\nhello\r\n", End, Breaks(CutOff, 200, "hello")),
        case("the end inside the trailers", "{chunked}5\r\nhello\r\n0\r\n", End, Breaks(CutOff, 200, "hello")),
        case("silence where the connection should end", "{ok}Connection: close\r\n\r\nhello", Silence, Breaks(BodyTimeout, 200, "hello")),
    ]
}

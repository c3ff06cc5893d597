//! Where a body ends, and what is taken for the next request.

use super::{
    Answer::{Own, Refused},
    BROKEN, CHUNKED, FIRST, FRAMING,
    Fate::{Closed, Kept},
    HOST, LARGE, LATE, NOT_FOUND, NOT_JSON, Row, broken, but, chunked, fine, framed, hook, one_chunk, row,
};

#[rustfmt::skip]
pub(super) fn lengths() -> Vec<Row> {
    let length = |value: &str| but("Content-Length: 23", &format!("Content-Length:{value}"));
    vec![
        fine("as usual", hook("first")),
        fine("a length with leading zeros", length(" 00023")),
        // RFC 9110 section 8.6 allows to take equal lengths for one; the next byte is the same to everybody.
        fine("two equal lengths", but("Content-Length: 23\r\n", "Content-Length: 23\r\nContent-Length: 23\r\n")),
        broken("two different lengths", but("Content-Length: 23\r\n", "Content-Length: 23\r\nContent-Length: 22\r\n")),
        broken("two different lengths, the smaller one first", but("Content-Length: 23\r\n", "Content-Length: 2\r\nContent-Length: 23\r\n")),
        broken("a list of equal lengths", length(" 23, 23")),
        broken("an empty length", length("")),
        broken("a signed length", length(" +23")),
        broken("a negative length", length(" -23")),
        broken("a hexadecimal length", length(" 0x17")),
        broken("white space in a length", length(" 2 3")),
        broken("a length of 2^64", length(" 18446744073709551616")),
        row("a length of 2^64-1", length(" 18446744073709551615"), [LARGE], Closed),
        row("a length over max_body", length(" 4097"), [Refused(413, "content_too_large")], Closed),
        row("a length too long", length(" 24"), [LATE], Closed),
        row("a length too short", length(" 22"), [NOT_JSON, BROKEN], Closed),
        row("no length", but("Content-Length: 23\r\n", ""), [NOT_JSON, BROKEN], Closed),
        row("a length of nothing", length(" 0"), [NOT_JSON, BROKEN], Closed),
    ]
}

/// RFC 9112 section 6.1 lets a server go by the chunks alone if it closes the connection behind the answer; the HTTP
/// layer does both, and hides the length. What another recipient would have taken for a second request is never read.
#[rustfmt::skip]
pub(super) fn both_framings() -> Vec<Row> {
    let smuggled = hook("smuggled");
    let behind = |lines: &str| framed("first", lines, &format!("{}{smuggled}", one_chunk()));
    let empty = |lines: &str| framed("first", lines, &format!("0\r\n\r\n{smuggled}"));
    let length = |length: usize| format!("Content-Length: {length}\r\n");
    vec![
        row("a length, then chunks", chunked(&(length(33) + CHUNKED), &one_chunk()), [FIRST], Closed),
        row("chunks, then a length", chunked(&(CHUNKED.to_owned() + &length(33)), &one_chunk()), [FIRST], Closed),
        row("chunks, then a broken length", chunked(&format!("{CHUNKED}Content-Length: x\r\n"), &one_chunk()), [FIRST], Closed),
        row("both, and a request behind the chunks", behind(&(length(33 + smuggled.len()) + CHUNKED)), [FIRST], Closed),
        row("both, and a request behind the length", behind(&(CHUNKED.to_owned() + &length(4))), [FIRST], Closed),
        row("both, and a request behind no chunk", empty(&(length(5 + smuggled.len()) + CHUNKED)), [NOT_JSON], Closed),
    ]
}

/// Only what the API might have to know would matter, and it is never told; but a coding that is not undone leaves bytes
/// that are no JSON, and two recipients may differ about where it ends (RFC 9112 sections 6.1 and 6.3).
#[rustfmt::skip]
pub(super) fn codings() -> Vec<Row> {
    let coding = |value: &str| chunked(&format!("Transfer-Encoding:{value}\r\n"), &one_chunk());
    let refused = |name, value: &str| row(name, coding(value), [FRAMING], Closed);
    vec![
        fine("chunks", coding(" chunked")),
        fine("chunked in any case", coding(" CHUNKED")),
        fine("white space around it", coding(" \t chunked \t ")),
        refused("another coding before it", " gzip, chunked"),
        refused("identity before it", " identity, chunked"),
        refused("chunked twice", " chunked, chunked"),
        refused("an empty coding before it", " ,chunked"),
        refused("two fields of chunked", " chunked\r\nTransfer-Encoding: chunked"),
        refused("two fields, the last one chunked", " gzip\r\nTransfer-Encoding: chunked"),
        broken("two fields, the last one not chunked", coding(" chunked\r\nTransfer-Encoding: identity")),
        broken("a coding behind it", coding(" chunked, gzip")),
        broken("identity", coding(" identity")),
        broken("gzip", coding(" gzip")),
        broken("an almost-chunked coding", coding(" xchunked")),
        broken("chunked in quotes", coding(" \"chunked\"")),
        broken("a parameter", coding(" chunked;q=1")),
        broken("an empty coding", coding("")),
        broken("a vertical tab before it", coding(" \u{b}chunked")),
        broken("chunks in HTTP/1.0", coding(" chunked").replacen("HTTP/1.1", "HTTP/1.0", 1)),
    ]
}

#[rustfmt::skip]
pub(super) fn chunks() -> Vec<Row> {
    let (one, two) = ("{\"displayNa", "me\":\"first\"}");
    let sent = |body: &str| chunked(CHUNKED, &body.replace("ONE", one).replace("TWO", two));
    let refused = |name, body: &str| row(name, sent(body), [FRAMING], Closed);
    vec![
        fine("two chunks", sent("b\r\nONE\r\nC\r\nTWO\r\n0\r\n\r\n")),
        fine("leading zeros in a size", sent("000b\r\nONE\r\n0C\r\nTWO\r\n00\r\n\r\n")),
        fine("chunk extensions", sent("b;a=b\r\nONE\r\nC ;c=\"d e\"\r\nTWO\r\n0;x\r\n\r\n")),
        fine("trailers", sent("b\r\nONE\r\nC\r\nTWO\r\n0\r\nContent-Length: 5\r\nX: y\r\n\r\n")),
        // What follows the size is no part of it (BWS), and is left out of the body like the size itself.
        fine("white space behind a size", sent("b \t\r\nONE\r\nC\r\nTWO\r\n0\r\n\r\n")),
        refused("white space before a size", " b\r\nONE\r\nC\r\nTWO\r\n0\r\n\r\n"),
        refused("no size", "\r\nONE\r\n0\r\n\r\n"),
        refused("an extension without a size", ";x\r\nONE\r\n0\r\n\r\n"),
        refused("no hexadecimal size", "g\r\nONE\r\n0\r\n\r\n"),
        refused("a prefixed size", "0xb\r\nONE\r\n0\r\n\r\n"),
        refused("a signed size", "+b\r\nONE\r\n0\r\n\r\n"),
        refused("a negative size", "-b\r\nONE\r\n0\r\n\r\n"),
        refused("a size of 2^64", "10000000000000000\r\nONE\r\n0\r\n\r\n"),
        refused("a size of 2^64 and some", "1000000000000000b\r\nONE\r\n0\r\n\r\n"),
        row("a size over max_body", sent("1001\r\nONE\r\n0\r\n\r\n"), [LATE], Closed),
        refused("a bare LF behind a size", "b\nONE\r\nC\r\nTWO\r\n0\r\n\r\n"),
        refused("a bare CR behind a size", "b\rONE\r\nC\r\nTWO\r\n0\r\n\r\n"),
        refused("a bare LF in an extension", "b;x\nONE\r\nC\r\nTWO\r\n0\r\n\r\n"),
        refused("a bare LF behind a chunk", "b\r\nONE\nC\r\nTWO\r\n0\r\n\r\n"),
        refused("no line end behind a chunk", "b\r\nONEC\r\nTWO\r\n0\r\n\r\n"),
        refused("a chunk longer than its size", "a\r\nONE\r\nC\r\nTWO\r\n0\r\n\r\n"),
        refused("a trailer that is no field", "b\r\nONE\r\nC\r\nTWO\r\n0\r\nnothing\r\n\r\n"),
        row("no last chunk", sent("b\r\nONE\r\nC\r\nTWO\r\n"), [LATE], Closed),
        row("no line end behind the last chunk", sent("b\r\nONE\r\nC\r\nTWO\r\n0\r\n"), [LATE], Closed),
        row("an extension without end", sent(&format!("b;{}\r\nONE\r\nC\r\nTWO\r\n0\r\n\r\n", "x".repeat(20_000))), [FRAMING], Closed),
        row("trailers over the limit", sent(&format!("b\r\nONE\r\nC\r\nTWO\r\n0\r\nX: {}\r\n\r\n", "x".repeat(20_000))), [FRAMING], Closed),
    ]
}

/// A request inside a body, in every way out of a body that there is.
#[rustfmt::skip]
pub(super) fn smuggling() -> Vec<Row> {
    let smuggled = hook("smuggled");
    let inside = |from: &str, to: &str| {
        let outer = framed("first", &format!("Content-Length: {}\r\n", smuggled.len()), &smuggled);
        outer.replacen(from, to, 1)
    };
    let in_chunks = format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len());
    vec![
        row("inside a body", inside("", ""), [NOT_JSON], Kept),
        row("inside a chunk", chunked(CHUNKED, &in_chunks), [NOT_JSON], Kept),
        row("inside the body of a stranger", inside("ZW50cmE6czNjcmV0", "ZW50cmE6d3Jvbmc="), [Refused(401, "unauthenticated")], Kept),
        row("inside a body of another type", inside("application/json", "text/plain"), [Refused(415, "unsupported_media_type")], Kept),
        row("inside the body of no hook", inside("/flows", "/flaws"), [NOT_FOUND], Kept),
        row("inside the body of a GET", inside("POST", "GET"), [Refused(405, "method_not_allowed")], Kept),
        row("inside the body of a TRACE", inside("POST", "TRACE"), [Refused(405, "method_not_allowed")], Kept),
        row("inside a body without Host", inside("Host: h\r\n", ""), [HOST], Kept),
        row("inside a body with an odd coding", framed("first", "Transfer-Encoding: x, chunked\r\n", &in_chunks), [FRAMING], Closed),
        row("behind a coding that another one undoes", framed("first", "Transfer-Encoding: chunked, chunked\r\n", &format!("0\r\n\r\n{smuggled}")), [FRAMING], Closed),
        // A line end ends the line also inside quotes, to everybody: what follows is a request of the caller's.
        row("behind a quoted chunk extension that does not end", chunked(CHUNKED, &format!("0;x=\"\r\n\r\n{}", hook("second"))), [NOT_JSON, Own("second")], Kept),
        row("inside the trailers", chunked(CHUNKED, &format!("0\r\n{smuggled}")), [FRAMING], Closed),
        row("behind a broken chunk of a stranger", chunked(CHUNKED, &format!("zz\r\n{smuggled}")).replacen("ZW50cmE6czNjcmV0", "ZW50cmE6d3Jvbmc=", 1), [Refused(401, "unauthenticated")], Closed),
    ]
}

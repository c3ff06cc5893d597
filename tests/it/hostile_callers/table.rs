//! The rows: what a caller sends, what it gets, and what becomes of its connection.
//!
//! Where the gateway is lenient a comment says why that is harmless: it builds its own request to the API from the
//! claims of one body, so nothing of a caller's framing or head travels on.

mod framing;
mod heads;

use super::{FLOW, ROW, STEP};

/// One answer.
#[derive(Debug)]
pub(super) enum Answer {
    /// The hook of this name was forwarded, and this is its own answer.
    Own(&'static str),
    /// A problem with this status and reason.
    Refused(u16, &'static str),
    /// The HTTP layer's own answer, which has no body and no event, and this fault in the metric.
    Mute(u16, &'static str),
    /// 100 Continue.
    Interim,
    /// No answer, and this fault in the metric.
    Silence(&'static str),
}

use Answer::{Interim, Mute, Own, Refused};

impl Answer {
    /// The hook that reached the API for it.
    pub(super) fn forwarded(&self) -> Option<&'static str> {
        match self {
            Own(name) => Some(name),
            _ => None,
        }
    }
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fate {
    /// It carries the next hook.
    Kept,
    /// It is closed behind the last answer.
    Closed,
}

use Fate::{Closed, Kept};

/// What a caller does.
pub(super) struct Row {
    pub(super) name: &'static str,
    /// A later piece is sent when the answer before it is there.
    pub(super) pieces: Vec<Vec<u8>>,
    pub(super) answers: Vec<Answer>,
    pub(super) fate: Fate,
}

const FRAMING: Answer = Refused(400, "bad_request_framing");
const HOST: Answer = Refused(400, "bad_request_host");
const NOT_JSON: Answer = Refused(400, "bad_request_not_json");
const NOT_FOUND: Answer = Refused(404, "not_found");
const LATE: Answer = Refused(408, "request_timeout");
const BROKEN: Answer = Mute(400, "malformed");
const LARGE: Answer = Mute(431, "too_large");
const FIRST: Answer = Own("first");

/// All of them.
pub(super) fn rows() -> Vec<Row> {
    let groups = [
        framing::lengths,
        framing::both_framings,
        framing::codings,
        framing::chunks,
        heads::heads,
        heads::sizes,
        heads::hosts,
        heads::targets,
        heads::versions,
        expectations,
        pipelines,
        framing::smuggling,
    ];
    groups.into_iter().flat_map(|group| group()).collect()
}

fn row(name: &'static str, bytes: impl AsRef<[u8]>, answers: impl Into<Vec<Answer>>, fate: Fate) -> Row {
    Row { name, pieces: vec![bytes.as_ref().to_vec()], answers: answers.into(), fate }
}

/// One answer, which is that of the HTTP layer, and the end.
fn broken(name: &'static str, bytes: impl AsRef<[u8]>) -> Row {
    row(name, bytes, [BROKEN], Closed)
}

/// Lenient: answered as if nothing were odd.
fn fine(name: &'static str, bytes: impl AsRef<[u8]>) -> Row {
    row(name, bytes, [FIRST], Kept)
}

/// A hook that nobody can object to.
pub(super) fn hook(name: &str) -> String {
    let body = claims(name);
    framed(name, &format!("Content-Length: {}\r\n", body.len()), &body)
}

fn claims(name: &str) -> String {
    format!("{{\"displayName\":\"{name}\"}}")
}

/// The same with another framing.
fn framed(name: &str, framing: &str, body: &str) -> String {
    format!(
        "POST /flows/{FLOW}/{STEP} HTTP/1.1\r\nHost: h\r\nAuthorization: Basic ZW50cmE6czNjcmV0\r\n\
         Content-Type: application/json\r\nX-Request-ID: {ROW}.{name}\r\n{framing}\r\n{body}"
    )
}

/// The first hook, with something else in it.
fn but(from: &str, to: &str) -> String {
    let usual = hook("first");
    assert_eq!(usual.matches(from).count(), 1, "{from:?} stands there once");
    usual.replace(from, to)
}

fn with_line(line: &str) -> String {
    but("Host: h\r\n", &format!("Host: h\r\n{line}\r\n"))
}

fn at(target: &str) -> String {
    but(&format!("/flows/{FLOW}/{STEP}"), target)
}

fn chunked(framing: &str, body: &str) -> String {
    framed("first", framing, body)
}

/// The first hook's body in one chunk.
fn one_chunk() -> String {
    let body = claims("first");
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

#[rustfmt::skip]
fn expectations() -> Vec<Row> {
    let asking = with_line("Expect: 100-continue");
    let refused = asking.replace("ZW50cmE6czNjcmV0", "ZW50cmE6d3Jvbmc=");
    let smuggled = hook("smuggled");
    let unauthenticated = || Refused(401, "unauthenticated");
    let parts = |text: &str| {
        let (head, body) = text.split_once("\r\n\r\n").expect("a head has an end");
        vec![format!("{head}\r\n\r\n").into_bytes(), body.as_bytes().to_vec()]
    };
    let body_is_a_request = refused.split_once("Content-Length").expect("it has a length").0.to_owned()
        + &format!("Content-Length: {}\r\n\r\n{smuggled}", smuggled.len());
    vec![
        Row { name: "100-continue, and then the body", pieces: parts(&asking), answers: vec![Interim, FIRST], fate: Kept },
        row("100-continue in another case", with_line("expect: 100-CONTINUE").split_once("{\"").expect("it has a body").0, [Interim, LATE], Closed),
        row("100-continue and no body", asking.split_once("{\"").expect("it has a body").0, [Interim, LATE], Closed),
        // The body was not asked for and may never come: only a close keeps what comes from being the next request.
        row("100-continue, refused before the body", refused.split_once("{\"").expect("it has a body").0, [unauthenticated()], Closed),
        Row { name: "100-continue, refused, and a body that is a request", pieces: parts(&body_is_a_request), answers: vec![unauthenticated()], fate: Closed },
        row("100-continue in HTTP/1.0", asking.replacen("HTTP/1.1", "HTTP/1.0", 1), [FIRST], Closed),
        // A server may refuse what it does not know, or ignore it (RFC 9110 section 10.1.1).
        fine("another expectation", with_line("Expect: a-miracle")),
    ]
}

#[rustfmt::skip]
fn pipelines() -> Vec<Row> {
    let nobody = hook("refused").replace("ZW50cmE6czNjcmV0", "ZW50cmE6d3Jvbmc=");
    let ending = with_line("Connection: close");
    vec![
        row("two hooks at once", hook("first") + &hook("second"), [FIRST, Own("second")], Kept),
        row("three hooks at once", hook("first") + &hook("second") + &hook("third"), [FIRST, Own("second"), Own("third")], Kept),
        row("the same hook twice", hook("first") + &hook("first"), [FIRST, FIRST], Kept),
        row("a refused one among them", hook("first") + &nobody + &hook("third"), [FIRST, Refused(401, "unauthenticated"), Own("third")], Kept),
        row("in chunks and by length", chunked(CHUNKED, &one_chunk()) + &hook("second"), [FIRST, Own("second")], Kept),
        row("a line end between them", format!("{}\r\n{}", hook("first"), hook("second")), [FIRST, Own("second")], Kept),
        row("garbage behind a hook", hook("first") + "\0garbage\r\n\r\n", [FIRST, BROKEN], Closed),
        row("a longer body than its length", hook("first") + "{\"displayName\":\"more\"}\r\n\r\n", [FIRST, BROKEN], Closed),
        row("a hook behind a broken one", format!("POST /\0 HTTP/1.1\r\n\r\n{}", hook("second")), [BROKEN], Closed),
        row("a hook behind the last one", ending.clone() + &hook("second"), [FIRST], Closed),
        row("garbage behind the last one", ending + "\0garbage", [FIRST], Closed),
    ]
}

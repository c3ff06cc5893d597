//! Heads: lines, sizes, hosts, targets, versions.

use super::{
    super::{FLOW, STEP},
    Answer::{Own, Refused, Silence},
    FIRST,
    Fate::{Closed, Kept},
    HOST, LARGE, NOT_FOUND, Row, at, broken, but, fine, hook, row, with_line,
};

#[rustfmt::skip]
pub(super) fn heads() -> Vec<Row> {
    vec![
        fine("a field beyond ASCII", with_line("X: \u{e9}")),
        fine("an empty field", with_line("X:")),
        fine("a line end before the request", format!("\r\n{}", hook("first"))),
        // RFC 9112 section 2.2 allows it; the API gets a head of the gateway's own.
        fine("bare LF throughout the head", {
            let usual = hook("first");
            let (head, body) = usual.split_once("\r\n\r\n").expect("a head has an end");
            format!("{}\n\n{body}", head.replace("\r\n", "\n"))
        }),
        fine("one bare LF", with_line("X: y\nX: z")),
        broken("a folded line", with_line("X: y\r\n z")),
        broken("a folded framing", but("Content-Length: 23", "Content-Length:\r\n 23")),
        broken("a folded first line", but("Host: h\r\n", " Host: h\r\n")),
        broken("a bare CR in a value", with_line("X: y\rz")),
        broken("a bare CR that hides a framing", with_line("X: y\rTransfer-Encoding: chunked")),
        broken("a NUL in a value", with_line("X: y\0z")),
        broken("a DEL in a value", with_line("X: y\u{7f}z")),
        broken("a control character in a value", with_line("X: y\u{1}z")),
        broken("a blank before the colon", with_line("X : y")),
        broken("a blank before the colon of a framing", but("Content-Length:", "Content-Length :")),
        broken("a tab before the colon of a framing", with_line("Transfer-Encoding\t: chunked")),
        broken("a name beyond ASCII", with_line("X\u{e9}: y")),
        broken("a NUL in a name", with_line("X\0: y")),
        broken("no name", with_line(": y")),
        broken("no colon", with_line("X")),
        broken("a blank before the request", format!(" {}", hook("first"))),
        broken("a tab in the request line", but("POST /", "POST\t/")),
        broken("two blanks in the request line", but("POST /", "POST  /")),
        broken("a blank behind the version", but("HTTP/1.1\r\n", "HTTP/1.1 \r\n")),
        broken("a NUL in the method", but("POST /", "PO\0ST /")),
        broken("binary", b"\0\x01\x02\r\n\r\n"),
        broken("TLS", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n"),
        row("a method that is no method here", but("POST /", "P!T /"), [Refused(405, "method_not_allowed")], Kept),
    ]
}

#[rustfmt::skip]
pub(super) fn sizes() -> Vec<Row> {
    let fields = |count: usize| with_line(&vec!["X: y"; count].join("\r\n"));
    vec![
        fine("100 fields", fields(95)),
        row("101 fields", fields(96), [LARGE], Closed),
        fine("a large head", with_line(&format!("X: {}", "x".repeat(15_000)))),
        row("a head over the limit", with_line(&format!("X: {}", "x".repeat(17_000))), [LARGE], Closed),
        row("a head without end", format!("POST / HTTP/1.1\r\nHost: h\r\nX: {}", "x".repeat(17_000)), [LARGE], Closed),
        row("a long query", at(&format!("/flows/{FLOW}/{STEP}?x={}", "x".repeat(15_000))), [FIRST], Kept),
        row("a request line over the limit", at(&format!("/{}", "x".repeat(17_000))), [LARGE], Closed),
        row("a long name", with_line(&format!("{}: y", "x".repeat(15_000))), [FIRST], Kept),
    ]
}

/// RFC 9112 section 3.2: a server MUST answer 400 where HTTP/1.1 has no Host, and wherever there is more than one or one
/// that is no host. An empty one is a host.
#[rustfmt::skip]
pub(super) fn hosts() -> Vec<Row> {
    let host = |line: &str| but("Host: h\r\n", line);
    let refused = |name, line: &str| row(name, host(line), [HOST], Kept);
    vec![
        refused("no Host", ""),
        refused("two Hosts", "Host: h\r\nHost: i\r\n"),
        refused("two equal Hosts", "Host: h\r\nhost: h\r\n"),
        refused("a list of Hosts", "Host: h, i\r\n"),
        refused("a Host with a path", "Host: h/x\r\n"),
        refused("a Host with user info", "Host: u@h\r\n"),
        refused("a Host with a blank", "Host: h i\r\n"),
        refused("a Host beyond ASCII", "Host: h\u{e9}\r\n"),
        refused("a Host with a port that is none", "Host: h:http\r\n"),
        refused("a Host with two ports", "Host: h:1:2\r\n"),
        fine("an empty Host", host("Host:\r\n")),
        fine("a Host with a port", host("Host: hooks.example.com:443\r\n")),
        fine("a Host with an empty port", host("Host: h:\r\n")),
        fine("an IPv6 address as Host", host("Host: [::1]:8080\r\n")),
        refused("half an IPv6 address as Host", "Host: [::1\r\n"),
        row("two Hosts at no hook", but(&format!("/flows/{FLOW}/{STEP}"), "/").replace("Host: h\r\n", "Host: h\r\nHost: h\r\n"), [HOST], Kept),
    ]
}

#[rustfmt::skip]
pub(super) fn targets() -> Vec<Row> {
    let path = format!("/flows/{FLOW}/{STEP}");
    let nowhere = |name, target: &str| row(name, at(target), [NOT_FOUND], Kept);
    let raw = |target: &[u8]| {
        let usual = hook("first");
        let (before, after) = usual.split_once(&path).expect("the path stands there");
        [before.as_bytes(), target, after.as_bytes()].concat()
    };
    vec![
        // A server MUST accept it, and must then ignore Host (RFC 9112 section 3.2.2); neither chooses anything here.
        fine("absolute-form", at(&format!("http://h{path}"))),
        fine("absolute-form of another host", at(&format!("https://elsewhere.example:444{path}"))),
        row("absolute-form without Host", at(&format!("http://h{path}")).replace("Host: h\r\n", ""), [HOST], Kept),
        nowhere("absolute-form of nothing", "http://h"),
        row("authority-form", at("h:443"), [NOT_FOUND], Kept),
        row("CONNECT", "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", [NOT_FOUND], Kept),
        row("CONNECT to a hook", but("POST /", "CONNECT /"), [Refused(405, "method_not_allowed")], Kept),
        row("asterisk-form", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", [NOT_FOUND], Kept),
        nowhere("asterisk-form of a POST", "*"),
        nowhere("two slashes at the beginning", &format!("/{path}")),
        nowhere("two slashes inside", &format!("/flows//{FLOW}/{STEP}")),
        nowhere("a slash at the end", &format!("{path}/")),
        nowhere("dot segments", &format!("/x/..{path}")),
        nowhere("a single dot", &format!("/flows/./{FLOW}/{STEP}")),
        nowhere("encoded dot segments", &format!("/x/%2e%2e{path}")),
        nowhere("an encoded slash", &format!("/flows/{FLOW}%2F{STEP}")),
        nowhere("an encoded letter", &format!("/flows/%46/{STEP}")),
        nowhere("a NUL, encoded", &format!("{path}%00")),
        nowhere("a parameter", &format!("{path};x=y")),
        nowhere("a backslash", &format!("/flows\\{FLOW}\\{STEP}")),
        nowhere("another letter case", &format!("/flows/f/{STEP}")),
        nowhere("UTF-8 in the path", &format!("/flows/\u{e9}/{STEP}")),
        fine("a query", at(&format!("{path}?x=y"))),
        fine("an empty query", at(&format!("{path}?"))),
        // A client must not send one; what follows is no part of the path or the query for the gateway either.
        fine("a fragment", at(&format!("{path}#x"))),
        broken("no target", at("")),
        broken("a relative path", at(&format!("flows/{FLOW}/{STEP}"))),
        broken("a blank in the target", at(&format!("/flows/{FLOW} /{STEP}"))),
        broken("a control character in the target", at(&format!("{path}\u{1}"))),
        broken("no UTF-8 in the path", raw(b"/flows/\xff\xfe")),
        broken("no UTF-8 in the query", raw(&[path.as_bytes(), b"?x=\xff"].concat())),
    ]
}

#[rustfmt::skip]
pub(super) fn versions() -> Vec<Row> {
    let version = |version: &str| but("HTTP/1.1", version);
    let old = |lines: &str| version("HTTP/1.0").replace("Host: h\r\n", lines);
    vec![
        row("HTTP/1.0", old("Host: h\r\n"), [FIRST], Closed),
        row("HTTP/1.0 without Host", old(""), [FIRST], Closed),
        row("HTTP/1.0 with two Hosts", old("Host: h\r\nHost: h\r\n"), [HOST], Closed),
        fine("HTTP/1.0 with keep-alive", old("Host: h\r\nConnection: keep-alive\r\n")),
        row("HTTP/1.0 with a second request", old("Host: h\r\n") + &hook("second"), [FIRST], Closed),
        broken("HTTP/1.2", version("HTTP/1.2")),
        broken("HTTP/2.0 in a line", version("HTTP/2.0")),
        broken("HTTP/0.9", "GET /\r\n\r\n"),
        broken("HTTP/0.9 to a hook", format!("POST /flows/{FLOW}/{STEP}\r\n\r\n")),
        broken("a version in lower case", version("http/1.1")),
        broken("a version without a minor one", version("HTTP/1")),
        broken("no version", version("")),
        broken("another protocol", version("ICY/1.1")),
        row("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", [Silence("http2")], Closed),
        row("HTTP/2 behind a hook", hook("first") + "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [FIRST, Silence("http2")], Closed),
        // Nobody switches: an upgrade that is not taken is no upgrade (RFC 9110 section 7.8).
        fine("an upgrade to HTTP/2", with_line("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")),
        fine("an upgrade to WebSocket", with_line("Connection: Upgrade\r\nUpgrade: websocket")),
        row("an upgrade with a second hook", with_line("Connection: Upgrade\r\nUpgrade: x") + &hook("second"), [FIRST, Own("second")], Kept),
    ]
}

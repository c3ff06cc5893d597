//! An API that breaks every rule of HTTP: what the hook becomes, and that the next one gets its own answer.

use std::time::Duration;

use serde_json::json;

use super::support::{
    Act, CALLER, Client, Gateway, PASSWORD, Parts, Play, RecordedRequest, Request, STEPS, ScriptedApi,
    answer, wait_until,
};

/// Long enough for an answer byte by byte also on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Continue, and whose answer it is.
fn named(name: &str) -> String {
    json!({"version": "1.0.0", "action": "Continue", "displayName": name}).to_string()
}

fn own() -> String {
    named("first")
}

fn raw(head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {head}\r\n\r\n{body}").into_bytes()
}

fn sized(head: &str) -> Vec<u8> {
    raw(&format!("{head}\r\nContent-Length: {}", own().len()), &own())
}

fn chunks(lines: &str) -> Vec<u8> {
    let body = own();
    let (one, two) = body.split_at(7);
    let text = lines
        .replace("ONE", &format!("7{{}}\r\n{one}"))
        .replace("TWO", &format!("{:X}{{}}\r\n{two}", two.len()));
    raw("200 OK\r\nTransfer-Encoding: chunked", &text.replace("{}", ""))
}

fn stray() -> Vec<u8> {
    answer(200, &named("stray"))
}

fn pieces(bytes: &[u8], sizes: &[usize]) -> Play {
    let mut acts = vec![Act::ReadRequest];
    let mut rest = bytes;
    for size in sizes.iter().copied().chain([usize::MAX]) {
        let (piece, after) = rest.split_at(size.min(rest.len()));
        rest = after;
        acts.extend([Act::Send(piece.to_vec()), Act::Pause(Duration::from_millis(5))]);
    }
    Play::new(acts)
}

/// The first hook gets its answer.
const ITS_OWN: &str = "";

/// What the API does to the first hook; what that hook becomes; on how many connections it and two more hooks go.
#[rustfmt::skip]
const TABLE: [(&str, fn() -> Play, &str, usize); 101] = [
    // odd, and allowed
    ("as usual", || Play::answer(sized("200 OK")), ITS_OWN, 1),
    ("slow", || Play::answer(sized("200 OK")).after(Duration::from_millis(100)), ITS_OWN, 1),
    ("byte by byte", || Play::new([Act::ReadRequest, Act::SendByteByByte(sized("200 OK"), Duration::ZERO)]), ITS_OWN, 1),
    ("torn inside the head's end", || pieces(&sized("200 OK"), &[9, 4, 20, 1]), ITS_OWN, 1),
    ("no reason phrase", || Play::answer(sized("200 ")), ITS_OWN, 1),
    ("odd letter case", || Play::answer(raw(&format!("200 OK\r\ncOnTeNt-LeNgTh:\t{} ", own().len()), &own())), ITS_OWN, 1),
    ("in chunks", || Play::chunked(200, &own(), &[1, 1, 30, 2]), ITS_OWN, 1),
    ("in chunks, byte by byte", || Play::new([Act::ReadRequest, Act::SendByteByByte(chunks("ONE\r\nTWO\r\n0\r\n\r\n"), Duration::ZERO)]), ITS_OWN, 1),
    ("chunk extensions", || Play::answer(String::from_utf8_lossy(&chunks("ONE\r\nTWO\r\n000;last\r\n\r\n")).replacen("\n7\r\n", "\n007;a=b;c=\"d e\"\r\n", 1)), ITS_OWN, 1),
    ("trailers", || Play::answer(chunks("ONE\r\nTWO\r\n0\r\nAction: ShowBlockPage\r\nX: y\r\n\r\n")), ITS_OWN, 1),
    ("100 first", || Play::answer([raw("100 Continue", ""), sized("200 OK")].concat()), ITS_OWN, 1),
    ("100 twice, apart", || pieces(&[raw("100 Continue", ""), raw("100 Continue\r\nX: y", ""), sized("200 OK")].concat(), &[10, 20, 30]), ITS_OWN, 1),
    ("an end by close", || Play::answer(raw("200 OK\r\nConnection: close", &own())).then(Act::Close), ITS_OWN, 2),
    ("HTTP/1.0", || Play::answer(format!("HTTP/1.0 200 OK\r\n\r\n{}", own())).then(Act::Close), ITS_OWN, 2),
    ("a length and Connection: close", || Play::answer(sized("200 OK\r\nConnection: close")).then(Act::Close), ITS_OWN, 2),
    ("Connection: close among others, and left open", || Play::answer(sized("200 OK\r\nConnection: x, Close")), ITS_OWN, 2),
    ("HTTP/1.0 with keep-alive", || Play::answer(String::from_utf8_lossy(&sized("200 OK\r\nConnection: keep-alive")).replacen("1.1", "1.0", 1)), ITS_OWN, 2),
    ("leading zeros in a length", || Play::answer(raw(&format!("200 OK\r\nContent-Length: 0000{}", own().len()), &own())), ITS_OWN, 1),
    ("an offer to upgrade", || Play::answer(sized("200 OK\r\nConnection: Upgrade\r\nUpgrade: h2c")), ITS_OWN, 1),
    ("a field beyond ASCII", || Play::answer(sized("200 \u{e9}\r\nX: \u{e9}")), ITS_OWN, 1),
    ("a 205", || Play::answer(sized("205 Reset Content")), ITS_OWN, 1),
    ("100 eight times", || Play::answer([raw("100 Continue", "").repeat(8), sized("200 OK")].concat()), ITS_OWN, 1),
    // An interim answer has no body, whatever it says (RFC 9110 section 15.2).
    ("100 with a length", || Play::answer([raw("100 Continue\r\nContent-Length: 5", ""), sized("200 OK")].concat()), ITS_OWN, 1),
    ("before the body was read", || Play::early(sized("200 OK")), ITS_OWN, 1),
    ("trailers that look like framing", || Play::answer(chunks("ONE\r\nTWO\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\n\r\n")), ITS_OWN, 1),
    ("closed while idle", || Play::answer(sized("200 OK")).then(Act::Pause(Duration::from_millis(30))).then(Act::Close), ITS_OWN, 2),
    ("half closed while idle", || Play::answer(sized("200 OK")).then(Act::HalfClose), ITS_OWN, 2),
    ("reset while idle", || Play::answer(sized("200 OK")).then(Act::Pause(Duration::from_millis(30))).then(Act::Reset), ITS_OWN, 2),
    // more than an answer
    ("no decision in flawless HTTP", || Play::json(200, "<html>"), "contract_not_json", 2),
    // What nobody asked for: for a while each connection carries one hook.
    ("twice at once", || Play::twice(sized("200 OK")), ITS_OWN, 3),
    ("a stray answer while idle", || Play::answer(sized("200 OK")).then(Act::StrayAfter(stray())), ITS_OWN, 3),
    ("a stray byte while idle", || Play::answer(sized("200 OK")).then(Act::StrayAfter(b"\n".to_vec())), ITS_OWN, 3),
    ("surplus line end", || Play::answer([sized("200 OK"), b"\r\n".to_vec()].concat()), ITS_OWN, 3),
    ("surplus behind the last chunk", || Play::answer([chunks("ONE\r\nTWO\r\n0\r\n\r\n"), stray()].concat()), ITS_OWN, 3),
    ("a length too short", || Play::answer(raw(&format!("200 OK\r\nContent-Length: {}", own().len() - 1), &own())), "contract_not_json", 3),
    ("a length too short, apart", || pieces(&raw("200 OK\r\nContent-Length: 2", &format!("{{}}{}", String::from_utf8_lossy(&stray()))), &[40]), "contract_missing_action", 2),
    ("a 204 with a body", || Play::answer([raw("204 No Content", ""), stray()].concat()), "contract_http_framing", 3),
    ("a 204 with a length", || Play::answer(raw("204 No Content\r\nContent-Length: 2", "{}")), "contract_http_framing", 2),
    ("a 204 in chunks", || Play::answer(raw("204 No Content\r\nTransfer-Encoding: chunked", "2\r\n{}\r\n0\r\n\r\n")), "contract_http_framing", 2),
    ("a 304 with a body", || Play::answer([raw("304 Not Modified", ""), stray()].concat()), "contract_http_framing", 3),
    ("a 304 with the length of another answer", || Play::answer(raw("304 Not Modified\r\nContent-Length: 9", "")), "redirect", 1),
    // less than an answer
    ("as to a HEAD", || Play::answer(raw("200 OK\r\nContent-Length: 9", "")), "body_timeout", 2),
    ("an end by close that was not announced", || Play::answer(raw("200 OK", &own())).then(Act::Close), "contract_http_framing", 2),
    ("a reset for an end", || Play::answer(raw("200 OK\r\nConnection: close", &own())).then(Act::Pause(Duration::from_millis(30))).then(Act::Reset), "cut_off", 2),
    ("silence for an end", || Play::answer(raw("200 OK\r\nConnection: close", &own())), "body_timeout", 2),
    ("100 alone", || Play::answer(raw("100 Continue", "")), "first_byte_timeout", 2),
    ("a length too long", || Play::wrong_length(200, &own(), own().len() + 1), "body_timeout", 2),
    ("half a head", || Play::answer("HTTP/1.1 200 OK\r\nContent-").then(Act::Close), "cut_off", 2),
    ("half a body", || Play::half(sized("200 OK")), "cut_off", 2),
    ("no last chunk", || Play::answer(chunks("ONE\r\nTWO\r\n")).then(Act::Close), "cut_off", 2),
    ("nothing, then a close", || Play::new([Act::ReadRequest, Act::Close]), "reset", 2),
    ("nothing, then a reset", || Play::new([Act::ReadRequest, Act::Reset]), "reset", 2),
    ("silence, then a late answer", || Play::new([Act::ReadRequest, Act::Pause(TIMEOUT + Duration::from_millis(60)), Act::Send(stray())]), "first_byte_timeout", 2),
    // no answer at all
    ("garbage", || Play::garbage("\0\u{1}\u{2}\u{3}"), "contract_http_head", 2),
    ("TLS", || Play::garbage(b"\x15\x03\x03\0\x02\x02\x28".to_vec()), "contract_http_head", 2),
    ("HTTP/2", || Play::answer(b"\0\0\x12\x04\0\0\0\0\0".to_vec()), "contract_http_head", 2),
    ("both framings", || Play::answer(sized("200 OK\r\nTransfer-Encoding: chunked")), "contract_http_framing", 2),
    ("two lengths", || Play::answer(sized("200 OK\r\nContent-Length: 1")), "contract_http_framing", 2),
    ("a chunk longer than it says", || Play::answer(chunks("ONE}\r\nTWO\r\n0\r\n\r\n")), "contract_http_framing", 2),
    ("a chunk size over 64 bits", || Play::answer(raw("200 OK\r\nTransfer-Encoding: chunked", "10000000000000001\r\n{}\r\n0\r\n\r\n")), "contract_http_framing", 2),
    ("two equal lengths", || Play::answer(sized(&format!("200 OK\r\nContent-Length: {}", own().len()))), "contract_http_framing", 2),
    ("a list of lengths", || Play::answer(raw("200 OK\r\nContent-Length: 2, 2", "{}")), "contract_http_framing", 2),
    ("a signed length", || Play::answer(raw("200 OK\r\nContent-Length: +2", "{}")), "contract_http_framing", 2),
    ("a length of 2^64", || Play::answer(raw("200 OK\r\nContent-Length: 18446744073709551616", "{}")), "contract_http_framing", 2),
    ("chunks, then a length", || Play::answer(raw("200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 12", "2\r\n{}\r\n0\r\n\r\n")), "contract_http_framing", 2),
    ("two codings", || Play::answer(raw("200 OK\r\nTransfer-Encoding: gzip, chunked", "2\r\n{}\r\n0\r\n\r\n")), "contract_http_framing", 2),
    ("chunked twice", || Play::answer(raw("200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "2\r\n{}\r\n0\r\n\r\n")), "contract_http_framing", 2),
    ("an almost-chunked coding", || Play::answer(raw("200 OK\r\nTransfer-Encoding: xchunked", "2\r\n{}\r\n0\r\n\r\n")), "contract_http_framing", 2),
    ("identity", || Play::answer(sized("200 OK\r\nTransfer-Encoding: identity")), "contract_http_framing", 2),
    ("chunks in HTTP/1.0", || Play::answer("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"), "contract_http_framing", 2),
    ("a bare LF behind a chunk's size", || Play::answer(raw("200 OK\r\nTransfer-Encoding: chunked", "2\n{}\r\n0\r\n\r\n")), "contract_http_framing", 2),
    ("a bare LF behind a chunk", || Play::answer(raw("200 OK\r\nTransfer-Encoding: chunked", "2\r\n{}\n0\r\n\r\n")), "contract_http_framing", 2),
    ("a signed chunk size", || Play::answer(raw("200 OK\r\nTransfer-Encoding: chunked", "+2\r\n{}\r\n0\r\n\r\n")), "contract_http_framing", 2),
    ("a long chunk extension", || Play::answer(raw("200 OK\r\nTransfer-Encoding: chunked", &format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "x".repeat(300)))), "contract_http_framing", 2),
    ("large trailers", || Play::answer(raw("200 OK\r\nTransfer-Encoding: chunked", &format!("2\r\n{{}}\r\n0\r\nX: {}\r\n\r\n", "x".repeat(5000)))), "contract_http_framing", 2),
    ("bare LF throughout", || Play::answer(format!("HTTP/1.1 200 OK\nContent-Length: {}\n\n{}", own().len(), own())), "contract_http_head", 2),
    ("one bare LF", || Play::answer(sized("200 OK\r\nX: y\nX: z")), "contract_http_head", 2),
    ("a bare CR", || Play::answer(sized("200 OK\r\nX: y\rX: z")), "contract_http_head", 2),
    ("a folded line", || Play::answer(sized("200 OK\r\nX: y\r\n z")), "contract_http_head", 2),
    ("a blank before the colon", || Play::answer(raw("200 OK\r\nContent-Length : 2", "{}")), "contract_http_head", 2),
    ("a NUL in a value", || Play::answer(sized("200 OK\r\nX: \0")), "contract_http_head", 2),
    ("no colon", || Play::answer(sized("200 OK\r\nX")), "contract_http_head", 2),
    ("a head over the limit", || Play::answer(sized(&format!("200 OK\r\nX: {}", "x".repeat(17_000)))), "contract_http_head", 2),
    ("a head without end", || Play::answer(format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(17_000))), "contract_http_head", 2),
    ("too many fields", || Play::answer(sized(&format!("200 OK{}", "\r\nX: y".repeat(64)))), "contract_http_head", 2),
    ("an empty line first", || Play::answer([b"\r\n".to_vec(), sized("200 OK")].concat()), "contract_http_head", 2),
    ("a status of two digits", || Play::answer(sized("20 OK")), "contract_http_head", 2),
    ("a status of four digits", || Play::answer(sized("2000 OK")), "contract_http_head", 2),
    ("a status with a sign", || Play::answer(sized("+20 OK")), "contract_http_head", 2),
    ("no status", || Play::answer(sized("OK")), "contract_http_head", 2),
    ("no blank behind the status", || Play::answer(sized("200OK")), "contract_http_head", 2),
    ("a tab for a blank", || Play::answer(String::from_utf8_lossy(&sized("200 OK")).replacen("1.1 ", "1.1\t", 1)), "contract_http_head", 2),
    ("a version in lower case", || Play::answer(String::from_utf8_lossy(&sized("200 OK")).replacen("HTTP", "http", 1)), "contract_http_head", 2),
    ("HTTP/1.2", || Play::answer(String::from_utf8_lossy(&sized("200 OK")).replacen("1.1", "1.2", 1)), "contract_http_head", 2),
    ("HTTP/0.9", || Play::answer(own()).then(Act::Close), "contract_http_head", 2),
    ("100 nine times", || Play::answer([raw("100 Continue", "").repeat(9), sized("200 OK")].concat()), "contract_http_interim", 2),
    ("102", || Play::answer([raw("102 Processing", ""), sized("200 OK")].concat()), "contract_http_interim", 2),
    ("an interim answer that nobody knows", || Play::answer([raw("199 Wait", ""), sized("200 OK")].concat()), "contract_http_interim", 2),
    ("early hints behind 100", || Play::answer([raw("100 Continue", ""), raw("103 Early Hints\r\nLink: </x>", ""), sized("200 OK")].concat()), "contract_http_interim", 2),
    ("an upgrade", || Play::answer([raw("101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade", ""), sized("200 OK")].concat()), "contract_http_interim", 2),
    ("early hints", || Play::answer([raw("103 Early Hints", ""), sized("200 OK")].concat()), "contract_http_interim", 2),
];

/// Each row has a connector, and thereby a pool, of its own.
fn start(api: &ScriptedApi, rows: usize) -> Gateway {
    let keys = format!(
        "claims_to_send: [displayName]\nclaims_to_receive: [displayName]\ntimeout: {}ms",
        TIMEOUT.as_millis()
    );
    let parts = (0..rows).fold(Parts::new(), |parts, row| {
        let hooks =
            STEPS.map(|step| format!("{step}: {{ connector: c{row}, on_failure: error }}")).join("\n");
        parts
            .connector(&format!("c{row}"), &api.url(&format!("/{row}")), &keys)
            .flow(&format!("F{row}"), &hooks)
    });
    Gateway::start(&parts.text())
}

fn name_of(request: &RecordedRequest) -> String {
    request.json()["displayName"].as_str().expect("each hook has a name").to_owned()
}

fn scripted(request: &RecordedRequest) -> Play {
    let name = name_of(request);
    let row: usize = request.target[1..].parse().expect("each row has a path of its own");
    if name == "first" { TABLE[row].1() } else { Play::json(200, &named(&name)) }
}

fn hook(client: Client, flow: &str, name: &str) -> Request {
    let body = json!({ "displayName": name }).to_string();
    client.post_hook(flow, STEPS[0], &body).basic(CALLER, PASSWORD)
}

#[test]
fn whatever_an_api_does_to_one_hook_the_next_ones_get_their_own_answers() {
    let api = ScriptedApi::answering(scripted);
    let gateway = start(&api, TABLE.len());
    // All rows side by side: they share nothing but the gateway.
    std::thread::scope(|scope| {
        for (row, (what, _, becomes, connections)) in TABLE.into_iter().enumerate() {
            let (api, gateway) = (&api, &gateway);
            scope.spawn(move || {
                let flow = format!("F{row}");
                // One connection of the caller is served by one worker, which has one pool.
                let mut caller = gateway.client().connect();
                let mut ask = |name: &str| hook(gateway.client(), &flow, name).send_on(&mut caller);
                let first = ask("first");
                match becomes {
                    ITS_OWN => assert_eq!(first.json()["displayName"], "first", "{what}: {}", first.text()),
                    reason => assert_eq!(first.json()["reason"], reason, "{what}: {}", first.text()),
                }
                let target = format!("/{row}");
                let requests = api.requests();
                let first = requests.iter().find(|request| request.target == target);
                let connection = first.expect("the first hook was forwarded").connection;
                // Whatever the API does after its answer.
                wait_until("the API is done with the first hook", || api.played().contains(&connection));
                for name in ["second", "third"] {
                    let response = ask(name);
                    assert_eq!(response.json()["displayName"], name, "{what}: {}", response.text());
                }
                let mut used: Vec<_> = api
                    .requests()
                    .iter()
                    .filter(|request| request.target == target)
                    .map(|request| request.connection)
                    .collect();
                assert_eq!(used.len(), 3, "{what}: nothing is repeated");
                used.dedup();
                // What comes apart may be seen with the answer, which costs the next connection too, or behind it.
                let apart = what.ends_with("too short, apart") && used.len() == connections + 1;
                assert!(used.len() == connections || apart, "{what}: {} connections", used.len());
            });
        }
    });
    // The late answer belongs to nobody: its connection is not the next hook's.
    assert!(!gateway.stdout_text().contains("stray"));
}

#[test]
fn an_answer_before_the_request_is_never_the_next_hooks() {
    let early = |bytes: Vec<u8>| Play::new([Act::Send(bytes), Act::ReadRequest]);
    let own_answer = |name: &str| Play::json(200, &named(name));
    // At accept the API speaks first; the first hook may take that for its answer or refuse it, the second may not.
    for unasked in
        [early(stray()), early(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n".to_vec())]
    {
        let api = ScriptedApi::start(vec![unasked, own_answer("second"), own_answer("third")]);
        let gateway = start(&api, 1);
        let mut caller = gateway.client().connect();
        hook(gateway.client(), "F0", "first").send_on(&mut caller);
        wait_until("the API is done with the first hook", || api.played() == [0]);
        for name in ["second", "third"] {
            let response = hook(gateway.client(), "F0", name).send_on(&mut caller);
            assert_eq!(response.json()["displayName"], name);
        }
    }
}

#[test]
fn under_load_every_hook_gets_its_own_answer_or_an_error() {
    const CALLERS: usize = 8;
    const HOOKS: usize = 40;
    let api = ScriptedApi::answering(|request| {
        let name = name_of(request);
        let number: usize = name.rsplit('-').next().unwrap().parse().unwrap();
        let body = named(&name);
        match number % 10 {
            0 => Play::chunked(200, &body, &[number, 1]),
            1 => Play::twice(answer(200, &body)),
            2 => Play::answer(answer(200, &body)).then(Act::Close),
            3 => Play::answer(answer(200, &body)).after(Duration::from_millis(3)),
            4 => Play::half(answer(200, &body)),
            5 => pieces(&answer(200, &body), &[number]),
            _ => Play::json(200, &body),
        }
    });
    let gateway = start(&api, 1);
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let gateway = &gateway;
            scope.spawn(move || {
                let mut connection = gateway.client().connect();
                for number in 0..HOOKS {
                    let name = format!("{caller}-{number}");
                    let response = hook(gateway.client(), "F0", &name).send_on(&mut connection);
                    let seen = response.json();
                    if seen.get("reason").is_none() {
                        assert_eq!(seen["displayName"], name);
                    } else {
                        // The API cut the answer off, or closed the connection while this request was on its way.
                        let reason = seen["reason"].as_str().unwrap_or_default();
                        assert!(
                            matches!((reason, number % 10), ("cut_off", 4) | ("reset", _)),
                            "{name}: {reason}"
                        );
                    }
                }
            });
        }
    });
    assert_eq!(gateway.wait_for_events(CALLERS * HOOKS).len(), CALLERS * HOOKS);
}

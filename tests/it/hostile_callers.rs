//! Callers that break every rule of HTTP, over raw sockets: what each gets, what becomes of its connection, and what of
//! it reached the API. Nothing is ever forwarded twice or merged, and a request inside a body never leaves.

mod table;

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    thread::sleep,
    time::Duration,
};

use serde_json::json;
use tokio::time::Instant;

use self::table::{Answer, Fate, Row, rows};
use super::support::{Gateway, Parts, Play, ScriptedApi, wait_until};

const FLOW: &str = "F";
const STEP: &str = "postAttributeCollection";
/// Stands in each request id for the row, which is known only later; as long as what replaces it.
const ROW: &str = "r###";
/// Longest wait for an answer or a close.
const LIMIT: Duration = Duration::from_secs(10);
/// How long a hook's body may take here.
const BODY_TIMEOUT: Duration = Duration::from_millis(400);

fn start(api: &ScriptedApi) -> Gateway {
    let listen = format!(
        "head_timeout: 2s\nwrite_timeout: 2s\nbody_timeout: {}ms\nmax_body: 4KiB\nmax_connections: 2048",
        BODY_TIMEOUT.as_millis()
    );
    let keys = "claims_to_send: [displayName]\nclaims_to_receive: [displayName]\nmax_in_flight: 1024";
    let hooks = format!("{STEP}: {{ connector: c, on_failure: error }}");
    let parts = Parts::new().listen(&listen).connector("c", &api.url("/"), keys).flow(FLOW, &hooks);
    Gateway::start(&parts.text())
}

/// Says to each hook whose it is.
fn named() -> ScriptedApi {
    ScriptedApi::answering(|request| {
        let name = request.json()["displayName"].clone();
        let answer = json!({"version": "1.0.0", "action": "Continue", "displayName": name});
        Play::json(200, &answer.to_string())
    })
}

/// One answer as it came.
#[derive(Debug)]
struct Seen {
    status: u16,
    head: String,
    body: String,
}

impl Seen {
    /// Takes the first answer off `bytes`, if it is whole.
    fn take(bytes: &mut Vec<u8>) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(bytes[..end].to_vec()).expect("a head is text");
        let status = head.get(9..12).and_then(|digits| digits.parse().ok());
        let status = status.unwrap_or_else(|| panic!("{head:?} is no head"));
        let lower = head.to_ascii_lowercase();
        assert!(!lower.contains("transfer-encoding"), "{head}");
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |digits| digits.parse().expect("a length is a number"));
        let body = bytes.get(end..end + length)?.to_vec();
        bytes.drain(..end + length);
        Some(Self { status, head, body: String::from_utf8(body).expect("a body is text") })
    }

    fn check(&self, expected: &Answer, what: &str) {
        let what = format!("{what}: {}{}", self.head, self.body);
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        match expected {
            Answer::Own(name) => {
                assert_eq!((self.status, body["displayName"].as_str()), (200, Some(*name)), "{what}");
            }
            Answer::Refused(status, reason) => {
                assert_eq!((self.status, body["reason"].as_str()), (*status, Some(*reason)), "{what}");
            }
            Answer::Mute(status, _) => {
                assert_eq!((self.status, self.body.as_str()), (*status, ""), "{what}");
            }
            Answer::Interim => assert_eq!(self.status, 100, "{what}"),
            Answer::Silence(_) => unreachable!("nothing was expected"),
        }
        let closes = self.head.to_ascii_lowercase().contains("\r\nconnection: close\r\n");
        let must = matches!(expected, Answer::Refused(_, "bad_request_framing") | Answer::Mute(..));
        assert!(closes || !must, "a close is announced: {what}");
    }
}

/// A caller on a raw socket.
struct Caller {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Caller {
    fn connect(gateway: &Gateway) -> Self {
        let stream = TcpStream::connect(gateway.address()).expect("the gateway accepts");
        stream.set_nodelay(true).expect("TCP_NODELAY can be set");
        stream.set_read_timeout(Some(LIMIT)).expect("a read time-out can be set");
        Self { stream, buffer: Vec::new() }
    }

    /// Sends a piece; where the gateway was quicker to close, its answer is waiting.
    fn send(&mut self, bytes: &[u8]) {
        if let Err(error) = self.stream.write_all(bytes) {
            assert!(
                matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
                "sending failed: {error}"
            );
        }
    }

    /// The next answer; `None` at the end of the connection.
    fn answer(&mut self, what: &str) -> Option<Seen> {
        loop {
            if let Some(seen) = Seen::take(&mut self.buffer) {
                return Some(seen);
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => self.buffer.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) => panic!("{what}: neither an answer nor a close: {error}"),
            }
        }
        assert!(self.buffer.is_empty(), "{what}: cut off: {}", String::from_utf8_lossy(&self.buffer));
        None
    }
}

/// How a row's bytes are sent.
#[derive(Clone, Copy, Debug)]
enum Pieces {
    /// In as few as the row has.
    Whole,
    /// In these and a second one each, cut in the middle.
    Halves,
    /// Each byte by itself.
    Bytes,
}

impl Pieces {
    fn send(self, caller: &mut Caller, piece: &[u8]) {
        match self {
            Self::Whole => caller.send(piece),
            Self::Halves => {
                let (one, two) = piece.split_at(piece.len() / 2);
                caller.send(one);
                sleep(Duration::from_millis(10));
                caller.send(two);
            }
            Self::Bytes => piece.chunks(1).for_each(|byte| caller.send(byte)),
        }
    }
}

fn play(gateway: &Gateway, row: &Row, id: &str, pieces: Pieces) {
    let what = format!("{} ({id}, {pieces:?})", row.name);
    let with_id = |bytes: &[u8]| replace(bytes, ROW.as_bytes(), id.as_bytes());
    // How much of HTTP/2's preface is there when its first line is refused decides what it is taken for.
    let silent = row.answers.iter().any(|answer| matches!(answer, Answer::Silence(_)));
    let pieces = if silent { Pieces::Whole } else { pieces };
    let mut caller = Caller::connect(gateway);
    let mut expected = row.answers.iter().filter(|answer| !matches!(answer, Answer::Silence(_)));
    for (number, piece) in row.pieces.iter().enumerate() {
        // A later piece is sent when the first answer is there: only so it is a later one.
        if number > 0 {
            let seen = caller.answer(&what).unwrap_or_else(|| panic!("{what}: closed before an answer"));
            seen.check(expected.next().expect("a row with two pieces has two answers"), &what);
        }
        pieces.send(&mut caller, &with_id(piece));
    }
    for expected in expected {
        let seen = caller.answer(&what).unwrap_or_else(|| panic!("{what}: closed before {expected:?}"));
        seen.check(expected, &what);
    }
    match row.fate {
        Fate::Kept => {
            caller.send(&with_id(table::hook("next").as_bytes()));
            let next = caller.answer(&what).unwrap_or_else(|| panic!("{what}: closed before the next hook"));
            next.check(&Answer::Own("next"), &what);
        }
        Fate::Closed => {
            let begin = Instant::now();
            let more = caller.answer(&what);
            assert!(more.is_none(), "{what}: one more answer: {more:?}");
            assert!(begin.elapsed() < LIMIT, "{what}");
        }
    }
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "lengths inside the request stay");
    let mut out = bytes.to_vec();
    let places: Vec<_> = (0..out.len()).filter(|&at| out.get(at..at + from.len()) == Some(from)).collect();
    for at in places {
        out[at..at + from.len()].copy_from_slice(to);
    }
    out
}

/// The names that reached the API with this row's id, in their order.
fn forwarded(api: &ScriptedApi, id: &str) -> Vec<String> {
    let requests = api.requests();
    let of_row = requests
        .iter()
        .filter(|request| request.header("x-request-id").is_some_and(|given| given.starts_with(id)));
    of_row
        .map(|request| {
            let body = request.json();
            let claims = body.as_object().expect("a hook is an object");
            assert_eq!(claims.len(), 1, "no claim of another hook: {body}");
            let name = body["displayName"].as_str().expect("each hook has a name").to_owned();
            assert_eq!(request.header("x-request-id"), Some(format!("{id}.{name}").as_str()));
            name
        })
        .collect()
}

#[test]
fn every_request_gets_its_answer_its_connection_its_fate_and_the_api_nothing_else() {
    let api = named();
    let gateway = start(&api);
    let rows = rows();
    // What comes in one piece, in two, or byte by byte is judged alike.
    for (round, pieces) in [Pieces::Whole, Pieces::Halves, Pieces::Bytes].into_iter().enumerate() {
        let id = |number: usize| format!("{}{number:03}", ["a", "b", "c"][round]);
        // A close may overtake what is still being sent, and a reset the answer.
        let played = |row: &Row| row.fate == Fate::Kept || !matches!(pieces, Pieces::Bytes);
        let failed: Vec<_> = std::thread::scope(|scope| {
            let played = rows.iter().enumerate().filter(|(_, row)| played(row));
            let threads = played.map(|(number, row)| {
                let (gateway, id) = (&gateway, id(number));
                (row.name, scope.spawn(move || play(gateway, row, &id, pieces)))
            });
            let threads: Vec<_> = threads.collect();
            let failed = threads.into_iter().filter_map(|(name, thread)| thread.join().err().map(|_| name));
            failed.collect()
        });
        assert!(failed.is_empty(), "{failed:#?}");
        for (number, row) in rows.iter().enumerate() {
            if !played(row) {
                continue;
            }
            let mut wanted: Vec<&str> = row.answers.iter().filter_map(Answer::forwarded).collect();
            if row.fate == Fate::Kept {
                wanted.push("next");
            }
            assert_eq!(forwarded(&api, &id(number)), wanted, "{} ({pieces:?})", row.name);
        }
    }
    check_what_is_written(&gateway, &rows);
}

/// Each answer of the gateway has its event; each that the HTTP layer gave by itself is counted.
fn check_what_is_written(gateway: &Gateway, rows: &[Row]) {
    let (mut events, mut faults) = (0, BTreeMap::<&str, f64>::new());
    for row in rows {
        let rounds = if row.fate == Fate::Kept { 3 } else { 2 };
        for answer in &row.answers {
            match answer {
                Answer::Own(_) | Answer::Refused(..) => events += rounds,
                Answer::Mute(_, fault) | Answer::Silence(fault) => {
                    *faults.entry(fault).or_default() += f64::from(rounds);
                }
                Answer::Interim => {}
            }
        }
        if row.fate == Fate::Kept {
            events += rounds;
        }
    }
    let events = usize::try_from(events).expect("a count is not negative");
    assert_eq!(gateway.wait_for_events(events).len(), events);
    for (fault, count) in faults {
        gateway.wait_for_metric(&format!("claimgate_unparsed_requests_total{{fault=\"{fault}\"}}"), count);
    }
}

#[test]
fn a_hook_sent_while_another_is_at_the_api_waits_for_it_and_goes_out_once() {
    let api = ScriptedApi::answering(|request| {
        let name = request.json()["displayName"].clone();
        let answer = json!({"version": "1.0.0", "action": "Continue", "displayName": name});
        Play::json(200, &answer.to_string()).after(Duration::from_millis(80))
    });
    let gateway = start(&api);
    let mut caller = Caller::connect(&gateway);
    let bytes = ["one", "two", "three"].map(table::hook).concat().replace(ROW, "z000");
    caller.send(bytes.as_bytes());
    wait_until("the first hook is at the API", || api.requests().len() == 1);
    for (number, name) in (1..).zip(["one", "two", "three"]) {
        assert_eq!(api.requests().len(), number, "one after the other");
        caller.answer(name).expect("it is answered").check(&Answer::Own(name), name);
        wait_until("the next one follows", || api.requests().len() == (number + 1).min(3));
    }
    assert_eq!(forwarded(&api, "z000"), ["one", "two", "three"]);
}

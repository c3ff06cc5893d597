//! The way to each failure. What each reason means stands in `means`; here is only how to come to it.

use std::time::Duration;

use claimgate::flow::{ContractRule, Reason};
use serde_json::json;

use crate::support::{Act, Play, answer};

pub(super) const CONTINUE: &str = r#"{"version":"1.0.0","action":"Continue"}"#;
const BLOCK: &str = r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":"No."}"#;

/// One way to fail. It has a connector of its own, so that each count is its own too.
pub(super) struct Fault {
    pub(super) reason: Reason,
    pub(super) way: Way,
    /// More keys of its connector.
    pub(super) keys: &'static str,
    /// The answer held a refusal, or may have held one.
    pub(super) refusal: bool,
    /// What the diagnostic log adds to the reason.
    pub(super) detail: Option<&'static str>,
    /// Only where the identity provider takes nothing but Continue.
    pub(super) at_token_only: bool,
}

/// What brings it about.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// What the API answers.
    Says(fn() -> Play),
    /// Where the connector points to, and what is there.
    At(Place),
    /// The hook comes after others that spent what it needs.
    Spent(Limit),
    /// The API answers before it is asked, on a connection that was used before.
    Stray,
    /// The process has no file descriptor left.
    Starved,
    /// The caller hangs up.
    HangsUp,
    /// The request is none that `on_failure` has a say about.
    Refused,
    /// Only from inside: the test of that name, in `src/gateway/tests.rs`.
    Inside(&'static str),
}

#[derive(Clone, Copy)]
pub(super) enum Place {
    /// A host name that nobody has.
    NoName,
    /// A port at which nothing listens.
    Closed,
    /// A port that takes no connection and refuses none.
    Full,
    /// It takes the connection, and says nothing where TLS is expected.
    Mute,
    /// It says this where TLS is expected, and then reads on.
    Says(&'static [u8]),
    /// It hangs up where TLS is expected.
    HangsUp,
    /// TLS with a certificate of nobody's authority.
    Untrusted,
    /// It takes longer than `answer_within`.
    Slow,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Limit {
    /// One call a minute, and one was made.
    Rate,
    /// One call at a time, and one is out.
    InFlight,
    /// One hook of a user a minute, and one was sent.
    User,
    /// One failed call opens the breaker, and one failed.
    Breaker,
}

impl Fault {
    /// The name of its connector, of which there are several for a reason with several ways.
    pub(super) fn connector(&self, number: usize) -> String {
        format!("{}-{number}", self.reason.as_str())
    }
}

/// Every way to come to this reason. A new reason does not compile without one.
pub(super) fn faults(reason: Reason) -> Vec<Fault> {
    let at = |place| vec![fault(reason, Way::At(place))];
    let says = |plays: &[fn() -> Play]| says(reason, plays);
    match reason {
        Reason::Dns => vec![fault(reason, Way::At(Place::NoName)).detail("lookup")],
        Reason::Refused => vec![fault(reason, Way::At(Place::Closed)).detail("Connection refused")],
        Reason::Tls => tls(),
        Reason::Reset => vec![
            fault(reason, Way::Says(|| Play::new([Act::ReadRequest, Act::Reset]))).detail("reset by peer"),
            fault(reason, Way::Says(|| Play::new([Act::ReadRequest, Act::Close]))).detail("the API closed"),
        ],
        Reason::CutOff => vec![
            fault(reason, Way::Says(|| Play::half(answer(200, CONTINUE)))).detail("the API closed"),
            fault(reason, Way::Says(|| Play::answer("HTTP/1.1 2").then(Act::Close))).detail("the API closed"),
            fault(reason, Way::Says(|| Play::wrong_length(200, CONTINUE, 99).then(Act::Close))),
            fault(
                reason,
                Way::Says(|| raw("200 OK\r\nTransfer-Encoding: chunked", "2\r\n{}\r\n").then(Act::Close)),
            ),
            fault(
                reason,
                Way::Says(|| Play::wrong_length(200, CONTINUE, 99).then(Act::Pause(TICK)).then(Act::Reset)),
            )
            .detail("reset by peer"),
            fault(reason, Way::Says(|| Play::wrong_length(200, BLOCK, 99).then(Act::Close))).refusal(),
            fault(reason, Way::Says(|| Play::wrong_length(409, "", 99).then(Act::Close))).refusal(),
        ],
        Reason::ConnectTimeout => [Place::Full, Place::Mute]
            .map(|place| fault(reason, Way::At(place)).keys("connect_timeout: 200ms").detail("time ran out"))
            .into(),
        Reason::FirstByteTimeout => vec![fault(reason, Way::Says(Play::silence)).detail("time ran out")],
        Reason::BodyTimeout => vec![
            fault(reason, Way::Says(|| Play::wrong_length(200, CONTINUE, 99).then(Act::Forever)))
                .detail("time ran out"),
            fault(reason, Way::Says(|| Play::answer("H").then(Act::Forever))).detail("time ran out"),
            fault(
                reason,
                Way::Says(|| Play::new([Act::ReadRequest, Act::SendByteByByte(answer(200, CONTINUE), TICK)])),
            ),
            fault(reason, Way::Says(|| Play::wrong_length(200, BLOCK, 99).then(Act::Forever))).refusal(),
        ],
        Reason::Deadline => at(Place::Slow),
        Reason::Status5xx => says(&[
            || Play::json(500, "{}"),
            || Play::json(503, ""),
            || Play::json(599, CONTINUE),
            || raw("503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0", ""),
        ])
        .and(|| Play::json(500, BLOCK)),
        Reason::Status429 => says(&[
            || Play::json(429, "{}"),
            || raw("429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0", ""),
        ])
        .and(|| Play::json(429, r#"{"userMessage":"No."}"#)),
        Reason::CredentialsRefused => credentials_refused(),
        Reason::Redirect => says(&[
            || raw("302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0", ""),
            || raw("307 Temporary Redirect\r\nLocation: /\r\nContent-Length: 0", ""),
            || raw("304 Not Modified", ""),
        ])
        .and(|| Play::json(302, BLOCK)),
        Reason::Status4xx => says(&[|| Play::json(404, "{}"), || Play::json(410, CONTINUE)])
            .and(|| Play::json(404, r#"{"userMessage":"No."}"#)),
        Reason::Contract(rule) => contract(rule),
        Reason::AnswerTooLarge => says(&[
            || Play::json(200, &format!("{{\"a\":\"{}\"}}", "x".repeat(2000))),
            || Play::chunked(200, &"x".repeat(2000), &[1000]),
        ]),
        Reason::ConnectorLimited => {
            vec![fault(reason, Way::Spent(Limit::Rate)).keys("rate_limit: { rate: 1/m, burst: 1 }")]
        }
        Reason::InFlightFull => {
            vec![fault(reason, Way::Spent(Limit::InFlight)).keys("max_in_flight: 1\nwait: 20ms")]
        }
        Reason::UserLimited => vec![fault(reason, Way::Spent(Limit::User))],
        Reason::CircuitOpen => vec![
            fault(reason, Way::Spent(Limit::Breaker))
                .keys("breaker: { least_calls: 1, failures: 1%, open_for: 1h }"),
        ],
        Reason::NoResources => vec![fault(reason, Way::Starved).detail("Too many open files")],
        Reason::ClientGone => vec![fault(reason, Way::HangsUp)],
        Reason::CallerLimited
        | Reason::Overloaded
        | Reason::NotFound
        | Reason::MethodNotAllowed
        | Reason::Unauthenticated
        | Reason::UnauthenticatedLimited
        | Reason::UnsupportedMediaType
        | Reason::ContentTooLarge
        | Reason::RequestTimeout
        | Reason::BadRequest(_) => vec![fault(reason, Way::Refused)],
        Reason::Panic => vec![fault(
            reason,
            Way::Inside("a_panic_costs_its_hook_a_failure_that_is_never_continue_and_nothing_else"),
        )],
    }
}

/// Between the bytes of a slow answer, and before a reset that must not overtake them.
const TICK: Duration = Duration::from_millis(20);

fn fault(reason: Reason, way: Way) -> Fault {
    Fault { reason, way, keys: "", refusal: false, detail: None, at_token_only: false }
}

impl Fault {
    fn keys(self, keys: &'static str) -> Self {
        Self { keys, ..self }
    }

    fn refusal(self) -> Self {
        Self { refusal: true, ..self }
    }

    fn detail(self, detail: &'static str) -> Self {
        Self { detail: Some(detail), ..self }
    }
}

fn says(reason: Reason, plays: &[fn() -> Play]) -> Vec<Fault> {
    plays.iter().map(|play| fault(reason, Way::Says(*play))).collect()
}

trait And {
    /// One more of the same reason, which refuses the user.
    fn and(self, refusing: fn() -> Play) -> Self;
}

impl And for Vec<Fault> {
    fn and(mut self, refusing: fn() -> Play) -> Self {
        let reason = self.first().expect("one refuses nobody").reason;
        self.push(fault(reason, Way::Says(refusing)).refusal());
        self
    }
}

fn raw(head: &str, body: &str) -> Play {
    Play::answer(format!("HTTP/1.1 {head}\r\n\r\n{body}"))
}

/// A fatal alert (RFC 8446 section 6) before any handshake.
macro_rules! alert {
    ($number:literal) => {
        Place::Says(&[21, 3, 1, 0, 2, 2, $number])
    };
}

fn tls() -> Vec<Fault> {
    let rows = [
        (Place::Says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "InvalidContentType"),
        (Place::HangsUp, "the API closed"),
        (Place::Untrusted, "invalid peer certificate: UnknownIssuer"),
        (alert!(40), "HandshakeFailure"),
        (alert!(70), "ProtocolVersion"),
        (alert!(112), "UnrecognisedName"),
    ];
    rows.map(|(place, detail)| fault(Reason::Tls, Way::At(place)).detail(detail)).into()
}

fn credentials_refused() -> Vec<Fault> {
    let reason = Reason::CredentialsRefused;
    let mut faults = says(reason, &[|| Play::json(401, "{}"), || Play::json(403, CONTINUE)])
        .and(|| Play::json(403, BLOCK));
    let alerts = [
        (alert!(42), "alert bad_certificate"),
        (alert!(45), "alert certificate_expired"),
        (alert!(48), "alert unknown_ca"),
        (alert!(116), "alert certificate_required"),
    ];
    faults.extend(alerts.map(|(place, detail)| fault(reason, Way::At(place)).detail(detail)));
    faults
}

fn contract(rule: ContractRule) -> Vec<Fault> {
    let reason = Reason::Contract(rule);
    let says = |plays: &[fn() -> Play]| says(reason, plays);
    match rule {
        ContractRule::HttpHead => says(&[
            || Play::garbage("ICY 200 OK\r\n\r\n"),
            || Play::garbage("\0\x01\x02"),
            || Play::answer(format!("HTTP/1.1 200 OK\nContent-Length: {}\n\n{CONTINUE}", CONTINUE.len())),
            || raw("200 OK\r\nContent-Length: 2\r\n folded: x", "{}"),
            || raw("200 OK\r\nContent-Length : 2", "{}"),
            || raw(&format!("200 OK\r\nX: {}", "x".repeat(20_000)), ""),
        ]),
        ContractRule::HttpFraming => says(&[
            || raw("200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
            || raw("200 OK\r\nContent-Length: 2\r\nContent-Length: 2", "{}"),
            || raw("200 OK\r\nContent-Length: 2, 2", "{}"),
            || raw("200 OK\r\nContent-Length: +2", "{}"),
            || raw("200 OK\r\nTransfer-Encoding: gzip, chunked", "0\r\n\r\n"),
            || raw("200 OK\r\nTransfer-Encoding: chunked", "zz\r\n"),
            || raw("200 OK\r\nTransfer-Encoding: chunked", "2\r\n{}x"),
            || raw("200 OK", CONTINUE),
            || raw("204 No Content\r\nContent-Length: 2", "{}"),
        ]),
        ContractRule::HttpInterim => says(&[
            || raw("103 Early Hints\r\nLink: </x>", ""),
            || raw("101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade", ""),
            || Play::answer("HTTP/1.1 100 Continue\r\n\r\n".repeat(9)),
        ]),
        ContractRule::HttpStray => vec![fault(reason, Way::Stray)],
        // Encoded, it may say anything; of the others here nothing was seen.
        ContractRule::ContentEncoding => {
            vec![
                fault(reason, Way::Says(|| raw("200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0", "")))
                    .refusal(),
            ]
        }
        ContractRule::EmptyBody => says(&[|| Play::json(200, ""), || Play::json(200, " \r\n")]),
        ContractRule::NotJson => {
            says(&[|| Play::json(200, "<html>")]).and(|| Play::json(200, &BLOCK[..BLOCK.len() - 1]))
        }
        ContractRule::NotAnObject => says(&[|| Play::json(200, "[]"), || Play::json(200, "null")]),
        ContractRule::TooDeep => {
            says(&[|| Play::json(200, &format!("{{\"a\":{}{}}}", "[".repeat(40), "]".repeat(40)))])
        }
        ContractRule::DuplicateName => says(&[|| Play::json(200, r#"{"city":1,"city":2}"#)])
            .and(|| Play::json(200, r#"{"action":"Continue","action":"ShowBlockPage"}"#)),
        ContractRule::MissingAction => says(&[|| Play::json(200, "{}"), || raw("204 No Content", "")]),
        ContractRule::ActionNotAString => {
            vec![
                fault(reason, Way::Says(|| Play::json(200, r#"{"version":"1.0.0","action":false}"#)))
                    .refusal(),
            ]
        }
        ContractRule::UnknownAction => {
            vec![
                fault(reason, Way::Says(|| Play::json(200, r#"{"version":"1.0.0","action":"Deny"}"#)))
                    .refusal(),
            ]
        }
        ContractRule::ContinueOutside2xx => says(&[|| Play::json(400, CONTINUE)]),
        ContractRule::ContinueAgainstStatus => {
            says(&[|| Play::json(200, r#"{"version":"1.0.0","action":"Continue","status":400}"#)])
        }
        ContractRule::ErrorWithoutMessage => says(&[|| Play::json(409, "{}"), || Play::json(400, "")]),
        ContractRule::ErrorBodyIn2xx => {
            let message = fault(reason, Way::Says(|| Play::json(200, r#"{"userMessage":"No."}"#)));
            let status = fault(reason, Way::Says(|| Play::json(200, r#"{"version":"1.0.0","status":409}"#)));
            vec![message.refusal(), status]
        }
        ContractRule::DecisionNotAllowed => [(|| Play::json(200, BLOCK)) as fn() -> Play, || {
            Play::json(
                400,
                &json!({"version":"1.0.0","status":400,"action":"ValidationError","userMessage":"No."})
                    .to_string(),
            )
        }]
        .map(|play| Fault { at_token_only: true, ..fault(reason, Way::Says(play)).refusal() })
        .into(),
        ContractRule::NotStrict => {
            vec![
                fault(reason, Way::Says(|| Play::json(200, r#"{"action":"Continue"}"#))).keys("strict: true"),
            ]
        }
    }
}

//! What an API does with one request.

use std::time::Duration;

use super::{
    cast::{ECHO, Part, TIMEOUT},
    dice::Dice,
};
use crate::support::{STEPS, answer};

/// What the API thinks of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Continue,
    Block,
    Validation,
}

/// What its answer is, if all of it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Decision(Verdict),
    /// No decision, but one can see that it was to be a refusal.
    Refusing,
    Other,
}

/// An answer, and how it is given.
#[derive(Debug)]
pub(super) struct Mood {
    pub(super) kind: Kind,
    pub(super) bytes: Vec<u8>,
    pub(super) manner: Manner,
    pub(super) then: Then,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Manner {
    AtOnce,
    After(Duration),
    /// In so many pieces, with this pause after each.
    Pieces(usize, Duration),
    /// Only so much of it, of a hundred.
    Part(usize),
    /// It goes on with these bytes until nobody reads them.
    Endless(&'static [u8]),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Then {
    Keep,
    Close,
    Reset,
    /// The connection seems to be kept, and is not.
    CloseAfter(Duration),
}

/// Which answers are equally wrong.
const STATUSES: [u16; 10] = [500, 500, 502, 503, 503, 504, 429, 429, 401, 404];
const RETRY_AFTER: [Option<&str>; 6] =
    [None, None, Some("0"), Some("1"), Some("5"), Some("Wed, 21 Oct 2015 07:28:00 GMT")];
const SHAPES: [&str; 8] = [
    "",
    "[]",
    "<html>",
    "{}",
    r#"{"version":"1.0.0","userMessage":""}"#,
    r#"{"version":"1.0.0","action":"Continue""#,
    r#"{"version":"1.0.0","action":"Continue","city":1,"city":2}"#,
    r#"{"version":"1.0.0","action":"Continue","status":400}"#,
];
const HEADS: [&str; 6] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
    "HTTP/1.1 103 Early Hints\r\n\r\n",
    "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
    "ICY 200 OK\r\n\r\n",
];

impl Mood {
    /// A proper answer at once.
    pub(super) fn good(verdict: Verdict, echo: &str, part: &Part) -> Self {
        let bytes = decision(verdict, echo);
        Self { kind: kind(verdict, part), bytes, manner: Manner::AtOnce, then: Then::Keep }
    }

    /// Any answer.
    pub(super) fn draw(dice: &mut Dice, verdict: Verdict, echo: &str, part: &Part) -> Self {
        let good = Self::good(verdict, echo, part);
        let late = u64::try_from(TIMEOUT.as_millis()).expect("it is short") * 3 / 2;
        let spoilt = |manner, then| Self { kind: Kind::Other, bytes: decision(verdict, echo), manner, then };
        let close = dice.pick(&[Then::Close, Then::Reset]);
        match dice.between(0, 1000) {
            0..560 => good,
            560..620 => Self { bytes: chunked(&good.bytes), ..good },
            620..680 => Self { manner: Manner::After(Duration::from_millis(dice.between(1, late))), ..good },
            680..710 => {
                let pause = Duration::from_millis(dice.between(0, 40));
                Self {
                    manner: Manner::Pieces(usize::try_from(dice.between(2, 12)).expect("it is small"), pause),
                    ..good
                }
            }
            // The request has been read, and nothing is said.
            710..740 => spoilt(Manner::Part(0), close),
            740..780 => {
                spoilt(Manner::Part(usize::try_from(dice.between(1, 99)).expect("it is small")), close)
            }
            780..810 => Self { kind: Kind::Other, ..flood(dice) },
            810..890 => status(dice, verdict, echo),
            890..930 => shape(dice, verdict, echo),
            930..950 => Self { then: Then::Close, ..good },
            950..960 => Self { bytes: closing(&good.bytes), then: Then::Close, ..good },
            960..980 if part.loud => {
                Self { bytes: [good.bytes.as_slice(), &decision(verdict, "0.0")].concat(), ..good }
            }
            _ => Self { then: Then::CloseAfter(Duration::from_millis(dice.between(0, 30))), ..good },
        }
    }
}

/// What the decision comes to at the step of this part.
fn kind(verdict: Verdict, part: &Part) -> Kind {
    match verdict {
        Verdict::Block | Verdict::Validation if part.step == STEPS[2] => Kind::Refusing,
        // Where there is no form yet it is shown as the other.
        Verdict::Validation if part.step == STEPS[0] => Kind::Decision(Verdict::Block),
        verdict => Kind::Decision(verdict),
    }
}

fn body(verdict: Verdict, echo: &str) -> String {
    match verdict {
        Verdict::Continue => format!(r#"{{"version":"1.0.0","action":"Continue","{ECHO}":"{echo}"}}"#),
        Verdict::Block => format!(r#"{{"version":"1.0.0","action":"ShowBlockPage","userMessage":"{echo}"}}"#),
        Verdict::Validation => {
            format!(r#"{{"version":"1.0.0","status":400,"action":"ValidationError","userMessage":"{echo}"}}"#)
        }
    }
}

fn decision(verdict: Verdict, echo: &str) -> Vec<u8> {
    let status = if verdict == Verdict::Validation { 400 } else { 200 };
    answer(status, &body(verdict, echo))
}

/// The same with another head.
fn with_head(bytes: &[u8], change: impl Fn(&str, &str) -> String) -> Vec<u8> {
    let text = std::str::from_utf8(bytes).expect("these answers are ASCII");
    let (head, body) = text.split_once("\r\n\r\n").expect("an answer has a head");
    change(head, body).into_bytes()
}

fn chunked(bytes: &[u8]) -> Vec<u8> {
    with_head(bytes, |head, body| {
        let line = head.lines().next().unwrap_or_default();
        let (one, two) = body.split_at(body.len() / 3);
        let chunks = format!("{:x}\r\n{one}\r\n{:X};ext=1\r\n{two}\r\n0\r\n\r\n", one.len(), two.len());
        format!("{line}\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")
    })
}

fn closing(bytes: &[u8]) -> Vec<u8> {
    with_head(bytes, |head, body| format!("{head}\r\nConnection: close\r\n\r\n{body}"))
}

fn flood(dice: &mut Dice) -> Mood {
    let (bytes, endless): (String, &[u8]) = match dice.between(0, 4) {
        0 => ("HTTP/1.1 200 OK\r\n".to_owned(), b"X-More: more and more and more\r\n"),
        1 => (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            b"10\r\n0123456789abcdef\r\n",
        ),
        2 => (
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n".to_owned(),
            b"{\"a\":\"........................",
        ),
        _ => ("HTTP/1.1 200 OK\r\nX: ".to_owned(), b"one line without an end and"),
    };
    Mood { kind: Kind::Other, bytes: bytes.into_bytes(), manner: Manner::Endless(endless), then: Then::Reset }
}

/// An answer that says by its status that it is none.
fn status(dice: &mut Dice, verdict: Verdict, echo: &str) -> Mood {
    let (status, retry_after) = (dice.pick(&STATUSES), dice.pick(&RETRY_AFTER));
    let refuses = verdict != Verdict::Continue && dice.chance(500);
    let body = if refuses { body(verdict, echo) } else { "{}".to_owned() };
    let mut bytes = answer(status, &body);
    if let Some(value) = retry_after {
        bytes = with_head(&bytes, |head, body| format!("{head}\r\nRetry-After: {value}\r\n\r\n{body}"));
    }
    let kind = if refuses { Kind::Refusing } else { Kind::Other };
    Mood { kind, bytes, manner: Manner::AtOnce, then: Then::Keep }
}

/// An answer in the wrong shape.
fn shape(dice: &mut Dice, verdict: Verdict, echo: &str) -> Mood {
    let message = |text: &str| text.replace("ECHO", echo);
    let (kind, bytes) = if verdict != Verdict::Continue {
        let refusals = [
            r#"{"version":"1.0.0","action":"Deny","userMessage":"ECHO"}"#,
            r#"{"action":"Continue","action":"ShowBlockPage","userMessage":"ECHO"}"#,
            r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":"ECHO""#,
            r#"{"version":"1.0.0","action":["ShowBlockPage"]}"#,
        ];
        (Kind::Refusing, answer(200, &message(dice.pick(&refusals))))
    } else if dice.chance(500) {
        (Kind::Other, answer(200, dice.pick(&SHAPES)))
    } else {
        (Kind::Other, dice.pick(&HEADS).as_bytes().to_vec())
    };
    Mood { kind, bytes, manner: Manner::AtOnce, then: Then::Keep }
}

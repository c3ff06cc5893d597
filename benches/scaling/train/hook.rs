//! The hooks of a training. Which is the n-th is always the same, so that trainings differ in nothing but time.

use std::fmt::Write as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::gateway::{CALLER, HOST};

/// A hook and what its caller must see.
pub(super) struct Hook {
    pub(super) request: Vec<u8>,
    /// As [`crate::hooks::answer`] says it.
    pub(super) expected: &'static str,
    /// Whether an API is called for it.
    pub(super) calls: bool,
    pub(super) manner: Manner,
}

/// How a hook is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    Kept,
    /// Over a connection of its own.
    Fresh,
    /// Twice, the second time when the first is answered.
    Again,
    /// Twice at once.
    Together,
}

/// How often in a hundred, user flow, step, answer; as in `claimgate.yaml`.
const TARGETS: [(u64, &str, Step, &str); 9] = [
    (18, "B2X_1_SignUp", FEDERATION, "Continue"),
    (26, "B2X_1_SignUp", ATTRIBUTES, "Continue"),
    (12, "B2X_1_SignUp", TOKEN, "Continue"),
    (8, "B2C_1A_Partner", FEDERATION, "Continue"),
    (14, "B2C_1A_Partner", ATTRIBUTES, "Continue"),
    (6, "B2C_1A_Partner", TOKEN, "Continue"),
    (8, "B2X_1_Waiting", ATTRIBUTES, "ShowBlockPage"),
    (7, "B2X_1_Form", ATTRIBUTES, "ValidationError"),
    (1, "B2X_1_Down", ATTRIBUTES, "ShowBlockPage"),
];

/// In the path, and in the claim.
type Step = (&'static str, &'static str);
const FEDERATION: Step = ("postFederationSignup", "PostFederationSignup");
const ATTRIBUTES: Step = ("postAttributeCollection", "PostAttributeCollection");
const TOKEN: Step = ("preTokenIssuance", "PreTokenIssuance");

/// What is odd with a request that no API hears of, and the status that it gets.
const REFUSED: [(Fault, &str); 3] =
    [(Fault::Password, "401"), (Fault::UserFlow, "404"), (Fault::Body, "400")];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Password,
    UserFlow,
    Body,
}

const NAMES: [(&str, &str); 6] = [
    ("Jane", "Doe"),
    ("José", "García Márquez"),
    (r"Zo\u00eb", r#"\"Zo\" van der Berg"#),
    ("Søren", "O'Brien"),
    ("Maximilian", "Freiherr von und zu Guttenberg"),
    ("花子", "山田"),
];
const CITIES: [(&str, &str, &str); 4] = [
    ("Redmond", "United States", "98052"),
    ("Köln", "Deutschland", "50667"),
    (r"S\u00e3o Paulo", "Brasil", "01310-100"),
    ("X", "Y", ""),
];

impl Hook {
    /// The one with this number.
    pub(super) fn number(number: u64) -> Self {
        let mut draw = Draw(number);
        let refused = draw.below(100) < 2;
        let fault = refused.then(|| REFUSED[draw.index(REFUSED.len())]);
        let (flow, step, decision) = target(&mut draw);
        let manner = match draw.below(100) {
            0..2 => Manner::Fresh,
            // What is decided before the token is sent is not remembered.
            2..5 if step != TOKEN => Manner::Again,
            5..6 if step != TOKEN => Manner::Together,
            _ => Manner::Kept,
        };
        let mut body = body(number, step, &mut draw);
        if matches!(fault, Some((Fault::Body, _))) {
            body.pop();
        }
        Self {
            request: request(number, flow, step, &body, fault.map(|(fault, _)| fault), &mut draw),
            expected: fault.map_or(decision, |(_, status)| status),
            calls: fault.is_none() && flow != "B2X_1_Down",
            manner: if refused { Manner::Fresh } else { manner },
        }
    }
}

fn target(draw: &mut Draw) -> (&'static str, Step, &'static str) {
    let mut left = draw.below(TARGETS.iter().map(|(often, ..)| often).sum());
    for (often, flow, step, decision) in TARGETS {
        match left.checked_sub(often) {
            None => return (flow, step, decision),
            Some(rest) => left = rest,
        }
    }
    unreachable!("what is drawn is below the sum")
}

fn request(
    number: u64,
    flow: &str,
    (step, _): Step,
    body: &str,
    fault: Option<Fault>,
    draw: &mut Draw,
) -> Vec<u8> {
    let password = if fault == Some(Fault::Password) { "wrong" } else { CALLER.1 };
    let suffix = if fault == Some(Fault::UserFlow) { "Of_Nobody" } else { "" };
    let basic = || {
        let credential = BASE64_STANDARD.encode(format!("{}:{password}", CALLER.0));
        format!("Authorization: Basic {credential}\r\n")
    };
    let (query, credential) = match draw.below(3) {
        0 if flow == "B2C_1A_Partner" => (format!("?code={password}"), String::new()),
        1 if flow == "B2C_1A_Partner" => (String::new(), format!("X-Hook-Key: {password}\r\n")),
        _ => (String::new(), basic()),
    };
    let traced = if draw.below(4) == 0 {
        format!(
            "X-Request-ID: hook-{number}\r\ntraceparent: 00-4bf92f3577b34da6{number:016x}-00f067aa0ba902b7-01\r\n"
        )
    } else {
        String::new()
    };
    let mut request = format!(
        "POST /flows/{flow}{suffix}/{step}{query} HTTP/1.1\r\nHost: {HOST}\r\nAccept: application/json\r\n{credential}{traced}\
         Content-Type: application/json; charset=utf-8\r\n"
    );
    let length = body.len();
    // A few clients do not say the length before they have written the body.
    if draw.below(10) == 0 {
        write!(request, "Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n")
    } else {
        write!(request, "Content-Length: {length}\r\n\r\n{body}")
    }
    .expect("a String takes any text");
    request.into_bytes()
}

/// The claims of another user each time: from a handful to a hundred of them, of all kinds.
fn body(number: u64, (_, step): Step, draw: &mut Draw) -> String {
    let (given, sur) = NAMES[draw.index(NAMES.len())];
    let (city, country, postal) = CITIES[draw.index(CITIES.len())];
    let mut body = format!(r#"{{"email":"user{number:07}@fabrikam.com","displayName":"{given} {sur}""#);
    if draw.below(2) == 0 {
        let issuer = ["facebook.com", "google.com", "https://login.contoso.com/v2.0"][draw.index(3)];
        write!(
            body,
            r#","identities":[{{"signInType":"federated","issuer":"{issuer}","issuerAssignedId":"{:020}"}}]"#,
            draw.next()
        )
        .expect("a String takes any text");
    }
    if draw.below(5) > 0 {
        write!(
            body,
            r#","givenName":"{given}","surname":"{sur}","city":"{city}","country":"{country}","postalCode":"{postal}""#
        )
        .expect("a String takes any text");
    }
    let attributes = match draw.below(10) {
        0..3 => draw.below(6),
        3..8 => 5 + draw.below(25),
        _ => 25 + draw.below(75),
    };
    for attribute in 0..attributes {
        let begun = write!(body, r#","extension_0123456789abcdef0123456789abcdef_Attribute{attribute:03}":"#);
        begun.and_then(|()| value(&mut body, draw)).expect("a String takes any text");
    }
    let rest = format!(
        r#","objectId":"11111111-2222-3333-4444-{number:012}","step":"{step}","client_id":"93fd07aa-333c-409d-955d-96008fd08dd9","ui_locales":"en-US"}}"#
    );
    body + &rest
}

fn value(body: &mut String, draw: &mut Draw) -> std::fmt::Result {
    const WORDS: [&str; 8] =
        ["Senior Buyer", "2026-01-07", "L-2718", "Main Street 12,", "https://", "x", "two words", "Größe"];
    match draw.below(20) {
        0..2 => write!(body, "{}", draw.below(2) == 0),
        2..4 => write!(body, "{}", draw.below(1_000_000)),
        4 => write!(body, r#""line\nof \"text\" \u00e4 {}""#, draw.below(100)),
        _ => {
            body.push('"');
            let words = if draw.below(10) == 0 { 1 + draw.below(20) } else { draw.below(4) };
            for _ in 0..words {
                body.push_str(WORDS[draw.index(WORDS.len())]);
            }
            body.push('"');
            Ok(())
        }
    }
}

/// Numbers without an apparent order (`SplitMix64`), from this one on.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("it is below a usize")
    }
}

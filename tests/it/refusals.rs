//! A refusal never becomes Continue, in whatever state the API's answer arrives.

use std::time::Duration;

use serde_json::json;

use super::support::{
    Act, CALLER, Gateway, PASSWORD, Parts, Play, RecordedRequest, STEPS, ScriptedApi, answer,
};

const STATUSES: [u16; 17] =
    [200, 201, 204, 300, 302, 400, 401, 403, 404, 409, 410, 422, 429, 500, 502, 503, 599];

/// Each refuses the user under any HTTP status.
const REFUSALS: [&str; 12] = [
    r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":"No."}"#,
    r#"{"version":"1.0.0","status":400,"action":"ValidationError","userMessage":"Typo."}"#,
    r#"{"action":"showblockpage"}"#,
    r#"{"action":"Deny"}"#,
    r#"{"ACTION":"Deny"}"#,
    r#"{"action":"Continue","action":"ShowBlockPage"}"#,
    r#"{"action":"Continue","action":"Continue"}"#,
    r#"{"action":"Continue","Action":"Deny"}"#,
    r#"{"action":false}"#,
    r#"{"action":null}"#,
    r#"{"\u0061ction":"Deny"}"#,
    r#"{"action" /* x */ : "ShowBlockPage",}"#,
];

/// Nothing in these refuses anybody, so that they tell whether `continue` works at all.
const HARMLESS: [&str; 3] = [r#"{"version":"1.0.0","action":"Continue"}"#, r#"{"error":"boom"}"#, "<html>"];

/// The ways in which an answer may be spoilt. Each still carries the whole `body`, or all of it but its end.
#[rustfmt::skip]
const SPOILS: [(&str, fn(u16, &str) -> Play); 17] = [
    ("whole", |status, body| Play::json(status, body)),
    ("chunked", |status, body| Play::chunked(status, body, &[1, 5, 2])),
    ("cut off", |status, body| Play::wrong_length(status, body, body.len() + 1).then(Act::Close)),
    ("reset", |status, body| Play::wrong_length(status, body, body.len() + 1).then(Act::Pause(Duration::from_millis(30))).then(Act::Reset)),
    ("stalled", |status, body| Play::wrong_length(status, body, body.len() + 1).then(Act::Forever)),
    ("chunked and cut off", |status, body| head(status, "Transfer-Encoding: chunked", &format!("{:x}\r\n{body}\r\n", body.len())).then(Act::Close)),
    ("chunked and broken", |status, body| head(status, "Transfer-Encoding: chunked", &format!("{:x}\r\n{body}\r\nzz\r\n", body.len()))),
    ("encoded", |status, body| head(status, &format!("Content-Encoding: gzip\r\nContent-Length: {}", body.len()), body)),
    ("too large", |status, body| Play::json(status, &format!("{body}{}", " ".repeat(5000)))),
    ("too large and cut off", |status, body| Play::wrong_length(status, body, 5000).then(Act::Close)),
    ("too large in chunks", |status, body| Play::chunked(status, &format!("{body}{}", " ".repeat(5000)), &[2000])),
    ("too large before it refuses", |status, body| Play::json(status, &format!("{}{body}", " ".repeat(5000)))),
    ("two lengths and a late body", |status, body| late(status, &format!("Content-Length: {0}\r\nContent-Length: {0}", body.len()), body)),
    ("no length and a late body", |status, body| late(status, "X: y", body)),
    ("two lengths", |status, body| head(status, &format!("Content-Length: {0}\r\nContent-Length: {0}", body.len()), body)),
    ("both framings", |status, body| head(status, &format!("Content-Length: {}\r\nTransfer-Encoding: chunked", body.len()), body)),
    ("no length", |status, body| head(status, "X: y", body)),
];

/// What cannot be read cannot be shown to be harmless either.
const UNREADABLE: [&str; 11] = [
    "encoded",
    "chunked and broken",
    "too large",
    "too large and cut off",
    "too large in chunks",
    "too large before it refuses",
    "two lengths",
    "both framings",
    "no length",
    "two lengths and a late body",
    "no length and a late body",
];

fn head(status: u16, lines: &str, body: &str) -> Play {
    Play::answer(format!("HTTP/1.1 {status} Named\r\n{lines}\r\n\r\n{body}"))
}

/// A head that is refused before the body arrives.
fn late(status: u16, lines: &str, body: &str) -> Play {
    head(status, lines, "")
        .then(Act::Pause(Duration::from_millis(30)))
        .then(Act::Send(body.as_bytes().to_vec()))
}

/// The hook says by `city` which answer it wants: status, body, spoil.
fn scripted(request: &RecordedRequest) -> Play {
    let [status, body, spoil] = serde_json::from_value::<[usize; 3]>(request.json()["city"].clone())
        .expect("each hook names what it wants");
    let bodies: Vec<&str> = REFUSALS.into_iter().chain(HARMLESS).collect();
    SPOILS[spoil].1(u16::try_from(status).expect("a status is small"), bodies[body])
}

fn start(api: &ScriptedApi, more: &str) -> Gateway {
    let hooks = STEPS.map(|step| format!("{step}: {{ connector: c, on_failure: continue }}")).join("\n");
    let keys = format!("claims_to_send: [city]\ntimeout: 150ms\nmax_answer: 1KiB\n{more}");
    Gateway::start(&Parts::new().connector("c", &api.url("/"), &keys).flow("F", &hooks).text())
}

fn ask(gateway: &Gateway, step: &str, wanted: [usize; 3], id: &str) -> (u16, String) {
    let request = gateway.client().post_hook("F", step, &json!({ "city": wanted }).to_string());
    let response = request.basic(CALLER, PASSWORD).header("X-Request-ID", id).send();
    (response.status, response.text().to_owned())
}

fn every_refusal(more: &str) {
    let api = ScriptedApi::answering(scripted);
    let gateway = start(&api, more);
    let mut ids = Vec::new();
    for (spoil, (spoilt, _)) in SPOILS.into_iter().enumerate() {
        for status in STATUSES {
            // A 204 has no body: what follows its head belongs to nothing, and is not read.
            if status == 204 && spoilt != "whole" {
                continue;
            }
            for (body, text) in REFUSALS.into_iter().enumerate() {
                // Which status and body meet in which spoil is no matter: a third of them, and fewer of the slow ones.
                let slow = matches!(spoilt, "stalled" | "reset") || spoilt.ends_with("late body");
                let every = if slow { 11 } else { 3 };
                if spoilt != "whole" && (usize::from(status) + body + spoil) % every != 0 {
                    continue;
                }
                let step = STEPS[(body + usize::from(status)) % 3];
                let id = format!("{spoil}.{status}.{body}");
                let (_, answer) = ask(&gateway, step, [usize::from(status), body, spoil], &id);
                assert!(!answer.contains(r#""Continue""#), "{spoilt} {status} {text} at {step}: {answer}");
                ids.push((id, answer));
            }
        }
    }
    for (id, answer) in ids {
        let event = gateway.event(&id);
        let fallback = event["outcome"] == "fallback";
        // Either a trace of it was seen, or the reason says that nobody looked.
        let reason = event["reason"].as_str().unwrap_or_default();
        let unread = reason.starts_with("contract_http_") || reason == "answer_too_large";
        let refused = unread || event.get("refusal") == Some(&true.into());
        assert_eq!(fallback, refused, "{id}: {answer}: {event}");
        assert_eq!(event["decision"] == "error", fallback, "{id}: {event}");
    }
}

#[test]
fn a_refusal_in_any_answer_never_becomes_continue() {
    every_refusal("");
}

#[test]
fn a_refusal_never_becomes_continue_where_the_connector_is_lenient() {
    every_refusal("missing_action: continue");
}

#[test]
fn a_message_under_4xx_is_a_refusal_also_without_an_action() {
    let api = ScriptedApi::answering(|request| {
        let status = request.json()["city"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap();
        Play::json(status, r#"{"userMessage":"Taken."}"#)
    });
    let gateway = start(&api, "");
    for status in STATUSES.into_iter().filter(|status| (400..500).contains(status)) {
        for step in STEPS {
            let request = gateway.client().post_hook("F", step, &json!({ "city": status }).to_string());
            let response = request.basic(CALLER, PASSWORD).send();
            assert!(!response.text().contains(r#""Continue""#), "{status} at {step}: {}", response.text());
        }
    }
}

#[test]
fn what_refuses_nobody_may_continue() {
    let api = ScriptedApi::answering(scripted);
    let gateway = start(&api, "");
    for (spoil, (spoilt, _)) in SPOILS.into_iter().enumerate() {
        for (body, text) in HARMLESS.into_iter().enumerate() {
            for status in [200, 401, 404, 500] {
                let id = format!("{spoil}.{status}.{body}");
                let wanted = [status, REFUSALS.len() + body, spoil];
                let answer = ask(&gateway, STEPS[body], wanted, &id);
                // Under 4xx what did not arrive may have been a message.
                let half = matches!(spoilt, "cut off" | "reset" | "stalled" | "chunked and cut off");
                let unreadable = UNREADABLE.contains(&spoilt) || (half && (400..500).contains(&status));
                let goes_on = (answer.0 == 200, answer.1.contains(r#""Continue""#));
                assert_eq!(goes_on, (!unreadable, !unreadable), "{spoilt} {status} {text}: {}", answer.1);
            }
        }
    }
}

#[test]
fn a_refusal_behind_a_head_that_cannot_be_read_never_becomes_continue() {
    let body = REFUSALS[0];
    let heads = [
        format!("HTTP/1.1 200 OK\nContent-Length: {}\n\n{body}", body.len()),
        format!("HTTP/1.1 200 OK\r\nContent-Length : {}\r\n\r\n{body}", body.len()),
        format!("HTTP/2 200\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
        format!("HTTP/1.1 103 Early Hints\r\n\r\n{}", String::from_utf8(answer(200, body)).unwrap()),
        body.to_owned(),
    ];
    let count = heads.len();
    let api = ScriptedApi::answering(move |request| {
        let at = request.json()["city"].as_u64().and_then(|at| usize::try_from(at).ok()).unwrap();
        Play::answer(heads[at].clone())
    });
    let gateway = start(&api, "");
    for at in 0..count {
        let request = gateway.client().post_hook("F", STEPS[0], &json!({ "city": at }).to_string());
        let response = request.basic(CALLER, PASSWORD).send();
        assert_eq!(
            (response.status, response.json()["status"].clone()),
            (502, json!(502)),
            "head {at}: {}",
            response.text()
        );
    }
}

/// Under 4xx a message is a refusal, and what did not arrive may have been one.
#[test]
fn half_an_answer_with_a_status_that_refuses_is_taken_for_a_refusal() {
    let api = ScriptedApi::answering(|request| {
        let (status, head_ends) =
            serde_json::from_value::<(u16, bool)>(request.json()["city"].clone()).unwrap();
        let whole = format!("HTTP/1.1 {status} Named\r\nContent-Length: 60\r\n\r\n");
        let length = if head_ends { whole.len() } else { whole.len() - 12 };
        Play::answer(&whole[..length]).then(Act::Close)
    });
    let gateway = start(&api, "");
    for (status, goes_on) in
        [(200, true), (400, false), (403, false), (409, false), (422, false), (500, true)]
    {
        for (step, whole_head) in STEPS.into_iter().flat_map(|step| [(step, true), (step, false)]) {
            let body = json!({ "city": [json!(status), json!(whole_head)] });
            let request = gateway.client().post_hook("F", step, &body.to_string());
            let response = request.basic(CALLER, PASSWORD).send();
            let continued = response.text().contains(r#""Continue""#);
            assert_eq!(
                continued,
                goes_on,
                "{status} at {step}, whole head: {whole_head}: {}",
                response.text()
            );
        }
    }
}

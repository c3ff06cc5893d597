//! The table holds, and what the table cannot say.

use super::{
    script::{
        MAX_ANSWER, REQUEST, Script,
        Then::{End, Silence},
    },
    table::{Case, Expected, OK, cases},
};
use crate::{
    flow::Reason,
    upstream::{Defect, Detail, WireFailure, exchange::Exchanged},
};

#[tokio::test(start_paused = true)]
async fn each_answer_becomes_what_the_table_says() {
    for Case { name, raw, then, expected } in cases() {
        let mut script = Script::new([raw], then);
        let result = script.run().await;
        assert!(matches(&result, expected), "{name}: expected {expected:?}, got {result:?}");
        assert_eq!(script.received, REQUEST, "{name}");
    }
}

fn matches(result: &Result<Exchanged, WireFailure>, expected: Expected) -> bool {
    match (expected, result) {
        (Expected::Kept(status, body), Ok(Exchanged { answer, keep: true, surplus: false }))
        | (Expected::Closed(status, body), Ok(Exchanged { answer, keep: false, .. })) => {
            answer.status == status && answer.body == body.as_bytes() && !answer.content_encoding
        }
        (Expected::Fails(reason), Err(failure)) => {
            failure.reason == reason && failure.partial.is_none() && failure.sent
        }
        (Expected::Breaks(reason, status, body), Err(failure)) => {
            let Some(partial) = &failure.partial else { return false };
            // A broken framing leaves raw bytes behind what was decoded.
            let whole = matches!(reason, Reason::Contract(_)) || partial.body.len() == body.len();
            let fits = partial.body.starts_with(body.as_bytes()) && partial.body.len() <= MAX_ANSWER;
            failure.reason == reason && partial.status == status && fits && whole && failure.sent
        }
        _ => false,
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_under_a_broken_framing_is_kept_as_evidence_within_the_limit() {
    let filler = "x".repeat(40);
    let cases = [
        ("Content-Length: x\r\n\r\n\"ShowBlockPage\"", "\"ShowBlockPage\""),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\n\"ShowBlockPage\"", "\"ShowBlockPage\""),
        (&format!("Content-Length: 1, 2\r\n\r\n{filler}"), &filler[..MAX_ANSWER]),
    ];
    for (rest, expected) in cases {
        let failure = Script::new([format!("{OK}{rest}").into_bytes()], Silence).run().await.unwrap_err();
        let body = failure.partial.unwrap().body;
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_encoded_body_is_told() {
    let cases =
        [("gzip", true), ("identity", false), ("Identity", false), ("identity, br", true), ("", false)];
    for (coding, expected) in cases {
        let raw = format!("{OK}Content-Encoding: {coding}\r\nContent-Length: 1\r\n\r\nx");
        let exchanged = Script::new([raw.into_bytes()], Silence).run().await.unwrap();
        assert_eq!(exchanged.answer.content_encoding, expected, "{coding:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_defect_is_named_for_the_diagnostic_log() {
    let cases = [
        ("{ok}X: y\n\r\n", Defect::BareLineFeed),
        ("{ok}X: y\r\n z\r\n\r\n", Defect::FoldedLine),
        ("HTTP/2 200\r\n\r\n", Defect::NotHttp),
        ("{ok}Content-Length: 5, 5\r\n\r\n", Defect::SeveralLengths),
        ("{ok}Content-Length: 5\r\nContent-Length: 5\r\n\r\n", Defect::SeveralLengths),
        ("{ok}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", Defect::BothFramings),
        ("{ok}\r\n", Defect::NoLength),
        ("HTTP/1.1 103 Early Hints\r\n\r\n", Defect::Interim),
        (&"HTTP/1.1 100 Continue\r\n\r\n".repeat(9), Defect::TooManyInterim),
    ];
    for (raw, defect) in cases {
        let failure = Script::new([raw.replace("{ok}", OK).into_bytes()], Silence).run().await.unwrap_err();
        assert_eq!(failure.detail, Detail::Answer(defect), "{raw:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_text_about_an_exchange_holds_a_byte_of_the_answer() {
    let complete =
        Script::new([format!("{OK}Content-Length: 6\r\n\r\nsecret").into_bytes()], Silence).run().await;
    let broken = Script::new([format!("{OK}Content-Length: 9\r\n\r\nsecret").into_bytes()], End).run().await;
    assert_eq!(complete.as_ref().unwrap().answer.body, b"secret");
    assert_eq!(broken.as_ref().unwrap_err().partial.as_ref().unwrap().body, b"secret");
    let as_numbers = "115, 101, 99";
    for text in [format!("{complete:?}"), format!("{broken:?}"), broken.unwrap_err().to_string()] {
        assert!(!text.contains("secret") && !text.contains(as_numbers), "{text}");
    }
}

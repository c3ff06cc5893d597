//! No secret and no claim's value comes out where it should not: on no path, in no form, at the most talkative level.
//!
//! Secrets, claims, headers, queries and everything an API says carry a mark. What is written, counted and answered is
//! searched for it, as it is and in every encoding that stands to reason.

mod commands;
mod marks;
mod paths;
mod stage;

use std::{collections::BTreeSet, time::Duration};

use claimgate::flow::Reason;

use self::{
    marks::{HIDDEN, SHOWN, assert_hidden, find, sent},
    paths::{Path, path},
    stage::{Stage, known, names},
};
use super::support::STEPS;

/// All paths, in one log format.
fn nothing_leaks(format: &'static str) {
    let mut stage = Stage::set(format);
    // First, while every limit has room.
    decisions(&stage);
    for reason in Reason::all() {
        stage.go(reason);
    }
    credentials(&stage);
    no_hooks(&stage);
    admin_port(&stage);

    let [stdout, stderr, metrics] = stage.said();
    for (text, what) in [(&stdout, "stdout"), (&stderr, "stderr"), (&metrics, "/metrics")] {
        assert_hidden(text, what);
        let steers = |character: char| character.is_control() && character != '\n';
        assert!(!text.chars().any(steers), "{what} has a control character");
    }
    assert!(stderr.contains("DEBUG"), "the most talkative level was on: {stderr}");
    // A name that is fit for a log stands in the other format.
    assert_eq!(stdout.contains("jobTitle"), format == "json");
    for line in stdout.lines() {
        let whole = match format {
            "json" => serde_json::from_str::<serde_json::Value>(line).is_ok_and(|value| value.is_object()),
            _ => line.len() > 30 && line[..24].ends_with('Z') && line.contains(" request_id="),
        };
        assert!(whole && !line.contains("forged"), "a line that a name has made: {line}");
    }
    let missing: BTreeSet<_> = Reason::all()
        .filter(|reason| !matches!(path(*reason), Path::Inside(_)) && *reason != Reason::NoResources)
        .filter(|reason| !names(&stdout, *reason))
        .map(Reason::as_str)
        .collect();
    assert!(missing.is_empty(), "not on their path: {missing:?}");
}

#[test]
fn nothing_leaks_on_any_path_into_json() {
    nothing_leaks("json");
}

#[test]
fn nothing_leaks_on_any_path_into_text() {
    nothing_leaks("text");
}

/// What the API decides, repaired or not.
fn decisions(stage: &Stage) {
    let plays = ["continue", "block", "validation", "default", "comments", "chunks", "twice", "stray"];
    let flows = plays.map(|play| ("Scripted", play)).into_iter().chain([("Blocking", "none")]);
    for (flow, play) in flows {
        for step in &STEPS[..2] {
            let response = stage.send(&known(stage.post(flow, step, play)));
            assert!(find(response.text(), SHOWN).is_some(), "{flow} {play}: what is for the user gets there");
        }
    }
    std::thread::sleep(Duration::from_millis(60));
}

/// Every credential of the caller lets it in, and none is seen again.
fn credentials(stage: &Stage) {
    let hook = || stage.post("Scripted", STEPS[1], "continue");
    stage.send(&hook().basic(HIDDEN, &format!("{}2", sent(HIDDEN))));
    stage.send(&hook().code(&sent(HIDDEN)));
    stage.send(&hook().header("X-Key", &format!("{}-key", sent(HIDDEN))));
    let uses = ["basic", "basic#2", "code", "header"];
    for credential in uses {
        let sample =
            format!("claimgate_credential_uses_total{{caller=\"known\",credential=\"{credential}\"}}");
        assert!(stage.gateway.metric(&sample) > 0.0, "{credential}");
    }
}

/// Connections that carry no hook leave at most diagnostics.
fn no_hooks(stage: &Stage) {
    let mark = sent(HIDDEN);
    for bytes in [
        format!("{mark}\r\n\r\n"),
        format!("{mark} {mark} {mark}\r\n{mark}: {mark}\r\n\r\n"),
        format!("GET /{mark} HTTP/1.1\r\n{mark}"),
        format!("GET /{mark} HTTP/9.9\r\n\r\n"),
        format!("GET /{mark} HTTP/1.1\r\n{mark} : {mark}\r\n\r\n"),
        format!("GET /{mark} HTTP/1.1\r\nHost: h\r\nContent-Length: {mark}\r\n\r\n"),
        format!("GET /{mark} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: {mark}\r\n\r\n"),
        format!("GET /{mark} HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", mark.repeat(1_000)),
        format!("GET /{mark} HTTP/1.1\r\nHost: h\r\n{}\r\n", format!("X: {mark}\r\n").repeat(200)),
        format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{mark}"),
    ] {
        let mut connection = stage.client().connect();
        connection.write(bytes.as_bytes());
    }
    for (fault, count) in [("malformed", 6.0), ("too_large", 2.0), ("http2", 1.0)] {
        let sample = format!("claimgate_unparsed_requests_total{{fault=\"{fault}\"}}");
        stage.gateway.wait_for_metric(&sample, count);
    }
}

/// It shows nothing of the configuration, and nothing of whoever asks.
fn admin_port(stage: &Stage) {
    let client = stage.gateway.admin_client();
    let mark = sent(HIDDEN);
    for path in ["/livez", "/readyz", "/metrics", "/version", &format!("/{mark}")] {
        for method in ["GET", "POST", HIDDEN] {
            let request = client.request(method, &format!("{path}?{mark}")).header("Cookie", &mark);
            let response = request.basic(HIDDEN, &mark).header("X-Request-ID", HIDDEN).send();
            let text = format!("{:?}\n{}", response.headers, response.text());
            assert_hidden(&text, path);
        }
    }
    assert_eq!(find(&stage.gateway.metrics(), SHOWN), None);
}

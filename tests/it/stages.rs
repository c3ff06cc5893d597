//! The stages in the life of a hook that refuse it: each with its answer, its event and its metrics, and in their order.

use std::{collections::BTreeMap, time::Duration};

use super::support::{
    BLOCK, CALLER, Client, Gateway, PASSWORD, Parts, Play, Request, ScriptedApi, all_refused, refused,
    wait_until,
};

const STEP: &str = "postAttributeCollection";
const BODY: &str = r#"{"email":"jane@fabrikam.com"}"#;
const MAX_BODY: usize = 4096;
const CHALLENGE: &str = r#"Basic realm="claimgate", charset="UTF-8""#;

/// `Open` takes Basic and a code, `Keyed` a header alone and has one step, `Limited` has a caller with two hooks a minute.
fn start(api: &ScriptedApi) -> Gateway {
    let open = format!("basic: {{ username: {CALLER}, password: {PASSWORD} }}\ncode: plain");
    let limited = "basic: { username: limited, password: pw }\nrate_limit: { rate: 1/m, burst: 2 }";
    let parts = Parts::new()
        .listen(&format!("max_body: {MAX_BODY}B"))
        .caller("open", &open.replace(CALLER, "open"))
        .caller("key", "header: { name: X-Key, value: k }")
        .caller("limited", limited)
        .connector("approvals", &api.url("/"), "")
        .whole_flow("Open", "approvals", "callers: [entra, open]")
        .flow("Keyed", &format!("callers: [key]\n{STEP}: {{ connector: approvals, on_failure: {BLOCK} }}"))
        .whole_flow("Limited", "approvals", "callers: [limited, entra]");
    Gateway::start(&parts.text())
}

/// A hook that would be answered.
fn good(client: Client) -> Request {
    client.post_hook("Open", STEP, BODY).basic(CALLER, PASSWORD)
}

fn at(client: Client, method: &str, target: &str) -> Request {
    client.request(method, target).header("Content-Type", "application/json").body(BODY)
}

/// Paths that name no hook.
const NOWHERE: [&str; 21] = [
    "/",
    "/flows",
    "/flows/",
    "/flows/Open",
    "/flows/Open/",
    "/flows/Open/postAttributeCollection/",
    "/flows/Open/PostAttributeCollection",
    "/flows/open/postAttributeCollection",
    "/flows/Open/step",
    "/flows/Nobody/postAttributeCollection",
    "/flows/Keyed/preTokenIssuance",
    "/Flows/Open/postAttributeCollection",
    "/flows/Op%65n/postAttributeCollection",
    "/flows/Open%2FpostAttributeCollection",
    "//flows/Open/postAttributeCollection",
    "/flows//Open/postAttributeCollection",
    "/x/../flows/Open/postAttributeCollection",
    "/flows/Open/postAttributeCollection;v=1",
    "*",
    "/metrics",
    "/livez",
];

/// Headers that do not say unencoded JSON.
const OTHER_TYPES: [&[(&str, &str)]; 9] = [
    &[],
    &[("Content-Type", "text/plain")],
    &[("Content-Type", "application/x-www-form-urlencoded")],
    &[("Content-Type", "application/problem+json")],
    &[("Content-Type", "application/jsonx")],
    &[("Content-Type", "application/json; charset=iso-8859-1")],
    &[("Content-Type", "application/json"), ("Content-Type", "application/json")],
    &[("Content-Type", "application/json"), ("Content-Encoding", "gzip")],
    &[("Content-Type", "application/json"), ("Content-Encoding", "identity, br")],
];

#[test]
fn each_stage_refuses_with_its_status_reason_event_and_count() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = start(&api);
    let client = gateway.client();
    let mut rows = Vec::new();
    for (row, path) in NOWHERE.into_iter().enumerate() {
        let method = if path == "*" { "OPTIONS" } else { "POST" };
        let request = at(client, method, path).basic(CALLER, PASSWORD);
        rows.push((format!("404-{row}"), request, 404, "not_found".to_owned()));
    }
    for method in ["GET", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "post", "POSTX"] {
        let request = at(client, method, &format!("/flows/Open/{STEP}")).basic(CALLER, PASSWORD);
        rows.push((format!("405-{method}"), request, 405, "method_not_allowed".to_owned()));
    }
    for (row, headers) in OTHER_TYPES.into_iter().enumerate() {
        let bare = good(client).without("Content-Type");
        let request = headers.iter().fold(bare, |request, (name, value)| request.header(name, value));
        rows.push((format!("415-{row}"), request, 415, "unsupported_media_type".to_owned()));
    }

    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(32), "]".repeat(32));
    let bodies: [(&[u8], &str); 19] = [
        (b"{\"email\":\"\xff\"}", "not_utf8"),
        (b"\xff\xfe{\0}\0", "not_utf8"),
        (b"", "not_json"),
        (b"   ", "not_json"),
        (b"email=jane@fabrikam.com", "not_json"),
        (b"{\"email\":\"jane@fabrikam.com\",}", "not_json"),
        (b"{} {}", "not_json"),
        (b"{\"a\":01}", "not_json"),
        (b"{'a':1}", "not_json"),
        (b"\xef\xbb\xbf{}", "not_json"),
        (b"[]", "not_an_object"),
        (b"\"email\"", "not_an_object"),
        (b"null", "not_an_object"),
        (deep.as_bytes(), "too_deep"),
        (b"{\"city\":1,\"city\":1}", "duplicate_claim"),
        (b"{\"city\":1,\"c\\u0069ty\":1}", "duplicate_claim"),
        (b"{\"email\":1,\"email_address\":2}", "duplicate_claim"),
        (b"{\"clientId\":1,\"client_id\":2}", "duplicate_claim"),
        (b"{\"step\":\"PostFederationSignup\"}", "step_mismatch"),
    ];
    for (row, (body, rule)) in bodies.into_iter().enumerate() {
        rows.push((format!("400-{row}"), good(client).body(body), 400, format!("bad_request_{rule}")));
    }

    let refusals = rows
        .iter()
        .map(|(id, request, status, reason)| (id.clone(), request.clone(), *status, reason.as_str()));
    let mut counts: BTreeMap<&str, f64> = BTreeMap::new();
    let mut routed = 0.0;
    for ((_, event), (id, _, status, reason)) in
        all_refused(&gateway, refusals.collect()).into_iter().zip(&rows)
    {
        *counts.entry(reason).or_default() += 1.0;
        let known = *status != 404;
        routed += f64::from(u8::from(known));
        let hook = known.then_some("Open").zip(known.then_some(STEP));
        assert_eq!(event["user_flow"].as_str().zip(event["step"].as_str()), hook, "{id}");
        let caller = matches!(*status, 400 | 415).then_some((CALLER, "basic"));
        assert_eq!(event["caller"].as_str().zip(event["credential"].as_str()), caller, "{id}");
    }
    for (reason, count) in &counts {
        gateway.wait_for_metric(&format!("claimgate_caller_failures_total{{reason=\"{reason}\"}}"), *count);
    }
    for (flow, step, count) in [("", "", counts["not_found"]), ("Open", STEP, routed)] {
        let hook = format!("user_flow=\"{flow}\",step=\"{step}\"");
        let sample = format!("claimgate_requests_total{{{hook},decision=\"error\",outcome=\"refused\"}}");
        gateway.wait_for_metric(&sample, count);
    }
    assert!(api.requests().is_empty(), "nothing that was refused reached the API");
}

#[test]
fn what_each_stage_takes_reaches_the_api() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = start(&api);
    let client = gateway.client();
    let typed = |value: &str| good(client).without("Content-Type").header("Content-Type", value);
    let deepest = format!(r#"{{"a":{}{}}}"#, "[".repeat(31), "]".repeat(31));
    let largest = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_BODY - 8));
    let absolute = format!("http://{}/flows/Open/{STEP}", gateway.address());
    let chunked = format!(
        "POST /flows/Open/{STEP}?code=plain HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n1\r\n}}\r\n0\r\n\r\n"
    );
    let rows = [
        good(client),
        typed("APPLICATION/JSON"),
        typed("application/json;charset=utf-8"),
        typed("application/json; Charset=\"UTF-8\"; v=1"),
        good(client).header("Content-Encoding", "identity"),
        good(client).body(&deepest),
        good(client).body(&largest),
        good(client).body(r#" {"step":"PostAttributeCollection"} "#),
        good(client).body(r#"{"step":null}"#),
        at(client, "POST", &absolute).basic(CALLER, PASSWORD),
        at(client, "POST", &format!("/flows/Open/{STEP}?x=1")).basic(CALLER, PASSWORD),
    ];
    let count = rows.len() + 1;
    for (row, request) in rows.into_iter().enumerate() {
        let response = request.send();
        assert_eq!(response.status, 200, "row {row}: {}", response.text());
    }
    assert!(client.raw(chunked.as_bytes()).starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert_eq!(api.requests().len(), count);
}

#[test]
fn every_failed_credential_gets_the_same_401() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = start(&api);
    let client = gateway.client();
    let hook = || client.post_hook("Open", STEP, BODY);
    let rows = [
        ("missing", hook()),
        ("missing", hook().header("Authorization", "Bearer eyJhbGciOi")),
        ("missing", hook().header("X-Key", "k")),
        ("mismatch", hook().basic(CALLER, "wrong")),
        ("mismatch", hook().basic("nobody", PASSWORD)),
        ("mismatch", hook().basic("limited", "pw")),
        ("mismatch", hook().header("Authorization", "Basic %%%")),
        ("mismatch", hook().code("wrong")),
        ("mismatch", hook().code("")),
        ("repeated", hook().basic(CALLER, PASSWORD).basic(CALLER, PASSWORD)),
        ("repeated", hook().basic(CALLER, PASSWORD).code("plain").code("plain")),
    ];
    let refusals = rows
        .iter()
        .enumerate()
        .map(|(row, (_, request))| (format!("401-{row}"), request.clone(), 401, "unauthenticated"));
    let mut seen = Vec::new();
    for (row, (response, event)) in all_refused(&gateway, refusals.collect()).into_iter().enumerate() {
        let (id, why) = (format!("401-{row}"), rows[row].0);
        assert_eq!(event["credential_failure"], format!("credential_{why}"), "{id}");
        assert_eq!(event.get("caller"), None);
        assert_eq!(response.header("www-authenticate"), Some(CHALLENGE));
        let names: Vec<_> = response.headers.iter().map(|(name, _)| name.clone()).collect();
        seen.push((response.text().replace(&id, "ID"), names));
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "a 401 says nothing about why: {seen:#?}");
    for (why, count) in [("missing", 3.0), ("mismatch", 6.0), ("repeated", 2.0)] {
        gateway.wait_for_metric(
            &format!("claimgate_caller_failures_total{{reason=\"credential_{why}\"}}"),
            count,
        );
    }
    let keyed = client.post_hook("Keyed", STEP, BODY).basic(CALLER, PASSWORD);
    let (response, _) = refused(&gateway, "keyed", keyed, 401, "unauthenticated");
    assert_eq!(response.header("www-authenticate"), None, "the flow does not take Basic");
    assert!(api.requests().is_empty());
}

#[test]
fn a_caller_over_its_rate_is_told_when_to_come_back_and_no_other_caller_is_touched() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = start(&api);
    let client = gateway.client();
    let limited = || client.post_hook("Limited", STEP, BODY).basic("limited", "pw");
    // What is refused before this stage spends nothing.
    refused(&gateway, "type", limited().without("Content-Type"), 415, "unsupported_media_type");
    refused(
        &gateway,
        "wrong",
        client.post_hook("Limited", STEP, BODY).basic("limited", "x"),
        401,
        "unauthenticated",
    );
    assert_eq!((limited().send().status, limited().send().status), (200, 200), "the burst");
    let (response, event) = refused(&gateway, "over", limited(), 429, "caller_limited");
    let seconds: u32 = response.header("retry-after").unwrap().parse().unwrap();
    assert!((50..=60).contains(&seconds), "one hook a minute: {seconds}");
    assert_eq!(event["caller"], "limited");
    // Later stages are not reached, earlier ones are.
    refused(&gateway, "over-large", limited().body("x".repeat(MAX_BODY + 1)), 429, "caller_limited");
    refused(&gateway, "over-type", limited().without("Content-Type"), 415, "unsupported_media_type");
    assert_eq!(client.post_hook("Limited", STEP, BODY).basic(CALLER, PASSWORD).send().status, 200);
    gateway.wait_for_metric("claimgate_rate_limited_total{limit=\"caller\"}", 2.0);
    assert_eq!(api.requests().len(), 3);
}

#[test]
fn the_earlier_stage_speaks() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = start(&api);
    let client = gateway.client();
    let path = format!("/flows/Open/{STEP}");
    let large = "x".repeat(MAX_BODY + 1);
    let rows = [
        (404, "not_found", client.get("/flows/Open/nowhere")),
        (405, "method_not_allowed", client.get(&path)),
        (405, "method_not_allowed", at(client, "PUT", &path).basic(CALLER, "wrong").body(&large)),
        (401, "unauthenticated", client.post_hook("Open", STEP, &large)),
        (401, "unauthenticated", client.request("POST", &path).body("no JSON")),
        (415, "unsupported_media_type", good(client).without("Content-Type").body(&large)),
        (413, "content_too_large", good(client).body(large.replace('x', "\0"))),
    ];
    for (row, (status, reason, request)) in rows.into_iter().enumerate() {
        refused(&gateway, &format!("row-{row}"), request, status, reason);
    }
}

#[test]
fn one_hook_more_than_the_process_takes_is_a_503_whatever_on_failure_says() {
    let api = ScriptedApi::start(Play::continue_().after(Duration::from_secs(2)));
    let parts = Parts::new()
        .listen("max_in_flight: 1\nmax_body: 1KiB")
        .connector("approvals", &api.url("/"), "")
        .whole_flow("Open", "approvals", "");
    let gateway = Gateway::start(&parts.text());
    let client = gateway.client();
    let first = std::thread::spawn(move || good(client).send().status);
    wait_until("the first hook is at the API", || api.requests().len() == 1);
    let response = refused(&gateway, "second", good(client), 503, "overloaded").0;
    assert_eq!(response.header("retry-after"), Some("1"));
    refused(&gateway, "large", good(client).body("x".repeat(2048)), 503, "overloaded");
    refused(&gateway, "type", good(client).without("Content-Type"), 415, "unsupported_media_type");
    assert_eq!(gateway.metric("claimgate_in_flight_hooks").to_string(), "1");
    assert_eq!(first.join().unwrap(), 200);
    assert_eq!(good(client).send().status, 200, "the place is free again");
    gateway.wait_for_metric("claimgate_rate_limited_total{limit=\"in_flight\"}", 2.0);
    gateway.wait_for_metric("claimgate_in_flight_hooks", 0.0);
}

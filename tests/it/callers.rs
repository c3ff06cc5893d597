//! Who may call, and who a hook is counted for.

use std::collections::BTreeMap;

use super::support::{BLOCK, Gateway, Parts, Play, Request, ScriptedApi};

const STEP: &str = "preTokenIssuance";

/// `first` rotates its Basic password and has a code; `second` has codes, keys in two headers, and secrets from
/// elsewhere; `third` is for one flow alone.
fn start(api: &ScriptedApi, password_file: &str) -> Gateway {
    let first = "basic:\n  - { username: first, password: old }\n  - { username: first, password: \"new:with:colons\" }\n\
                 code: \"a+b/c==&d%\"";
    let second = format!(
        "basic: {{ username: second, password: {{ file: {password_file} }} }}\ncode: [rotated-out, {{ env: SECOND_CODE }}]\n\
         header:\n  - {{ name: X-Functions-Key, value: k1 }}\n  - {{ name: x-functions-key, value: k2 }}\n  - {{ name: X-Other, value: \"o 1\" }}"
    );
    let flow = |callers: &str| format!("callers: {callers}\n{STEP}: {{ connector: c, on_failure: error }}");
    let parts = Parts::new()
        .caller("first", first)
        .caller("second", &second)
        .caller("third", "basic: { username: \"ünï cödé\", password: \"pä ss\" }")
        .connector("c", &api.url("/"), "")
        .flow("FirstSecond", &flow("[first, second]"))
        .flow("SecondFirst", &flow("[second, first]"))
        .flow("Third", &flow("[third]"))
        .flow("Entra", &format!("{STEP}: {{ connector: c, on_failure: error }}"));
    Gateway::start_with_env(&parts.text(), [("SECOND_CODE", "from-env")])
}

type Credential = fn(Request) -> Request;

/// The flow, what is presented, and who that is.
const TABLE: [(&str, Credential, Option<(&str, &str)>); 35] = [
    // any one credential of a caller lets it in
    ("FirstSecond", |r| r.basic("first", "old"), Some(("first", "basic"))),
    ("FirstSecond", |r| r.basic("first", "new:with:colons"), Some(("first", "basic#2"))),
    ("FirstSecond", |r| r.header("Authorization", "bASIC   Zmlyc3Q6b2xk"), Some(("first", "basic"))),
    ("FirstSecond", |r| r.code("a+b/c==&d%"), Some(("first", "code"))),
    ("FirstSecond", |r| r.basic("second", "from-file"), Some(("second", "basic"))),
    ("FirstSecond", |r| r.code("rotated-out"), Some(("second", "code"))),
    ("FirstSecond", |r| r.code("from-env"), Some(("second", "code#2"))),
    ("FirstSecond", |r| r.header("X-FUNCTIONS-KEY", "k1"), Some(("second", "header"))),
    ("FirstSecond", |r| r.header("x-functions-key", "k2"), Some(("second", "header#2"))),
    ("FirstSecond", |r| r.header("X-Other", "o 1"), Some(("second", "header#3"))),
    ("Third", |r| r.basic("ünï cödé", "pä ss"), Some(("third", "basic"))),
    // a good one beside others of another kind
    ("FirstSecond", |r| r.basic("dummy", "dummy").code("a+b/c==&d%"), Some(("first", "code"))),
    ("FirstSecond", |r| r.basic("first", "old").code("wrong"), Some(("first", "basic"))),
    (
        "FirstSecond",
        |r| r.header("Authorization", "Bearer x").header("X-Other", "o 1"),
        Some(("second", "header#3")),
    ),
    (
        "FirstSecond",
        |r| r.header("x-functions-key", "wrong").header("X-Other", "o 1"),
        Some(("second", "header#3")),
    ),
    // the flow's order decides, not the request's and not the kind's
    ("FirstSecond", |r| r.basic("first", "old").code("from-env"), Some(("first", "basic"))),
    ("SecondFirst", |r| r.basic("first", "old").code("from-env"), Some(("second", "code#2"))),
    ("FirstSecond", |r| r.basic("second", "from-file").code("a+b/c==&d%"), Some(("first", "code"))),
    ("SecondFirst", |r| r.basic("second", "from-file").code("a+b/c==&d%"), Some(("second", "basic"))),
    ("SecondFirst", |r| r.basic("first", "old").header("X-Other", "o 1"), Some(("second", "header#3"))),
    // nobody
    ("FirstSecond", |r| r, None),
    ("FirstSecond", |r| r.basic("first", "OLD"), None),
    ("FirstSecond", |r| r.basic("First", "old"), None),
    ("FirstSecond", |r| r.basic("first", "old "), None),
    ("FirstSecond", |r| r.basic("first", "from-file"), None),
    ("FirstSecond", |r| r.basic("first", "new"), None),
    ("FirstSecond", |r| r.code("k1"), None),
    ("FirstSecond", |r| r.header("x-functions-key", "rotated-out"), None),
    ("FirstSecond", |r| r.header("code", "rotated-out"), None),
    ("FirstSecond", |r| r.header("x-functions-key", "k1").header("x-functions-key", "k1"), None),
    ("FirstSecond", |r| r.basic("entra", "s3cret"), None),
    ("Third", |r| r.basic("first", "old").code("a+b/c==&d%").header("X-Other", "o 1"), None),
    ("Entra", |r| r.basic("first", "old"), None),
    ("Entra", |r| r.basic("entra", "s3cret"), Some(("entra", "basic"))),
    // more than one of a kind that could be read in two ways
    ("FirstSecond", |r| r.basic("first", "old").basic("first", "old").code("from-env"), None),
];

#[test]
fn a_credential_is_known_by_its_caller_its_label_and_the_flows_order() {
    let api = ScriptedApi::start(Play::continue_());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    std::fs::write(&file, "from-file\n").unwrap();
    let gateway = start(&api, file.to_str().unwrap());
    for (row, (flow, present, expected)) in TABLE.into_iter().enumerate() {
        let id = format!("row-{row}");
        let request = present(gateway.client().post_hook(flow, STEP, "{}").header("X-Request-ID", &id));
        let response = request.send();
        assert_eq!(response.status, if expected.is_some() { 200 } else { 401 }, "row {row}");
    }
    let mut uses: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    for (row, (_, _, expected)) in TABLE.into_iter().enumerate() {
        let event = gateway.event(&format!("row-{row}"));
        let seen = event["caller"].as_str().zip(event["credential"].as_str());
        assert_eq!(seen, expected, "row {row}");
        if let Some(known) = expected {
            *uses.entry(known).or_default() += 1.0;
        }
    }
    for ((caller, credential), count) in uses {
        let sample =
            format!("claimgate_credential_uses_total{{caller=\"{caller}\",credential=\"{credential}\"}}");
        gateway.wait_for_metric(&sample, count);
    }
    assert_eq!(api.requests().len(), TABLE.iter().filter(|row| row.2.is_some()).count());
}

#[test]
fn the_code_is_percent_decoded_and_a_plus_stays_a_plus() {
    let api = ScriptedApi::start(Play::continue_());
    let parts = Parts::new().caller("coded", "code: \"a+b/c==&d%\"").connector("c", &api.url("/"), "").flow(
        "F",
        &format!("callers: [coded]\npostFederationSignup: {{ connector: c, on_failure: {BLOCK} }}"),
    );
    let gateway = Gateway::start(&parts.text());
    let rows = [
        ("code=a%2Bb%2Fc%3D%3D%26d%25", 200),
        ("code=a%2bb%2fc%3d%3d%26d%25", 200),
        ("code=a+b/c==%26d%25", 200),
        ("x=1&code=a+b/c==%26d%25&y", 200),
        ("c%6Fde=a+b/c==%26d%25", 200),
        ("code=a%20b/c==%26d%25", 401),
        ("code=a+b/c==%26d%", 200),
        ("code=a%252Bb/c==%26d%25", 401),
        ("Code=a+b/c==%26d%25", 401),
        ("code=a+b/c==&d%25", 401),
        ("code=a+b/c==%26d%25&code=", 401),
        ("code=a+b/c==%26d%25&c%6fde=x", 401),
        ("", 401),
    ];
    for (query, status) in rows {
        let request = gateway.client().request("POST", &format!("/flows/F/postFederationSignup?{query}"));
        let response = request.header("Content-Type", "application/json").body("{}").send();
        assert_eq!(response.status, status, "?{query}");
        assert_eq!(response.header("www-authenticate"), None, "nobody here has Basic");
    }
}

//! What leaves for the API: the exact bytes of the selected claims, and a closed set of headers.

use super::support::{CALLER, Gateway, PASSWORD, Parts, Play, RecordedRequest, Request, ScriptedApi};

const STEP: &str = "postAttributeCollection";
const APP: &str = "0123456789abcdef0123456789ABCDEF";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn start(api: &ScriptedApi) -> Gateway {
    Gateway::start(&config(&api.url("/approvals")))
}

/// A user flow for each connector, by the same name.
pub(super) fn config(url: &str) -> String {
    let full = format!("claims_to_send: [extension_{APP}_LoyaltyId]");
    let parts = Parts::new()
        .connector("nothing", url, "")
        .connector("some", url, "claims_to_send: [displayName, city, extension_LoyaltyId, objectId]")
        .connector("full", url, &full)
        .connector("respelled", url, "claims_to_send: [email_address, client_id]")
        .connector("email", url, "claims_to_send: [email, clientId]")
        .connector("quiet", url, "send_ui_locales: false")
        .connector("listed", url, "claims_to_send: [ui_locales, step, surname]\nsend_ui_locales: false");
    let names = ["nothing", "some", "full", "respelled", "email", "quiet", "listed"];
    names.into_iter().fold(parts, |parts, name| parts.whole_flow(name, name, "")).text()
}

fn hook(gateway: &Gateway, flow: &str, body: &str) -> Request {
    gateway.client().post_hook(flow, STEP, body).basic(CALLER, PASSWORD)
}

fn sent(api: &ScriptedApi, id: &str) -> RecordedRequest {
    let found = api.requests().into_iter().find(|request| request.header("x-request-id") == Some(id));
    found.unwrap_or_else(|| panic!("{id} did not reach the API"))
}

/// The flow, which is named as its connector; what comes in; what leaves; what stays, by name.
#[rustfmt::skip]
pub(super) const TABLE: [(&str, &str, &str, &[&str]); 27] = [
    // nothing but what was selected, and what is always sent
    ("nothing", "{}", "{}", &[]),
    ("nothing", r#"{"displayName":"Jane","city":"Seattle"}"#, "{}", &["displayName", "city"]),
    ("nothing", r#"{"ui_locales":"en-US","displayName":"Jane","identities":[{"issuer":"facebook.com"}],"email":"a@b"}"#,
        r#"{"ui_locales":"en-US","identities":[{"issuer":"facebook.com"}],"email":"a@b"}"#, &["displayName"]),
    ("nothing", r#"{"Email":"a@b","Identities":[],"UI_locales":"en"}"#, "{}", &["Email", "Identities", "UI_locales"]),
    ("some", r#"{"displayName":"Jane","DisplayName":"x","city":"Seattle","postalCode":"98101","step":"PostAttributeCollection","client_id":"c"}"#,
        r#"{"displayName":"Jane","city":"Seattle"}"#, &["DisplayName", "postalCode", "step", "client_id"]),
    // values leave as they were written
    ("some", r#"{"city":1.0}"#, r#"{"city":1.0}"#, &[]),
    ("some", r#"{"city":12345678901234567890123456789.10e+2}"#, r#"{"city":12345678901234567890123456789.10e+2}"#, &[]),
    ("some", r#"{"city":-0}"#, r#"{"city":-0}"#, &[]),
    ("some", r#"{"city":"\u00e9\/\ud83d\ude00\n\"é😀"}"#, r#"{"city":"\u00e9\/\ud83d\ude00\n\"é😀"}"#, &[]),
    ("some", r#"{"city":"\ud800"}"#, r#"{"city":"\ud800"}"#, &[]),
    ("some", r#"{ "city" : { "b" : [ 1 , true , null ] , "a" : {} } }"#, r#"{"city":{ "b" : [ 1 , true , null ] , "a" : {} }}"#, &[]),
    ("some", r#"{"city":false,"displayName":[]}"#, r#"{"city":false,"displayName":[]}"#, &[]),
    ("some", r#"{"c\u0069ty":"Seattle"}"#, r#"{"city":"Seattle"}"#, &[]),
    // null is not sent, an empty string is
    ("some", r#"{"city":null,"displayName":"","email":null,"identities":null}"#, r#"{"displayName":""}"#, &[]),
    // an extension by its short name is sent under the name it has, whatever the application
    ("some", r#"{"extension_0123456789abcdef0123456789abcdef_LoyaltyId":"1"}"#, r#"{"extension_0123456789abcdef0123456789abcdef_LoyaltyId":"1"}"#, &[]),
    ("some", r#"{"extension_ABCDEF6789abcdef0123456789abcdef_LoyaltyId":"1"}"#, r#"{"extension_ABCDEF6789abcdef0123456789abcdef_LoyaltyId":"1"}"#, &[]),
    ("some", r#"{"extension_LoyaltyId":"1"}"#, r#"{"extension_LoyaltyId":"1"}"#, &[]),
    ("some", r#"{"extension_0123_LoyaltyId":"1","extension_loyaltyId":"2","LoyaltyId":"3"}"#, "{}", &["extension_0123_LoyaltyId", "extension_loyaltyId", "LoyaltyId"]),
    ("full", r#"{"extension_0123456789ABCDEF0123456789abcdef_LoyaltyId":"1"}"#, r#"{"extension_0123456789ABCDEF0123456789abcdef_LoyaltyId":"1"}"#, &[]),
    ("full", r#"{"extension_LoyaltyId":"1"}"#, "{}", &["extension_LoyaltyId"]),
    ("full", r#"{"extension_ffffffffffffffffffffffffffffffff_LoyaltyId":"2"}"#, "{}", &["extension_ffffffffffffffffffffffffffffffff_LoyaltyId"]),
    // two spellings of one claim
    ("nothing", r#"{"email_address":"a@b"}"#, r#"{"email_address":"a@b"}"#, &[]),
    ("respelled", r#"{"email":"a@b","clientId":"c"}"#, r#"{"email_address":"a@b","client_id":"c"}"#, &[]),
    ("email", r#"{"email_address":"a@b","client_id":"c"}"#, r#"{"email":"a@b","clientId":"c"}"#, &[]),
    // the locale
    ("quiet", r#"{"ui_locales":"en-US","email":"a@b"}"#, r#"{"email":"a@b"}"#, &["ui_locales"]),
    ("listed", r#"{"ui_locales":"en-US","step":"PostAttributeCollection"}"#, r#"{"ui_locales":"en-US","step":"PostAttributeCollection"}"#, &[]),
    ("listed", r#"{"lastName":"Doe"}"#, "{}", &["lastName"]),
];

#[test]
fn only_selected_claims_leave_and_each_as_it_was_written() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = start(&api);
    for (row, (flow, inbound, outbound, _)) in TABLE.into_iter().enumerate() {
        let id = format!("row-{row}");
        let response = hook(&gateway, flow, inbound).header("X-Request-ID", &id).send();
        assert_eq!(response.status, 200, "row {row}: {}", response.text());
        let request = sent(&api, &id);
        assert_eq!(String::from_utf8_lossy(&request.body), outbound, "row {row}");
    }
    let mut dropped_by_nothing = 0;
    for (row, (flow, _, outbound, dropped)) in TABLE.into_iter().enumerate() {
        let event = gateway.event(&format!("row-{row}"));
        let members = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(outbound)
            .map_or(1, |map| map.len());
        assert_eq!(event["claims_sent"], members, "row {row}");
        let none = serde_json::json!([]);
        assert_eq!(
            event.get("claims_dropped_sent").unwrap_or(&none),
            &serde_json::json!(dropped),
            "row {row}"
        );
        assert_eq!(event.get("claims_dropped_sent_more"), None);
        dropped_by_nothing += if flow == "nothing" { dropped.len() } else { 0 };
    }
    let count = f64::from(u32::try_from(dropped_by_nothing).unwrap());
    gateway
        .wait_for_metric("claimgate_claims_dropped_total{connector=\"nothing\",direction=\"sent\"}", count);
}

#[test]
fn a_name_that_is_no_plain_word_is_dropped_by_number_and_at_most_32_by_name() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = start(&api);
    let many: Vec<String> = (0..40).map(|number| format!("\"claim{number}\":{number}")).collect();
    let odd = r#""jane@fabrikam.com":1,"two words":2,"line\nbreak":3,"":4,"é":5"#;
    let body = format!("{{{odd},{}}}", many.join(","));
    hook(&gateway, "nothing", &body).header("X-Request-ID", "many").send();
    let event = gateway.event("many");
    let names = event["claims_dropped_sent"].as_array().unwrap();
    assert_eq!((names.len(), &names[0], &names[31]), (32, &"claim0".into(), &"claim31".into()));
    assert_eq!(event["claims_dropped_sent_more"], 13);
    assert!(!gateway.stdout_text().contains("fabrikam"));
}

#[test]
fn the_outbound_headers_are_a_closed_set_and_nothing_else_of_the_caller_passes() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = start(&api);
    let hostile = [
        ("Cookie", "marked=1"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("X-Forwarded-Host", "marked"),
        ("Forwarded", "for=marked"),
        ("User-Agent", "marked/1"),
        ("Accept", "text/marked"),
        ("Accept-Encoding", "gzip"),
        ("Accept-Language", "de"),
        ("X-Functions-Key", "marked"),
        ("X-MS-Client-Request-Id", "marked"),
        ("Idempotency-Key", "marked"),
        ("Baggage", "marked=1"),
        ("X-Correlation-ID", "marked"),
        ("If-Match", "marked"),
        ("Referer", "http://marked/"),
        ("Connection", "X-Marked"),
        ("X-Marked", "1"),
        ("TE", "trailers"),
        ("Via", "1.1 marked"),
    ];
    let request = hook(&gateway, "nothing", r#"{"email":"a@b"}"#).header("X-Request-ID", "closed-1");
    let request = hostile.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    assert_eq!(
        request.code("marked").header("traceparent", PARENT).header("tracestate", "a=1,b=2").send().status,
        200
    );
    let seen = sent(&api, "closed-1");
    let key = seen.header("Idempotency-Key").expect("each call has a key");
    let digits = key.strip_prefix('"').and_then(|key| key.strip_suffix('"')).expect("it is a quoted string");
    let hex = |digit: char| digit.is_ascii_hexdigit() && !digit.is_ascii_uppercase();
    assert!(digits.len() == 32 && digits.chars().all(hex), "{key}");
    let agent = concat!("claimgate/", env!("CARGO_PKG_VERSION"));
    let host = api.address().to_string();
    let mut expected = vec![
        ("Host", host.as_str()),
        ("Content-Type", "application/json"),
        ("Accept", "application/json"),
        ("User-Agent", agent),
        ("X-Request-ID", "closed-1"),
        ("traceparent", PARENT),
        ("tracestate", "a=1,b=2"),
        ("Idempotency-Key", key),
        ("Content-Length", "15"),
    ];
    let mut headers: Vec<_> =
        seen.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    headers.sort_unstable();
    expected.sort_unstable();
    assert_eq!(headers, expected);
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/approvals"));
    assert!(!String::from_utf8_lossy(&seen.raw_head).contains("marked"));
}

#[test]
fn credentials_of_the_api_go_where_its_connector_says_and_its_query_stays() {
    let api = ScriptedApi::start(Play::continue_());
    let basic = "basic: { username: claimgate, password: \"p:ä\" }";
    let code = "code: \"a+b/c==~-._ &#%\"";
    let parts = Parts::new()
        .connector("basic", &api.url("/a"), &format!("authentication: {{ {basic} }}"))
        .connector("code", &api.url("/b/"), &format!("authentication: {{ {code} }}"))
        .connector("both", &api.url("/c?v=1&x=%20y"), &format!("authentication: {{ {code}, {basic} }}"))
        .connector("query", &api.url("/d?key=a%2Bb"), "")
        .connector("root", &api.url(""), "")
        .whole_flow("basic", "basic", "")
        .whole_flow("code", "code", "")
        .whole_flow("both", "both", "")
        .whole_flow("query", "query", "")
        .whole_flow("root", "root", "");
    let gateway = Gateway::start(&parts.text());
    let authorization = Some("Basic Y2xhaW1nYXRlOnA6w6Q=");
    let coded = "code=a%2Bb%2Fc%3D%3D~-._%20%26%23%25";
    let rows = [
        ("basic", "/a".to_owned(), authorization),
        ("code", format!("/b/?{coded}"), None),
        ("both", format!("/c?v=1&x=%20y&{coded}"), authorization),
        ("query", "/d?key=a%2Bb".to_owned(), None),
        ("root", "/".to_owned(), None),
    ];
    for (flow, target, authorization) in rows {
        assert_eq!(hook(&gateway, flow, "{}").header("X-Request-ID", flow).send().status, 200);
        let seen = sent(&api, flow);
        assert_eq!((seen.target.clone(), seen.header("authorization")), (target, authorization), "{flow}");
    }
}

#[test]
fn a_well_formed_request_id_is_taken_and_any_other_replaced_and_the_same_one_stands_everywhere() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = start(&api);
    let longest = "x".repeat(64);
    let too_long = "x".repeat(65);
    let rows: [(&[&str], bool); 10] = [
        (&["5f0c.A_b-9"], true),
        (&["0"], true),
        (&[&longest], true),
        (&[&too_long], false),
        (&[""], false),
        (&["a b"], false),
        (&["jane@fabrikam.com"], false),
        (&["a\"b"], false),
        (&["a", "a"], false),
        (&[], false),
    ];
    let (mut made, mut everywhere) = (Vec::new(), Vec::new());
    for (row, (given, taken)) in rows.into_iter().enumerate() {
        let request = hook(&gateway, "nothing", "{}");
        let response = given.iter().fold(request, |request, id| request.header("X-Request-ID", id)).send();
        let id = response.header("x-request-id").expect("every answer has one").to_owned();
        assert_eq!(sent(&api, &id).header("x-request-id"), Some(id.as_str()));
        everywhere.push(id.clone());
        if taken {
            assert_eq!(id, given[0], "row {row}");
        } else {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            assert!(
                (16..=64).contains(&id.len()) && id.bytes().all(fits) && !given.contains(&id.as_str()),
                "{id}"
            );
            made.push(id);
        }
    }
    for id in everywhere {
        assert_eq!(gateway.event(&id)["status"], 200);
    }
    made.sort_unstable();
    made.dedup();
    assert_eq!(made.len(), 7, "no two alike");
}

#[test]
fn a_trace_goes_on_only_if_it_is_well_formed() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = start(&api);
    let later = format!("{}-more", PARENT.replacen("00-", "01-", 1));
    let bad_long = format!("{PARENT}-more");
    let upper = PARENT.to_uppercase();
    let zero = PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
    let long_state = format!("a={}", "x".repeat(511));
    // traceparents, tracestates, what passes of either
    let rows: [(&[&str], &[&str], Option<&str>, Option<&str>); 12] = [
        (&[PARENT], &[], Some(PARENT), None),
        (&[PARENT], &["a=1"], Some(PARENT), Some("a=1")),
        (&[PARENT], &["a=1", "b=2"], Some(PARENT), Some("a=1,b=2")),
        (&[&later], &["a=1"], Some(&later), Some("a=1")),
        (&[PARENT], &[&long_state], Some(PARENT), None),
        (&[], &["a=1"], None, None),
        (&[PARENT, PARENT], &["a=1"], None, None),
        (&[&bad_long], &["a=1"], None, None),
        (&[&upper], &["a=1"], None, None),
        (&[&zero], &["a=1"], None, None),
        (&["ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"], &["a=1"], None, None),
        (&["jane@fabrikam.com"], &["a=1"], None, None),
    ];
    for (row, (parents, states, parent, state)) in rows.into_iter().enumerate() {
        let id = format!("trace-{row}");
        let request = hook(&gateway, "nothing", "{}").header("X-Request-ID", &id);
        let request = parents.iter().fold(request, |request, value| request.header("traceparent", value));
        let request = states.iter().fold(request, |request, value| request.header("tracestate", value));
        assert_eq!(request.send().status, 200, "a wrong trace is no reason to refuse a hook");
        let seen = sent(&api, &id);
        assert_eq!((seen.header("traceparent"), seen.header("tracestate")), (parent, state), "row {row}");
    }
    for (row, (_, _, parent, _)) in rows.into_iter().enumerate() {
        let trace_id = parent.map(|_| "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(gateway.event(&format!("trace-{row}"))["trace_id"].as_str(), trace_id, "row {row}");
    }
}

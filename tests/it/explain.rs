//! `explain`: it says what the gateway does, and gives no secret away.

mod answers;
mod asked;

use serde_json::Value;

use self::{answers::endings, asked::Asked};
use super::{
    claims,
    support::{ConfigText, FLOW, PASSWORD, Play, RefusingAddress, ScriptedApi, claimgate},
};

const FEDERATION: &str = "postFederationSignup";
const ATTRIBUTES: &str = "postAttributeCollection";
const TOKEN: &str = "preTokenIssuance";
const CONTINUE: &str = r#"{"version":"1.0.0","action":"Continue"}"#;

/// The text without the one thing that is new each time.
fn steady(text: &str) -> String {
    let lines = text.lines().map(|line| match line.trim_start().split_once(": ") {
        Some(("X-Request-ID", _)) => "  X-Request-ID: …",
        Some(("Idempotency-Key", _)) => "  Idempotency-Key: …",
        _ => line,
    });
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[test]
fn people_read_why_each_claim_leaves_or_stays_what_would_go_out_and_that_nothing_did() {
    let config = ConfigText::new("https://approvals.contoso.com/api?marked=1")
        .authentication(
            "{ code: { env: CLAIMGATE_TEST_UNSET }, basic: { username: marked, password: { file: none } } }",
        )
        .send(&["displayName", "city", "email_address", "extension_LoyaltyId"]);
    let asked = Asked::about(&config.text());
    let body = r#"{"email":"jane@fabrikam.com","displayName":"Jane \u0044oe","city":null,"jobTitle":"Buyer","identities":[],
        "extension_0123456789abcdef0123456789abcdef_LoyaltyId":1.10,"status":200,"a\u001b[2J\nb":1}"#;
    let said = asked.explain(FLOW, ATTRIBUTES, body, &[]);
    let expected = r#"B2X_1_SignUp, postAttributeCollection: connector approvals at https://approvals.contoso.com/api?***

claims sent
  email                                                 listed as email_address, and sent under that name
  displayName                                           listed in claims_to_send
  identities                                            always sent
  extension_0123456789abcdef0123456789abcdef_LoyaltyId  listed by its short name, extension_LoyaltyId

claims not sent
  city              selected, but null: there is no value to send
  jobTitle          not listed in claims_to_send
  status            a key of the API's answer, never a claim
  a\u{1b}[2J\u{a}b  not listed in claims_to_send

request, secrets masked
  POST /api?***&code=*** HTTP/1.1
  Host: approvals.contoso.com
  Authorization: ***
  Content-Type: application/json
  Accept: application/json
  User-Agent: claimgate/VERSION
  X-Request-ID: …
  Idempotency-Key: …
  Content-Length: 143

  {"email_address":"jane@fabrikam.com","displayName":"Jane \u0044oe","identities":[],"extension_0123456789abcdef0123456789abcdef_LoyaltyId":1.10}

if the API cannot be reached
  IdP gets   200 {"version":"1.0.0","action":"ShowBlockPage","userMessage":"Please try again later."}
  user sees  a page with the message "Please try again later."; the sign-up ends

Nothing was sent. --call asks the API, --answer FILE reads a recorded answer.
"#;
    assert_eq!(steady(&said.out), expected.replace("VERSION", env!("CARGO_PKG_VERSION")));
    assert_eq!(said.status, 0, "{}", said.err);

    let goes_on = asked.explain(FLOW, TOKEN, "{}", &["-"]).out;
    assert!(!goes_on.contains("  unless ") && goes_on.contains("  IdP gets   502 {"), "{goes_on}");
    let config = endings("https://approvals.contoso.com/api").text();
    let goes_on = Asked::about(&config).explain(FLOW, TOKEN, "{}", &[]).out;
    assert!(goes_on.contains("  unless     it did answer, and that may have been a refusal"), "{goes_on}");
}

#[test]
fn the_claims_that_it_names_are_those_that_the_gateway_sends() {
    let asked = Asked::about(&claims::config("https://approvals.contoso.com/api"));
    for (flow, inbound, outbound, dropped) in claims::TABLE {
        let (status, said) = asked.json(flow, ATTRIBUTES, inbound, &[]);
        assert_eq!((status, said["request"]["body"].as_str()), (0, Some(outbound)), "{flow} {inbound}");
        let claims_that = |is: &dyn Fn(&Value) -> bool, key: &str| -> Vec<String> {
            let claims = said["claims"].as_array().unwrap().iter().filter(|claim| is(claim));
            claims.map(|claim| claim[key].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(
            claims_that(&|claim| claim["because"] == "not_selected", "name"),
            dropped,
            "{flow} {inbound}"
        );
        let sent = serde_json::from_str::<serde_json::Map<String, Value>>(outbound);
        // A lone surrogate is JSON, and no Unicode text.
        let Ok(sent) = sent else { continue };
        let mut names = claims_that(&|claim| claim["sent"] == true, "sent_as");
        names.sort_unstable();
        assert_eq!(names, sent.keys().cloned().collect::<Vec<_>>(), "{flow} {inbound}");
    }
}

#[test]
fn the_request_that_it_shows_is_the_one_that_a_call_sends_but_for_the_masks() {
    let api = ScriptedApi::start(Play::continue_());
    let authentication =
        "{ code: { env: CODE }, basic: { username: claimgate, password: { env: API_PASSWORD } } }";
    let config = ConfigText::new(&api.url("/api?v=1")).authentication(authentication).send(&["city"]);
    let mut asked = Asked::about(&config.text());
    asked.variables = vec![("CODE", "a+b"), ("API_PASSWORD", "p:w")];
    let (exit, said) = asked.json(FLOW, ATTRIBUTES, r#"{"city": [1.0], "x":1}"#, &["--call"]);
    assert_eq!(exit, 0);
    let seen = &api.requests()[0];
    let request = &said["request"];
    let line = format!("{} {} HTTP/1.1", seen.method, seen.target);
    assert_eq!(request["line"], line.replace("?v=1&code=a%2Bb", "?***&code=***"));
    assert_ne!(request["line"], line);
    let headers = seen.headers.iter().map(|(name, value)| {
        let masked = name == "Authorization";
        assert!(!masked || value == "Basic Y2xhaW1nYXRlOnA6dw==", "the API gets the real one");
        (name.clone(), if masked { "***" } else { value.as_str() }.into())
    });
    assert_eq!(request["headers"], Value::Object(headers.collect()));
    assert_eq!(request["body"].as_str().unwrap().as_bytes(), seen.body);
    assert_eq!(said["endpoint_url"], api.url("/api?***"));
}

#[test]
fn no_secret_is_ever_shown_and_without_a_call_none_needs_to_exist() {
    let api = ScriptedApi::start(Play::continue_());
    let refusing = RefusingAddress::take();
    for url in [api.url("/api?key=marked"), refusing.url("/api?marked")] {
        let authentication =
            "{ code: { env: MARKED_CODE }, basic: { username: claimgate, password: { env: MARKED } } }";
        let config = ConfigText::new(&url).authentication(authentication).text();
        let config = config.replace(&format!("password: {PASSWORD}"), "password: { env: MARKED }");
        // A secret in the file itself is none either.
        let config = config.replace("callers:\n", "callers:\n  b2c: { code: marked-code }\n");
        let mut asked = Asked::about(&config);
        asked.write("answer", CONTINUE);
        let modes: [(&[&str], bool); 4] = [
            (&[], false),
            (&["--answer", "answer"], false),
            (&["--answer", "answer", "--status", "500"], false),
            (&["--call"], true),
        ];
        let hidden = ["marked", "bWFya2Vk", "Om1hcmtlZ", "Y2xhaW1nYXRl"];
        for exist in [false, true] {
            if exist {
                asked.variables = vec![("MARKED", "marked"), ("MARKED_CODE", "marked+code")];
            }
            for (mode, calls) in modes {
                for form in [&[][..], &["--json"]] {
                    for (flow, body) in [(FLOW, "{\"email\":1}"), (FLOW, "[]"), ("elsewhere", "{}")] {
                        let said = asked.explain(flow, ATTRIBUTES, body, &[form, mode].concat());
                        for text in [&said.out, &said.err] {
                            let found = hidden.iter().find(|hidden| text.contains(**hidden));
                            assert_eq!(found, None, "{mode:?} {form:?} {body}: {text}");
                        }
                        let explained = body != "[]" && flow == FLOW && (exist || !calls);
                        assert_eq!(explained, said.out.contains("***"), "{mode:?} {body}: {}", said.err);
                        assert!(explained || said.status == 1, "{mode:?} {body}: {}", said.err);
                    }
                }
            }
        }
    }
    assert_eq!(api.requests().len(), 2, "once for each form, and only where it was asked for");
}

#[test]
fn what_cannot_be_explained_is_said_in_a_line_with_its_exit_status() {
    let config = endings("https://approvals.contoso.com/api").listen("max_body: 100B").text();
    let without_token: String =
        config.lines().filter(|line| !line.contains(TOKEN)).flat_map(|line| [line, "\n"]).collect();
    let asked = Asked::about(&without_token);
    asked.write("broken.yaml", "listen: [\n");
    let long = format!("{{\"city\":\"{}\"}}", "x".repeat(100));
    let rows: [(&str, &str, &str, &[&str], i32, &str); 13] = [
        (
            "B2X_1_Signup",
            ATTRIBUTES,
            "{}",
            &[],
            1,
            "c.yaml has no user flow `B2X_1_Signup`; did you mean `B2X_1_SignUp`?",
        ),
        ("x\u{1b}", ATTRIBUTES, "{}", &[], 1, "c.yaml has no user flow `x\\u{1b}`; there is B2X_1_SignUp"),
        (
            FLOW,
            "PostAttributeCollection",
            "{}",
            &[],
            1,
            "`PostAttributeCollection` is no step; did you mean `postAttributeCollection`?",
        ),
        (
            FLOW,
            "later",
            "{}",
            &[],
            1,
            "`later` is no step; there is postFederationSignup, postAttributeCollection, preTokenIssuance",
        ),
        (
            FLOW,
            TOKEN,
            "{}",
            &[],
            1,
            "user flow `B2X_1_SignUp` has no preTokenIssuance; it has postFederationSignup, postAttributeCollection",
        ),
        (
            FLOW,
            ATTRIBUTES,
            "",
            &[],
            1,
            "the hook is refused: bad_request_not_json: the hook's body is not JSON",
        ),
        (
            FLOW,
            ATTRIBUTES,
            r#"{"email":1,"email_address":2}"#,
            &[],
            1,
            "the hook is refused: bad_request_duplicate_claim: the hook has two names for the same claim",
        ),
        (
            FLOW,
            ATTRIBUTES,
            r#"{"step":"PostFederationSignup"}"#,
            &[],
            1,
            "the hook is refused: bad_request_step_mismatch: the step claim contradicts the step in the path",
        ),
        (
            FLOW,
            ATTRIBUTES,
            &long,
            &[],
            1,
            "the hook is refused: content_too_large: the hook is larger than listen.max_body",
        ),
        (FLOW, ATTRIBUTES, "{}", &["nowhere"], 2, "nowhere cannot be read: "),
        (FLOW, ATTRIBUTES, "{}", &["--answer", "nowhere"], 2, "nowhere cannot be read: "),
        (
            FLOW,
            ATTRIBUTES,
            "{}",
            &["--answer", "-"],
            2,
            "the hook and the answer cannot both come from standard input",
        ),
        (FLOW, ATTRIBUTES, "{}", &["."], 2, ". cannot be read: "),
    ];
    for (flow, step, body, more, status, expected) in rows {
        for form in [&[][..], &["--json"]] {
            let said = asked.explain(flow, step, body, &[form, more].concat());
            let error = said.err.split_once("error: ").expect(&said.err).1;
            assert!(error.starts_with(expected), "{flow} {step} {body}: {error}");
            assert_eq!((said.status, said.out.as_str()), (status, ""), "{expected}");
            let sees = "user sees  the identity provider's own error page; the sign-up ends\n";
            assert_eq!(error.ends_with(sees), expected.contains("is refused"), "{error}");
        }
    }
    let command = ["explain", "--config", "broken.yaml", "--flow", FLOW, "--step", ATTRIBUTES];
    let said = asked.run(claimgate(command), b"{}");
    assert_eq!((said.status, said.out.as_str()), (1, ""));
    assert!(said.err.ends_with("broken.yaml: 1 error\n"), "{}", said.err);
}

#[test]
fn help_says_what_is_shown_and_every_exit_status() {
    let said = Asked::about("").run(claimgate(["explain", "--help"]), b"");
    let words = said.out.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in
        ["shown with the claims in them", "no secret is read", "Exit status: 0", "3 the API gave no decision"]
    {
        assert!(words.contains(part), "{part} in {words}");
    }
}

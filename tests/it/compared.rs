//! What `benches/compare/run.sh` measures is a gateway that does its whole job.

use std::collections::BTreeSet;

use super::support::{Gateway, Play, ScriptedApi, gateway::claimgate, peers::stdout_of};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/compare/claimgate.yaml");
const CONFIG: &str = include_str!("../../benches/compare/claimgate.yaml");
const HOOK: &str = include_str!("../../benches/compare/hook.json");
const LOAD: &str = include_str!("../../benches/compare/load.lua");

const API: &str = "127.0.0.1:18081";
const SELECTED: [&str; 10] = [
    "city",
    "country",
    "displayName",
    "email",
    "extension_0123456789abcdef0123456789abcdef_CustomerNumber",
    "extension_0123456789abcdef0123456789abcdef_LoyaltyId",
    "givenName",
    "identities",
    "surname",
    "ui_locales",
];

#[test]
fn check_finds_nothing_wrong_with_its_configuration() {
    let said = stdout_of(&mut claimgate(["check", "--without-secrets", "--config", FILE]));
    assert_eq!(said, format!("{FILE}: fine\n"));
}

#[test]
fn its_hooks_are_authenticated_filtered_and_decided() {
    let api = ScriptedApi::start(Play::json(
        200,
        r#"{"version":"1.0.0","action":"Continue","city":"Redmond","postalCode":"98052"}"#,
    ));
    assert!(CONFIG.contains(API), "the place of the API");
    let config = CONFIG
        .replace("127.0.0.1:18080", "127.0.0.1:0")
        .replace("127.0.0.1:18090", "127.0.0.1:0")
        .replace(API, &api.address().to_string());
    let secrets =
        [("ENTRA_PASSWORD", "entra-password-of-thirty-two-bytes"), ("API_PASSWORD", "api-password")];
    let gateway = Gateway::start_with_env(&config, secrets);
    let hook = HOOK.replace('\n', "");
    assert!((1_100..=1_250).contains(&hook.len()), "{} bytes", hook.len());
    assert!(hook.contains("NNNNNNNNNNNN"), "the place of the user");
    // The head is that of the load, with its credential.
    let (_, rest) = LOAD.split_once("\"Authorization: ").expect("the load has a credential");
    let credential = rest.split_once('"').expect("it ends").0;

    let post = |credential: &str| {
        let request = gateway.client().post_hook("B2X_1_SignUp", "postAttributeCollection", &hook);
        request.header("Authorization", credential).send()
    };
    assert_eq!(post("Basic ZW50cmE6d3Jvbmc=").status, 401);
    let answer = post(credential);
    assert_eq!(
        (answer.status, answer.text()),
        (200, r#"{"version":"1.0.0","action":"Continue","city":"Redmond"}"#)
    );
    let requests = api.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].header("authorization"), Some("Basic Y2xhaW1nYXRlOmFwaS1wYXNzd29yZA=="));
    let sent = requests[0].json();
    let names: BTreeSet<_> = sent.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(SELECTED));
    // Two connections may be of two workers, which write in no order.
    let events = gateway.wait_for_events(2);
    let event = events.iter().find(|event| event["status"] == 200).expect("the hook has an event");
    assert_eq!((&event["decision"], &event["claims_sent"]), (&"Continue".into(), &10.into()));
}

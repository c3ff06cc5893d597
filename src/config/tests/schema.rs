//! The schema beside the reader: it never refuses what the reader takes, and what it refuses the reader refuses too.

use std::sync::LazyLock;

use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::Value;

use super::{
    super::{
        keys::{Choice, Kind, Section},
        schema,
        units::{show_duration, show_size},
    },
    rules::ROWS,
    *,
};
use crate::flow::Step;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(&schema::json()).unwrap());
static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| jsonschema::draft202012::new(&SCHEMA).unwrap());

/// Whether the schema takes this text; what is no YAML it does not take.
pub(super) fn takes(text: &str) -> bool {
    as_an_editor_reads(text).is_some_and(|value| VALIDATOR.is_valid(&value))
}

/// YAML 1.2 with its numbers and booleans.
fn as_an_editor_reads(text: &str) -> Option<Value> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text.strip_prefix('\u{feff}').unwrap_or(text), options).ok()
}

fn reader_takes(text: &str) -> bool {
    read("claimgate.yaml", text, Secrets::Skip).config.is_some()
}

/// Part of [`GOOD`], its replacement, where the schema sees a fault.
#[rustfmt::skip]
const REFUSED: &[(&str, &str, &str)] = &[
    // Keys.
    ("listen:\n", "listen:\n  backlog: 5\n", "/listen"),
    ("listen:\n", "metrics: {}\nlisten:\n", ""),
    ("listen:\n  address: 127.0.0.1:8080\n", "", ""),
    ("  address: 127.0.0.1:8080\n", "  {}\n", "/listen"),
    ("    authentication: none\n", "", "/connectors/check"),
    ("    claims_to_send: [displayName]\n", "", "/connectors/check"),
    ("    claims_to_receive: []\n", "", "/connectors/check"),
    ("    endpoint_url: https://api.example/check\n", "", "/connectors/check"),
    ("    callers: [entra]\n", "", "/user_flows/sign-up"),
    ("      connector: check\n", "", "/user_flows/sign-up/postAttributeCollection"),
    ("      on_failure: { block: Try later. }\n", "", "/user_flows/sign-up/postAttributeCollection"),
    ("postAttributeCollection", "PostAttributeCollection", "/user_flows/sign-up"),
    ("authentication: none", "authentication: none\n    timeout:", "/connectors/check/timeout"),
    ("authentication: none", "authentication: none\n    timeout: [2s]", "/connectors/check/timeout"),
    // Names.
    ("  entra:\n", "  en/tra:\n", "/callers"),
    ("  entra:\n", "  ...:\n", "/callers"),
    ("  sign-up:\n", "  sign up:\n", "/user_flows"),
    ("connector: check", "connector: check/2", "/user_flows/sign-up/postAttributeCollection/connector"),
    ("callers: [entra]", "callers: [en tra]", "/user_flows/sign-up/callers/0"),
    ("callers: [entra]", "callers: []", "/user_flows/sign-up/callers"),
    ("callers: [entra]", "callers: entra", "/user_flows/sign-up/callers"),
    // Units.
    ("8080", "8080\n  head_timeout: 10", "/listen/head_timeout"),
    ("8080", "8080\n  head_timeout: 10 s", "/listen/head_timeout"),
    ("8080", "8080\n  head_timeout: 0s", "/listen/head_timeout"),
    ("8080", "8080\n  head_timeout: 61m", "/listen/head_timeout"),
    ("8080", "8080\n  max_body: 64KB", "/listen/max_body"),
    ("8080", "8080\n  max_body: 17MiB", "/listen/max_body"),
    ("8080", "8080\n  max_body: 65536", "/listen/max_body"),
    ("8080", "8080\n  max_in_flight: 0", "/listen/max_in_flight"),
    ("8080", "8080\n  max_in_flight: 1000001", "/listen/max_in_flight"),
    ("8080", "8080\n  max_in_flight: 1.5", "/listen/max_in_flight"),
    ("8080", "8080\n  max_in_flight: many", "/listen/max_in_flight"),
    ("8080", "8080\n  plain_text: maybe", "/listen/plain_text"),
    ("8080", "8080\nshutdown: { grace: 2h }", "/shutdown/grace"),
    ("8080", "8080\nshutdown: { drain_delay: 301s }", "/shutdown/drain_delay"),
    ("8080", "8080\n  max_age: 25h", "/listen/max_age"),
    ("8080", "8080\nadmin: 9090", "/admin"),
    ("callers: [entra]", "callers: [entra]\n    answer_within: 9ms", "/user_flows/sign-up/answer_within"),
    ("authentication: none", "authentication: none\n    rate_limit: { rate: 5, burst: 1 }", "/connectors/check/rate_limit/rate"),
    ("authentication: none", "authentication: none\n    rate_limit: { rate: 5/h, burst: 1 }", "/connectors/check/rate_limit/rate"),
    ("authentication: none", "authentication: none\n    rate_limit: { rate: 5/s }", "/connectors/check/rate_limit"),
    ("authentication: none", "authentication: none\n    strict: yes", "/connectors/check/strict"),
    ("authentication: none", "authentication: none\n    missing_action: carry_on", "/connectors/check/missing_action"),
    ("authentication: none", "authentication: none\n    display_name: ' '", "/connectors/check/display_name"),
    ("authentication: none", "authentication: none\n    default_message: \"\\e\"", "/connectors/check/default_message"),
    ("authentication: none", "authentication: none\n    roots: webpkg", "/connectors/check/roots"),
    ("authentication: none", "authentication: none\n    roots: {}", "/connectors/check/roots"),
    // Addresses and URLs.
    ("127.0.0.1:8080", "localhost:8080", "/listen/address"),
    ("127.0.0.1:8080", "127.0.0.256:8080", "/listen/address"),
    ("127.0.0.1:8080", "127.0.0.1:65536", "/listen/address"),
    ("127.0.0.1:8080", "127.0.0.1", "/listen/address"),
    ("https://api.example/check", "api.example", "/connectors/check/endpoint_url"),
    ("https://api.example/check", "ftp://api.example", "/connectors/check/endpoint_url"),
    ("https://api.example/check", "https://u:p@api.example", "/connectors/check/endpoint_url"),
    ("https://api.example/check", "https://api.example/#a", "/connectors/check/endpoint_url"),
    ("https://api.example/check", "https://api.example/é", "/connectors/check/endpoint_url"),
    ("https://api.example/check", "https://api.example:0/", "/connectors/check/endpoint_url"),
    ("https://api.example/check", "https://api.example/%4", "/connectors/check/endpoint_url"),
    // Secrets and credentials.
    ("{ env: CARGO_PKG_NAME }", "\"\"", "/callers/entra/basic"),
    ("{ env: CARGO_PKG_NAME }", "\"a\\nb\"", "/callers/entra/basic"),
    ("{ env: CARGO_PKG_NAME }", "{ env: not-a-name }", "/callers/entra/basic"),
    ("{ env: CARGO_PKG_NAME }", "{ variable: A }", "/callers/entra/basic"),
    ("{ env: CARGO_PKG_NAME }", "[A]", "/callers/entra/basic"),
    ("username: entra", "username: 'en:tra'", "/callers/entra/basic"),
    ("    basic: { username: entra, password: { env: CARGO_PKG_NAME } }", "    basic: []", "/callers/entra/basic"),
    ("    basic: { username: entra, password: { env: CARGO_PKG_NAME } }", "    basic: { username: entra }", "/callers/entra/basic"),
    ("    basic: { username: entra, password: { env: CARGO_PKG_NAME } }", "    header: { name: X Key, value: { env: A } }", "/callers/entra/header"),
    ("authentication: none", "authentication: basic", "/connectors/check/authentication"),
    ("authentication: none", "authentication: { code: [{ env: A }] }", "/connectors/check/authentication"),
    ("authentication: none", "authentication: { certificate: { certificate: a } }", "/connectors/check/authentication"),
    ("authentication: none", "authentication: { certificate: [] }", "/connectors/check/authentication"),
    ("authentication: none", "authentication: none\n    min_tls: 1.1", "/connectors/check/min_tls"),
    ("authentication: none", "authentication: none\n    server_name: api.example:443", "/connectors/check/server_name"),
    ("authentication: none", "authentication: none\n    server_name: api.example.", "/connectors/check/server_name"),
    // TLS.
    ("8080", "8080\n  handshake_timeout: 99ms", "/listen/handshake_timeout"),
    ("8080", "8080\n  tls: {}", "/listen/tls"),
    ("8080", "8080\n  tls: { certificate: a, key: b, client: always }", "/listen/tls/client"),
    ("8080", "8080\n  tls: { certificate: a, key: b, client_thumbprints: [ab] }", "/listen/tls/client_thumbprints"),
    ("    basic: { username: entra, password: { env: CARGO_PKG_NAME } }", "    certificate: { thumbprint: ab }", "/callers/entra/certificate"),
    ("    basic: { username: entra, password: { env: CARGO_PKG_NAME } }", "    certificate: { ca: a, name: '*.example' }", "/callers/entra/certificate"),
    // Claims and what happens without a decision.
    ("[displayName]", "displayName", "/connectors/check/claims_to_send"),
    ("[displayName]", "[[a]]", "/connectors/check/claims_to_send/0"),
    ("[displayName]", "[null]", "/connectors/check/claims_to_send/0"),
    ("[displayName]", "['']", "/connectors/check/claims_to_send/0"),
    ("{ block: Try later. }", "block", "/user_flows/sign-up/postAttributeCollection/on_failure"),
    ("{ block: Try later. }", "Continue", "/user_flows/sign-up/postAttributeCollection/on_failure"),
    ("{ block: Try later. }", "{ block: '' }", "/user_flows/sign-up/postAttributeCollection/on_failure"),
];

#[test]
fn it_is_a_schema_of_its_draft() {
    if let Err(error) = jsonschema::draft202012::meta::validate(&SCHEMA) {
        panic!("{error}");
    }
}

#[test]
fn every_sample_obeys_it_and_names_it_to_editors() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut seen = 0;
    for file in fs::read_dir(&directory).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let faults: Vec<String> = faults(&text).iter().map(|(at, what)| format!("{at}: {what}")).collect();
        assert!(faults.is_empty(), "{}: {faults:#?}", path.display());
        let named =
            text.lines().next().and_then(|line| line.strip_prefix("# yaml-language-server: $schema="));
        assert!(named.is_some_and(|named| directory.join(named).is_file()), "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 3);
}

#[test]
fn what_it_refuses_the_reader_refuses() {
    assert!(takes(GOOD) && reader_takes(GOOD));
    for (from, to, at) in REFUSED {
        let text = good(from, to);
        let found = faults(&text);
        assert!(found.iter().any(|(place, _)| place == at), "{to:?} must be refused at {at:?}: {found:?}");
        assert!(!reader_takes(&text), "{to:?} is taken");
    }
}

#[test]
fn it_takes_every_row_of_the_rules_that_the_reader_takes() {
    let mut taken = 0;
    for (from, to, ..) in ROWS {
        let text = good(from, to);
        if reader_takes(&text) {
            assert!(takes(&text), "{to:?}: {:?}", faults(&text));
            taken += 1;
        }
    }
    assert!(taken >= 8, "{taken}");
}

#[test]
fn it_takes_at_each_step_what_the_reader_takes_there() {
    for step in Step::ALL {
        for answer in ["{ block: Later. }", "{ validation_error: Later. }", "continue", "error"] {
            let text =
                good("postAttributeCollection", step.as_str()).replace("{ block: Try later. }", answer);
            assert_eq!(takes(&text), reader_takes(&text), "{answer} at {step}");
        }
    }
}

#[test]
fn which_keys_go_together_is_the_same_for_both() {
    let hook = "{ connector: check, on_failure: error }";
    let basic = "{ username: u, password: p }";
    let step =
        "    postAttributeCollection:\n      connector: check\n      on_failure: { block: Try later. }\n";
    let digits = "'0'".replace('0', &"0".repeat(64));
    let thumbprint = format!("{{ thumbprint: {digits} }}");
    // The section, what stands in its place, what stands around it, a value for each of its keys.
    let sections: [(&Section, &str, [&str; 2], [&str; 4]); 6] = [
        (&keys::SECRET, "{ env: CARGO_PKG_NAME }", ["{ ", " }"], ["a", "A", "", ""]),
        (
            &keys::AUTHENTICATION,
            "authentication: none",
            ["authentication: { ", " }"],
            [basic, "{ certificate: a, key: b }", "{ env: A }", ""],
        ),
        (&keys::ON_FAILURE, "{ block: Try later. }", ["{ ", " }"], ["a", "b", "", ""]),
        (
            &keys::CALLER,
            "    basic: { username: entra, password: { env: CARGO_PKG_NAME } }\n",
            ["    { ", " }\n"],
            [basic, "[{ env: A }, { env: B }]", "{ name: X-Key, value: v }", thumbprint.as_str()],
        ),
        (
            &keys::CERTIFICATE,
            "    basic: { username: entra, password: { env: CARGO_PKG_NAME } }\n",
            ["    certificate: { ", " }\n"],
            [digits.as_str(), "a.pem", "b2c.example", ""],
        ),
        (&keys::USER_FLOW, "    callers: [entra]\n", ["    { callers: [entra], ", " }\n"], [hook; 4]),
    ];
    for section in keys::ALL {
        let names = match section.choice {
            Choice::Free => continue,
            Choice::AtLeastOne(names) | Choice::AtLeastOneBut(names, _) | Choice::ExactlyOne(names) => {
                names.to_vec()
            }
            Choice::OneGroup(groups) => groups.concat(),
        };
        let (_, from, [before, after], values) =
            sections.iter().find(|(of, ..)| of.is(section)).expect("every section with a choice is here");
        let base = if section.is(&keys::USER_FLOW) { good(step, "") } else { GOOD.to_owned() };
        // A caller's certificate needs it.
        let base = base.replace(":8080\n", ":8080\n  tls: { certificate: a, key: b }\n");
        for chosen in 0..1_u32 << names.len() {
            let written = names.iter().zip(values).enumerate().filter(|(bit, _)| chosen >> bit & 1 == 1);
            let (keys, written): (Vec<&str>, Vec<String>) =
                written.map(|(_, (name, value))| (*name, format!("{name}: {value}"))).unzip();
            let text = base.replace(from, &format!("{before}{}{after}", written.join(", ")));
            let is_chosen =
                |name| names.iter().position(|of| of == name).is_some_and(|bit| chosen >> bit & 1 == 1);
            let possible = match section.choice {
                Choice::ExactlyOne(_) => written.len() == 1,
                Choice::AtLeastOneBut(_, apart) => !written.is_empty() && !apart.iter().all(is_chosen),
                Choice::OneGroup(groups) => groups.contains(&keys.as_slice()),
                _ => !written.is_empty(),
            };
            assert_eq!((takes(&text), reader_takes(&text)), (possible, possible), "{text}");
        }
    }
}

#[test]
fn the_documentation_of_a_key_states_its_bounds() {
    for key in keys::ALL.iter().flat_map(|section| section.keys) {
        let bounds = match &key.kind {
            Kind::Duration(range) => {
                [show_duration(*range.start()), show_duration(*range.end())].join(" to ")
            }
            Kind::Size(range) => [show_size(*range.start()), show_size(*range.end())].join(" to "),
            Kind::Count(range) => format!("{} to {}", range.start(), range.end()),
            Kind::Rate(range) => format!("{}/s to {}/s", range.start(), range.end()),
            Kind::Percent(range) => format!("{}% to {}%", range.start(), range.end()),
            Kind::Message(most) => format!("1 to {most} characters"),
            _ => continue,
        };
        assert!(key.doc.contains(&bounds), "{}: {bounds}", key.name);
    }
}

/// A place in [`GOOD`] where a text stands, `"TEXT"` in what replaces it, and what is nearly right there.
#[rustfmt::skip]
const TEXTS: &[(&str, &str, &str)] = &[
    ("8080", "8080\n  head_timeout: TEXT", "0{0,3}[0-9]{1,8}(ms|s|m|h|S| s|)"),
    ("8080", "8080\n  max_body: TEXT", "0{0,3}[0-9]{1,9}(B|KiB|MiB|KB|)"),
    ("8080", "8080\n  max_in_flight: TEXT", "[ +-]?0{0,3}[0-9]{1,8}"),
    ("authentication: none", "authentication: none\n    rate_limit: { rate: TEXT, burst: 1 }", "0{0,3}[0-9]{1,8}(/s|/m|/h|)"),
    ("authentication: none", "authentication: none\n    strict: TEXT", "true|false|True|yes|"),
    ("authentication: none", "authentication: none\n    display_name: TEXT", "[a \n\t\u{a0}\u{feff}\u{85}é\u{1f600}]{0,3}|é{198,202}"),
    ("{ block: Try later. }", "{ block: TEXT }", "[a \n\t\u{2028}\u{3000}]{0,3}|a{998,1002}"),
    ("{ env: CARGO_PKG_NAME }", "{ env: TEXT }", "[A-Ca0-9_.é -]{0,4}"),
    ("basic: { username: entra, password: { env: CARGO_PKG_NAME } }", "basic: { username: entra, password: { env: CARGO_PKG_NAME } }\n    certificate: { thumbprint: TEXT }", ":{0,2}[0-9a-fA-F]{31,33}:{0,2}[0-9a-fA-Fg]{31,33}"),
    ("username: entra", "username: TEXT", "[a: \n\u{7f}\u{80}é]{0,3}"),
    ("authentication: none", "authentication: none\n    server_name: TEXT", "[Aa_.é-]{0,5}|[a.]{251,255}"),
    ("  sign-up:\n", "  TEXT:\n", "[A-Ca-c0-9_./é -]{0,4}|[.]{1,3}|a{78,82}"),
    ("[displayName]", "[TEXT]", "[a\u{1}\u{80} é.]{0,3}|a{254,258}"),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_text_is_taken_by_both_or_by_neither(texts in TEXTS.iter().map(|row| row.2).collect::<Vec<_>>()) {
        for ((from, to, _), text) in TEXTS.iter().zip(texts) {
            // What JSON quotes, YAML reads.
            let written = serde_json::to_string(&text).unwrap();
            // A caller's certificate needs it.
            let file = good(from, &to.replace("TEXT", &written));
            let file = file.replace(":8080\n", ":8080\n  tls: { certificate: a, key: b }\n");
            prop_assert_eq!(takes(&file), reader_takes(&file), "{}", written);
        }
    }

    #[test]
    fn no_address_url_or_header_is_refused_that_the_reader_takes(
        address in "127\\.0{0,2}[0-9]{0,3}\\.0\\.1:0{0,2}[0-9]{0,5}|\\[::(1|ffff:127\\.0\\.0\\.1|1%0?1|)\\](:[0-9]{1,5})?",
        url in "[Hh]ttps?://([a-c_.-]{1,4}|127\\.0\\.0\\.1|\\[::1\\])(:0?[0-9]{0,5})?([/?][!-~]{0,4}(%[0-9a-g]{2})?)?",
        header in "[!-~]{1,3}",
    ) {
        for (from, to, text) in [
            ("127.0.0.1:8080", "TEXT", address),
            ("https://api.example/check", "TEXT\n    plain_text: allowed", url),
            ("basic: { username: entra, password:", "header: { name: TEXT, value:", header),
        ] {
            let file = good(from, &to.replace("TEXT", &serde_json::to_string(&text).unwrap()));
            prop_assert!(takes(&file) || !reader_takes(&file), "{}", text);
        }
    }
}

/// Where the schema sees faults, and which.
fn faults(text: &str) -> Vec<(String, String)> {
    let value = as_an_editor_reads(text).expect("the text is YAML");
    let errors = VALIDATOR.iter_errors(&value);
    errors.map(|error| (error.instance_path().to_string(), error.to_string())).collect()
}

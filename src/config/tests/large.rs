//! A file with thousands of entries is taken, and takes a time in proportion.

use std::fmt::Write as _;

use rustix::time::{ClockId, clock_gettime};

use super::super::{
    fields::{Context, Entry},
    flows::Named,
    tree,
};
use super::*;

/// How many times what eight times the entries take may take of one: in proportion it is 8, squared 64.
const MOST: u32 = 24;

/// What this thread has computed for at least in one of three runs.
fn computed(run: impl Fn()) -> Duration {
    let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
    let runs = (0..3).map(|_| {
        let began = now();
        run();
        now().saturating_sub(began)
    });
    runs.min().unwrap_or_default()
}

#[test]
fn thousands_of_connectors_and_flows_are_taken_and_each_flow_finds_its_own() {
    const COUNT: usize = 5_000;
    let claims = [
        "displayName, givenName, surname, jobTitle, city, country, postalCode, extension_Id",
        "displayName, city, jobTitle, extension_Code",
    ];
    let mut text = GOOD.split_once("connectors:").unwrap().0.to_owned();
    text.push_str("connectors:\n");
    for number in 0..COUNT {
        let [send, receive] = claims;
        write!(
            text,
            "  check{number}:\n    endpoint_url: https://api.example/{number}\n    \
             authentication: {{ basic: {{ username: claimgate, password: {{ env: CARGO_PKG_NAME }} }} }}\n    \
             claims_to_send: [{send}]\n    claims_to_receive: [{receive}]\n"
        )
        .unwrap();
    }
    text.push_str("user_flows:\n");
    for number in (0..COUNT).rev() {
        write!(
            text,
            "  flow{number}:\n    callers: [entra]\n    postAttributeCollection: \
             {{ connector: check{number}, on_failure: {{ block: Try later. }} }}\n"
        )
        .unwrap();
    }
    let config = config(&text);
    assert_eq!((config.connectors.len(), config.user_flows.len()), (COUNT, COUNT));
    for flow in &config.user_flows {
        let connector = &config.connectors[flow.hooks[0].connector];
        assert_eq!(connector.name.as_str(), flow.name.as_str().replace("flow", "check"));
    }
}

#[test]
fn reading_names_takes_a_time_in_proportion_to_them() {
    let took = |count| {
        let lines: Vec<String> = (0..count).map(|number| format!("entry{number}: 1\n")).collect();
        let text = lines.concat();
        let root = tree::parse(&text).ok().unwrap();
        computed(|| {
            let mut cx = Context::new(&text, Path::new(""), Secrets::Skip, Files::default());
            assert_eq!(cx.named(&Entry::root(&root)).unwrap().len(), count);
        })
    };
    let (few, many) = (took(2_000), took(16_000));
    assert!(many < few * MOST, "eight times the names took {few:?} and {many:?}");
}

#[test]
fn finding_each_name_takes_a_time_in_proportion_to_them() {
    let took = |count| {
        let names: Vec<Name> =
            (0..count).map(|number| Name::parse(&format!("entry{number}")).unwrap()).collect();
        computed(|| {
            let known = Named::new(&names, |name| name);
            for (position, name) in names.iter().enumerate() {
                assert_eq!(known.position(name.as_str(), "entry").ok(), Some(position));
            }
        })
    };
    let (few, many) = (took(2_000), took(16_000));
    assert!(many < few * MOST, "eight times the names took {few:?} and {many:?}");
}

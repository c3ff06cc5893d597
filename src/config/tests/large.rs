//! A file with thousands of entries is taken, and takes a time in proportion.

use std::fmt::Write as _;

use rustix::time::{ClockId, clock_gettime};

use super::super::{
    fields::{Context, Entry},
    flows::Named,
    problem::Wrong,
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

/// A file of these sections; where nothing is said, it is a small one without a fault.
fn file(callers: Option<&str>, connector: &str, flows: Option<&str>) -> String {
    let callers = callers.unwrap_or("  entra: { code: { env: CARGO_PKG_NAME } }\n");
    let flows = flows.map_or_else(|| flow("sign-up", "entra"), str::to_owned);
    format!(
        "listen: {{ address: 127.0.0.1:8080 }}\ncallers:\n{callers}connectors:\n  check: {{ endpoint_url: \
         'https://api.example', authentication: none, claims_to_send: [], claims_to_receive: [{connector}] }}\n\
         user_flows:\n{flows}"
    )
}

fn flow(name: &str, callers: &str) -> String {
    format!(
        "  {name}: {{ callers: [{callers}], preTokenIssuance: {{ connector: check, on_failure: error }} }}\n"
    )
}

/// `name0, name1, …`
fn list(name: &str, count: usize) -> String {
    (0..count).map(|number| format!("{name}{number}")).collect::<Vec<_>>().join(", ")
}

#[test]
fn reading_takes_a_time_in_proportion_to_the_file_whatever_it_is_that_is_many() {
    let rows: [(&str, usize, fn(usize) -> String, &str); 4] = [
        ("claims", 1_000, |count| file(None, &list("claim", count), None), "fine"),
        ("faults in one line", 1_000, |count| file(None, &vec!["{}"; count].join(", "), None), "8000 errors"),
        (
            "misspelt names",
            400,
            |count| {
                let caller = |number| format!("  entra{number}: {{ code: {{ env: CARGO_PKG_NAME }} }}\n");
                let callers: String = (0..count).map(caller).collect();
                file(Some(&callers), "", Some(&flow("sign-up", &list("enrta", count))))
            },
            "3200 errors",
        ),
        (
            "credentials and user flows",
            50,
            |count| {
                let callers =
                    ["a", "b"].map(|name| format!("  {name}: {{ code: [{}] }}\n", list(name, count)));
                let flows: String = (0..count).map(|number| flow(&format!("flow{number}"), "a, b")).collect();
                file(Some(&callers.concat()), "", Some(&flows))
            },
            "fine, with 800 warnings",
        ),
    ];
    for (what, count, text, said_of_many) in rows {
        let [few, many] = [count, 8 * count].map(|count| {
            let text = text(count);
            computed(|| _ = read("claimgate.yaml", &text, Secrets::Load))
        });
        assert_eq!(read("claimgate.yaml", &text(8 * count), Secrets::Load).report.summary(), said_of_many);
        assert!(many < few * MOST, "eight times the {what} took {few:?} and {many:?}");
    }
}

/// Of a hundred thousand reports nobody misses another one, and a file of some kilobytes could have thousands of millions.
#[test]
fn credentials_that_two_callers_share_in_many_user_flows_are_reported_so_many_times() {
    let callers = ["a", "b"].map(|name| format!("  {name}: {{ code: [{}] }}\n", list("code", 400)));
    let flows: String = (0..300).map(|number| flow(&format!("flow{number}"), "a, b")).collect();
    let report =
        read("claimgate.yaml", &file(Some(&callers.concat()), "", Some(&flows)), Secrets::Load).report;
    assert_eq!(report.summary(), "100000 errors, 800 warnings");
}

#[test]
fn faults_that_are_found_from_the_end_of_a_long_line_take_a_time_in_proportion() {
    let took = |count: usize| {
        let text = format!("[{}]", list(&"a".repeat(200), count));
        let root = tree::parse(&text).ok().unwrap();
        computed(|| {
            let mut cx = Context::new(&text, Path::new(""), Secrets::Skip, Files::default());
            let items = cx.list(&Entry::root(&root)).unwrap();
            // Each stands before all that were found, so that each would be told.
            items.iter().rev().for_each(|item| cx.wrong_value(item, Wrong::new("wrong")));
            assert_eq!(cx.problems.errors(), count);
        })
    };
    let (few, many) = (took(2_000), took(16_000));
    assert!(many < few * MOST, "eight times the faults took {few:?} and {many:?}");
}

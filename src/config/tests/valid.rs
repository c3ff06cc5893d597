//! Valid configurations of every shape, made from the list of keys: the reader takes each of them, and so does the schema.

use proptest::{option, prelude::*, sample};

use super::{
    super::keys::{Choice, Key, Kind, Presence, Section},
    *,
};
use crate::flow::Step;

/// As long as a name may be.
const LONGEST: &str = "abcdefgh.-abcdefgh.-abcdefgh.-abcdefgh.-abcdefgh.-abcdefgh.-abcdefgh.-abcdefgh.-";
const CALLERS: &[&str] = &["entra", "b2c.custom", "12", "1.10", "true", LONGEST];
const CONNECTORS: &[&str] = &["check", "ask_2", "007", "no", LONGEST];

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reader_and_schema_take_every_valid_configuration(text in map(&keys::ROOT, None)) {
        let Outcome { config, report, .. } = read("claimgate.yaml", &text, Secrets::Skip);
        prop_assert!(config.is_some(), "{}\n{}", report, text);
        prop_assert!(schema::takes(&text), "{}", text);
    }

    #[test]
    fn a_configuration_that_is_read_printed_and_read_again_is_the_same(text in map(&keys::ROOT, None)) {
        let config = |text: &str| read("claimgate.yaml", text, Secrets::Skip).config;
        let once = config(&text);
        let tree = tree::parse(&text).unwrap_or_else(|error| panic!("{}", error.message));
        let mut printed = String::new();
        print(&tree, 0, &mut printed);
        prop_assert!(once.is_some() && printed.lines().count() > 1);
        prop_assert_eq!(config(&printed), once, "{}\n{}", text, printed);
    }
}

/// The other style of YAML: a line for each entry, and quotes around each scalar.
fn print(node: &tree::Node, depth: usize, out: &mut String) {
    let line = |out: &mut String| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    match &node.value {
        tree::Value::Null => out.push('~'),
        tree::Value::Scalar(text) => out.push_str(&serde_json::to_string(text).unwrap()),
        tree::Value::List(nodes) if nodes.is_empty() => out.push_str("[]"),
        tree::Value::List(nodes) => nodes.iter().for_each(|node| {
            line(out);
            out.push_str("- ");
            print(node, depth + 1, out);
        }),
        tree::Value::Map(pairs) if pairs.is_empty() => out.push_str("{}"),
        tree::Value::Map(pairs) => pairs.iter().for_each(|(key, value)| {
            line(out);
            print(key, depth + 1, out);
            out.push_str(": ");
            print(value, depth + 1, out);
        }),
    }
}

/// A map on one line, with the keys that must be there and some of the others.
fn map(of: &'static Section, step: Option<Step>) -> BoxedStrategy<String> {
    let possible = |names: &[&'static str]| -> Vec<&'static str> {
        names.iter().copied().filter(|name| is_possible(name, step)).collect()
    };
    let subset = |names: &[&'static str], most: usize| {
        let names = possible(names);
        let (most, least) = (most.min(names.len()), usize::from(!names.is_empty()));
        sample::subsequence(names, least..=most).boxed()
    };
    let (choice, chosen, apart) = match of.choice {
        Choice::Free => (Vec::new(), Just(Vec::new()).boxed(), ["", ""]),
        Choice::AtLeastOne(names) => (possible(names), subset(names, names.len()), ["", ""]),
        Choice::AtLeastOneBut(names, apart) => (possible(names), subset(names, names.len()), apart),
        Choice::ExactlyOne(names) => (possible(names), subset(names, 1), ["", ""]),
        Choice::OneGroup(groups) => {
            (groups.concat(), sample::select(groups).prop_map(<[_]>::to_vec).boxed(), ["", ""])
        }
    };
    let keys = chosen.prop_flat_map(move |mut chosen| {
        if apart.iter().all(|name| chosen.contains(name)) {
            chosen.retain(|name| *name != apart[0]);
        }
        let entries = of.keys.iter().map(|key| {
            let entry = value(of, key, step).prop_map(|value| Some(format!("{}: {value}", key.name)));
            let needed = key.presence == Presence::Required || NEEDED.contains(&(of.name, key.name));
            if needed || chosen.contains(&key.name) {
                entry.boxed()
            } else if choice.contains(&key.name) || !is_possible(key.name, step) {
                Just(None).boxed()
            } else {
                option::of(entry).prop_map(Option::flatten).boxed()
            }
        });
        entries.collect::<Vec<_>>()
    });
    keys.prop_map(|entries| format!("{{ {} }}", entries.into_iter().flatten().collect::<Vec<_>>().join(", ")))
        .boxed()
}

/// What other keys have no effect without.
const NEEDED: [(&str, &str); 2] = [("listen", "tls"), ("listen.tls", "client_ca")];

fn is_possible(key: &str, step: Option<Step>) -> bool {
    match key {
        "block" => step != Some(Step::PreTokenIssuance),
        "validation_error" => step == Some(Step::PostAttributeCollection),
        _ => true,
    }
}

/// A value that fits whatever else stands in the file.
fn value(of: &'static Section, key: &'static Key, step: Option<Step>) -> BoxedStrategy<String> {
    match (of.name, key.name) {
        ("", "callers") => named(CALLERS, &key.kind),
        ("", "connectors") => named(CONNECTORS, &key.kind),
        ("", "user_flows") => named(&["sign-up", "B2X_1.x", "1", LONGEST], &key.kind),
        ("listen", "address") => one_of(&["127.0.0.1:8080", "'[::1]:0'", "127.0.0.2:08080"]),
        ("listen", "handshake_timeout") => one_of(&["100ms", "1m", "5s"]),
        ("admin", "address") => one_of(&["127.0.0.1:65535", "'[::1]:9'", "0.0.0.0:1"]),
        // Each key's times fit all times that the others may take.
        ("connectors.NAME", "timeout") => one_of(&["2s", "01000ms", "3s"]),
        ("connectors.NAME", "connect_timeout") => one_of(&["1ms", "1s", "999ms"]),
        ("connectors.NAME", "wait") => one_of(&["1ms", "2s"]),
        ("user_flows.NAME", "answer_within") => one_of(&["3s", "1m", "60000ms", "\"18s\""]),
        // It contradicts `strict: true`.
        ("connectors.NAME", "missing_action") => one_of(&["fail"]),
        ("user_flows.NAME", "callers") => list(CALLERS, 1),
        ("user_flows.NAME.STEP", "connector") => one_of(CONNECTORS),
        (_, name) => of_kind(&key.kind, Step::from_name(name).or(step)),
    }
}

fn of_kind(kind: &'static Kind, step: Option<Step>) -> BoxedStrategy<String> {
    match kind {
        Kind::Message(most) => {
            let long = "é".repeat(*most);
            prop_oneof![
                "[a-zé ]{0,9}[a-z]".prop_map(|text| format!("\"{text}\"")),
                one_of(MESSAGES),
                Just(long)
            ]
            .boxed()
        }
        Kind::UserName => one_of(&["entra", "''", "12", "1.10", "true", "\"null\"", "é ü"]),
        Kind::HeaderName => one_of(&["X-Hook-Key", "12", "1.5", "\"|~\"", "true"]),
        Kind::Claim => one_of(CLAIMS),
        Kind::Name | Kind::Address | Kind::Named(_) => unreachable!("{kind:?} depends on the key"),
        Kind::Url => one_of(&[
            "https://api.example",
            "\"HTTPS://API.example:8443/a/%C3%A9?b=c\"",
            "\"https://[2001:db8::1]:0443/\"",
            "https://10.1.2.3/a@b",
        ]),
        Kind::Flag => one_of(&["true", "false", "\"true\"", "'false'"]),
        Kind::Duration(_) => one_of(&["10ms", "1s", "60s", "0001m"]),
        Kind::Size(_) => one_of(&["1B", "16777216B", "16384KiB", "16MiB", "\"064KiB\""]),
        Kind::Count(_) => one_of(&["1", "1000000", "\"7\"", "0042"]),
        Kind::Rate(_) => one_of(&["1/s", "1000000/m", "'05/s'"]),
        Kind::Percent(_) => one_of(&["1%", "100%", "\"050%\""]),
        Kind::Path | Kind::KeyFile => one_of(&["corp.pem", "/run/secrets/a b", "12", "1.5", "true"]),
        Kind::Thumbprint => proptest::string::string_regex("(?:[0-9a-f]{2}:){31}[0-9A-F]{2}|[0-9a-f]{64}")
            .expect("the expression is well-formed")
            .prop_map(|digits| format!("'{digits}'"))
            .boxed(),
        Kind::DnsName => one_of(&["api.contoso.com", "localhost", "\"A_b.c-d\"", "true", "1e5"]),
        Kind::Variable => one_of(&["A", "_a1", "true"]),
        Kind::Word(words) => one_of(words),
        Kind::List(..) => list(CLAIMS, 0),
        Kind::Secret => {
            prop_oneof![map(&keys::SECRET, None), one_of(&["hunter2", "12345", "1.5", "true"])].boxed()
        }
        Kind::Section(section) => map(section, step),
        Kind::WordOr(words, section) => {
            if section.keys.iter().any(|key| is_possible(key.name, step)) {
                prop_oneof![one_of(words), map(section, step)].boxed()
            } else {
                one_of(words)
            }
        }
        Kind::OneOrMany(kind) => {
            let one = of_kind(kind, step);
            let many =
                prop::collection::vec(one.clone(), 1..3).prop_map(|many| format!("[{}]", many.join(", ")));
            prop_oneof![one, many].boxed()
        }
    }
}

const MESSAGES: &[&str] = &["1.10", "12", "true", "no", "0x10", "\"a\\nb\"", "Try later."];
/// Each another claim.
const CLAIMS: &[&str] =
    &["displayName", "extension_LoyaltyId", "12", "12.0", "true", "\"null\"", "with blank", "é"];

fn one_of(texts: &'static [&'static str]) -> BoxedStrategy<String> {
    sample::select(texts).prop_map(str::to_owned).boxed()
}

fn list(of: &'static [&'static str], least: usize) -> BoxedStrategy<String> {
    sample::subsequence(of, least..=of.len()).prop_map(|some| format!("[{}]", some.join(", "))).boxed()
}

/// A map with all of these names.
fn named(names: &'static [&'static str], kind: &'static Kind) -> BoxedStrategy<String> {
    let Kind::Named(kind) = kind else { unreachable!("{kind:?} has no names") };
    let entries: Vec<_> = names
        .iter()
        .map(|name| of_kind(kind, None).prop_map(move |value| format!("{name}: {value}")))
        .collect();
    entries.prop_map(|entries| format!("{{ {} }}", entries.join(", "))).boxed()
}

//! Whatever the file holds, reading it ends with a report whose places are in the file.

use proptest::prelude::*;

use super::*;

/// What an edit puts in: everything that has a meaning to YAML, and values that no key expects.
const PARTS: &[&str] = &[
    "",
    " ",
    "\n",
    "  ",
    "\t",
    ":",
    ": ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "\"",
    "'",
    "#",
    "&a ",
    "*a",
    "!x ",
    "<<: *a\n",
    "|",
    "~",
    "null",
    "é",
    "\u{1f600}",
    "0",
    "1s",
    "none",
    "basic",
    "code",
    "callers:\n",
    "connector: check",
    "---\n",
    "\r\n",
];

fn reference() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/claimgate.yaml")).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_edit_ends_in_a_configuration_or_in_errors_with_a_place(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..12, prop::sample::select(PARTS)), 1..5),
        large in any::<bool>(),
    ) {
        let mut text: Vec<char> = if large { reference().chars().collect() } else { GOOD.chars().collect() };
        for (at, removed, put) in edits {
            let start = at.index(text.len() + 1);
            let end = (start + removed).min(text.len());
            text.splice(start..end, put.chars());
        }
        let text: String = text.into_iter().collect();
        let outcome = read("claimgate.yaml", &text, Secrets::Skip);
        law::reported(&text, &outcome);
        prop_assert!(outcome.config.is_none() || schema::takes(&text), "the schema refuses what is taken: {}", text);
    }
}

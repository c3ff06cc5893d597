//! The marks that stand in everything confidential, and the eye that finds them in whatever form they come out.

use std::fmt::Write as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};

/// Stands in what nobody may ever see again: secrets, claims, headers, queries, an API's words. A header's name and a
/// claim's, a host's and a path's may have it as it is.
pub(super) const HIDDEN: &str = "qZx7hIdE9";
/// Stands in what the user, or the API, is meant to get, and the log is not.
pub(super) const SHOWN: &str = "qZx7ShOw3";

/// The mark as it is sent: as it is, percent-encoded, and in base64, for whatever decodes one of them.
pub(super) fn sent(mark: &str) -> String {
    format!("{mark}-{}-{}", percent(mark), BASE64_STANDARD.encode(mark))
}

fn percent(mark: &str) -> String {
    mark.bytes().fold(String::new(), |mut text, byte| {
        write!(text, "%{byte:02X}").expect("a string takes every write");
        text
    })
}

/// Whatever would show that the mark came through. In lower case those where the case says nothing.
fn forms(mark: &str) -> ([String; 4], [String; 3]) {
    let joined = |separator: &str, write: &dyn Fn(u8) -> String| {
        mark.bytes().map(write).collect::<Vec<_>>().join(separator)
    };
    let hex = joined("", &|byte| format!("{byte:02x}"));
    // How `{:?}` writes bytes.
    let numbers = joined(", ", &|byte| byte.to_string());
    let any_case = [mark.to_owned(), percent(mark), hex, numbers].map(|form| form.to_ascii_lowercase());
    // What stands before it decides which bits share a character; whole characters of the mark's own are left.
    let exact = [0, 1, 2].map(|before| {
        let text = BASE64_STANDARD.encode([&[0; 2][..before], mark.as_bytes()].concat());
        let whole = (before + mark.len()) * 8 / 6;
        text[(before * 8).div_ceil(6)..whole].to_owned()
    });
    (any_case, exact)
}

/// The line in which the mark shows, in any form.
pub(super) fn find<'t>(text: &'t str, mark: &str) -> Option<&'t str> {
    let (any_case, exact) = forms(mark);
    text.lines().find(|line| {
        let lower = line.to_ascii_lowercase();
        any_case.iter().any(|form| lower.contains(form)) || exact.iter().any(|form| line.contains(form))
    })
}

/// Nothing of what is confidential is in this text.
pub(super) fn assert_hidden(text: &str, what: &str) {
    for mark in [HIDDEN, SHOWN] {
        assert_eq!(find(text, mark), None, "{what}");
    }
}

#[test]
fn a_mark_is_found_in_every_form() {
    let encoded = |before: &str| BASE64_STANDARD.encode(format!("{before}{HIDDEN}-x"));
    let lower = HIDDEN.to_ascii_lowercase();
    for text in [
        format!("a\nb {HIDDEN}."),
        lower,
        percent(HIDDEN).to_ascii_lowercase(),
        encoded(""),
        encoded("u"),
        encoded("us"),
        encoded("use"),
        encoded("user:"),
        format!("{:?}", HIDDEN.as_bytes()),
        sent(HIDDEN),
    ] {
        assert!(find(&text, HIDDEN).is_some(), "{text}");
        assert_eq!(find(&text, SHOWN), None, "{text}");
    }
    assert_eq!(find("qZx7 hIdE9 %71%5A", HIDDEN), None);
}

//! The README as its parts: blocks that the code writes, and what is typed in it.

use std::fmt::Write as _;

/// Rewrites the README's generated blocks instead of comparing them.
pub(super) const UPDATE: &str = "UPDATE_README";

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

/// The README as it is.
pub(super) fn text() -> String {
    std::fs::read_to_string(FILE).expect("the README can be read")
}

/// Holds every block between `<!-- NAME -->` and `<!-- end of NAME -->` to its generated text, or rewrites them all.
pub(super) fn hold(blocks: &[(&str, String)]) {
    let before = text();
    let mut after = before.clone();
    for (name, generated) in blocks {
        let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
        let parts = after.split_once(&begin).and_then(|(head, rest)| Some((head, rest.split_once(&end)?.1)));
        let (head, tail) =
            parts.unwrap_or_else(|| panic!("README.md has no block between {begin} and {end}"));
        after = format!("{head}{begin}\n{generated}\n{end}{tail}");
    }
    if before == after {
        return;
    }
    if std::env::var_os(UPDATE).is_some_and(|value| value == "1") {
        std::fs::write(FILE, after).expect("the README can be written");
        return;
    }
    let differs = before.lines().zip(after.lines()).enumerate().find(|(_, (is, should))| is != should);
    let place = differs.map_or_else(
        || "its end".to_owned(),
        |(line, (is, should))| format!("line {}:\n   is: {is}\nshould: {should}", line + 1),
    );
    panic!(
        "README.md is not what the code says, from {place}\nTo rewrite it: {UPDATE}=1 cargo test --test it readme"
    );
}

/// The text of the fenced block behind `<!-- NAME -->`, for each place where that stands.
pub(super) fn fenced(readme: &str, name: &str) -> Vec<String> {
    let marker = format!("<!-- {name} -->\n");
    let blocks: Vec<_> = readme
        .split(&marker)
        .skip(1)
        .map(|rest| {
            let block = rest.trim_start().strip_prefix("```").and_then(|rest| rest.split_once('\n'));
            let body = block.and_then(|(_, body)| body.split_once("```"));
            body.unwrap_or_else(|| panic!("no fenced block follows {marker}")).0.to_owned()
        })
        .collect();
    assert!(!blocks.is_empty(), "README.md has no {marker}");
    blocks
}

/// Something typed, and what the README says comes back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Typed {
    pub(super) command: String,
    pub(super) answer: String,
}

/// The commands of a console block: a line that begins with `$ `, and the lines that a `\` at the end continues.
pub(super) fn typed(block: &str) -> Vec<Typed> {
    let mut found: Vec<Typed> = Vec::new();
    let mut continued = false;
    for line in block.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            found.push(Typed { command: command.to_owned(), answer: String::new() });
            continued = line.ends_with('\\');
            continue;
        }
        let last = found.last_mut().expect("a console block begins with a command");
        let into = if continued { &mut last.command } else { &mut last.answer };
        write!(into, "\n{line}").expect("a string takes every write");
        continued &= line.ends_with('\\');
    }
    for one in &mut found {
        one.answer = one.answer.trim().to_owned();
    }
    found
}

#[test]
fn what_is_typed_is_told_from_what_comes_back() {
    let block = "$ one \\\n  two \\\n  three\nfour\nfive\n\n$ six\n$ seven\neight\n";
    let typed = typed(block);
    let expected = [("one \\\n  two \\\n  three", "four\nfive"), ("six", ""), ("seven", "eight")];
    let expected = expected.map(|(command, answer)| Typed { command: command.into(), answer: answer.into() });
    assert_eq!(typed, expected);
}

//! Every input of the corpora keeps the law of its target, in an ordinary test run.

use std::{fs, panic::catch_unwind, path::Path};

use crate::{config, connector::normalize, flow::claims, gateway, upstream::exchange};

#[test]
fn wire_answer() {
    replay("wire_answer", exchange::law::answer);
}

#[test]
fn claims_filter() {
    replay("claims_filter", claims::law::filter);
}

#[test]
fn normalizer() {
    replay("normalizer", normalize::law::meaning);
}

#[test]
fn comments() {
    replay("comments", normalize::law::comments);
}

#[test]
fn configuration() {
    replay("configuration", config::law::reading);
}

#[test]
fn hook() {
    replay("hook", gateway::law::hook);
}

fn replay(target: &str, law: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let binary = fs::read_to_string(folder.join("fuzz_targets").join(target).with_extension("rs"));
    assert!(binary.is_ok_and(|source| source.contains("law::")), "{target} is a target of the fuzzer");
    let mut inputs = 0;
    for entry in fs::read_dir(folder.join("corpus").join(target)).unwrap() {
        let path = entry.unwrap().path();
        let input = fs::read(&path).unwrap();
        assert!(catch_unwind(|| law(&input)).is_ok(), "{} breaks the law", path.display());
        inputs += 1;
    }
    assert!(inputs > 0, "the corpus of {target} is empty");
}

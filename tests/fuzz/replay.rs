//! Every input of the fuzzer's corpora keeps the law of its target, in an ordinary test run; and each target is held to
//! the law that is replayed here.

use std::{collections::BTreeSet, fs, panic::catch_unwind, path::PathBuf};

macro_rules! replay {
    ($($target:ident by $($law:ident)::+;)+) => {
        const TARGETS: &[&str] = &[$(stringify!($target)),+];
        $(#[test]
        fn $target() {
            is_a_target(stringify!($target), &stringify!($($law)::+).replace(' ', ""));
            replay(stringify!($target), crate::$($law)::+);
        })+
    };
}

replay! {
    claims_filter by flow::claims::law::filter;
    comments by connector::normalize::law::comments;
    configuration by config::law::reading;
    hook by gateway::law::hook;
    normalizer by connector::normalize::law::meaning;
    wire_answer by upstream::exchange::law::answer;
}

#[test]
fn every_target_is_replayed() {
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(here().join(folder)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let replayed: BTreeSet<String> = TARGETS.iter().map(|target| (*target).to_owned()).collect();
    assert_eq!((names("fuzz_targets"), names("corpus")), (replayed.clone(), replayed));
}

/// The compiler sees the fuzz targets only where a fuzzer is built; here they are held to one form.
fn is_a_target(target: &str, law: &str) {
    let source = fs::read_to_string(here().join(format!("fuzz_targets/{target}.rs"))).unwrap();
    let expected =
        format!("#![no_main]\n\nlibfuzzer_sys::fuzz_target!(|data: &[u8]| claimgate::{law}(data));\n");
    assert_eq!(source, expected);
    let manifest = fs::read_to_string(here().join("Cargo.toml")).unwrap();
    assert!(manifest.contains(&format!("name = \"{target}\"\npath = \"fuzz_targets/{target}.rs\"")));
}

fn replay(target: &str, law: fn(&[u8])) {
    let mut inputs = 0;
    for entry in fs::read_dir(here().join("corpus").join(target)).unwrap() {
        let path = entry.unwrap().path();
        let input = fs::read(&path).unwrap();
        assert!(catch_unwind(|| law(&input)).is_ok(), "{} breaks the law", path.display());
        inputs += 1;
    }
    assert!(inputs > 0, "the corpus of {target} is empty");
}

fn here() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "fuzz"].iter().collect()
}

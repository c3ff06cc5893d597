//! The order of the rooms holds: a room uses rooms further down only, never one of its own line, and what one room
//! alone may know is known nowhere else. The order is the table in `src/lib.rs`, read from there.

mod source;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use self::source::{CodePath, Source};

/// Crates that one room alone names.
const SINGLE_ROOM: [(&str, &str); 3] =
    [("rustls", "tls"), ("tokio_rustls", "tls"), ("prometheus", "telemetry")];

/// How every metric's name begins; only this room has such texts.
const METRIC_NAMES: (&str, &str) = ("claimgate_", "telemetry");

/// What the pure core does without: I/O, clock and runtime.
const NOT_IN_FLOW: [&[&str]; 9] = [
    &["tokio"],
    &["std", "net"],
    &["std", "fs"],
    &["std", "io"],
    &["std", "env"],
    &["std", "process"],
    &["std", "thread"],
    &["std", "time", "Instant"],
    &["std", "time", "SystemTime"],
];

#[test]
fn a_room_uses_rooms_further_down_only() {
    let rooms = Rooms::of_the_table(&read(&src().join("lib.rs")));
    let offences: Vec<String> = sources().iter().flat_map(|file| rooms.offences(file)).collect();
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

#[test]
fn the_table_names_every_room_there_is_and_no_other() {
    let there: BTreeSet<String> = fs::read_dir(src())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    let rooms = Rooms::of_the_table(&read(&src().join("lib.rs")));
    let placed: BTreeSet<String> = rooms.lines.iter().flatten().cloned().collect();
    assert_eq!(placed, there, "place each room in the table of src/lib.rs");
    let files: BTreeSet<PathBuf> = fs::read_dir(src())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    assert_eq!(files, ["lib.rs", "main.rs"].map(|file| src().join(file)).into(), "code lives in rooms");
}

/// The rules are worth what their reader is worth: each way to write an arrow is found, and what only looks like one is
/// not.
#[test]
fn a_forbidden_arrow_is_found_in_any_dress() {
    let rooms = Rooms::of_the_table(
        "//! | room | what |\n//! |---|---|\n//! | [`top`] | [`flow`] is below |\n//! | [`tls`] · [`telemetry`] | equals |\n//! | [`flow`] | x |\n",
    );
    let rows: &[(&str, &str, &[&str])] = &[
        ("top/a.rs", "use crate::{tls, flow::{X, Y}};", &[]),
        ("tls/a.rs", "use crate::flow::X;", &[]),
        ("tls/a.rs", "use crate::tls::X;", &[]),
        ("tls/a.rs", "\nuse crate::top::X;", &["src/tls/a.rs:2: tls > top"]),
        (
            "tls/a.rs",
            "use crate::{\nflow::X,\ntelemetry::{Y, Z as W},\n};",
            &["src/tls/a.rs:3: tls > telemetry"],
        ),
        ("tls/a.rs", "use crate::{flow::{a::{B, C}, D}, {top::E}};", &["src/tls/a.rs:1: tls > top"]),
        ("tls/a.rs", "fn f() { let x = crate::top::f::<u8>(); }", &["src/tls/a.rs:1: tls > top"]),
        ("tls/a.rs", "use super::super::top::X;", &["src/tls/a.rs:1: tls > top"]),
        ("tls/a.rs", "use super::{super::{top::X, flow::Y}, b::C};", &["src/tls/a.rs:1: tls > top"]),
        ("tls/mod.rs", "use super::top;", &["src/tls/mod.rs:1: tls > top"]),
        (
            "tls/mod.rs",
            "mod inner { use super::b; use super::super::top; }",
            &["src/tls/mod.rs:1: tls > top"],
        ),
        ("tls/a/b.rs", "use self::super::super::super::top::X;", &["src/tls/a/b.rs:1: tls > top"]),
        ("tls/a/b.rs", "use super::super::top::X;", &[]),
        ("tls/a.rs", "use crate::*;", &["src/tls/a.rs:1: tls > *"]),
        ("tls/a.rs", "use crate as all;", &["src/tls/a.rs:1: tls > the whole crate"]),
        ("tls/a.rs", "pub(crate) fn f() {} pub(in crate::tls) fn g() {}", &[]),
        ("tls/a.rs", "pub(in crate::top) fn g() {}", &["src/tls/a.rs:1: tls > top"]),
        (
            "tls/a.rs",
            "// use crate::top;\n/* crate::top /* */ crate::top */ const X: &str = \"crate::top\";",
            &[],
        ),
        ("tls/a.rs", "const A: [char; 2] = ['\"', '\\'']; use crate::top;", &["src/tls/a.rs:1: tls > top"]),
        ("tls/a.rs", "fn f<'a>(x: &'a str) { br#\"\"crate::top\"#; }", &[]),
        ("tls/a.rs", "#[cfg(test)]\nmod tests { use crate::top; fn f() { {} } }", &[]),
        (
            "tls/a.rs",
            "#[cfg(test)] use crate::top; use crate::telemetry;",
            &["src/tls/a.rs:1: tls > telemetry"],
        ),
        ("tls/a.rs", "#[cfg(test)]\nmod tests {}\nuse crate::top;", &["src/tls/a.rs:3: tls > top"]),
        ("top/a.rs", "use rustls::X;", &["src/top/a.rs:1: only tls knows rustls"]),
        ("top/a.rs", "fn f(x: tokio_rustls::X) {}", &["src/top/a.rs:1: only tls knows tokio_rustls"]),
        ("tls/a.rs", "use rustls::X;", &[]),
        ("tls/a.rs", "use prometheus as p;", &["src/tls/a.rs:1: only telemetry knows prometheus"]),
        ("telemetry/a.rs", "const N: &str = \"claimgate_x\";", &[]),
        ("top/a.rs", "const N: &str = r\"claimgate_x\";", &["src/top/a.rs:1: only telemetry names metrics"]),
        (
            "flow/a.rs",
            "use std::{fmt, time::{Duration, Instant}};",
            &["src/flow/a.rs:1: flow does without std::time::Instant"],
        ),
        ("flow/a.rs", "fn f(x: std::net::IpAddr) {}", &["src/flow/a.rs:1: flow does without std::net"]),
        ("flow/a.rs", "use tokio::sync::X;", &["src/flow/a.rs:1: flow does without tokio"]),
    ];
    for (path, text, expected) in rows {
        let file = File { path: PathBuf::from(path), source: Source::read(text) };
        assert_eq!(rooms.offences(&file), *expected, "{path} {text}");
    }
}

#[test]
fn a_file_is_test_code_where_its_declaration_says_so() {
    let declared =
        |path: &str, text: &str| File { path: PathBuf::from(path), source: Source::read(text) }.test_files();
    let both = |path: &str| [PathBuf::from(format!("{path}.rs")), PathBuf::from(path)];
    assert_eq!(declared("a/b.rs", "#[cfg(test)]\nmod tests;"), both("a/b/tests"));
    assert_eq!(declared("a/mod.rs", "#[cfg(test)] pub(in crate::a) mod tests;"), both("a/tests"));
    assert_eq!(declared("a/b.rs", "#[cfg(test)] #[path = \"b_tests.rs\"] mod tests;"), both("a/b_tests"));
    assert_eq!(declared("a/b.rs", "mod tests;"), Vec::<PathBuf>::new());
}

/// The table of the rooms, top line first.
struct Rooms {
    lines: Vec<Vec<String>>,
}

impl Rooms {
    fn of_the_table(lib: &str) -> Self {
        let rows = lib.lines().filter_map(|line| line.strip_prefix("//! | [`")).map(|row| {
            let names = row.split(" |").next().unwrap_or(row);
            names.split('·').map(|name| name.trim().trim_matches(['[', ']', '`']).to_owned()).collect()
        });
        let lines: Vec<Vec<String>> = rows.collect();
        assert!(lines.len() > 2, "src/lib.rs has the table of the rooms");
        Self { lines }
    }

    fn line_of(&self, room: &str) -> Option<usize> {
        self.lines.iter().position(|line| line.iter().any(|there| there == room))
    }

    fn offences(&self, file: &File) -> Vec<String> {
        let Some(room) = file.room() else { return Vec::new() };
        let at = |line: usize, what: &str| format!("src/{}:{line}: {what}", file.path.display());
        let mut offences = Vec::new();
        for path in &file.source.paths {
            if let Some(used) = file.used_room(path)
                && used != room
                && self.line_of(used).is_none_or(|line| self.line_of(room) >= Some(line))
            {
                offences.push(at(path.line, &format!("{room} > {used}")));
            }
            for (name, owner) in SINGLE_ROOM {
                if room != owner && path.segments.iter().any(|segment| segment == name) {
                    offences.push(at(path.line, &format!("only {owner} knows {name}")));
                }
            }
            let forbidden = |words: &&[&str]| {
                path.segments.len() >= words.len()
                    && words.iter().zip(&path.segments).all(|(word, segment)| word == segment)
            };
            if let Some(words) = NOT_IN_FLOW.into_iter().find(|words| room == "flow" && forbidden(words)) {
                offences.push(at(path.line, &format!("flow does without {}", words.join("::"))));
            }
        }
        let (prefix, owner) = METRIC_NAMES;
        let named = file.source.texts.iter().filter(|(_, text)| room != owner && text.contains(prefix));
        offences.extend(named.map(|(line, _)| at(*line, &format!("only {owner} names metrics"))));
        // A group on one line says the same more than once.
        offences.dedup();
        offences
    }
}

struct File {
    /// Below `src`.
    path: PathBuf,
    source: Source,
}

impl File {
    fn room(&self) -> Option<&str> {
        let first = self.path.iter().next()?.to_str()?;
        (self.path.iter().count() > 1).then_some(first)
    }

    /// The modules from the crate down to this file's.
    fn depth(&self) -> usize {
        self.path.iter().count() - usize::from(self.path.ends_with("mod.rs"))
    }

    /// The room that a path leads to, if it goes through the crate's root.
    fn used_room<'a>(&self, path: &'a CodePath) -> Option<&'a str> {
        let mut segments = path.segments.iter().map(String::as_str).peekable();
        segments.next_if_eq(&"self");
        let mut up = 0;
        while segments.next_if_eq(&"super").is_some() {
            up += 1;
        }
        let from_the_root = match up {
            0 => segments.next_if_eq(&"crate").is_some(),
            _ => up >= self.depth() + path.inside,
        };
        // `pub(crate)` is not a use of anything.
        let alone = path.segments.len() == 1 && !path.renamed;
        (from_the_root && !alone).then(|| segments.next().unwrap_or("the whole crate"))
    }

    /// The files and folders that this file declares for tests only.
    fn test_files(&self) -> Vec<PathBuf> {
        let folder = self.path.parent().unwrap_or_else(|| Path::new(""));
        let own =
            if self.path.ends_with("mod.rs") { folder.to_owned() } else { self.path.with_extension("") };
        let modules = self.source.test_modules.iter().map(|module| match &module.path {
            Some(path) => folder.join(path),
            None => own.join(&module.name).with_extension("rs"),
        });
        modules.flat_map(|file| [file.clone(), file.with_extension("")]).collect()
    }
}

/// Every file below `src` that is not for tests.
fn sources() -> Vec<File> {
    let mut files = Vec::new();
    let mut folders = vec![src()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of the sources is readable") {
            let path = entry.expect("a folder of the sources is readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below = path.strip_prefix(src()).expect("it was found there").to_owned();
                files.push(File { path: below, source: Source::read(&read(&path)) });
            }
        }
    }
    let for_tests: Vec<PathBuf> = files.iter().flat_map(File::test_files).collect();
    files.retain(|file| !for_tests.iter().any(|test| file.path.starts_with(test)));
    let found = |path: &str| files.iter().any(|file| file.path.ends_with(path));
    assert!(found("gateway/hook.rs") && !found("flow/reason_tests.rs") && !found("pool/tests/wire.rs"));
    files.sort_by(|one, two| one.path.cmp(&two.path));
    files
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a source is readable")
}

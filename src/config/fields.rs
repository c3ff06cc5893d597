//! Reading the tree by the declared keys: what is common to all sections.
//!
//! Every reader reports what is wrong and then gives nothing, so that the next key is read all the same.

use std::{collections::HashSet, path::Path};

use crate::flow::Step;

use super::{
    Secrets,
    files::{FileError, Files},
    found::Found,
    keys::{self, Key, Kind, Presence, Section},
    problem::{Excerpt, Place, Severity, Wrong, one_line, quoted},
    secret::Secret,
    similar::nearest,
    tree::{Node, Span, Value},
};

/// Longest indentation that is shown, in characters.
const MOST_LEAD: usize = 60;

/// What all readers share.
pub(super) struct Context<'t> {
    pub(super) source: &'t str,
    /// The directory of the configuration file, which relative paths start from.
    pub(super) base: &'t Path,
    pub(super) secrets: Secrets,
    pub(super) problems: Found,
    pub(super) files: Files,
    /// Which keys of which sections were asked for.
    #[cfg(test)]
    pub(super) asked: std::collections::BTreeSet<(&'static str, &'static str)>,
}

/// One written value with its key.
#[derive(Clone)]
pub(super) struct Entry<'t> {
    pub(super) path: String,
    pub(super) node: &'t Node,
    pub(super) kind: &'static Kind,
    key: Option<Span>,
    mask_key: bool,
    mask_value: bool,
}

/// The map of a section.
pub(super) struct Fields<'t> {
    section: &'static Section,
    entry: Entry<'t>,
    found: Vec<(&'static Key, Entry<'t>)>,
}

impl<'t> Context<'t> {
    pub(super) fn new(source: &'t str, base: &'t Path, secrets: Secrets, files: Files) -> Self {
        Self {
            source,
            base,
            secrets,
            problems: Found::default(),
            files,
            #[cfg(test)]
            asked: std::collections::BTreeSet::new(),
        }
    }

    /// The value at `entry` is wrong.
    pub(super) fn wrong_value(&mut self, entry: &Entry<'t>, wrong: Wrong) {
        self.report(Severity::Error, entry, false, wrong);
    }

    /// The key itself is wrong, or what is missing below it.
    pub(super) fn wrong_key(&mut self, entry: &Entry<'t>, wrong: Wrong) {
        self.report(Severity::Error, entry, true, wrong);
    }

    pub(super) fn warn(&mut self, entry: &Entry<'t>, wrong: Wrong) {
        self.report(Severity::Warning, entry, true, wrong);
    }

    /// The text of a scalar.
    pub(super) fn scalar(&mut self, entry: &Entry<'t>) -> Option<&'t str> {
        if let Value::Scalar(text) = &entry.node.value {
            return Some(text);
        }
        self.wrong_shape(entry);
        None
    }

    /// The scalar of this entry as `parse` understands it.
    pub(super) fn parsed<T>(
        &mut self,
        entry: &Entry<'t>,
        parse: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        let text = self.scalar(entry)?;
        parse(text).map_err(|wrong| self.wrong_value(entry, wrong)).ok()
    }

    /// The entries of a list.
    pub(super) fn list(&mut self, entry: &Entry<'t>) -> Option<Vec<Entry<'t>>> {
        let Value::List(nodes) = &entry.node.value else {
            self.wrong_shape(entry);
            return None;
        };
        Some(nodes.iter().enumerate().map(|(index, node)| entry.item(index, node)).collect())
    }

    /// One entry, or the entries of a list that is not empty.
    pub(super) fn one_or_many(&mut self, entry: &Entry<'t>) -> Option<Vec<Entry<'t>>> {
        if !matches!(entry.node.value, Value::List(_)) {
            return Some(vec![Entry { kind: entry.kind.element(), ..entry.clone() }]);
        }
        let items = self.list(entry)?;
        if items.is_empty() {
            self.wrong_value(
                entry,
                Wrong::new("the list is empty").help("leave the key out if nothing is meant"),
            );
            return None;
        }
        Some(items)
    }

    /// The entries of a map from names, the first of each name.
    pub(super) fn named(&mut self, entry: &Entry<'t>) -> Option<Vec<(super::Name, Entry<'t>)>> {
        let Value::Map(pairs) = &entry.node.value else {
            self.wrong_shape(entry);
            return None;
        };
        if pairs.is_empty() {
            self.wrong_value(entry, Wrong::new("there must be at least one entry"));
        }
        let mut named: Vec<(super::Name, Entry<'t>)> = Vec::with_capacity(pairs.len());
        let mut seen = HashSet::with_capacity(pairs.len());
        for (key, node) in pairs {
            let text = key_text(key);
            let entry = entry.below(text.unwrap_or("?"), key.span, node, entry.kind.element());
            let Some(name) = text.and_then(super::Name::parse) else {
                self.wrong_key(
                    &entry,
                    Wrong::new("this cannot be a name")
                        .help("1 to 80 letters, digits, `_`, `.` and `-`, and not only dots"),
                );
                continue;
            };
            if !seen.insert(name.clone()) {
                self.wrong_key(&entry, Wrong::new(format!("{} stands here twice", quoted(name.as_str()))));
                continue;
            }
            named.push((name, entry));
        }
        Some(named)
    }

    /// The contents of a file, at most `most` bytes.
    pub(super) fn read_file(&mut self, path: &Path, most: u64) -> Result<Vec<u8>, Wrong> {
        self.files.read(path, most).map_err(|error| {
            let path = quoted(&path.to_string_lossy());
            Wrong::new(match error {
                FileError::Io(error) => format!("the file {path} cannot be read: {error}"),
                FileError::TooLarge => format!("the file {path} is larger than {most} bytes"),
            })
        })
    }

    /// A map where something else stands, and the like.
    pub(super) fn wrong_shape(&mut self, entry: &Entry<'t>) {
        let expected = entry.kind.expected();
        let found = match entry.node.value {
            Value::Null if entry.path.is_empty() => "the file is empty",
            Value::Null => return self.wrong_key(entry, Wrong::new("the value is missing").help(expected)),
            Value::Scalar(_) => "a text cannot stand here",
            Value::List(_) => "a list cannot stand here",
            Value::Map(_) => "a map cannot stand here",
        };
        self.wrong_value(entry, Wrong::new(found).help(format!("expected {expected}")));
    }

    fn report(&mut self, severity: Severity, entry: &Entry<'t>, at_key: bool, wrong: Wrong) {
        let span = entry.key.filter(|_| at_key).unwrap_or(entry.node.span);
        let place = Place { line: span.line, column: span.column };
        let Wrong { message, help } = wrong;
        let source = self.source;
        self.problems
            .add(severity, place, entry.path.clone(), message, || (help, excerpt(source, entry, at_key)));
    }
}

impl<'t> Entry<'t> {
    /// The whole file.
    pub(super) fn root(node: &'t Node) -> Self {
        static KIND: Kind = Kind::Section(&keys::ROOT);
        Self { path: String::new(), node, kind: &KIND, key: None, mask_key: false, mask_value: true }
    }

    fn below(&self, name: &str, key: Span, node: &'t Node, kind: &'static Kind) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self {
            path: format!("{}{dot}{}", self.path, one_line(name)),
            node,
            kind,
            key: Some(key),
            mask_key: false,
            mask_value: kind.holds_secret(),
        }
    }

    fn item(&self, index: usize, node: &'t Node) -> Self {
        Self {
            path: format!("{}[{index}]", self.path),
            node,
            kind: self.kind.element(),
            key: None,
            ..self.clone()
        }
    }
}

impl<'t> Fields<'t> {
    /// The map at `entry`, with its unknown and repeated keys reported.
    pub(super) fn open(cx: &mut Context<'t>, section: &'static Section, entry: &Entry<'t>) -> Option<Self> {
        let Value::Map(pairs) = &entry.node.value else {
            cx.wrong_shape(entry);
            return None;
        };
        let mut found: Vec<(&'static Key, Entry<'t>)> = Vec::with_capacity(pairs.len());
        for (key_node, node) in pairs {
            let Some(text) = key_text(key_node) else {
                let entry = entry.below("?", key_node.span, node, &Kind::Secret);
                cx.wrong_key(&Entry { mask_key: true, ..entry }, Wrong::new("a key must be a text"));
                continue;
            };
            let Some(key) = section.key(text) else {
                unknown(cx, section, entry, text, key_node, node);
                continue;
            };
            let below = entry.below(text, key_node.span, node, &key.kind);
            if found.iter().any(|(other, _)| other.name == key.name) {
                cx.wrong_key(&below, Wrong::new(format!("{} stands here twice", quoted(text))));
            } else {
                found.push((key, below));
            }
        }
        Some(Self { section, entry: entry.clone(), found })
    }

    /// A section that is not written: its defaults. What is wrong with it is wrong with `parent`.
    pub(super) fn absent(section: &'static Section, parent: &Entry<'t>) -> Self {
        Self { section, entry: parent.clone(), found: Vec::new() }
    }

    /// Where the section stands.
    pub(super) fn entry(&self) -> &Entry<'t> {
        &self.entry
    }

    /// The section at a key; its defaults where that is optional and not written.
    pub(super) fn section(&self, cx: &mut Context<'t>, name: &str) -> Option<Self> {
        let key = self.key(cx, name);
        let Kind::Section(section) = key.kind else { unreachable!("`{name}` is declared as a section") };
        match self.get(cx, name) {
            Some(entry) => Self::open(cx, section, &entry),
            None if key.presence == Presence::Required => None,
            None => Some(Self::absent(section, &self.entry)),
        }
    }

    /// What is written at a key; a required one that is missing is reported.
    pub(super) fn get(&self, cx: &mut Context<'t>, name: &str) -> Option<Entry<'t>> {
        let key = self.key(cx, name);
        let found = self.found.iter().find(|(other, _)| other.name == name).map(|(_, entry)| entry.clone());
        if found.is_none() && key.presence == Presence::Required {
            cx.wrong_key(&self.entry, Wrong::new(format!("`{name}` is missing")).help(key.doc));
        }
        found
    }

    /// The value at a key with a default, or at a required one.
    pub(super) fn value<T>(
        &self,
        cx: &mut Context<'t>,
        name: &str,
        parse: impl Fn(&Kind, &str) -> Result<T, Wrong>,
    ) -> Option<T> {
        match (self.get(cx, name), &self.key(cx, name)) {
            (Some(entry), key) => cx.parsed(&entry, |text| parse(&key.kind, text)),
            (None, Key { presence: Presence::Default(text), kind, .. }) => {
                Some(parse(kind, text).expect("a declared default obeys its own declaration"))
            }
            (None, _) => None,
        }
    }

    /// One of the declared words.
    pub(super) fn word(&self, cx: &mut Context<'t>, name: &str) -> Option<&'static str> {
        let key = self.key(cx, name);
        let Kind::Word(words) = key.kind else { unreachable!("`{name}` is declared as a word") };
        self.value(cx, name, |_, text| one_of(words, text))
    }

    fn key(&self, cx: &mut Context<'t>, name: &str) -> &'static Key {
        let key = self.section.key(name).expect("every key that is read is declared");
        #[cfg(test)]
        cx.asked.insert((self.section.name, key.name));
        #[cfg(not(test))]
        let _ = cx;
        key
    }
}

/// One of these words, exactly.
pub(super) fn one_of(words: &'static [&'static str], text: &str) -> Result<&'static str, Wrong> {
    words.iter().find(|word| **word == text).copied().ok_or_else(|| {
        Wrong::new(format!("{} is not possible here", quoted(text)))
            .help_or(nearest(text, words.iter().copied()), || format!("possible: {}", words.join(", ")))
    })
}

fn unknown<'t>(
    cx: &mut Context<'t>,
    section: &'static Section,
    parent: &Entry<'t>,
    text: &str,
    key: &Node,
    node: &'t Node,
) {
    let names = || section.keys.iter().map(|key| key.name);
    // Microsoft's pages name the token step in two ways, and no typing error leads from one to the other.
    let step = || Step::from_claim(text).map(Step::as_str).filter(|step| section.key(step).is_some());
    let meant = nearest(text, names()).or_else(step);
    // What is unknown may be anything: its value is shown only where the key meant is known to hold no secret, and
    // the key itself is hidden where somebody may have written the secret in its place (`{ username, hunter2 }`).
    let credential =
        [&keys::BASIC, &keys::HEADER, &keys::SECRET].iter().any(|known| std::ptr::eq(*known, section));
    let kind = match meant.and_then(|name| section.key(name)) {
        Some(key) if !credential => &key.kind,
        _ => &Kind::Secret,
    };
    let beside = [&keys::CALLER, &keys::AUTHENTICATION].iter().any(|known| std::ptr::eq(*known, section));
    let mask_key = meant.is_none() && (credential || beside && matches!(node.value, Value::Null));
    let name = if mask_key { Secret::MASK } else { text };
    let entry = Entry { mask_key, ..parent.below(name, key.span, node, kind) };
    let wrong = Wrong::new(format!("unknown key {}", quoted(name)))
        .help_or(meant, || format!("keys here: {}", names().collect::<Vec<_>>().join(", ")));
    cx.wrong_key(&entry, wrong);
}

fn key_text(key: &Node) -> Option<&str> {
    match &key.value {
        Value::Scalar(text) => Some(text),
        _ => None,
    }
}

/// The key and, where it may be shown, its value; see [`super::problem`] for why it is not the line.
fn excerpt(source: &str, entry: &Entry<'_>, at_key: bool) -> Option<Excerpt> {
    let written = |span: Span| source.get(span.start..span.end).unwrap_or_default();
    let value_span = entry.node.span;
    let value = match entry.node.value {
        Value::Scalar(_) if entry.mask_value => Secret::MASK.into(),
        Value::Scalar(_) => one_line(written(value_span).lines().next().unwrap_or_default()),
        _ => "".into(),
    };
    let key = entry.key.filter(|key| at_key || key.line == value_span.line && key.end <= value_span.start);
    let (start, text, mark) = match key {
        Some(span) => {
            let key = if entry.mask_key { Secret::MASK.into() } else { one_line(written(span)) };
            let text = if value.is_empty() || span.line != value_span.line {
                format!("{key}:")
            } else {
                format!("{key}: {value}")
            };
            let width = key.chars().count();
            let at_value = !at_key && !value.is_empty();
            (span.start, text, if at_value { (width + 2, value.chars().count()) } else { (0, width) })
        }
        None if value.is_empty() => return None,
        None => (value_span.start, value.to_string(), (0, value.chars().count())),
    };
    let before = source.get(..start)?;
    // Not the whole line, which may be as long as the file and have a problem at each of its words.
    let blanks =
        before.bytes().rev().take(MOST_LEAD + 1).take_while(|byte| matches!(byte, b' ' | b'-')).count();
    let (rest, lead) = before.split_at(before.len() - blanks);
    let plain = blanks <= MOST_LEAD && (rest.is_empty() || rest.ends_with('\n'));
    Some(Excerpt { lead: if plain { lead.to_owned() } else { "… ".to_owned() }, text, mark })
}

//! Reads one sample from a page in the Prometheus text format (version 0.0.4).

use std::collections::BTreeMap;

/// The value of `name` or `name{label="value",…}`: labels in any order, but all of them.
pub(crate) fn value(page: &str, sample: &str) -> Option<f64> {
    let (name, labels, rest) = split(sample).expect("the wanted sample is well-formed");
    assert!(rest.is_empty(), "the wanted sample ends with its labels");
    let lines = page.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let mut found = lines.filter_map(|line| {
        let (line_name, line_labels, rest) = split(line).unwrap_or_else(|| panic!("{line:?} is no sample"));
        (line_name == name && line_labels == labels).then_some(rest)
    });
    let value = found.next()?;
    assert!(found.next().is_none(), "{sample} stands twice");
    let number = value.split_ascii_whitespace().next().and_then(|number| number.parse().ok());
    Some(number.unwrap_or_else(|| panic!("{sample} has the value {value:?}")))
}

/// Every sample of the page under its [canonical](canonical) name: quicker for many than [`value`] for each.
pub(crate) fn samples(page: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let samples = lines.map(|line| {
        let (name, labels, rest) = split(line).unwrap_or_else(|| panic!("{line:?} is no sample"));
        (written(name, &labels), rest.parse().unwrap_or_else(|_| panic!("{line:?} has no value")))
    });
    samples.collect()
}

/// The one way to write a sample's name: its labels in the order of their names.
pub(crate) fn canonical(sample: &str) -> String {
    let (name, labels, _) = split(sample).expect("the sample is well-formed");
    written(name, &labels)
}

fn written(name: &str, labels: &BTreeMap<&str, String>) -> String {
    format!("{name}{labels:?}")
}

/// Name, labels and what follows them.
fn split(text: &str) -> Option<(&str, BTreeMap<&str, String>, &str)> {
    let end = text.find(['{', ' ']).unwrap_or(text.len());
    let (name, mut rest) = text.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            rest = rest.trim_start_matches([',', ' ']);
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.insert(label, value);
            rest = after;
        }
    }
    Some((name, labels, rest.trim()))
}

/// A label's value, unescaped, and what follows its closing quote.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                escaped => value.push(escaped),
            },
            other => value.push(other),
        }
    }
    None
}

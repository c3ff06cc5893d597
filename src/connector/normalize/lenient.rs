//! JSON as people write it: with a byte order mark, comments and trailing commas.
//!
//! The strict parser always has the last word. What is taken out here is replaced by blanks outside strings, so no
//! value changes and two tokens never become one.

use serde::de::IgnoredAny;

use super::{Repair, Repairs};
use crate::flow::ContractRule;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The text of a body, without a byte order mark.
pub(super) fn text<'a>(body: &'a [u8], repairs: &mut Repairs) -> Result<&'a str, ContractRule> {
    let unmarked = body.strip_prefix(BYTE_ORDER_MARK);
    repairs.note_if(unmarked.is_some(), Repair::ByteOrderMark);
    std::str::from_utf8(unmarked.unwrap_or(body)).map_err(|_| ContractRule::NotJson)
}

/// What is left of a text that the strict parser refused, if that is JSON.
pub(super) fn without_comments(text: &str, repairs: &mut Repairs) -> Result<String, ContractRule> {
    let stripped = strip(text);
    if !is_json(&stripped.text) {
        return Err(ContractRule::NotJson);
    }
    repairs.note_if(stripped.comments, Repair::Comments);
    repairs.note_if(stripped.commas, Repair::TrailingComma);
    Ok(stripped.text)
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

pub(super) struct Stripped {
    pub(super) text: String,
    pub(super) comments: bool,
    pub(super) commas: bool,
}

pub(super) fn strip(text: &str) -> Stripped {
    let mut out = Stripped { text: String::with_capacity(text.len()), comments: false, commas: false };
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let taken = match next {
            '"' => string_length(rest),
            '/' if rest.starts_with("//") => {
                out.comments = true;
                out.text.push(' ');
                rest = &rest[rest.find(['\n', '\r']).unwrap_or(rest.len())..];
                continue;
            }
            '/' if rest.starts_with("/*") => {
                // A comment that never ends is no comment: the parser will refuse what is left.
                let Some(end) = rest[2..].find("*/") else {
                    out.text.push_str(rest);
                    return out;
                };
                out.comments = true;
                out.text.push(' ');
                rest = &rest[2 + end + 2..];
                continue;
            }
            '}' | ']' => {
                out.drop_trailing_comma();
                1
            }
            _ => next.len_utf8(),
        };
        out.text.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    out
}

/// How many bytes the string at the beginning of `text` has, both quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

impl Stripped {
    /// A comma that follows a value may go; one that follows nothing (`[,]`) is an error and stays.
    fn drop_trailing_comma(&mut self) {
        let before = self.text.trim_end();
        let Some(value) = before.strip_suffix(',') else { return };
        if value.trim_end().ends_with(['{', '[', ',', ':']) {
            return;
        }
        let length = value.len();
        self.text.truncate(length);
        self.commas = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<(String, Vec<&'static str>), ContractRule> {
        let mut repairs = Repairs::default();
        let text = text(body.as_bytes(), &mut repairs)?;
        let text = if is_json(text) { text.to_owned() } else { without_comments(text, &mut repairs)? };
        Ok((text, repairs.iter().map(Repair::as_str).collect()))
    }

    #[test]
    fn what_people_write_becomes_json_and_no_value_changes() {
        let rows: &[(&str, &str, &[&str])] = &[
            (r#"{"a":1}"#, r#"{"a":1}"#, &[]),
            ("\u{feff}{\"a\":1}", r#"{"a":1}"#, &["byte_order_mark"]),
            ("{\"a\":1 // one\n}", "{\"a\":1  \n}", &["comments"]),
            ("{\"a\":1 // one\r}", "{\"a\":1  \r}", &["comments"]),
            (r#"{/* "x": */"a":/**/1}"#, r#"{ "a": 1}"#, &["comments"]),
            (r#"{"a":[1,2,],}"#, r#"{"a":[1,2]}"#, &["trailing_comma"]),
            ("{\"a\":1, // last\n}", "{\"a\":1}", &["comments", "trailing_comma"]),
            ("{\"u\":\"http://x/*y*/,}\",}", "{\"u\":\"http://x/*y*/,}\"}", &["trailing_comma"]),
            (r#"{"q":"\"//","b":2,}"#, r#"{"q":"\"//","b":2}"#, &["trailing_comma"]),
            ("{\"a\":\"é\",/*ü*/}", "{\"a\":\"é\"}", &["comments", "trailing_comma"]),
        ];
        for (body, json, repairs) in rows {
            let expected = ((*json).to_owned(), repairs.to_vec());
            assert_eq!(read(body), Ok(expected), "{body}");
        }
    }

    #[test]
    fn what_is_no_json_stays_none() {
        for body in [
            "{,}",
            "[,]",
            "{\"a\":,}",
            "{\"a\":1,,}",
            "{/* x",
            "{\"a\":1 / 2}",
            "{\"a",
            "1/**/2",
            "{\"a\":t/**/rue}",
            "<html>",
        ] {
            assert_eq!(read(body), Err(ContractRule::NotJson), "{body}");
        }
        let mut repairs = Repairs::default();
        assert_eq!(text(b"\xff\xfe{\0}\0", &mut repairs), Err(ContractRule::NotJson));
    }
}

//! The members of a message that is written as nearly all are: without control characters, names and texts without
//! escapes.
//!
//! A short cut of [`object::read`](super::object::read), which goes from quote to quote where a general reader must be
//! ready for anything at each byte, and asks the JSON library for every other value. It never says what is wrong with a
//! message: where it does not know its way, it gives up.

use std::borrow::Cow;

use memchr::memchr2;
use serde_json::{StreamDeserializer, de::StrRead, value::RawValue};

use super::Member;

/// Room for the claims of an ordinary sign-up without growing.
const USUAL_MEMBERS: usize = 32;

/// The members of the object that `text` is, in its order; or nothing, if it is no such object or not a plain one.
pub(super) fn members(text: &str) -> Option<Vec<Member<'_>>> {
    // In a string they would have to be escaped (RFC 8259 section 7). Without an early exit many are seen at a time.
    let is_control = |byte: u8| byte < b' ';
    if text.bytes().fold(false, |any, byte| any | is_control(byte)) {
        return None;
    }
    let mut reader = Reader { text, at: 0 };
    let mut members = Vec::with_capacity(USUAL_MEMBERS);
    reader.skip(b'{')?;
    if reader.skip(b'}').is_none() {
        loop {
            reader.skip_blanks();
            let start = reader.at;
            let quoted = reader.string()?;
            reader.skip(b':')?;
            let value = reader.value()?;
            let name = &quoted[1..quoted.len() - 1];
            members.push(if reader.at - start == quoted.len() + ":".len() + value.len() {
                Member::as_written(name, value, &text[start..reader.at])
            } else {
                Member::new(Cow::Borrowed(name), value)
            });
            if reader.skip(b',').is_none() {
                reader.skip(b'}')?;
                break;
            }
        }
    }
    reader.skip_blanks();
    (reader.at == text.len()).then_some(members)
}

/// A text without control characters, read up to `at`.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn next(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The only blank that is left (RFC 8259 section 2).
    fn skip_blanks(&mut self) {
        while self.next() == Some(b' ') {
            self.at += 1;
        }
    }

    /// Goes on behind blanks and this character, if it comes next.
    fn skip(&mut self, character: u8) -> Option<()> {
        self.skip_blanks();
        let is_next = self.next() == Some(character);
        is_next.then(|| self.at += 1)
    }

    fn value(&mut self) -> Option<&'a str> {
        if let Some(text) = self.string() {
            return Some(text);
        }
        let mut values = StreamDeserializer::<_, &'a RawValue>::new(StrRead::new(&self.text[self.at..]));
        let value = values.next()?.ok()?.get();
        self.at += values.byte_offset();
        Some(value)
    }

    /// A string without escapes, with its quotes.
    fn string(&mut self) -> Option<&'a str> {
        self.skip_blanks();
        let (start, bytes) = (self.at, self.text.as_bytes());
        let (b'"', inside) = bytes.get(start..)?.split_first()? else { return None };
        let length = memchr2(b'"', b'\\', inside)?;
        let end = start + 1 + length;
        (bytes[end] == b'"').then(|| self.at = end + 1)?;
        self.text.get(start..=end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_messages_are_read_here_and_others_left_to_the_library() {
        let plain = [
            "{}",
            "  { } ",
            r#"{"a":"text","b" : "é" ,"c":1}"#,
            r#"{"a":[1,{"x":"\n"}],"b":null,"c":-1.5e3,"d":true}"#,
            r#"{"":""}"#,
        ];
        for text in plain {
            assert!(members(text).is_some(), "{text}");
        }
        let others = [
            "",
            "[]",
            "{",
            r#"{"a":1"#,
            r#"{"a":1,}"#,
            r#"{"a" 1}"#,
            r#"{"a":}"#,
            r#"{"a":01}"#,
            r#"{"a":1}x"#,
            r#"{"a":"\n"} x"#,
            r#"{"\u0061":1}"#,
            "{a:1}",
            r#"{"a":tru}"#,
            "{\"a\":\"\n\"}",
            "{\"a\0\":1}",
            "{\n}",
            "{}\n",
            "\u{feff}{}",
        ];
        for text in others {
            assert!(members(text).is_none(), "{text}");
        }
    }
}

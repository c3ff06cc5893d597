//! The members of a message that is written as nearly all are: without control characters and without escapes.
//!
//! A short cut of [`object::read`](super::object::read), which goes from quote to quote where a general reader must be
//! ready for anything at each byte. It never says what is wrong with a message: where it does not know its way, it gives
//! up.

use std::borrow::Cow;

use serde_json::{StreamDeserializer, de::StrRead, value::RawValue};

use super::{MAX_DEPTH, Member, name::Key};

/// Room for the claims of an ordinary sign-up without growing.
const USUAL_MEMBERS: usize = 32;

/// The members of the object that `text` is, in its order; or nothing, if it is no such object, not a plain one or nests
/// deeper than [`MAX_DEPTH`].
pub(super) fn members(text: &str) -> Option<Vec<Member<'_>>> {
    // In a string control characters would have to be escaped (RFC 8259 section 7), and without a backslash each quote
    // begins or ends one. Without an early exit many bytes are seen at a time.
    let is_special = |byte: u8| byte < b' ' || byte == b'\\';
    if text.bytes().fold(false, |any, byte| any | is_special(byte)) {
        return None;
    }
    let mut reader = Reader { text, at: 0, quotes: Quotes::of(text) };
    let mut members = Vec::with_capacity(USUAL_MEMBERS);
    reader.character(b'{')?;
    reader.list(b'}', |reader| {
        let start = reader.string()?;
        let end = reader.at;
        reader.character(b':')?;
        let value_start = reader.value(1)?;
        let name = text.get(start + 1..end - 1)?;
        let is_dense = value_start == end + ":".len();
        members.push(Member {
            name: Cow::Borrowed(name),
            value: text.get(value_start..reader.at)?,
            key: Key::of(name),
            written: if is_dense { text.get(start..reader.at) } else { None },
        });
        Some(())
    })?;
    reader.next().is_none().then_some(members)
}

/// A text without control characters and backslashes, read up to `at`.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    quotes: Quotes,
}

impl Reader<'_> {
    /// The character that comes next, behind the only blank that is left (RFC 8259 section 2).
    fn next(&mut self) -> Option<u8> {
        while let Some(byte) = self.text.as_bytes().get(self.at) {
            if *byte != b' ' {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// Goes on behind this character.
    fn character(&mut self, character: u8) -> Option<()> {
        (self.next()? == character).then(|| self.at += 1)
    }

    /// Goes on behind items with commas between them, and this bracket.
    fn list(&mut self, close: u8, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        if self.next()? == close {
            self.at += 1;
            return Some(());
        }
        loop {
            item(self)?;
            let next = self.next()?;
            self.at += 1;
            if next != b',' {
                return (next == close).then_some(());
            }
        }
    }

    /// Goes on behind a value that stands inside so many brackets, and says where it begins.
    fn value(&mut self, depth: usize) -> Option<usize> {
        if let Some(start) = self.string() {
            return Some(start);
        }
        let start = self.at;
        self.no_string(depth)?;
        Some(start)
    }

    /// Goes on behind a value other than a string; no blank stands before it.
    fn no_string(&mut self, depth: usize) -> Option<()> {
        match self.next()? {
            b'{' | b'[' if depth == MAX_DEPTH => None,
            b'[' => {
                self.at += 1;
                self.list(b']', |reader| reader.value(depth + 1).map(|_| ()))
            }
            b'{' => {
                self.at += 1;
                self.list(b'}', |reader| {
                    reader.string()?;
                    reader.character(b':')?;
                    reader.value(depth + 1).map(|_| ())
                })
            }
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.number(),
        }
    }

    /// Goes on behind a string without escapes, and says where it begins.
    fn string(&mut self) -> Option<usize> {
        if self.next()? != b'"' {
            return None;
        }
        let start = self.at;
        self.at = self.quotes.next(start + 1)? + 1;
        Some(start)
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let comes = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        comes.then(|| self.at += word.len())
    }

    /// Goes on behind a number, of which the JSON library knows the grammar.
    fn number(&mut self) -> Option<()> {
        let mut values = StreamDeserializer::<_, &RawValue>::new(StrRead::new(self.text.get(self.at..)?));
        values.next()?.ok()?;
        self.at += values.byte_offset();
        Some(())
    }
}

/// A bit for each byte of a text, 64 to a word: whether it is a quote.
struct Quotes(Vec<u64>);

impl Quotes {
    fn of(text: &str) -> Self {
        let (blocks, rest) = text.as_bytes().as_chunks();
        let mut last = [0; 64];
        last[..rest.len()].copy_from_slice(rest);
        Self(blocks.iter().chain([&last]).map(quote_bits).collect())
    }

    /// Where the first one from `at` on stands.
    fn next(&self, at: usize) -> Option<usize> {
        let bits = self.0.get(at / 64)? >> (at % 64);
        if bits != 0 {
            return Some(at + bits.trailing_zeros() as usize);
        }
        let word = (at / 64 + 1..self.0.len()).find(|word| self.0[*word] != 0)?;
        Some(word * 64 + self.0[word].trailing_zeros() as usize)
    }
}

/// A bit for each quote, the first byte's the lowest.
fn quote_bits(block: &[u8; 64]) -> u64 {
    // A 1 in each byte of the eight, and the product has them side by side in its highest byte.
    let side_by_side = |ones: [u8; 8]| u64::from_le_bytes(ones).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    let ones = block.map(|byte| u8::from(byte == b'"'));
    let (eights, _) = ones.as_chunks();
    eights.iter().rev().fold(0, |bits, ones| bits << 8 | side_by_side(*ones))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> String {
        format!("{}0{}", r#"{"a":"#.repeat(levels), "}".repeat(levels))
    }

    #[test]
    fn a_string_ends_at_its_own_quote_however_long_it_is() {
        for length in 0..300 {
            let (name, value) = ("n".repeat(length), format!("\"{}\"", "é".repeat(length)));
            let text = format!(r#"{{"{name}":{value},"":"","{name}+":[{value}]}}"#);
            let members = members(&text).unwrap();
            let pairs: Vec<_> = members.iter().map(|member| (&*member.name, member.value)).collect();
            assert_eq!(
                pairs,
                [(&*name, &*value), ("", "\"\""), (&format!("{name}+"), &format!("[{value}]"))]
            );
        }
    }

    #[test]
    fn plain_messages_are_read_here_and_others_left_to_the_library() {
        let plain = [
            "{}",
            "  { } ",
            r#"{"a":"text","b" : "é" ,"c":1}"#,
            r#"{"a":[1,{"x":"é"}],"b":null,"c":-1.5e3,"d":true,"e":false}"#,
            r#"{"a" : [ ] , "b":{ },"c":[ [ {"":[]} , 0] ] } "#,
            r#"{"":""}"#,
            &nested(MAX_DEPTH),
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
            r#"{"a":"\n"}"#,
            r#"{"a":[{"x":"\""}]}"#,
            r#"{"\u0061":1}"#,
            "{a:1}",
            r#"{"a":tru}"#,
            r#"{"a":nullnull}"#,
            r#"{"a":[1,]}"#,
            r#"{"a":[,1]}"#,
            r#"{"a":[1 2]}"#,
            r#"{"a":[1}}"#,
            r#"{"a":{"x"}}"#,
            r#"{"a":{"x":1,}}"#,
            r#"{"a":{1:1}}"#,
            r#"{"a":["}"#,
            r#"{"a":["#,
            &nested(MAX_DEPTH + 1),
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

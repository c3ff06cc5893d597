//! One pass over a message: the members of its top-level object, as slices of the message.

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer as _,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    name::{Identity, Key, reserved_key},
    plain,
};

/// How deep a message may nest; its own object is level 1.
pub const MAX_DEPTH: usize = 32;

/// Room for the claims of an ordinary sign-up without growing.
const USUAL_MEMBERS: usize = 32;

/// A name and its value.
#[derive(Clone, PartialEq, Eq)]
pub struct Member<'a> {
    /// The name after JSON unescaping.
    pub name: Cow<'a, str>,
    /// The value as written: JSON text without surrounding blanks.
    pub value: &'a str,
    /// That of the name.
    pub(super) key: Key,
    /// The whole member as its message has it, where it stands there as it would be written.
    pub(super) written: Option<&'a str>,
}

impl<'a> Member<'a> {
    /// A member of a message; `name` without JSON escapes, `value` JSON text without surrounding blanks.
    pub fn new(name: Cow<'a, str>, value: &'a str) -> Self {
        let key = Key::of(&name);
        Self { name, value, key, written: None }
    }

    /// Whether the value is `null`, which means "no value" on this wire and is passed on in neither direction.
    pub fn is_null(&self) -> bool {
        self.value == "null"
    }

    /// The envelope's key that the name is, see [`reserved_key`].
    pub fn reserved_key(&self) -> Option<&'static str> {
        if self.key.is_reserved() { reserved_key(&self.name) } else { None }
    }

    /// The value if it is a JSON string that Unicode can express.
    pub fn as_text(&self) -> Option<Cow<'_, str>> {
        text_of(self.value)
    }
}

impl fmt::Debug for Member<'_> {
    /// Without the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why a text is not such a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectError {
    /// Not JSON (RFC 8259), or followed by something else.
    NotJson,
    /// JSON, but no object.
    NotAnObject,
    /// Deeper than [`MAX_DEPTH`].
    TooDeep,
    /// Two names are the same claim.
    Duplicate,
}

/// The members of the object that `text` is, in its order.
pub fn read(text: &str) -> Result<Vec<Member<'_>>, ObjectError> {
    let members = plain::members(text).map_or_else(|| read_any(text), Ok)?;
    if has_duplicate(&members) {
        return Err(ObjectError::Duplicate);
    }
    Ok(members)
}

fn read_any(text: &str) -> Result<Vec<Member<'_>>, ObjectError> {
    let mut json = serde_json::Deserializer::from_str(text);
    match json.deserialize_map(Members).and_then(|members| json.end().map(|()| members)) {
        Ok(members) if members.iter().any(|member| !is_shallow(member.value)) => Err(ObjectError::TooDeep),
        Ok(members) => Ok(members),
        Err(_) if serde_json::from_str::<IgnoredAny>(text).is_err() => Err(ObjectError::NotJson),
        // A name that is no Unicode text, such as a lone surrogate, is JSON by its grammar; still nobody can match it.
        Err(_) if text.trim_start().starts_with('{') => Err(ObjectError::NotJson),
        Err(_) => Err(ObjectError::NotAnObject),
    }
}

/// The text that a JSON value without surrounding blanks is, if it is a string that Unicode can express.
pub(super) fn text_of(value: &str) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(value).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// Whether a member's value stays within [`MAX_DEPTH`], of which its object takes one level.
fn is_shallow(value: &str) -> bool {
    if !matches!(value.as_bytes().first(), Some(b'{' | b'[')) {
        return true;
    }
    let mut depth = 1;
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return false;
        }
    }
    true
}

/// Goes on behind the closing quote.
fn skip_string(bytes: &mut std::str::Bytes<'_>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => _ = bytes.next(),
            _ => {}
        }
    }
}

/// Sorting puts names of the same claim side by side; comparing every pair would let a message of thousands of names
/// cost what a thousand hooks cost.
fn has_duplicate(members: &[Member<'_>]) -> bool {
    // Most messages of an ordinary size end here.
    if are_far_apart(members) {
        return false;
    }
    // Numbers are sorted faster than names, and hardly any message has two names with one key.
    let mut keys: Vec<_> = members.iter().map(|member| member.key).collect();
    keys.sort_unstable();
    if keys.windows(2).all(|pair| pair[0] != pair[1]) {
        return false;
    }
    let mut identities: Vec<_> = members.iter().map(|member| Identity::of(&member.name)).collect();
    identities.sort_unstable_by(Identity::cmp);
    identities.windows(2).any(|pair| pair[0].is_same_claim(&pair[1]))
}

/// Whether each key has a place of its own among a few thousand, so that no two are the same. Looked at once, without
/// sorting; where two keys share a place, they may still be different.
fn are_far_apart(members: &[Member<'_>]) -> bool {
    const WORDS: usize = 64;
    let mut taken = [0_u64; WORDS];
    members.iter().all(|member| {
        let place = member.key.spread();
        let (word, bit) = (&mut taken[usize::from(place) / 64 % WORDS], 1 << (place % 64));
        let free = *word & bit == 0;
        *word |= bit;
        free
    })
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<Member<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(USUAL_MEMBERS);
        while let Some(name) = map.next_key_seed(Name)? {
            members.push(Member::new(name, map.next_value::<&RawValue>()?.get()));
        }
        Ok(members)
    }
}

/// A name: borrowed from the message, or owned where it was written with escapes.
pub(super) struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> String {
        format!(r#"{{"a":{}{}}}"#, "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn values_come_through_as_written() {
        let text = r#" { "n" : 12345678901234567890123 , "p":1.10,"\u0061" : [ 1 , {"x": null} ], "s":"\u00e9\n" } "#;
        let members = read(text).unwrap();
        let pairs: Vec<_> = members.iter().map(|member| (member.name.as_ref(), member.value)).collect();
        assert_eq!(
            pairs,
            [
                ("n", "12345678901234567890123"),
                ("p", "1.10"),
                ("a", r#"[ 1 , {"x": null} ]"#),
                ("s", r#""\u00e9\n""#)
            ]
        );
    }

    #[test]
    fn each_rule_has_its_own_error() {
        let deepest = nested(MAX_DEPTH - 1);
        let deeper = nested(MAX_DEPTH);
        let very_deep = nested(30_000);
        let wide = format!(r#"{{"a":[{}{{}}]}}"#, r#"[],{"b":[]},"#.repeat(MAX_DEPTH));
        let rows: &[(&str, Result<usize, ObjectError>)] = &[
            ("{}", Ok(0)),
            (&deepest, Ok(1)),
            (&deeper, Err(ObjectError::TooDeep)),
            (&very_deep, Err(ObjectError::TooDeep)),
            (&wide, Ok(1)),
            (
                r#"{"a":"]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]","b":["\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["]}"#,
                Ok(2),
            ),
            ("[1]", Err(ObjectError::NotAnObject)),
            (r#""text""#, Err(ObjectError::NotAnObject)),
            ("null", Err(ObjectError::NotAnObject)),
            ("", Err(ObjectError::NotJson)),
            ("{", Err(ObjectError::NotJson)),
            (r#"{"a":1} x"#, Err(ObjectError::NotJson)),
            (r#"{"a":1,}"#, Err(ObjectError::NotJson)),
            (r"{'a':1}", Err(ObjectError::NotJson)),
            (r#"{"a":01}"#, Err(ObjectError::NotJson)),
            ("{\"a\":\"\n\"}", Err(ObjectError::NotJson)),
            (r#"{"\ud800":1}"#, Err(ObjectError::NotJson)),
            (r#"{"a":1,"\u0061":2}"#, Err(ObjectError::Duplicate)),
            (r#"{"email":1,"x":2,"email_address":3}"#, Err(ObjectError::Duplicate)),
            (r#"{"action":1,"Action":2}"#, Err(ObjectError::Duplicate)),
            (
                r#"{"extension_ffffffffffffffffffffffffffffffff_A":1,"extension_0fffffffffffffffffffffffffffffff_A":2}"#,
                Ok(2),
            ),
            (
                r#"{"extension_ffffffffffffffffffffffffffffffff_A":1,"extension_0fffffffffffffffffffffffffffffff_A":2,"extension_A":3}"#,
                Err(ObjectError::Duplicate),
            ),
            // In the order of bytes the second app stands between two spellings of the first.
            (
                r#"{"extension_Affffffffffffffffffffffffffffff1_A":1,"extension_Bffffffffffffffffffffffffffffff1_A":2,"extension_affffffffffffffffffffffffffffff1_A":3}"#,
                Err(ObjectError::Duplicate),
            ),
        ];
        for (text, expected) in rows {
            let outcome = read(text).map(|members| members.len());
            assert_eq!(&outcome, expected, "{}", &text[..text.len().min(60)]);
        }
    }

    #[test]
    fn a_member_is_taken_whole_only_where_it_stands_as_it_would_be_written() {
        let rows = [
            (r#"{"a":1}"#, Some(r#""a":1"#)),
            (r#" { "é":[ 1 ] , "b" :2}"#, Some(r#""é":[ 1 ]"#)),
            (r#"{"":"","b":2}"#, Some(r#""":"""#)),
            (r#"{"a" :1}"#, None),
            (r#"{"a": 1}"#, None),
            ("{\"a\"\n:\t1}", None),
            (r#"{"\u0061":1}"#, None),
        ];
        for (text, expected) in rows {
            let written = read(text).ok().and_then(|members| members[0].written);
            assert_eq!(written, expected, "{text}");
        }
        assert_eq!(Member::new("a".into(), "1").written, None);
    }

    #[test]
    fn a_member_prints_its_name_alone() {
        let member = &read(r#"{"city":"Seattle"}"#).unwrap()[0];
        assert_eq!(format!("{member:?}"), r#"Member { name: "city", .. }"#);
    }

    #[test]
    fn text_is_unescaped_only_where_it_can_be() {
        let members = read(r#"{"a":"plain","b":"tab\t","c":"\ud800","d":5}"#).unwrap();
        let texts: Vec<_> = members.iter().map(|member| member.as_text().map(Cow::into_owned)).collect();
        assert_eq!(texts, [Some("plain".to_owned()), Some("tab\t".to_owned()), None, None]);
    }
}

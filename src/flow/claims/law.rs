//! The laws of the filter, for any message and any list of claims.
//!
//! What is read, what collides and what is selected is said here a second time, in the plainest way, straight from the
//! documentation of the keys.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    ClaimName, DistinctClaims, MAX_DEPTH, Member, ObjectError, Selection, names_subject, object, user,
};
use crate::flow::Claims;

/// The first byte says whether these are claims of an answer (1) and whether `ui_locales` is sent (2); then comes a line
/// with the listed names, separated by commas; the rest is the message.
pub fn filter(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some((list, message)) = text.split_once('\n') else { return };
    let options = list.bytes().next().unwrap_or_default();
    let mut listed: Vec<ClaimName> = Vec::new();
    let mut distinct = DistinctClaims::default();
    for name in list.split(',').skip(1).filter_map(|name| ClaimName::parse(name).ok()) {
        let known = listed.iter().any(|other| is_same_claim(other.as_str(), name.as_str()));
        assert_eq!(known, distinct.push(name.clone()).is_err(), "{listed:?} {name}");
        if !known {
            listed.push(name);
        }
    }
    let read = object::read(message).map(pairs);
    assert_eq!(read, read_again(message), "{message}");
    if let Ok(named) = object::read(message) {
        assert!(user(&named).is_none() || names_subject(&named), "{message}");
    }
    if let Ok(members) = read {
        let list = List { listed: &listed, receive: options & 1 != 0, send_ui_locales: options & 2 != 0 };
        only_the_selected_leave(message, &members, list);
        filtered_stays_as_it_is(message, list);
    }
}

/// What a configuration lists for one direction.
#[derive(Clone, Copy)]
pub(super) struct List<'a> {
    pub(super) listed: &'a [ClaimName],
    pub(super) receive: bool,
    pub(super) send_ui_locales: bool,
}

impl List<'_> {
    fn selection(self) -> Selection {
        if self.receive {
            Selection::to_receive(self.listed)
        } else {
            Selection::to_send(self.listed, self.send_ui_locales)
        }
    }
}

/// What is not selected never leaves, and what is selected always does, as it is written.
pub(super) fn only_the_selected_leave(text: &str, members: &[(String, String)], list: List<'_>) {
    let mut entries: Vec<&str> = list.listed.iter().map(ClaimName::as_str).collect();
    if !list.receive {
        entries.extend(["identities", "email"]);
        entries.extend(list.send_ui_locales.then_some("ui_locales"));
    }
    let (mut out, mut dropped, mut null_claim) = (Vec::new(), Vec::new(), false);
    for (name, value) in members {
        match entries.iter().find(|entry| is_selected(entry, name, list.receive)) {
            Some(_) if value == "null" => null_claim = true,
            Some(entry) => out.push((spelled(entry, name, list.listed).to_owned(), value.clone())),
            None if is_reserved(name) => {}
            None => dropped.push(name.as_str()),
        }
    }
    let read = object::read(text).expect("a message without colliding names is read");
    let selection = list.selection();
    let mut unselected = Vec::new();
    let selected = selection.apply(&read, |name| unselected.push(name));
    let left = object_of(&selected.claims);
    assert!(is_json(&left), "{left}");
    assert_eq!(selected.count, out.len());
    assert_eq!(object::read(&left).map(pairs), Ok(out));
    assert_eq!(unselected, dropped);
    assert_eq!(selected.null_claim, null_claim);
}

/// Filtering what was filtered changes nothing.
pub(super) fn filtered_stays_as_it_is(text: &str, list: List<'_>) {
    let selection = list.selection();
    let members = object::read(text).expect("a message without colliding names is read");
    let once = selection.apply(&members, |_| {});
    let left = object_of(&once.claims);
    let again = object::read(&left).expect("what was filtered is a message");
    let twice = selection.apply(&again, |name| panic!("{name} passed before"));
    assert_eq!(object_of(&twice.claims), left);
    assert_eq!((twice.count, twice.null_claim), (once.count, false));
}

/// The members of a message by the general reader, and what is wrong with it by the plainest means.
pub(crate) fn read_again(text: &str) -> Result<Vec<(String, String)>, ObjectError> {
    let is_object = text.trim_ascii_start().starts_with('{');
    let members = match serde_json::from_str::<Pairs>(text) {
        Ok(Pairs(members)) => members,
        Err(_) if is_json(text) && !is_object => return Err(ObjectError::NotAnObject),
        // A name that is no Unicode text is no name, though it is JSON by its grammar.
        Err(_) => {
            assert!(!is_json(text) || text.to_ascii_lowercase().contains("\\ud"), "{text}");
            return Err(ObjectError::NotJson);
        }
    };
    if depth(text) > MAX_DEPTH {
        return Err(ObjectError::TooDeep);
    }
    if collide(&members) { Err(ObjectError::Duplicate) } else { Ok(members) }
}

/// Whether two of the names are the same claim.
pub(super) fn collide(members: &[(String, String)]) -> bool {
    (0..members.len()).any(|one| (0..one).any(|two| is_same_claim(&members[one].0, &members[two].0)))
}

/// How deep a JSON text nests.
fn depth(text: &str) -> usize {
    let (mut deepest, mut open, mut inside, mut escaped) = (0, 0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => inside = !inside,
            b'{' | b'[' if !inside => open += 1,
            b'}' | b']' if !inside => open -= 1,
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest
}

/// Whether it is JSON by its grammar.
pub(crate) fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Names after unescaping and values as written.
pub(crate) fn pairs(members: Vec<Member<'_>>) -> Vec<(String, String)> {
    members.into_iter().map(|member| (member.name.into_owned(), member.value.to_owned())).collect()
}

/// The claims as a message of their own.
pub(crate) fn object_of(claims: &Claims) -> String {
    format!("{{{}}}", std::str::from_utf8(claims.members()).expect("claims are text"))
}

struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor).map(Self)
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Vec<(String, String)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
            pairs.push((name, value.get().to_owned()));
        }
        Ok(pairs)
    }
}

fn is_reserved(name: &str) -> bool {
    ["version", "action", "status", "usermessage", "code"].contains(&name.to_ascii_lowercase().as_str())
}

fn has_two_spellings(name: &str) -> Option<&str> {
    match name {
        "email" | "email_address" => Some("email"),
        "client_id" | "clientId" => Some("client_id"),
        _ => None,
    }
}

/// The app, in lower case, and the name of an extension.
fn extension(name: &str) -> Option<(Option<String>, &str)> {
    let rest = name.strip_prefix("extension_")?;
    let app: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();
    let base =
        rest.get(33..).filter(|base| !base.is_empty() && app.len() >= 32 && rest.as_bytes()[32] == b'_');
    Some(base.map_or((None, rest), |base| (Some(app[..32].to_ascii_lowercase()), base)))
}

/// Whether two names mean the same claim.
pub(crate) fn is_same_claim(one: &str, two: &str) -> bool {
    if is_reserved(one) || is_reserved(two) {
        return one.eq_ignore_ascii_case(two);
    }
    match (extension(one), extension(two)) {
        (Some((app, base)), Some((other, same))) => {
            base == same && (app == other || app.is_none() || other.is_none())
        }
        _ => {
            one == two
                || (has_two_spellings(one).is_some() && has_two_spellings(one) == has_two_spellings(two))
        }
    }
}

fn is_selected(entry: &str, name: &str, receive: bool) -> bool {
    let has_app = |name| extension(name).is_some_and(|(app, _)| app.is_some());
    is_same_claim(entry, name) && (receive || !has_app(entry) || has_app(name))
}

/// A claim with two spellings leaves in the listed one, everything else as it came.
fn spelled<'a>(entry: &'a str, name: &'a str, listed: &[ClaimName]) -> &'a str {
    let is_listed = listed.iter().any(|name| name.as_str() == entry);
    if is_listed && has_two_spellings(entry).is_some() { entry } else { name }
}

//! Who a message is about.
//!
//! Claims of its sender, believed as far as the sender is: good enough to tell an identity provider's retry from another
//! user's hook, and to count the hooks of one user. Whatever is malformed names nobody; it is never an error, because
//! the API is the one to judge claims.

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer as _,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    name::Identity,
    object::{Member, Name, text_of},
};

/// The user that a message is about.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum User<'a> {
    /// An account, as its issuer names it.
    Identity {
        /// Who issued it, such as `facebook.com`.
        issuer: Cow<'a, str>,
        /// What the issuer calls it.
        issuer_assigned_id: Cow<'a, str>,
    },
    /// An e-mail address, without the blanks around it and with its letters in lower case.
    Email(Cow<'a, str>),
}

impl fmt::Debug for User<'_> {
    /// Without the user.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identity { .. } => "Identity",
            Self::Email(_) => "Email",
        })
    }
}

/// Whether these members name somebody: `identities` with at least one entry, or an e-mail address or an `objectId` that
/// is not blank.
pub fn names_subject(members: &[Member<'_>]) -> bool {
    members.iter().any(|member| match &*member.name {
        "identities" => has_an_entry(member.value),
        "objectId" => names_somebody(member.as_text()),
        name => is_email(name) && names_somebody(member.as_text()),
    })
}

/// The user by the first entry of `identities` that has an `issuer` and an `issuerAssignedId`, else by the e-mail
/// address; nobody if there is neither.
///
/// The parts of an identity are compared as they are: to their issuer they are opaque. Of an e-mail address the letter
/// case says nothing: RFC 5321 section 2.4 lets a local part depend on it, hardly a mailbox does, and whoever wants to
/// pass for many users would only have to vary it.
pub fn user<'a>(members: &'a [Member<'_>]) -> Option<User<'a>> {
    let identities = members.iter().find(|member| member.name == "identities");
    identities.and_then(|member| first_identity(member.value)).or_else(|| {
        let email = members.iter().find(|member| is_email(&member.name))?.as_text()?;
        address(email).map(User::Email)
    })
}

fn is_email(name: &str) -> bool {
    Identity::of(name).is_same_claim(&Identity::of("email"))
}

/// Whether a JSON value without surrounding blanks is an array that is not empty.
fn has_an_entry(value: &str) -> bool {
    value.strip_prefix('[').is_some_and(|rest| !rest.trim_ascii_start().starts_with(']'))
}

/// A text of blanks names nobody.
fn names_somebody(text: Option<Cow<'_, str>>) -> bool {
    text.is_some_and(|text| !text.trim().is_empty())
}

fn address(email: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let trimmed = email.trim();
    if trimmed.is_empty() {
        return None;
    }
    if trimmed.len() < email.len() || trimmed.chars().any(char::is_uppercase) {
        return Some(Cow::Owned(trimmed.to_lowercase()));
    }
    Some(email)
}

fn first_identity(identities: &str) -> Option<User<'_>> {
    serde_json::Deserializer::from_str(identities).deserialize_seq(Identities).ok().flatten()
}

struct Identities;

impl<'de> Visitor<'de> for Identities {
    type Value = Option<User<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut first = None;
        while let Some(entry) = entries.next_element::<&RawValue>()? {
            if first.is_none() {
                first = serde_json::Deserializer::from_str(entry.get()).deserialize_map(Entry).ok().flatten();
            }
        }
        Ok(first)
    }
}

struct Entry;

impl<'de> Visitor<'de> for Entry {
    type Value = Option<User<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut issuer, mut issuer_assigned_id) = (Part::Missing, Part::Missing);
        while let Some(name) = map.next_key_seed(Name)? {
            let value = map.next_value::<&RawValue>()?.get();
            match &*name {
                "issuer" => issuer.came(value),
                "issuerAssignedId" => issuer_assigned_id.came(value),
                _ => {}
            }
        }
        Ok(match (issuer, issuer_assigned_id) {
            (Part::Text(issuer), Part::Text(issuer_assigned_id)) => {
                Some(User::Identity { issuer, issuer_assigned_id })
            }
            _ => None,
        })
    }
}

/// A part of an identity, as far as it has been read.
enum Part<'a> {
    Missing,
    Text(Cow<'a, str>),
    /// No text, blank, or there twice: which of two is meant nobody can say.
    Useless,
}

impl<'a> Part<'a> {
    fn came(&mut self, value: &'a str) {
        let text = text_of(value).filter(|text| !text.trim().is_empty());
        *self = match (&self, text) {
            (Self::Missing, Some(text)) => Self::Text(text),
            _ => Self::Useless,
        };
    }
}

#[cfg(test)]
#[path = "subject_tests.rs"]
mod tests;

//! The selected set of one connector and one direction.

use std::ptr;

use super::{ClaimName, Member, name};
use crate::flow::Claims;
use name::{Identity, Key, OwnedIdentity};

/// Which claims may pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Sorted by key and then by identity, so that looking one up does not cost more in a long list.
    entries: Vec<Entry>,
    /// A bit for each place that the key of an entry has.
    places: u64,
    direction: Direction,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    name: String,
    /// That of `name`, taken apart once and not at each comparison.
    identity: OwnedIdentity,
    key: Key,
    /// Written in this spelling, not as it came: the configuration lists one of two spellings.
    respell: bool,
    /// Not listed: it passes because it is always sent.
    always: bool,
}

impl Entry {
    /// It selects a claim of this name.
    fn selects<'a>(&'a self, name: &'a str) -> Match<'a> {
        Match { name: if self.respell { &self.name } else { name }, entry: &self.name, always: self.always }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Send,
    Receive,
}

/// What becomes of one claim, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It passes.
    Passes(Match<'a>),
    /// It is selected and `null`, which means "no value" and is not passed on.
    Null(Match<'a>),
    /// Nothing selects it.
    NotSelected,
    /// A key of the answer's envelope, which is no claim in either direction.
    Reserved,
}

/// What selects a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match<'a> {
    /// The name under which the claim passes.
    pub name: &'a str,
    /// The name that selects it: as the configuration lists it, or that of an always-sent claim.
    pub entry: &'a str,
    /// The configuration does not list it: it is always sent.
    pub always: bool,
}

/// What passed.
#[derive(Debug)]
pub struct Selected {
    /// The claims that pass, values as written.
    pub claims: Claims,
    /// How many they are.
    pub count: usize,
    /// A selected claim was `null`, which is not passed on.
    pub null_claim: bool,
}

impl Selection {
    /// `claims_to_send`: these and the always-sent ones: `identities`, the e-mail in the spelling it comes in, and
    /// `ui_locales` unless switched off.
    pub fn to_send(names: &[ClaimName], send_ui_locales: bool) -> Self {
        let always = ["identities", "email"].into_iter().chain(send_ui_locales.then_some("ui_locales"));
        Self::new(names, always, Direction::Send)
    }

    /// `claims_to_receive`: these alone.
    pub fn to_receive(names: &[ClaimName]) -> Self {
        Self::new(names, [].into_iter(), Direction::Receive)
    }

    fn new(names: &[ClaimName], always: impl Iterator<Item = &'static str>, direction: Direction) -> Self {
        let entry = |name: &str, respell, always| {
            let (identity, key) = (OwnedIdentity::of(name), Key::of(name));
            Entry { name: name.to_owned(), identity, key, respell, always }
        };
        let listed = names.iter().map(ClaimName::as_str);
        let mut entries: Vec<_> =
            listed.map(|name| entry(name, name::alias(name).is_some(), false)).collect();
        for name in always {
            let identity = Identity::of(name);
            if !entries.iter().any(|entry| entry.identity.as_identity().is_same_claim(&identity)) {
                entries.push(entry(name, false, true));
            }
        }
        entries.sort_by(|one, two| {
            one.key.cmp(&two.key).then_with(|| one.identity.as_identity().cmp(&two.identity.as_identity()))
        });
        let places = entries.iter().fold(0, |places, entry| places | place(entry.key));
        Self { entries, places, direction }
    }

    /// What selects a claim of this name, if anything does.
    pub fn passes<'a>(&'a self, name: &'a str) -> Option<Match<'a>> {
        self.passes_by(Key::of(name), name)
    }

    /// [`Self::passes`], for a name whose key is known.
    fn passes_by<'a>(&'a self, key: Key, name: &'a str) -> Option<Match<'a>> {
        // Nearly every claim that nothing selects is out here or a few lines on, before anybody has looked at its name.
        if self.places & place(key) == 0 {
            return None;
        }
        let entries = &self.entries[self.entries.partition_point(|entry| entry.key < key)..];
        let entries = match entries {
            [] => return None,
            [first, ..] if first.key != key => return None,
            // Nearly every other one is here: nothing else can be meant, and it is.
            [first, rest @ ..] if rest.first().is_none_or(|next| next.key != key) => {
                if first.name == name {
                    return Some(first.selects(name));
                }
                &entries[..1]
            }
            _ => &entries[..entries.partition_point(|entry| entry.key == key)],
        };
        let identity = Identity::of(name);
        let short_form = matches!(self.direction, Direction::Receive);
        let from = entries.partition_point(|entry| entry.identity.as_identity().cmp_base(&identity).is_lt());
        entries[from..]
            .iter()
            .take_while(|entry| entry.identity.as_identity().has_same_base(&identity))
            .find(|entry| identity.is_selected_by(&entry.identity.as_identity(), short_form))
            .map(|entry| entry.selects(name))
    }

    /// What becomes of a member of a message; the envelope's keys are no claims and neither pass nor count.
    pub fn judge<'a>(&'a self, member: &'a Member<'_>) -> Verdict<'a> {
        match self.passes_by(member.key, &member.name) {
            Some(found) if member.is_null() => Verdict::Null(found),
            Some(found) => Verdict::Passes(found),
            None if member.key.is_reserved() => Verdict::Reserved,
            None => Verdict::NotSelected,
        }
    }

    /// Copies the selected claims of a message, as [`Self::judge`] says of each; `dropped` hears the names of those that
    /// nothing selects, in their order.
    pub fn apply<'a>(&self, members: &'a [Member<'_>], mut dropped: impl FnMut(&'a str)) -> Selected {
        // Room for everything at once: growing costs more than the copying.
        let punctuation = r#""":,"#.len();
        let bytes = members.iter().map(|member| member.name.len() + member.value.len() + punctuation).sum();
        let mut selected = Selected { claims: Claims::with_capacity(bytes), count: 0, null_claim: false };
        for member in members {
            match self.judge(member) {
                Verdict::Passes(found) => {
                    // Not respelled, it leaves as it stands; nearly every API and identity provider writes it so. Then its
                    // name is the very text that was looked up, and need not be compared.
                    match member.written.filter(|_| ptr::eq(found.name, &raw const *member.name)) {
                        Some(written) => selected.claims.push_written(written),
                        None => selected.claims.push(found.name, member.value),
                    }
                    selected.count += 1;
                }
                Verdict::Null(_) => selected.null_claim = true,
                Verdict::NotSelected => dropped(&member.name),
                Verdict::Reserved => {}
            }
        }
        selected
    }
}

/// One bit of 64, by the key: a short list leaves most of them free.
fn place(key: Key) -> u64 {
    1 << (key.spread() % 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::claims::object;

    const APP: &str = "0123456789abcdef0123456789abcdef";

    fn object_of(claims: &Claims) -> String {
        format!("{{{}}}", String::from_utf8_lossy(claims.members()))
    }

    fn names(list: &[&str]) -> Vec<ClaimName> {
        list.iter().map(|name| ClaimName::parse(name).unwrap()).collect()
    }

    fn apply(selection: &Selection, text: &str) -> (String, Vec<String>) {
        let members = object::read(text).unwrap();
        let mut dropped = Vec::new();
        let selected = selection.apply(&members, |name| dropped.push(name.to_owned()));
        (object_of(&selected.claims), dropped)
    }

    #[test]
    fn nothing_leaves_but_the_selected_and_the_always_sent() {
        let selection = Selection::to_send(&names(&["displayName", "city"]), true);
        let (sent, dropped) = apply(
            &selection,
            r#"{"email":"jane@fabrikam.com","step":"PostAttributeCollection","displayName":"Jane Doe","DisplayName":"x",
                "identities":[{"issuer":"facebook.com"}],"city":"","postalCode":"98101","ui_locales":"en-US","client_id":"c"}"#,
        );
        assert_eq!(
            sent,
            r#"{"email":"jane@fabrikam.com","displayName":"Jane Doe","identities":[{"issuer":"facebook.com"}],"city":"","ui_locales":"en-US"}"#
        );
        assert_eq!(dropped, ["step", "DisplayName", "postalCode", "client_id"]);
    }

    #[test]
    fn ui_locales_can_be_switched_off_and_listed_again() {
        let text = r#"{"ui_locales":"en-US"}"#;
        assert_eq!(apply(&Selection::to_send(&names(&[]), false), text).0, "{}");
        assert_eq!(apply(&Selection::to_send(&names(&["ui_locales"]), false), text).0, text);
    }

    #[test]
    fn the_email_is_sent_in_the_listed_spelling_else_as_it_came() {
        let rows = [
            (&[][..], r#"{"email":"a"}"#, r#"{"email":"a"}"#),
            (&[], r#"{"email_address":"a"}"#, r#"{"email_address":"a"}"#),
            (&["email_address"], r#"{"email":"a"}"#, r#"{"email_address":"a"}"#),
            (&["email"], r#"{"email_address":"a"}"#, r#"{"email":"a"}"#),
        ];
        for (listed, text, sent) in rows {
            assert_eq!(apply(&Selection::to_send(&names(listed), true), text).0, sent, "{listed:?} {text}");
        }
    }

    #[test]
    fn an_extension_is_selected_by_its_full_or_its_short_name() {
        let full = format!("extension_{APP}_LoyaltyId");
        let upper = format!("extension_{}_LoyaltyId", APP.to_uppercase());
        let other = format!("extension_{}_LoyaltyId", "f".repeat(32));
        let short = "extension_LoyaltyId";
        let send =
            |listed: &str, came: &str| Selection::to_send(&names(&[listed]), true).passes(came).is_some();
        let receive =
            |listed: &str, came: &str| Selection::to_receive(&names(&[listed])).passes(came).is_some();
        let rows = [
            (short, full.as_str(), true, true),
            (short, other.as_str(), true, true),
            (short, short, true, true),
            (full.as_str(), full.as_str(), true, true),
            (full.as_str(), upper.as_str(), true, true),
            (full.as_str(), other.as_str(), false, false),
            (full.as_str(), short, false, true),
            (short, "LoyaltyId", false, false),
        ];
        for (listed, came, sends, receives) in rows {
            assert_eq!(send(listed, came), sends, "send {listed} {came}");
            assert_eq!(receive(listed, came), receives, "receive {listed} {came}");
        }
    }

    #[test]
    fn a_null_is_not_passed_on_and_an_empty_text_is() {
        let selection = Selection::to_receive(&names(&["city", "extension_Code"]));
        let members = object::read(r#"{"city":null,"extension_Code":"","action":"Continue"}"#).unwrap();
        let selected = selection.apply(&members, |name| panic!("the envelope is no claim: {name}"));
        assert_eq!(object_of(&selected.claims), r#"{"extension_Code":""}"#);
        assert!(selected.null_claim);
    }

    #[test]
    fn the_listed_order_does_not_matter() {
        let all = ["zip", "alpha", "extension_Zeta", "extension_Alpha", "email_address", "clientId"];
        let mut listed = names(&all);
        for _ in 0..all.len() {
            listed.rotate_left(1);
            let selection = Selection::to_send(&listed, true);
            for name in all.iter().chain(&["identities", "ui_locales"]) {
                assert_eq!(selection.passes(name).map(|found| found.name), Some(*name), "{name}");
            }
            assert_eq!(selection.passes("client_id").map(|found| found.name), Some("clientId"));
            assert_eq!(selection.passes("beta"), None);
        }
    }

    #[test]
    fn each_claim_is_told_what_selects_it_or_why_nothing_does() {
        let full = format!("extension_{APP}_Id");
        let selection = Selection::to_send(&names(&["city", "email_address", "extension_Id"]), true);
        let passes = |name, entry, always| Verdict::Passes(Match { name, entry, always });
        let rows = [
            ("city", "1", passes("city", "city", false)),
            ("city", "null", Verdict::Null(Match { name: "city", entry: "city", always: false })),
            ("email", "1", passes("email_address", "email_address", false)),
            (&full, "1", passes(&full, "extension_Id", false)),
            ("identities", "[]", passes("identities", "identities", true)),
            ("City", "1", Verdict::NotSelected),
            ("jobTitle", "null", Verdict::NotSelected),
            ("Status", "1", Verdict::Reserved),
        ];
        for (name, value, expected) in rows {
            let member = Member::new(name.into(), value);
            assert_eq!(selection.judge(&member), expected, "{name}: {value}");
        }
    }
}

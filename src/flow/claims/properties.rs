//! The laws of the filter, for messages of any kind.
//!
//! What is selected and what collides is said here a second time, in the plainest way, straight from the documentation
//! of the keys.

use proptest::{collection::vec, prelude::*};
use serde::de::IgnoredAny;

use super::{
    generated::{self, Message, message},
    *,
};

proptest! {
    #![proptest_config(generated::cases())]

    #[test]
    fn names_and_values_come_through_byte_for_byte_and_only_colliding_names_are_refused(message in message()) {
        let names: Vec<&str> = message.members.iter().map(|(name, _)| name.as_str()).collect();
        let collide = (0..names.len()).any(|one| (0..one).any(|two| is_same_claim(names[one], names[two])));
        let came = object::read(&message.text).map(pairs);
        prop_assert_eq!(came, if collide { Err(ObjectError::Duplicate) } else { Ok(message.members) });
    }

    #[test]
    fn what_is_not_selected_never_leaves_and_what_is_selected_always_does(
        message in distinct(),
        listed in listed(),
        receive in any::<bool>(),
        send_ui_locales in any::<bool>(),
    ) {
        let selection =
            if receive { Selection::to_receive(&listed) } else { Selection::to_send(&listed, send_ui_locales) };
        let mut entries: Vec<&str> = listed.iter().map(ClaimName::as_str).collect();
        if !receive {
            entries.extend(["identities", "email"]);
            entries.extend(send_ui_locales.then_some("ui_locales"));
        }
        let members = object::read(&message.text).unwrap();
        let selected = selection.apply(&members);
        let (mut out, mut dropped, mut null_claim) = (Vec::new(), Vec::new(), false);
        for (name, value) in &message.members {
            match entries.iter().find(|entry| is_selected(entry, name, receive)) {
                Some(_) if value == "null" => null_claim = true,
                Some(entry) => out.push((spelled(entry, name, &listed).to_owned(), value.clone())),
                None if is_reserved(name) => {}
                None => dropped.push(name.as_str()),
            }
        }
        let text = object_of(&selected.claims);
        prop_assert!(serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{}", text);
        prop_assert_eq!(object::read(&text).map(pairs), Ok(out));
        prop_assert_eq!(selected.dropped, dropped);
        prop_assert_eq!(selected.null_claim, null_claim);
    }

    #[test]
    fn filtering_what_was_filtered_changes_nothing(message in distinct(), listed in listed(), receive in any::<bool>()) {
        let selection = if receive { Selection::to_receive(&listed) } else { Selection::to_send(&listed, true) };
        let members = object::read(&message.text).unwrap();
        let once = selection.apply(&members);
        let text = object_of(&once.claims);
        let again = object::read(&text).unwrap();
        let twice = selection.apply(&again);
        prop_assert_eq!(object_of(&twice.claims), text.as_str());
        prop_assert_eq!((twice.count, twice.null_claim, twice.dropped.len()), (once.count, false, 0));
    }

    #[test]
    fn a_message_may_nest_as_deep_as_is_said_and_no_deeper(levels in 1..80_usize, arrays in vec(any::<bool>(), 1..5)) {
        let kinds = || (1..levels).zip(arrays.iter().cycle()).map(|(_, array)| *array);
        let open: String = kinds().map(|array| if array { "[" } else { "{\"]\":" }).collect();
        let close: Vec<&str> = kinds().map(|array| if array { "]" } else { "}" }).collect();
        let close: String = close.into_iter().rev().collect();
        let text = format!(r#"{{"a":{open}0{close}}}"#);
        let expected = if levels <= MAX_DEPTH { Ok(1) } else { Err(ObjectError::TooDeep) };
        prop_assert_eq!(object::read(&text).map(|members| members.len()), expected, "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused_by_what_it_is(
        message in message(),
        edits in vec((any::<prop::sample::Index>(), 0..4_usize, generated::text(3)), 0..4),
    ) {
        let mut characters: Vec<char> = message.text.chars().collect();
        for (at, removed, put) in edits {
            let start = at.index(characters.len() + 1);
            let end = (start + removed).min(characters.len());
            characters.splice(start..end, put.chars());
        }
        let text = String::from_iter(characters);
        let is_json = serde_json::from_str::<IgnoredAny>(&text).is_ok();
        let is_object = text.trim_ascii_start().starts_with('{');
        match object::read(&text) {
            Ok(_) | Err(ObjectError::TooDeep | ObjectError::Duplicate) => prop_assert!(is_json && is_object),
            Err(ObjectError::NotAnObject) => prop_assert!(is_json && !is_object),
            // A name that is no Unicode text is no name, though it is JSON by its grammar.
            Err(ObjectError::NotJson) => prop_assert!(!is_json || text.to_ascii_lowercase().contains("\\ud")),
        }
    }
}

/// A message without colliding names.
fn distinct() -> impl Strategy<Value = Message> {
    message().prop_map(|mut message| {
        let mut members: Vec<(String, String)> = Vec::new();
        for (name, value) in message.members {
            if members.iter().all(|(other, _)| !is_same_claim(other, &name)) {
                members.push((name, value));
            }
        }
        let texts =
            members.iter().map(|(name, value)| generated::written(name, &[0, 1, 2, 3]) + ": " + value);
        message.text = format!("{{ {} }}", texts.collect::<Vec<_>>().join(" ,"));
        message.members = members;
        message
    })
}

/// What a configuration may list: names of claims, none twice.
fn listed() -> impl Strategy<Value = Vec<ClaimName>> {
    vec(generated::name(), 0..6).prop_map(|names| {
        let mut listed: Vec<ClaimName> = Vec::new();
        for name in names.iter().filter_map(|name| ClaimName::parse(name).ok()) {
            if listed.iter().all(|other| !is_same_claim(other.as_str(), name.as_str())) {
                listed.push(name);
            }
        }
        listed
    })
}

fn pairs(members: Vec<Member<'_>>) -> Vec<(String, String)> {
    members.into_iter().map(|member| (member.name.into_owned(), member.value.to_owned())).collect()
}

fn object_of(claims: &crate::flow::Claims) -> String {
    format!("{{{}}}", std::str::from_utf8(claims.members()).unwrap())
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

fn is_same_claim(one: &str, two: &str) -> bool {
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

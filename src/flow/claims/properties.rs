//! The laws of the filter, for messages of any kind.

use std::{collections::BTreeSet, time::Duration};

use proptest::{collection::vec, prelude::*};
use rustix::time::{ClockId, clock_gettime};

use super::{
    generated::{self, Message, message},
    law::{self, List, collide, is_same_claim, pairs},
    name::Key,
    *,
};

proptest! {
    #![proptest_config(generated::cases())]

    #[test]
    fn names_and_values_come_through_byte_for_byte_and_only_colliding_names_are_refused(message in message()) {
        let collide = collide(&message.members);
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
        let list = List { listed: &listed, receive, send_ui_locales };
        law::only_the_selected_leave(&message.text, &message.members, list);
    }

    #[test]
    fn filtering_what_was_filtered_changes_nothing(message in distinct(), listed in listed(), receive in any::<bool>()) {
        law::filtered_stays_as_it_is(&message.text, List { listed: &listed, receive, send_ui_locales: true });
    }

    #[test]
    fn a_claim_leaves_in_the_same_bytes_however_its_message_is_laid_out(
        message in distinct(),
        listed in listed(),
        receive in any::<bool>(),
    ) {
        let selection = if receive { Selection::to_receive(&listed) } else { Selection::to_send(&listed, true) };
        let texts = message.members.iter().map(|(name, value)| serde_json::to_string(name).unwrap() + ":" + value);
        let dense = format!("{{{}}}", texts.collect::<Vec<_>>().join(","));
        let left = |text| selection.apply(&object::read(text).unwrap(), |_| {}).claims;
        prop_assert_eq!(law::object_of(&left(&dense)), law::object_of(&left(&message.text)));
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
    fn names_of_one_claim_have_one_key_however_they_are_written(
        names in vec((generated::name(), any::<u32>(), generated::styles()), 1..12),
    ) {
        let recased = names.iter().map(|(name, letters, styles)| (recased(name, *letters), styles));
        let names = names.iter().map(|(name, _, styles)| (name.clone(), styles)).chain(recased);
        let names: Vec<(String, Key)> = names
            .map(|(name, styles)| {
                let text = format!("{{{}:0}}", generated::written(&name, styles));
                let key = object::read(&text).unwrap()[0].key;
                (name, key)
            })
            .collect();
        for (one, key) in &names {
            prop_assert_eq!(key.is_reserved(), reserved_key(one).is_some(), "{}", one);
            for (two, other) in names.iter().filter(|(two, _)| is_same_claim(one, two)) {
                prop_assert_eq!(key, other, "{} and {}", one, two);
            }
        }
    }

    #[test]
    fn names_whose_keys_meet_are_told_apart(
        at in vec(0..40_usize, 1..10),
        listed in vec(0..40_usize, 0..20),
        receive in any::<bool>(),
    ) {
        let names = generated::names_of_one_key(40);
        prop_assert!(names.iter().all(|name| Key::of(name) == Key::of(&names[0])));
        let members: Vec<_> = at.iter().map(|at| (names[*at].clone(), at.to_string())).collect();
        let texts: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let text = format!("{{{}}}", texts.join(","));
        let listed: BTreeSet<_> = listed.into_iter().collect();
        let listed: Vec<_> = listed.iter().map(|at| ClaimName::parse(&names[*at]).unwrap()).collect();
        let collide = collide(&members);
        prop_assert_eq!(object::read(&text).err(), collide.then_some(ObjectError::Duplicate));
        if !collide {
            let list = List { listed: &listed, receive, send_ui_locales: true };
            law::only_the_selected_leave(&text, &members, list);
        }
    }

    #[test]
    fn a_text_is_written_as_the_general_writer_writes_it(text in generated::text(40)) {
        let mut out = b"before".to_vec();
        write_json_string(&mut out, &text);
        let expected = "before".to_owned() + &serde_json::to_string(&text).unwrap();
        prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
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
        prop_assert_eq!(object::read(&text).map(pairs), law::read_again(&text), "{}", text);
    }
}

/// By the time that this thread has computed: eight times the claims must not take much more than eight times as long,
/// though all keys meet, in the message and in the list.
#[test]
fn names_whose_keys_meet_take_time_in_proportion() {
    let computed = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
    let took = |count| {
        let names = generated::names_of_one_key(count);
        let listed: Vec<_> = names.iter().map(|name| ClaimName::parse(name).unwrap()).collect();
        let selection = Selection::to_receive(&listed);
        let members: Vec<_> = names.iter().map(|name| format!("\"{name}\":0")).collect();
        let text = format!("{{{}}}", members.join(","));
        let runs = (0..3).map(|_| {
            let began = computed();
            assert_eq!(selection.apply(&object::read(&text).unwrap(), |_| {}).count, count);
            computed().saturating_sub(began)
        });
        runs.min().unwrap_or_default()
    };
    let (few, many) = (took(1_000), took(8_000));
    assert!(many < few * 24, "eight times the claims took {few:?} and {many:?}");
}

/// The name with some of its letters in the other case; of an extension those of the app alone.
fn recased(name: &str, letters: u32) -> String {
    let fixed = |at| name.starts_with("extension_") && !(10..42).contains(&at);
    let other = |(at, c): (usize, char)| match c {
        _ if letters >> (at % 32) & 1 == 0 || fixed(at) => c,
        'a'..='z' => c.to_ascii_uppercase(),
        _ => c.to_ascii_lowercase(),
    };
    name.char_indices().map(other).collect()
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

//! The laws of the filter, for messages of any kind.

use proptest::{collection::vec, prelude::*};

use super::{
    generated::{self, Message, message},
    law::{self, List, collide, is_same_claim, pairs},
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

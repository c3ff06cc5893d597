//! The laws of reading an answer, for answers of any kind.

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};

use super::{
    law::{allowed, on_failures, says_continue, show},
    tests::connector,
    *,
};
use crate::flow::{
    Given, Selection,
    claims::{
        ClaimName, DistinctClaims,
        generated::{self, Message, careless_message, message, written},
        law::{is_json, pairs},
    },
};

proptest! {
    #![proptest_config(generated::cases())]

    #[test]
    fn any_answer_is_read_without_a_panic_and_yields_no_claim_that_is_not_selected(
        (connector, listed) in connectors(),
        step in select(&Step::ALL),
        status in status(),
        encoded in prop::bool::weighted(0.1),
        body in body(),
    ) {
        let answer = RawAnswer { status, encoded, body: &body };
        let normalized = normalize(&connector, step, answer);
        allowed(&connector, &listed, step, answer, &normalized);
    }

    #[test]
    fn a_refusal_never_becomes_continue_whatever_is_cut_from_the_answer_or_put_in(
        (connector, _) in connectors(),
        status in status(),
        answer in refusing(),
        before in edits(),
        after in edits(),
        cut in any::<(Index, Index)>(),
        whole in any::<bool>(),
    ) {
        let mut head = edited(&answer.before, before);
        let mut tail = edited(&answer.after, after);
        if !whole {
            head.drain(..cut.0.index(head.len() + 1));
            tail.truncate(cut.1.index(tail.len() + 1));
        }
        // A backslash before its quote makes the key another key.
        if head.ends_with(b"\\") {
            head.push(b' ');
        }
        let body = [&head[..], answer.refusal.as_bytes(), &tail].concat();
        for step in Step::ALL {
            let answer = RawAnswer { status, encoded: false, body: &body };
            let came = normalize(&connector, step, answer).decision;
            match came {
                Ok(FlowDecision::Continue(_)) => prop_assert!(says_continue(&connector, status, &body), "{}", show(&body)),
                Ok(_) => {}
                Err(failure) => {
                    prop_assert!(failure.refusal, "{:?} {}", failure.reason, show(&body));
                    for on_failure in on_failures() {
                        let given = on_failure.resolve(step, failure);
                        prop_assert!(!matches!(given, Given::Decision(FlowDecision::Continue(_))));
                    }
                }
            }
        }
    }

    #[test]
    fn the_evidence_of_a_refusal_does_not_depend_on_how_much_of_the_rest_arrived(
        status in status(),
        answer in refusing(),
        cut in any::<Index>(),
    ) {
        let whole = answer.before.clone() + &answer.refusal + &answer.after;
        let least = answer.before.len() + answer.refusal.len();
        let end = least + cut.index(answer.after.len() + 1);
        prop_assert!(holds_refusal(status, &whole.as_bytes()[..end]), "{}", whole);
    }

    #[test]
    fn a_refusing_word_is_evidence_whatever_stands_around_it(
        status in status(),
        word in select(&["ShowBlockPage", "ValidationError", "showblockpage", "VALIDATIONERROR"][..]),
        styles in generated::styles(),
        before in message(),
        after in vec(any::<u8>(), 0..20),
    ) {
        let body = [before.text.as_bytes(), written(word, &styles).as_bytes(), &after].concat();
        prop_assert!(holds_refusal(status, &body), "{}", show(&body));
    }

    #[test]
    fn a_text_that_is_json_loses_nothing_and_any_other_becomes_json_or_an_error(
        message in message(),
        edits in edits(),
    ) {
        let stripped = lenient::strip(&message.text);
        prop_assert_eq!(&stripped.text, &message.text);
        prop_assert!(!stripped.comments && !stripped.commas);
        let Ok(text) = String::from_utf8(edited(&message.text, edits)) else { return Ok(()) };
        if is_json(&text) {
            prop_assert_eq!(lenient::strip(&text).text, text);
        } else if let Ok(stripped) = lenient::without_comments(&text, &mut Repairs::default()) {
            prop_assert!(is_json(&stripped), "{} {}", text, stripped);
        }
    }

    #[test]
    fn comments_and_trailing_commas_change_no_name_and_no_value(message in careless_message()) {
        let mut repairs = Repairs::default();
        let stripped = lenient::without_comments(&message.text, &mut repairs).map_err(|rule| {
            TestCaseError::fail(format!("{rule:?}: {}", message.text))
        })?;
        match claims::object::read(&stripped) {
            Ok(members) => {
                prop_assert_eq!(pairs(members), message.members);
            }
            Err(error) => prop_assert_eq!(error, ObjectError::Duplicate),
        }
    }
}

/// An answer whose `action` is not Continue: what stands before that member, the member, and what follows it.
#[derive(Clone, Debug)]
struct Refusing {
    before: String,
    refusal: String,
    after: String,
}

fn refusing() -> impl Strategy<Value = Refusing> {
    let word = prop_oneof![
        2 => select(&["ShowBlockPage", "ValidationError", "showblockpage", "Deny", "Block", "", "Continue ", "Continued"][..])
            .prop_map(str::to_owned),
        1 => select(&["\\Continue", "Continue\\", "Continue\"", "Con\\tinue", "\"Continue\"", "Continue/", "Allow\n"][..])
            .prop_map(str::to_owned),
        1 => generated::text(8),
    ];
    let value = prop_oneof![
        4 => (word, generated::styles()).prop_map(|(mut word, styles)| {
            if word.eq_ignore_ascii_case("Continue") || word.eq_ignore_ascii_case("Allow") {
                word.push('!');
            }
            written(&word, &styles)
        }),
        1 => generated::value().prop_map(|value| if value.starts_with('"') { format!("[{value}]") } else { value }),
    ];
    let key = (select(&["action", "Action", "ACTION", "aCtIoN"][..]), generated::styles())
        .prop_map(|(key, styles)| written(key, &styles));
    let gap = || select(&["", "", "", " ", "\n", "\t\r\n"][..]);
    (message(), message(), key, value, gap(), gap()).prop_map(|(before, after, key, value, one, two)| {
        let inner = |message: &Message| {
            let text = message.text.trim();
            text[1..text.len() - 1].to_owned()
        };
        let mut head = inner(&before);
        if !before.members.is_empty() {
            head.push(',');
        }
        let mut tail = inner(&after);
        if !after.members.is_empty() {
            tail.insert(0, ',');
        }
        Refusing {
            before: format!("{{{head}"),
            refusal: format!("{key}{one}:{two}{value}"),
            after: format!("{tail}}}"),
        }
    })
}

type Edit = (Index, usize, Vec<u8>);

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let put = prop_oneof![
        4 => select(&["", "{", "}", "[", "]", ",", ":", "\"", "'", "\\", "//", "/*", "*/", "\n", "\u{feff}", "\"a\":", "<"][..])
            .prop_map(|text| text.as_bytes().to_vec()),
        2 => select(&["\"action\":\"Continue\"", "\"action\":\"Continue\",", "action=Continue&", "\"status\":200,"][..])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..3),
    ];
    prop_oneof![1 => Just(Vec::new()), 3 => vec((any::<Index>(), 0..4_usize, put), 0..4)]
}

fn edited(text: &str, edits: Vec<Edit>) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for (at, removed, put) in edits {
        let start = at.index(bytes.len() + 1);
        let end = (start + removed).min(bytes.len());
        bytes.splice(start..end, put);
    }
    bytes
}

/// Bodies that are read, nearly read, and not read.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let with_action = (message(), select(&["Continue", "allow", "ShowBlockPage", "ValidationError"][..]))
        .prop_map(|(message, action)| {
            let text = message.text.trim();
            let comma = if message.members.is_empty() { "" } else { "," };
            format!("{{\"action\":\"{action}\"{comma}{}", &text[1..])
        })
        .boxed();
    prop_oneof![
        3 => with_action.clone().prop_map(String::into_bytes),
        2 => (with_action, edits()).prop_map(|(text, edits)| edited(&text, edits)),
        1 => careless_message().prop_map(|message| message.text.into_bytes()),
        1 => vec(any::<u8>(), 0..40),
    ]
}

fn status() -> impl Strategy<Value = u16> {
    prop_oneof![3 => Just(200_u16), 2 => select(&[201, 204, 400, 409, 422][..]), 1 => 200..600_u16]
}

fn connectors() -> impl Strategy<Value = (Connector, Vec<ClaimName>)> {
    (vec(generated::name(), 0..6), prop::bool::weighted(0.2), any::<bool>()).prop_map(
        |(names, strict, lenient)| {
            let mut listed = DistinctClaims::default();
            for name in names.iter().filter_map(|name| ClaimName::parse(name).ok()) {
                let _same_claim = listed.push(name);
            }
            let listed = listed.into_names();
            let missing_action = if lenient { MissingAction::Continue } else { MissingAction::Fail };
            let claims_to_receive = Selection::to_receive(&listed);
            (Connector { claims_to_receive, strict, missing_action, ..connector() }, listed)
        },
    )
}

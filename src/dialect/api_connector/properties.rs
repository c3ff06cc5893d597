//! The laws of the identity provider's form, for decisions and bodies of any kind.

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::flow::{
    Selection,
    claims::{
        ClaimName,
        generated::{self, message},
        law::pairs,
    },
};

proptest! {
    #![proptest_config(generated::cases())]

    #[test]
    fn a_refusal_has_exactly_the_documented_keys_and_its_message(text in generated::text(40), validation in any::<bool>()) {
        let decision =
            if validation { FlowDecision::ValidationError(text.clone()) } else { FlowDecision::ShowBlockPage(text.clone()) };
        let Encoded { status, body } = encode(&decision);
        let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let documented = if validation {
            serde_json::json!({ "version": "1.0.0", "status": 400, "action": "ValidationError", "userMessage": text })
        } else {
            serde_json::json!({ "version": "1.0.0", "action": "ShowBlockPage", "userMessage": text })
        };
        prop_assert_eq!(answer, documented);
        prop_assert_eq!(status, if validation { 400 } else { 200 });
    }

    #[test]
    fn a_continue_has_exactly_the_documented_keys_and_the_claims(message in message(), listed in vec(generated::name(), 0..8)) {
        let Ok(members) = claims::object::read(&message.text) else { return Ok(()) };
        let listed: Vec<_> = listed.iter().filter_map(|name| ClaimName::parse(name).ok()).collect();
        let selection = Selection::to_receive(&listed);
        let selected = selection.apply(&members, |_| {});
        let with_value = message.members.iter().filter(|(_, value)| value != "null");
        let received: Vec<_> = with_value
            .filter_map(|(name, value)| Some((selection.passes(name)?.name.to_owned(), value.clone())))
            .collect();
        law::has_the_documented_keys(&encode(&FlowDecision::Continue(selected.claims)), &received);
    }

    #[test]
    fn a_body_is_taken_whole_or_refused(
        message in message(),
        cut in any::<prop::sample::Index>(),
        step in select(&Step::ALL),
        noise in vec(any::<u8>(), 0..20),
    ) {
        let whole = message.text.as_bytes();
        if let Ok(members) = decode(whole, step) {
            prop_assert_eq!(pairs(members), message.members);
        }
        let end = message.text.trim_end().len();
        let part = &whole[..cut.index(end)];
        prop_assert!(matches!(decode(part, step), Err(RequestRule::NotJson | RequestRule::NotUtf8)));
        for body in [whole, part, &noise] {
            law::hook(body);
        }
    }
}

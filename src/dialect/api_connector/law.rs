//! The laws of the identity provider's form, for any bytes.

use super::{Encoded, decode, encode};
use crate::flow::{
    FlowDecision, RequestRule, Selection, Step,
    claims::{
        ClaimName,
        law::{pairs, read_again},
        object,
    },
};

/// A hook's body is read whole, as the general reader reads it, or refused by the rule that it breaks; a part of one
/// is no hook.
pub fn hook(body: &[u8]) {
    for step in Step::ALL {
        let came = decode(body, step);
        let Ok(text) = std::str::from_utf8(body) else {
            assert_eq!(came, Err(RequestRule::NotUtf8));
            continue;
        };
        let named = |members: &[(String, String)]| members.iter().find(|(name, _)| name == "step").cloned();
        let expected =
            read_again(text).map_err(RequestRule::from).and_then(|members| match named(&members) {
                Some((_, value)) if value != "null" && !names(&value, step) => Err(RequestRule::StepMismatch),
                _ => Ok(members),
            });
        assert_eq!(came.map(pairs), expected, "{step} {text}");
        if let Ok(members) = expected {
            let whole = text.trim_ascii_end().len();
            for cut in [0, whole / 3, whole / 2, whole - 1] {
                let part = decode(&body[..cut], step);
                assert!(matches!(part, Err(RequestRule::NotJson | RequestRule::NotUtf8)));
            }
            given_back(text, &members);
        }
    }
}

/// Whether a `step` claim of this value is this step.
fn names(value: &str, step: Step) -> bool {
    serde_json::from_str::<String>(value).is_ok_and(|named| {
        let spellings: &[&str] = match step {
            Step::PostFederationSignup => &["postfederationsignup"],
            Step::PostAttributeCollection => &["postattributecollection"],
            Step::PreTokenIssuance => &["pretokenissuance", "pretokenapplicationclaims"],
        };
        spellings.contains(&named.to_ascii_lowercase().as_str())
    })
}

/// A Continue has exactly the documented keys and the claims that were received, as they were written.
fn given_back(text: &str, members: &[(String, String)]) {
    let listed: Vec<ClaimName> = members.iter().filter_map(|(name, _)| ClaimName::parse(name).ok()).collect();
    let read = object::read(text).expect("it was read before");
    let selection = Selection::to_receive(&listed);
    let selected = selection.apply(&read, |_| {});
    let received: Vec<_> = members
        .iter()
        .filter(|(name, value)| value != "null" && listed.iter().any(|listed| listed.as_str() == name))
        .cloned()
        .collect();
    has_the_documented_keys(&encode(&FlowDecision::Continue(selected.claims)), &received);
}

/// Whether a Continue is written with these claims and nothing else.
pub(super) fn has_the_documented_keys(Encoded { status, body }: &Encoded, claims: &[(String, String)]) {
    let text = std::str::from_utf8(body).expect("an answer is text");
    let answer = read_again(text).expect("an answer is a message without colliding names");
    let (envelope, received) = answer.split_at(2);
    let envelope: Vec<_> = envelope.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let documented = vec![("version", "\"1.0.0\""), ("action", "\"Continue\"")];
    assert_eq!((*status, envelope, received), (200, documented, claims));
}

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::flow::claims::{
    generated::{self, written},
    object,
};

/// Who the message is about, as owned text: issuer and id, or an address.
fn user_of(text: &str) -> Option<(String, Option<String>)> {
    let members = object::read(text).unwrap();
    user(&members).map(|user| match user {
        User::Identity { issuer, issuer_assigned_id } => {
            (issuer.into_owned(), Some(issuer_assigned_id.into_owned()))
        }
        User::Email(address) => (address.into_owned(), None),
    })
}

#[test]
fn a_user_is_the_first_whole_identity_else_the_address() {
    let facebook = r#"{"signInType":"federated","issuer":"facebook.com","issuerAssignedId":"0123"}"#;
    let rows: &[(String, Option<(&str, Option<&str>)>)] = &[
        (
            format!(r#"{{"email":"a@b.example","identities":[{facebook}]}}"#),
            Some(("facebook.com", Some("0123"))),
        ),
        (
            format!(
                r#"{{"identities":[1,null,[],{{"issuer":"x"}},{{"issuer":"","issuerAssignedId":"1"}},{facebook},{{"issuer":"y","issuerAssignedId":"2"}}]}}"#
            ),
            Some(("facebook.com", Some("0123"))),
        ),
        (
            r#"{"identities":[{"issu\u0065r":"\u0066acebook.com","issuerAssignedId":"\u00e9"}]}"#.to_owned(),
            Some(("facebook.com", Some("é"))),
        ),
        (r#"{"identities":[],"email":" Jane@Fabrikam.COM "}"#.to_owned(), Some(("jane@fabrikam.com", None))),
        (r#"{"email":"ÉVE@x"}"#.to_owned(), Some(("éve@x", None))),
        (r#"{"email_address":"jane\u0040fabrikam.com"}"#.to_owned(), Some(("jane@fabrikam.com", None))),
        (
            r#"{"identities":[{"issuer":"a","issuer":"b","issuerAssignedId":"1"}],"email":"j@x"}"#.to_owned(),
            Some(("j@x", None)),
        ),
        (
            r#"{"identities":{"issuer":"a","issuerAssignedId":"1"},"email":"j@x"}"#.to_owned(),
            Some(("j@x", None)),
        ),
        (r#"{"identities":[{"Issuer":"a","issuerAssignedId":"1"}],"Email":"j@x"}"#.to_owned(), None),
        (r#"{"identities":[{"issuer":1,"issuerAssignedId":"1"}],"email":null}"#.to_owned(), None),
        (r#"{"identities":[{"issuer":"\ud800","issuerAssignedId":"1"}],"email":"\ud800"}"#.to_owned(), None),
        (r#"{"email":" \t","objectId":"1"}"#.to_owned(), None),
        ("{}".to_owned(), None),
    ];
    for (text, expected) in rows {
        let expected = expected.map(|(one, two)| (one.to_owned(), two.map(str::to_owned)));
        assert_eq!(user_of(text), expected, "{text}");
    }
}

#[test]
fn a_message_names_somebody_by_any_of_three_claims() {
    let rows = [
        (r#"{"identities":[{}]}"#, true),
        (r#"{"identities":[ ]}"#, false),
        (r#"{"identities":"[1]"}"#, false),
        (r#"{"identities":null}"#, false),
        (r#"{"Identities":[{}]}"#, false),
        (r#"{"email":"j@x"}"#, true),
        (r#"{"email_address":"j@x"}"#, true),
        (r#"{"Email":"j@x"}"#, false),
        (r#"{"email":""}"#, false),
        (r#"{"email":"\u0020"}"#, false),
        (r#"{"email":7}"#, false),
        (r#"{"email":"","objectId":"1"}"#, true),
        (r#"{"objectId":""}"#, false),
        (r#"{"objectid":"1"}"#, false),
        (r#"{"displayName":"Jane"}"#, false),
    ];
    for (text, expected) in rows {
        assert_eq!(names_subject(&object::read(text).unwrap()), expected, "{text}");
    }
}

#[test]
fn a_user_prints_no_claim() {
    let members = object::read(r#"{"email":"jane@fabrikam.com"}"#).unwrap();
    assert_eq!(format!("{:?}", user(&members)), "Some(Email)");
}

/// What one part of an identity may be.
#[derive(Clone, Debug)]
enum Written {
    Absent,
    Text(String),
    Other(&'static str),
    Twice(String),
}

fn part() -> impl Strategy<Value = Written> {
    prop_oneof![
        4 => generated::text(6).prop_map(Written::Text),
        1 => Just(Written::Absent),
        1 => select(&["null", "1", "[\"a\"]", "{\"issuer\":\"a\"}", "\"\"", "\" \"", "\"\\ud800\""][..])
            .prop_map(Written::Other),
        1 => generated::text(3).prop_map(Written::Twice),
    ]
}

fn member(name: &str, part: &Written, styles: &[u8]) -> Vec<String> {
    let one = |value: &str| format!("{}:{value}", written(name, styles));
    match part {
        Written::Absent => vec![],
        Written::Text(text) => vec![one(&written(text, styles))],
        Written::Other(value) => vec![one(value)],
        Written::Twice(text) => vec![one(&written(text, styles)), one("\"b\"")],
    }
}

fn usable(part: &Written) -> Option<&str> {
    match part {
        Written::Text(text) if !text.trim().is_empty() => Some(text),
        _ => None,
    }
}

proptest! {
    #![proptest_config(generated::cases())]

    #[test]
    fn any_list_of_identities_gives_its_first_whole_one(
        entries in vec((part(), part(), generated::styles(), any::<bool>()), 0..4),
        email in prop_oneof![2 => generated::text(6).prop_map(Some), 1 => Just(None)],
        styles in generated::styles(),
        alias in any::<bool>(),
    ) {
        let texts = entries.iter().map(|(issuer, id, styles, more)| {
            let mut members = member("issuerAssignedId", id, styles);
            members.extend(more.then(|| r#""signInType":"federated""#.to_owned()));
            members.extend(member("issuer", issuer, styles));
            format!("{{{}}}", members.join(","))
        });
        let texts: Vec<_> = texts.collect();
        let mut members = vec![format!("\"identities\":[{}]", texts.join(" , "))];
        let name = if alias { "email" } else { "email_address" };
        members.extend(email.iter().map(|email| format!("\"{name}\":{}", written(email, &styles))));
        let text = format!("{{{}}}", members.join(","));

        let identity = entries.iter().find_map(|(issuer, id, ..)| {
            Some((usable(issuer)?.to_owned(), Some(usable(id)?.to_owned())))
        });
        let address = email.map(|email| email.trim().to_lowercase()).filter(|email| !email.is_empty());
        let named = !entries.is_empty() || address.is_some();
        let expected = identity.or_else(|| address.map(|address| (address, None)));
        prop_assert_eq!(user_of(&text), expected, "{}", text);
        prop_assert_eq!(names_subject(&object::read(&text).unwrap()), named, "{}", text);
    }

    #[test]
    fn whoever_has_a_user_names_a_subject(message in generated::message()) {
        if let Ok(members) = object::read(&message.text) {
            prop_assert!(user(&members).is_none() || names_subject(&members), "{}", message.text);
        }
    }
}

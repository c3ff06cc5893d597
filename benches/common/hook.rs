//! Hooks as they come, and what an API answers.

use std::fmt::Write as _;

use claimgate::flow::{Selection, Step, claims::ClaimName};
use serde_json::Value;

/// At which all of them come.
pub(crate) const STEP: Step = Step::PostAttributeCollection;

/// An ordinary sign-up with custom attributes: 1.2 KiB, 24 claims.
pub(crate) const SIGN_UP: &str = concat!(
    "{",
    r#""email":"jane.doe@fabrikam.com","displayName":"Jane Doe","givenName":"Jane","surname":"Doe","#,
    r#""identities":[{"signInType":"federated","issuer":"facebook.com","issuerAssignedId":"10158320719384756"}],"#,
    r#""objectId":"11111111-2222-3333-4444-555555555555","#,
    r#""extension_0123456789abcdef0123456789abcdef_JobTitle":"Senior Buyer","#,
    r#""extension_0123456789abcdef0123456789abcdef_CompanyName":"Fabrikam Inc.","#,
    r#""streetAddress":"4567 Main Street, Building 12","city":"Redmond","state":"Washington","postalCode":"98052","#,
    r#""country":"United States","#,
    r#""extension_0123456789abcdef0123456789abcdef_TelephoneNumber":"+1 425 555 0100","#,
    r#""extension_0123456789abcdef0123456789abcdef_PreferredLanguage":"en-US","#,
    r#""extension_0123456789abcdef0123456789abcdef_CustomerNumber":"C-0004711","#,
    r#""extension_0123456789abcdef0123456789abcdef_LoyaltyId":"L-2718281828","#,
    r#""extension_0123456789abcdef0123456789abcdef_ReferredBy":"https://www.fabrikam.com/partners/4711","#,
    r#""extension_0123456789abcdef0123456789abcdef_Newsletter":true,"#,
    r#""extension_0123456789abcdef0123456789abcdef_DateOfBirth":"1990-02-28","#,
    r#""extension_0123456789abcdef0123456789abcdef_TermsAccepted":"2026-01-07T13:07:57Z","#,
    r#""step":"PostAttributeCollection","client_id":"93fd07aa-333c-409d-955d-96008fd08dd9","ui_locales":"en-US""#,
    "}",
);

/// What a connector selects of it: ten claims with the always-sent ones.
pub(crate) const OF_SIGN_UP: [&str; 10] = [
    "identities",
    "email",
    "ui_locales",
    "displayName",
    "givenName",
    "surname",
    "city",
    "country",
    "extension_0123456789abcdef0123456789abcdef_CustomerNumber",
    "extension_0123456789abcdef0123456789abcdef_LoyaltyId",
];

/// An API's answer with claims, and what a connector receives of them.
pub(crate) const CONTINUE: &str = r#"{"version":"1.0.0","action":"Continue","displayName":"Jane Doe","city":"Redmond","country":"United States","postalCode":"98052","extension_LoyaltyId":"L-2718281828","extension_ApprovalId":"APPROVAL-0004","extension_Internal":"not selected"}"#;
pub(crate) const OF_CONTINUE: [&str; 5] =
    ["displayName", "city", "country", "extension_LoyaltyId", "extension_ApprovalId"];

/// A body and the names of those of its claims that leave.
#[derive(Clone)]
pub(crate) struct Hook {
    pub(crate) text: String,
    pub(crate) claims: usize,
    pub(crate) selected: Vec<String>,
}

impl Hook {
    pub(crate) fn sign_up() -> Self {
        Self { text: SIGN_UP.to_owned(), claims: 24, selected: OF_SIGN_UP.map(str::to_owned).into() }
    }

    /// So many claims in so many bytes, with short names and values as the larger directories have them.
    pub(crate) fn generated(claims: usize, bytes: usize) -> Self {
        let fixed = r#""email":"jane.doe@fabrikam.com","ui_locales":"en-US","identities":[],"step":"PostAttributeCollection""#;
        let fixed_claims = 4;
        let mut text = format!("{{{fixed}");
        for (number, left) in (1..=claims - fixed_claims).rev().enumerate() {
            write!(text, r#","attribute{number:03}":""#).expect("a String takes any text");
            // What is still missing is shared out among the claims still missing, so that the sum comes out exactly.
            let begun = r#","attribute000":"""#.len();
            let missing = bytes - text.len() - r#""}"#.len() - (left - 1) * begun;
            text.extend(('a'..='z').cycle().take(missing / left));
            text.push('"');
        }
        text.push('}');
        assert_eq!((object(&text).len(), text.len()), (claims, bytes));
        let spread = (0..7).map(|number| format!("attribute{:03}", number * (claims - fixed_claims) / 7));
        let always = ["email", "identities", "ui_locales"].map(str::to_owned);
        Self { selected: always.into_iter().chain(spread).collect(), text, claims }
    }

    pub(crate) fn selection(&self) -> Selection {
        let names =
            self.selected.iter().map(|name| ClaimName::parse(name).expect("it is the name of a claim"));
        Selection::to_send(&names.collect::<Vec<_>>(), true)
    }
}

/// A text as the object that it is.
pub(crate) fn object(text: &str) -> serde_json::Map<String, Value> {
    serde_json::from_str(text).expect("the text is an object")
}

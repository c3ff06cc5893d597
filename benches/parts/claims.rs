//! The claims filter: from a hook's body to the claims that leave.
//!
//! - `claimgate`: reads the body, holds it to every rule of a hook's body, copies the selected claims.
//! - `tree`: parses the body into a `serde_json::Value`, keeps the selected names, writes it again. It holds the body to
//!   fewer rules: two spellings of one claim pass, and a number may come out as another.

use std::{collections::HashSet, fmt::Write as _, hint::black_box};

use claimgate::{
    dialect::api_connector,
    flow::{Selection, Step, claims::ClaimName},
};
use criterion::{BenchmarkId, Throughput};
use serde_json::Value;

use crate::Criterion;

const STEP: Step = Step::PostAttributeCollection;

/// An ordinary sign-up with custom attributes: 1.2 KiB, 24 claims.
const SIGN_UP: &str = concat!(
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
const OF_SIGN_UP: [&str; 10] = [
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

/// A body and the names of those of its claims that leave.
struct Hook {
    text: String,
    claims: usize,
    selected: Vec<String>,
}

pub(crate) fn measure(criterion: &mut Criterion) {
    let hooks = [
        Hook::generated(20, 500),
        Hook::sign_up(),
        Hook::generated(100, 2_800),
        Hook::generated(600, 17_700),
    ];
    let mut group = criterion.benchmark_group("claims");
    for hook in &hooks {
        let (body, selection) = (hook.text.as_bytes(), hook.selection());
        let names: HashSet<&str> = hook.selected.iter().map(String::as_str).collect();
        let sent = object(&claimgate(body, &selection));
        assert_eq!(
            (sent.len(), &sent),
            (hook.selected.len(), &object(&tree(body, &names))),
            "both do the same"
        );
        let size = format!("{} claims, {} bytes", hook.claims, body.len());
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(BenchmarkId::new("claimgate", &size), |bencher| {
            bencher.iter(|| claimgate(black_box(body), &selection));
        });
        group.bench_function(BenchmarkId::new("tree", &size), |bencher| {
            bencher.iter(|| tree(black_box(body), &names));
        });
    }
    group.finish();
}

fn claimgate(body: &[u8], selection: &Selection) -> Vec<u8> {
    let members = api_connector::decode(body, STEP).expect("the body keeps every rule");
    [b"{", selection.apply(&members).claims.members(), b"}"].concat()
}

fn tree(body: &[u8], names: &HashSet<&str>) -> Vec<u8> {
    let mut claims = object(body);
    claims.retain(|name, _| names.contains(name.as_str()));
    serde_json::to_vec(&claims).expect("a tree is written into memory, which does not fail")
}

fn object(text: &[u8]) -> serde_json::Map<String, Value> {
    serde_json::from_slice(text).expect("the text is an object")
}

impl Hook {
    fn sign_up() -> Self {
        Self { text: SIGN_UP.to_owned(), claims: 24, selected: OF_SIGN_UP.map(str::to_owned).into() }
    }

    /// So many claims in so many bytes, with short names and values as the larger directories have them.
    fn generated(claims: usize, bytes: usize) -> Self {
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
        assert_eq!((object(text.as_bytes()).len(), text.len()), (claims, bytes));
        let spread = (0..7).map(|number| format!("attribute{:03}", number * (claims - fixed_claims) / 7));
        let always = ["email", "identities", "ui_locales"].map(str::to_owned);
        Self { selected: always.into_iter().chain(spread).collect(), text, claims }
    }

    fn selection(&self) -> Selection {
        let names =
            self.selected.iter().map(|name| ClaimName::parse(name).expect("it is the name of a claim"));
        Selection::to_send(&names.collect::<Vec<_>>(), true)
    }
}

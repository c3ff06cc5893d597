//! The bodies of hooks, each of another user.

use std::fmt::Write as _;

/// What every such sign-up holds, in this order, after the user's e-mail.
const KNOWN: [&str; 7] = [
    r#""displayName":"Jane Doe""#,
    r#""step":"PostAttributeCollection""#,
    r#""ui_locales":"en-US""#,
    r#""givenName":"Jane""#,
    r#""city":"Redmond""#,
    r#""country":"United States""#,
    r#""extension_LoyaltyId":"L-2718281828""#,
];

/// How many claims a body has, and how large it is.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// At least 3.
    pub(crate) claims: usize,
    pub(crate) bytes: Bytes,
}

#[derive(Clone, Copy)]
pub(crate) enum Bytes {
    /// As many as the claims need, each with a value of so many.
    OfValues(usize),
    /// So many in all.
    Whole(usize),
}

impl Shape {
    /// An ordinary sign-up with custom attributes: 24 claims, 1.2 KiB.
    pub(crate) const SIGN_UP: Self = Self { claims: 24, bytes: Bytes::Whole(1_230) };

    /// The body of this user's hook.
    pub(crate) fn body(self, user: u64) -> String {
        let mut text = format!(r#"{{"email":"user{user:010}@fabrikam.com""#);
        for known in KNOWN.iter().take(self.claims - 1) {
            text.push(',');
            text.push_str(known);
        }
        let fillers = self.claims.saturating_sub(1 + KNOWN.len());
        for (number, left) in (1..=fillers).rev().enumerate() {
            write!(text, r#","attribute{number:04}":""#).expect("a String takes any text");
            let length = match self.bytes {
                Bytes::OfValues(length) => length,
                // What is missing is shared out among the claims still missing, so that the sum comes out exactly.
                Bytes::Whole(bytes) => {
                    let begun = r#","attribute0000":"""#.len();
                    let taken = text.len() + r#""}"#.len() + (left - 1) * begun;
                    bytes.checked_sub(taken).expect("the body is larger than its names") / left
                }
            };
            text.extend(('a'..='z').cycle().take(length));
            text.push('"');
        }
        text.push('}');
        text
    }
}

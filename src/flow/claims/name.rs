//! Names of claims, and when two of them name the same claim.

use std::{cmp::Ordering, fmt};

/// The keys of an answer that are no claims.
const RESERVED: [&str; 5] = ["version", "action", "status", "userMessage", "code"];

const EXTENSION: &str = "extension_";
const APP_ID_LENGTH: usize = 32;

/// The name of a claim, as a configuration may list it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimName(String);

/// Why a text is no name of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimNameError {
    /// Empty, over 256 bytes, or with a control character.
    #[error("a claim's name has 1 to 256 bytes and no control characters")]
    Malformed,
    /// `version`, `action`, `status`, `userMessage` or `code`, in any letter case.
    #[error("this key belongs to the answer's envelope and is no claim")]
    Reserved,
}

impl ClaimName {
    /// Longest name, in bytes.
    pub const LONGEST: usize = 256;

    /// The name, if a claim can have it.
    pub fn parse(text: &str) -> Result<Self, ClaimNameError> {
        if text.is_empty() || text.len() > Self::LONGEST || text.chars().any(char::is_control) {
            return Err(ClaimNameError::Malformed);
        }
        if reserved_key(text).is_some() {
            return Err(ClaimNameError::Reserved);
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClaimName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The envelope's key that this name is, in any letter case; such a name is no claim.
pub fn reserved_key(name: &str) -> Option<&'static str> {
    RESERVED.into_iter().find(|key| key.eq_ignore_ascii_case(name))
}

/// Which claim a name means, in an order that puts names of the same claim side by side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity<'a> {
    kind: Kind,
    base: &'a str,
    /// The hexadecimal id of the extensions app, in any letter case.
    app: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Plain,
    Extension,
    Reserved,
}

/// A digest of a name: the same for all names of one claim, and seldom the same for two claims.
///
/// Names with different keys are told apart without looking at them; names with one key still have to be compared. It is
/// no hash: whoever writes a message can make keys meet, which may cost time in proportion to the message and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(u64);

impl Key {
    /// Kind and base are what all names of a claim have in common. Of the base it takes the length, the first byte and the
    /// last five, for names that begin alike are many.
    pub(super) fn of(name: &str) -> Self {
        let Identity { kind, base, .. } = Identity::of(name);
        let base = base.as_bytes();
        // Put together in a register. An array that is filled by pieces and then read as one number keeps the processor
        // waiting for its own writes, which took a quarter of the time in which a message is read.
        let last = match base.last_chunk::<5>() {
            Some([four @ .., last]) => u64::from(u32::from_le_bytes(*four)) | u64::from(*last) << 32,
            None => base.iter().rev().fold(0, |key, byte| key << 8 | u64::from(*byte)),
        };
        let first = base.first().copied().unwrap_or_default();
        let [length, ..] = base.len().to_le_bytes();
        Self(last | u64::from(first) << 40 | u64::from(length) << 48 | u64::from(kind as u8) << 56)
    }

    /// The key as a number of 16 bits, made so that keys that differ little come out far from each other (Knuth, "The Art
    /// of Computer Programming", section 6.4: multiplicative hashing by the golden ratio).
    pub(super) fn spread(self) -> u16 {
        let [.., low, high] = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        u16::from_le_bytes([low, high])
    }

    /// Whether the name is one of the envelope's keys, see [`reserved_key`].
    pub(super) fn is_reserved(self) -> bool {
        self.0.to_le_bytes()[7] == Kind::Reserved as u8
    }
}

impl<'a> Identity<'a> {
    pub(super) fn of(name: &'a str) -> Self {
        if let Some(rest) = name.strip_prefix(EXTENSION) {
            let (app, base) = split_app(rest).map_or((None, rest), |(app, base)| (Some(app), base));
            return Self { kind: Kind::Extension, base, app };
        }
        // The envelope's keys differ in their first letter from nearly every claim; look no further for those.
        if matches!(
            name.as_bytes().first(),
            Some(b'v' | b'V' | b'a' | b'A' | b's' | b'S' | b'u' | b'U' | b'c' | b'C')
        ) && let Some(key) = reserved_key(name)
        {
            return Self { kind: Kind::Reserved, base: key, app: None };
        }
        Self { kind: Kind::Plain, base: alias(name).unwrap_or(name), app: None }
    }

    /// Equal, or one of them leaves out the id of the extensions app.
    pub(super) fn is_same_claim(&self, other: &Self) -> bool {
        self.has_same_base(other)
            && match (self.app, other.app) {
                (Some(one), Some(two)) => one.eq_ignore_ascii_case(two),
                (None, _) | (_, None) => true,
            }
    }

    /// Whether an entry of the configuration selects a claim of this identity.
    ///
    /// `extension_Name` selects every app's `Name`; a full name selects its own app's, and the short form only on the
    /// way back, where the API may leave the id out.
    pub(super) fn is_selected_by(&self, entry: &Self, short_form: bool) -> bool {
        self.has_same_base(entry)
            && match (entry.app, self.app) {
                (None, _) => true,
                (Some(entry), Some(app)) => entry.eq_ignore_ascii_case(app),
                (Some(_), None) => short_form,
            }
    }

    pub(super) fn has_same_base(&self, other: &Self) -> bool {
        self.kind == other.kind && self.base == other.base
    }

    pub(super) fn cmp_base(&self, other: &Self) -> Ordering {
        self.kind.cmp(&other.kind).then_with(|| self.base.cmp(other.base))
    }

    /// A total order in which any two names of the same claim have a neighbouring pair that is the same claim: within
    /// one base the short form comes first, then the apps in order.
    pub(super) fn cmp(&self, other: &Self) -> Ordering {
        let lower = |app: &'a str| app.bytes().map(|byte| byte.to_ascii_lowercase());
        self.cmp_base(other).then_with(|| match (self.app, other.app) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(one), Some(two)) => lower(one).cmp(lower(two)),
        })
    }
}

/// An identity with texts of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct OwnedIdentity {
    kind: Kind,
    base: Box<str>,
    app: Option<Box<str>>,
}

impl OwnedIdentity {
    pub(super) fn of(name: &str) -> Self {
        let Identity { kind, base, app } = Identity::of(name);
        Self { kind, base: base.into(), app: app.map(Into::into) }
    }

    /// Equal to that of every other spelling with this app.
    pub(super) fn with_app_in_lower_case(mut self) -> Self {
        if let Some(app) = &mut self.app {
            app.make_ascii_lowercase();
        }
        self
    }

    pub(super) fn without_app(self) -> Self {
        Self { app: None, ..self }
    }

    pub(super) fn has_no_app(&self) -> bool {
        self.app.is_none()
    }

    pub(super) fn as_identity(&self) -> Identity<'_> {
        Identity { kind: self.kind, base: &self.base, app: self.app.as_deref() }
    }
}

/// Of a claim for which Microsoft's own pages use two spellings: the one that stands for both.
///
/// The 2020 contract says `email_address` where the later one says `email` ("Add an API connector to a user flow");
/// the B2C page shows `clientId` for the token step where the others say `client_id`.
pub(super) fn alias(name: &str) -> Option<&'static str> {
    match name {
        "email" | "email_address" => Some("email"),
        "client_id" | "clientId" => Some("client_id"),
        _ => None,
    }
}

/// `<32 hex digits>_Name` into the digits and `Name`.
fn split_app(rest: &str) -> Option<(&str, &str)> {
    let (app, base) = rest.split_at_checked(APP_ID_LENGTH)?;
    let base = base.strip_prefix('_').filter(|base| !base.is_empty())?;
    // Of a length that the compiler knows and without an early exit, so that it looks at many bytes at a time.
    let digits = app.as_bytes().first_chunk::<APP_ID_LENGTH>()?;
    digits.iter().fold(true, |all, byte| all & byte.is_ascii_hexdigit()).then_some((app, base))
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "0123456789abcdef0123456789ABCDEF";

    #[test]
    fn two_spellings_of_one_claim_are_the_same_claim() {
        let full = format!("extension_{APP}_LoyaltyId");
        let lower = full.to_ascii_lowercase().replace("loyaltyid", "LoyaltyId");
        let other_app = format!("extension_{}_LoyaltyId", "f".repeat(32));
        let short_hex = format!("extension_{}_LoyaltyId", &APP[1..]);
        let rows: &[(&str, &str, bool)] = &[
            ("email", "email_address", true),
            ("clientId", "client_id", true),
            ("email", "Email", false),
            ("surname", "lastName", false),
            ("extension_LoyaltyId", "LoyaltyId", false),
            (&full, "extension_LoyaltyId", true),
            (&full, &lower, true),
            (&full, &other_app, false),
            (&full, "extension_loyaltyid", false),
            (&short_hex, "extension_LoyaltyId", false),
            ("Status", "status", true),
            ("usermessage", "userMessage", true),
        ];
        for &(one, two, same) in rows {
            assert_eq!(Identity::of(one).is_same_claim(&Identity::of(two)), same, "{one} and {two}");
            assert_eq!(Identity::of(two).is_same_claim(&Identity::of(one)), same, "{two} and {one}");
        }
    }

    #[test]
    fn a_reserved_or_malformed_name_is_no_claim() {
        for reserved in ["version", "ACTION", "Status", "usermessage", "code"] {
            assert_eq!(ClaimName::parse(reserved), Err(ClaimNameError::Reserved));
        }
        for malformed in ["", "a\nb", &"x".repeat(257)] {
            assert_eq!(ClaimName::parse(malformed), Err(ClaimNameError::Malformed));
        }
        for name in ["extension_LoyaltyId", "é", &"x".repeat(256)] {
            assert_eq!(ClaimName::parse(name).unwrap().to_string(), name);
        }
    }
}

//! The step of a user flow at which a hook fires.

use std::fmt;

/// A step of a user flow (Microsoft: "Add an API connector to a user flow").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// "After federating with an identity provider during sign-up": no form has been shown yet.
    PostFederationSignup,
    /// "Before creating the user": the user has filled in the attribute page and may still correct it.
    PostAttributeCollection,
    /// "Before sending the token": the user exists; the only decision the identity provider takes is Continue.
    PreTokenIssuance,
}

impl Step {
    /// Every step, in the order in which a sign-up meets them.
    pub const ALL: [Self; 3] =
        [Self::PostFederationSignup, Self::PostAttributeCollection, Self::PreTokenIssuance];

    /// The name in the endpoint's path, in the configuration and in every label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PostFederationSignup => "postFederationSignup",
            Self::PostAttributeCollection => "postAttributeCollection",
            Self::PreTokenIssuance => "preTokenIssuance",
        }
    }

    /// The step of this path segment or configuration key; exact, so that one hook has one URL.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.as_str() == name)
    }

    /// The step that the `step` claim of a body names.
    ///
    /// The identity provider writes it with a capital (`PostAttributeCollection`), and for the token step its own
    /// pages disagree between `PreTokenIssuance` and `PreTokenApplicationClaims`; letter case is not significant here.
    pub fn from_claim(value: &str) -> Option<Self> {
        if value.eq_ignore_ascii_case("PreTokenApplicationClaims") {
            return Some(Self::PreTokenIssuance);
        }
        Self::ALL.into_iter().find(|step| step.as_str().eq_ignore_ascii_case(value))
    }

    /// Whether the user is looking at a form that a validation error can be shown on.
    pub const fn has_form(self) -> bool {
        matches!(self, Self::PostAttributeCollection)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_step() {
        for step in Step::ALL {
            assert_eq!(Step::from_name(step.as_str()), Some(step));
            assert_eq!(Step::from_claim(step.as_str()), Some(step));
            assert_eq!(step.to_string(), step.as_str());
        }
    }

    #[test]
    fn a_path_is_exact_and_a_claim_is_not() {
        assert_eq!(Step::from_name("PostFederationSignup"), None);
        assert_eq!(Step::from_claim("PostFederationSignup"), Some(Step::PostFederationSignup));
        assert_eq!(Step::from_claim("PreTokenApplicationClaims"), Some(Step::PreTokenIssuance));
        assert_eq!(Step::from_claim("PostSignup"), None);
    }
}

//! What the identity provider is told.

use std::fmt;

use zeroize::Zeroize;

/// Claims as they travel: the members of a JSON object without its braces, values byte for byte as written.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Claims {
    members: Vec<u8>,
}

impl Claims {
    /// No claims yet, with room for so many bytes of members.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { members: Vec::with_capacity(bytes) }
    }

    /// Adds one claim; `value` is JSON text that has been checked and is copied as it is.
    pub(crate) fn push(&mut self, name: &str, value: &str) {
        if !self.members.is_empty() {
            self.members.push(b',');
        }
        super::claims::write_json_string(&mut self.members, name);
        self.members.push(b':');
        self.members.extend_from_slice(value.as_bytes());
    }

    /// Adds one claim that is written as it shall be, `"name":value`.
    pub(crate) fn push_written(&mut self, member: &str) {
        if !self.members.is_empty() {
            self.members.push(b',');
        }
        self.members.extend_from_slice(member.as_bytes());
    }

    /// `"name":value` pairs joined by commas; empty if there is no claim.
    pub fn members(&self) -> &[u8] {
        &self.members
    }

    /// Whether there is no claim.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

impl Zeroize for Claims {
    /// Leaves no claim, also in memory.
    fn zeroize(&mut self) {
        self.members.zeroize();
    }
}

impl fmt::Debug for Claims {
    /// Without the claims.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims").field("bytes", &self.members.len()).finish()
    }
}

/// A flow decision: one of the three answers of an API connector.
#[derive(Clone, PartialEq, Eq)]
pub enum FlowDecision {
    /// The user flow goes on, with these claims taken over.
    Continue(Claims),
    /// The user flow ends with a page that shows the message.
    ShowBlockPage(String),
    /// The attribute page is shown again with the message.
    ValidationError(String),
}

impl FlowDecision {
    /// The `action` of the wire, which is also the label.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Continue(_) => "Continue",
            Self::ShowBlockPage(_) => "ShowBlockPage",
            Self::ValidationError(_) => "ValidationError",
        }
    }

    /// Bytes of the claims or of the message.
    pub const fn size(&self) -> usize {
        match self {
            Self::Continue(claims) => claims.members.len(),
            Self::ShowBlockPage(message) | Self::ValidationError(message) => message.len(),
        }
    }
}

impl Zeroize for FlowDecision {
    /// Leaves neither claims nor message, also in memory.
    fn zeroize(&mut self) {
        match self {
            Self::Continue(claims) => claims.zeroize(),
            Self::ShowBlockPage(message) | Self::ValidationError(message) => message.zeroize(),
        }
    }
}

impl fmt::Debug for FlowDecision {
    /// Without claims and message: an API may put a name or an address into what it tells the user.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_has_the_name_of_its_action_and_prints_nothing_else() {
        let mut claims = Claims::default();
        claims.push("city", "\"Seattle\"");
        assert_eq!(format!("{claims:?}"), "Claims { bytes: 16 }");
        let rows = [
            (FlowDecision::Continue(claims), "Continue"),
            (FlowDecision::ShowBlockPage("Jane".to_owned()), "ShowBlockPage"),
            (FlowDecision::ValidationError("Jane".to_owned()), "ValidationError"),
        ];
        for (decision, name) in rows {
            assert_eq!(decision.as_str(), name);
            assert_eq!(format!("{decision:?}"), name);
        }
    }

    #[test]
    fn a_decision_is_as_large_as_what_it_says_and_says_nothing_any_more_when_it_is_wiped() {
        let mut claims = Claims::default();
        claims.push("city", "\"Seattle\"");
        let message = || "Jane".to_owned();
        let rows = [
            (FlowDecision::Continue(claims), 16),
            (FlowDecision::ShowBlockPage(message()), 4),
            (FlowDecision::ValidationError(message()), 4),
        ];
        for (mut decision, size) in rows {
            assert_eq!(decision.size(), size, "{decision:?}");
            decision.zeroize();
            assert_eq!(decision.size(), 0, "{decision:?}");
        }
    }
}

//! The closed sets of words that labels and access events share.

use crate::flow::{FlowDecision, Reason};

/// What the identity provider was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DecisionLabel {
    /// The flow decision `Continue`.
    Continue,
    /// The flow decision `ShowBlockPage`.
    ShowBlockPage,
    /// The flow decision `ValidationError`.
    ValidationError,
    /// An HTTP error instead of a decision.
    Error,
    /// Nothing, for the caller hung up.
    None,
}

impl DecisionLabel {
    /// Every label.
    pub const ALL: [Self; 5] =
        [Self::Continue, Self::ShowBlockPage, Self::ValidationError, Self::Error, Self::None];

    /// The metric label and log field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Continue => "Continue",
            Self::ShowBlockPage => "ShowBlockPage",
            Self::ValidationError => "ValidationError",
            Self::Error => "error",
            Self::None => "none",
        }
    }
}

impl From<&FlowDecision> for DecisionLabel {
    fn from(decision: &FlowDecision) -> Self {
        match decision {
            FlowDecision::Continue(_) => Self::Continue,
            FlowDecision::ShowBlockPage(_) => Self::ShowBlockPage,
            FlowDecision::ValidationError(_) => Self::ValidationError,
        }
    }
}

/// How it came to what the identity provider was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The API decided.
    Api,
    /// The API had decided the same hook before.
    Replayed,
    /// No decision was reached, and `on_failure` spoke.
    Fallback,
    /// claimgate refused the request before it became a hook.
    Refused,
    /// The caller hung up before it was answered.
    Abandoned,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 5] = [Self::Api, Self::Replayed, Self::Fallback, Self::Refused, Self::Abandoned];

    /// The metric label and log field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Replayed => "replayed",
            Self::Fallback => "fallback",
            Self::Refused => "refused",
            Self::Abandoned => "abandoned",
        }
    }
}

/// Which limit turned a hook away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// The caller's `rate_limit`.
    Caller,
    /// The connector's `rate_limit`.
    Connector,
    /// The connector's `max_in_flight`.
    ConnectorInFlight,
    /// `listen.max_in_flight`.
    InFlight,
    /// The hook's `rate_limit_per_user`.
    User,
    /// `listen.unauthenticated_limit`.
    Unauthenticated,
}

impl Limit {
    /// Every limit.
    pub const ALL: [Self; 6] = [
        Self::Caller,
        Self::Connector,
        Self::ConnectorInFlight,
        Self::InFlight,
        Self::User,
        Self::Unauthenticated,
    ];

    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Connector => "connector",
            Self::ConnectorInFlight => "connector_in_flight",
            Self::InFlight => "in_flight",
            Self::User => "user",
            Self::Unauthenticated => "unauthenticated",
        }
    }

    /// The limit that this reason speaks of, if it speaks of one.
    pub const fn of(reason: Reason) -> Option<Self> {
        match reason {
            Reason::CallerLimited => Some(Self::Caller),
            Reason::ConnectorLimited => Some(Self::Connector),
            Reason::InFlightFull => Some(Self::ConnectorInFlight),
            Reason::Overloaded => Some(Self::InFlight),
            Reason::UserLimited => Some(Self::User),
            Reason::UnauthenticatedLimited => Some(Self::Unauthenticated),
            _ => None,
        }
    }
}

/// How a hook that was sent before came to its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Duplicate {
    /// The first one was still being answered, and both got the same.
    Joined,
    /// The API's decision on the first one was kept.
    Replayed,
}

impl Duplicate {
    /// The metric label and log field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Replayed => "replayed",
        }
    }
}

/// Why a request could not be read, so that it never became a hook with an access event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unparsed {
    /// It breaks the grammar of HTTP/1.1, or its framing is contradictory.
    Malformed,
    /// Its head or target is over the limit.
    TooLarge,
    /// It is HTTP/2.
    Http2,
}

impl Unparsed {
    /// Every fault.
    pub const ALL: [Self; 3] = [Self::Malformed, Self::TooLarge, Self::Http2];

    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Http2 => "http2",
        }
    }
}

/// Which way a claim travelled when it was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the identity provider, not sent to the API.
    Sent,
    /// From the API, not passed on to the identity provider.
    Received,
}

impl Direction {
    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Received => "received",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Claims;

    #[test]
    fn a_decision_and_its_label_have_the_same_word() {
        for decision in [
            FlowDecision::Continue(Claims::default()),
            FlowDecision::ShowBlockPage(String::new()),
            FlowDecision::ValidationError(String::new()),
        ] {
            assert_eq!(DecisionLabel::from(&decision).as_str(), decision.as_str());
        }
    }
}

//! The list of all reasons, for documentation and tests.

use super::{ContractRule, Reason, RequestRule};

impl Reason {
    /// Every reason, in the order of the table: the API's first, claimgate's own last.
    pub fn all() -> impl Iterator<Item = Self> {
        let contract = ContractRule::ALL.into_iter().map(Self::Contract);
        let request = RequestRule::ALL.into_iter().map(Self::BadRequest);
        TO_THE_ANSWER.into_iter().chain(contract).chain(TO_THE_BODY).chain(request).chain([
            Self::ClientGone,
            Self::NoResources,
            Self::Panic,
        ])
    }
}

/// From the connection to the API to its HTTP status; the rules of the contract follow.
const TO_THE_ANSWER: [Reason; 14] = [
    Reason::Dns,
    Reason::Refused,
    Reason::Tls,
    Reason::Reset,
    Reason::CutOff,
    Reason::Status5xx,
    Reason::ConnectTimeout,
    Reason::FirstByteTimeout,
    Reason::BodyTimeout,
    Reason::Deadline,
    Reason::Status429,
    Reason::CredentialsRefused,
    Reason::Redirect,
    Reason::Status4xx,
];

/// From the size of the API's answer to the head of the hook; the rules of the hook's body follow.
const TO_THE_BODY: [Reason; 14] = [
    Reason::AnswerTooLarge,
    Reason::CircuitOpen,
    Reason::ConnectorLimited,
    Reason::InFlightFull,
    Reason::UserLimited,
    Reason::CallerLimited,
    Reason::Overloaded,
    Reason::NotFound,
    Reason::MethodNotAllowed,
    Reason::Unauthenticated,
    Reason::UnauthenticatedLimited,
    Reason::UnsupportedMediaType,
    Reason::ContentTooLarge,
    Reason::RequestTimeout,
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// The variants of an enum, counted where they are declared: no list that this test could compare with would itself
    /// be complete by force.
    fn declared(source: &str, name: &str) -> usize {
        let body = source.split_once(&format!("pub enum {name} {{\n")).expect("the enum is declared there").1;
        let body = body.split_once("\n}").expect("a declaration ends").0;
        body.lines().filter(|line| !line.trim_start().starts_with("//")).count()
    }

    #[test]
    fn every_declared_reason_is_listed_once() {
        let all: Vec<_> = Reason::all().collect();
        let plain =
            all.iter().filter(|reason| !matches!(reason, Reason::Contract(_) | Reason::BadRequest(_)));
        assert_eq!(plain.count() + 2, declared(include_str!("reason.rs"), "Reason"));
        let rules = include_str!("rules.rs");
        assert_eq!(ContractRule::ALL.len(), declared(rules, "ContractRule"));
        assert_eq!(RequestRule::ALL.len(), declared(rules, "RequestRule"));
        let names: HashSet<_> = all.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(names.len(), all.len());
    }
}

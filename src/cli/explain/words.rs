//! Why a claim leaves or stays, and what the user meets.

use crate::flow::{
    FlowDecision, Given, Step,
    claims::{Match, Verdict},
};

/// Why a claim is sent or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Because<'a> {
    /// It is always sent.
    Always,
    /// The configuration lists this very name.
    Listed,
    /// The configuration lists it as `extension_Name`.
    ShortName(&'a str),
    /// The configuration lists its full name, with the id in another letter case.
    FullName(&'a str),
    /// The configuration lists its other spelling, in which it is sent.
    Respelled(&'a str),
    /// Nothing selects it.
    NotSelected,
    /// It is selected, and there is no value.
    Null,
    /// It is a key of the answer's envelope.
    Reserved,
}

impl<'a> Because<'a> {
    /// Of the claim `name`.
    pub(super) fn of(name: &str, verdict: Verdict<'a>) -> Self {
        match verdict {
            Verdict::Passes(Match { always: true, .. }) => Self::Always,
            Verdict::Passes(Match { name: sent_as, entry, .. }) if sent_as != name => Self::Respelled(entry),
            Verdict::Passes(Match { entry, .. }) if entry == name => Self::Listed,
            // The other name of an extension leaves out its app's id, or writes that in another letter case.
            Verdict::Passes(Match { entry, .. }) if entry.len() < name.len() => Self::ShortName(entry),
            Verdict::Passes(Match { entry, .. }) => Self::FullName(entry),
            Verdict::Null(_) => Self::Null,
            Verdict::NotSelected => Self::NotSelected,
            Verdict::Reserved => Self::Reserved,
        }
    }

    /// Whether the claim leaves.
    pub(super) fn is_sent(self) -> bool {
        !matches!(self, Self::NotSelected | Self::Null | Self::Reserved)
    }

    /// The name under which it leaves, if that is not its own.
    pub(super) fn sent_as(self) -> Option<&'a str> {
        match self {
            Self::Respelled(entry) => Some(entry),
            _ => None,
        }
    }

    /// The word for machines.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always_sent",
            Self::Listed => "listed",
            Self::ShortName(_) => "short_name",
            Self::FullName(_) => "full_name",
            Self::Respelled(_) => "respelled",
            Self::NotSelected => "not_selected",
            Self::Null => "null",
            Self::Reserved => "reserved",
        }
    }

    /// The same for people.
    pub(super) fn sentence(self) -> String {
        match self {
            Self::Always => "always sent".to_owned(),
            Self::Listed => "listed in claims_to_send".to_owned(),
            Self::ShortName(entry) => format!("listed by its short name, {entry}"),
            Self::FullName(_) => "listed by its full name, the id in another letter case".to_owned(),
            Self::Respelled(entry) => format!("listed as {entry}, and sent under that name"),
            Self::NotSelected => "not listed in claims_to_send".to_owned(),
            Self::Null => "selected, but null: there is no value to send".to_owned(),
            Self::Reserved => "a key of the API's answer, never a claim".to_owned(),
        }
    }
}

/// What the user meets at `step`.
pub(super) fn user_sees(step: Step, given: &Given) -> String {
    let journey = if step == Step::PreTokenIssuance { "sign-in" } else { "sign-up" };
    match given {
        Given::Decision(FlowDecision::Continue(claims)) => {
            let (goes_on, with_claims) = match step {
                Step::PostFederationSignup => ("to the attribute page", ", filled in with the API's claims"),
                Step::PostAttributeCollection => ("and the user is created", ", with the API's claims"),
                Step::PreTokenIssuance => ("and the token is sent", ", with the API's claims in it"),
            };
            format!("the {journey} goes on {goes_on}{}", if claims.is_empty() { "" } else { with_claims })
        }
        Given::Decision(FlowDecision::ShowBlockPage(message)) => {
            format!("a page with the message \"{message}\"; the {journey} ends")
        }
        Given::Decision(FlowDecision::ValidationError(message)) => {
            format!("the form again, with the message \"{message}\"")
        }
        Given::Error(_) => format!("the identity provider's own error page; the {journey} ends"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{
        Claims, Reason, Selection,
        claims::{ClaimName, Member},
    };

    #[test]
    fn every_way_to_be_selected_or_not_has_its_word() {
        let app = "0123456789abcdef0123456789abcdef";
        let (full, upper) = (format!("extension_{app}_Id"), format!("extension_{}_Id", app.to_uppercase()));
        let short = format!("extension_{app}_LoyaltyId");
        let listed = ["city", "email_address", "extension_LoyaltyId", &full];
        let listed: Vec<_> = listed.iter().map(|name| ClaimName::parse(name).unwrap()).collect();
        let selection = Selection::to_send(&listed, true);
        let rows = [
            ("identities", "[]", "always_sent"),
            ("ui_locales", "\"en\"", "always_sent"),
            ("city", "\"\"", "listed"),
            ("email_address", "1", "listed"),
            ("email", "1", "respelled"),
            (&full, "1", "listed"),
            (&upper, "1", "full_name"),
            (&short, "1", "short_name"),
            ("extension_LoyaltyId", "1", "listed"),
            ("extension_Id", "1", "not_selected"),
            ("City", "1", "not_selected"),
            ("jobTitle", "null", "not_selected"),
            ("city", "null", "null"),
            ("email", "null", "null"),
            ("code", "1", "reserved"),
        ];
        for (name, value, word) in rows {
            let member = Member::new(name.into(), value);
            let because = Because::of(name, selection.judge(&member));
            assert_eq!(because.as_str(), word, "{name}: {value}");
            let sent = matches!(selection.judge(&member), Verdict::Passes(_));
            assert_eq!(because.is_sent(), sent, "{name}: {value}");
        }
    }

    #[test]
    fn what_the_user_sees_depends_on_decision_and_step() {
        let mut claims = Claims::default();
        claims.push("city", "\"Seattle\"");
        let goes_on = |claims: &Claims| Given::Decision(FlowDecision::Continue(claims.clone()));
        let message = || "Not today.".to_owned();
        let rows = [
            (
                goes_on(&Claims::default()),
                [
                    "the sign-up goes on to the attribute page",
                    "the sign-up goes on and the user is created",
                    "the sign-in goes on and the token is sent",
                ],
            ),
            (
                goes_on(&claims),
                [
                    "the sign-up goes on to the attribute page, filled in with the API's claims",
                    "the sign-up goes on and the user is created, with the API's claims",
                    "the sign-in goes on and the token is sent, with the API's claims in it",
                ],
            ),
            (
                Given::Decision(FlowDecision::ShowBlockPage(message())),
                [
                    "a page with the message \"Not today.\"; the sign-up ends",
                    "a page with the message \"Not today.\"; the sign-up ends",
                    "a page with the message \"Not today.\"; the sign-in ends",
                ],
            ),
            (
                Given::Decision(FlowDecision::ValidationError(message())),
                [
                    "the form again, with the message \"Not today.\"",
                    "the form again, with the message \"Not today.\"",
                    "the form again, with the message \"Not today.\"",
                ],
            ),
            (
                Given::Error(Reason::Dns),
                [
                    "the identity provider's own error page; the sign-up ends",
                    "the identity provider's own error page; the sign-up ends",
                    "the identity provider's own error page; the sign-in ends",
                ],
            ),
        ];
        for (given, expected) in rows {
            assert_eq!(Step::ALL.map(|step| user_sees(step, &given)), expected);
        }
    }
}

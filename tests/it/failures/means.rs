//! What each reason means, stated a second time: who is to blame, the status, and where `continue` applies.

use claimgate::flow::{ContractRule, Reason};

/// What an identity provider gets, and what is written down.
#[derive(Clone, Copy)]
pub(super) struct Means {
    pub(super) blame: &'static str,
    /// If the answer is an error.
    pub(super) status: u16,
    pub(super) may: May,
}

/// Where `on_failure: continue` applies.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum May {
    Anywhere,
    AtTokenStep,
    /// What was not read may have been a refusal.
    Never,
    /// The request never became a hook: nothing of `on_failure` applies.
    NoHook,
}

/// The table. A new reason does not compile without a row.
pub(super) const fn means(reason: Reason) -> Means {
    use May::{Anywhere, AtTokenStep, Never, NoHook};
    const fn row(blame: &'static str, status: u16, may: May) -> Means {
        Means { blame, status, may }
    }
    match reason {
        Reason::Dns
        | Reason::Refused
        | Reason::Tls
        | Reason::Reset
        | Reason::CutOff
        | Reason::Status5xx
        | Reason::Contract(
            ContractRule::EmptyBody
            | ContractRule::NotJson
            | ContractRule::NotAnObject
            | ContractRule::TooDeep
            | ContractRule::DuplicateName
            | ContractRule::MissingAction
            | ContractRule::ActionNotAString
            | ContractRule::UnknownAction
            | ContractRule::ContinueOutside2xx
            | ContractRule::ContinueAgainstStatus
            | ContractRule::ErrorWithoutMessage
            | ContractRule::ErrorBodyIn2xx
            | ContractRule::DecisionNotAllowed
            | ContractRule::NotStrict,
        ) => row("api", 502, Anywhere),
        Reason::ConnectTimeout | Reason::FirstByteTimeout | Reason::BodyTimeout | Reason::Deadline => {
            row("api", 504, Anywhere)
        }
        Reason::Status429 | Reason::CircuitOpen => row("api", 503, Anywhere),
        Reason::CredentialsRefused | Reason::Redirect | Reason::Status4xx => {
            row("configuration", 502, Anywhere)
        }
        Reason::AnswerTooLarge
        | Reason::Contract(
            ContractRule::HttpHead
            | ContractRule::HttpFraming
            | ContractRule::HttpInterim
            | ContractRule::HttpStray
            | ContractRule::ContentEncoding,
        ) => row("api", 502, Never),
        Reason::ConnectorLimited | Reason::UserLimited => row("load", 429, AtTokenStep),
        Reason::InFlightFull => row("load", 503, AtTokenStep),
        Reason::NoResources => row("claimgate", 503, AtTokenStep),
        Reason::Panic => row("claimgate", 500, Never),
        Reason::CallerLimited => row("load", 429, NoHook),
        Reason::Overloaded => row("load", 503, NoHook),
        Reason::NotFound => row("caller", 404, NoHook),
        Reason::MethodNotAllowed => row("caller", 405, NoHook),
        Reason::Unauthenticated => row("caller", 401, NoHook),
        Reason::UnauthenticatedLimited => row("caller", 429, NoHook),
        Reason::UnsupportedMediaType => row("caller", 415, NoHook),
        Reason::ContentTooLarge => row("caller", 413, NoHook),
        Reason::RequestTimeout => row("caller", 408, NoHook),
        Reason::BadRequest(_) => row("caller", 400, NoHook),
        // Nobody reads the status.
        Reason::ClientGone => row("caller", 499, NoHook),
    }
}

/// What one hook is answered.
#[derive(Clone, Copy)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) decision: &'static str,
    pub(super) outcome: &'static str,
    /// The whole body, unless it is a problem.
    pub(super) body: Option<&'static str>,
}

/// How each `on_failure` is named here and written, and the steps at which it may stand.
pub(super) const ON_FAILURE: [(&str, &str, &[&str]); 4] = [
    ("block", "{ block: \"Later, ä.\" }", &["postFederationSignup", "postAttributeCollection"]),
    ("validation", "{ validation_error: \"Later, ä.\" }", &["postAttributeCollection"]),
    ("continue", "continue", &["postFederationSignup", "postAttributeCollection", "preTokenIssuance"]),
    ("error", "error", &["postFederationSignup", "postAttributeCollection", "preTokenIssuance"]),
];

/// What the identity provider gets for `reason` at `step`; `refusal` if the API refused the user, or may have.
pub(super) fn answer(reason: Reason, refusal: bool, step: &str, on_failure: &str) -> Answer {
    let Means { status, may, .. } = means(reason);
    let fallback =
        |status, decision, body| Answer { status, decision, outcome: "fallback", body: Some(body) };
    let continues = !refusal
        && match may {
            May::Anywhere => true,
            May::AtTokenStep => step == "preTokenIssuance",
            May::Never | May::NoHook => false,
        };
    match on_failure {
        _ if may == May::NoHook => Answer { status, decision: "error", outcome: "refused", body: None },
        "block" => fallback(
            200,
            "ShowBlockPage",
            r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":"Later, ä."}"#,
        ),
        "validation" => fallback(
            400,
            "ValidationError",
            r#"{"version":"1.0.0","status":400,"action":"ValidationError","userMessage":"Later, ä."}"#,
        ),
        "continue" if continues => fallback(200, "Continue", r#"{"version":"1.0.0","action":"Continue"}"#),
        _ => Answer { status, decision: "error", outcome: "fallback", body: None },
    }
}

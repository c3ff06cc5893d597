//! From an API's answer to a flow decision.
//!
//! Real APIs deviate from the documented form in ways that Microsoft's own samples show. What can be repaired without
//! changing the meaning is repaired and named; everything else is a failure with a named rule. The order of the checks
//! is that of the decision table in the README.

#[cfg(any(test, fuzzing))]
pub mod law;
mod lenient;
#[cfg(test)]
mod properties;
mod refusal;
mod repair;
#[cfg(test)]
pub(super) mod tests;

use std::fmt;

use crate::{
    config::{Connector, MissingAction},
    flow::{
        Claims, ContractRule, Failure, FlowDecision, Reason, Step,
        claims::{self, Member, ObjectError},
    },
    telemetry::ClaimNames,
};

pub use refusal::holds_refusal;
pub use repair::{Repair, Repairs};

/// A complete HTTP answer, as far as its meaning depends on it.
#[derive(Clone, Copy)]
pub struct RawAnswer<'a> {
    /// 200 to 999; from 500 on it is an error of the API.
    pub status: u16,
    /// It carries a `Content-Encoding` other than `identity`, though none was offered.
    pub encoded: bool,
    /// The body; its Content-Type is not looked at, because real APIs send any.
    pub body: &'a [u8],
}

impl fmt::Debug for RawAnswer<'_> {
    /// Without the body, for it holds claims.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, encoded, body } = self;
        write!(f, "RawAnswer {{ status: {status}, encoded: {encoded}, {} bytes }}", body.len())
    }
}

/// What an answer came to.
#[derive(Debug)]
pub struct Normalized {
    /// The decision, or why there is none.
    pub decision: Result<FlowDecision, Failure>,
    /// What had to be repaired, also where it was in vain.
    pub repairs: Repairs,
    /// Names of claims in the answer that are not in `claims_to_receive`.
    pub dropped: ClaimNames,
}

/// Reads an answer of `connector` at `step`.
pub fn normalize(connector: &Connector, step: Step, answer: RawAnswer<'_>) -> Normalized {
    let mut dropped = ClaimNames::none();
    let (decision, repairs) = read(connector, step, answer, &mut |name| dropped.push(name));
    Normalized { decision, repairs, dropped }
}

/// Each name that [`normalize`] drops, also those that no log lists, for people.
pub fn not_taken_over(connector: &Connector, step: Step, answer: RawAnswer<'_>) -> Vec<String> {
    let mut names = Vec::new();
    let _ = read(connector, step, answer, &mut |name| names.push(name.to_owned()));
    names
}

/// The decision and what had to be repaired; `dropped` hears the names of claims that are not selected.
fn read(
    connector: &Connector,
    step: Step,
    answer: RawAnswer<'_>,
    dropped: &mut dyn FnMut(&str),
) -> (Result<FlowDecision, Failure>, Repairs) {
    let mut reading = Reading { connector, step, repairs: Repairs::default(), dropped };
    let decision = reading.decide(answer).and_then(|decision| {
        let refused = connector.strict && !reading.repairs.is_empty();
        if refused { Err(ContractRule::NotStrict.into()) } else { Ok(decision) }
    });
    // Encoded, it may say anything.
    let refusal = || answer.encoded || holds_refusal(answer.status, answer.body);
    (decision.map_err(|reason| Failure { reason, refusal: refusal() }), reading.repairs)
}

struct Reading<'a> {
    connector: &'a Connector,
    step: Step,
    repairs: Repairs,
    dropped: &'a mut dyn FnMut(&str),
}

impl Reading<'_> {
    fn decide(&mut self, answer: RawAnswer<'_>) -> Result<FlowDecision, Reason> {
        let success = match answer.status {
            200..=299 => true,
            400 | 409 | 422 => false,
            401 | 403 => return Err(Reason::CredentialsRefused),
            429 => return Err(Reason::Status429),
            300..=399 => return Err(Reason::Redirect),
            400..=499 => return Err(Reason::Status4xx),
            _ => return Err(Reason::Status5xx),
        };
        if answer.encoded {
            return Err(ContractRule::ContentEncoding.into());
        }
        if answer.status == 204 {
            return self.missing_action(&[], answer);
        }
        if answer.body.trim_ascii().is_empty() {
            let rule = if success { ContractRule::EmptyBody } else { ContractRule::ErrorWithoutMessage };
            return Err(rule.into());
        }
        let text = lenient::text(answer.body, &mut self.repairs)?;
        let stripped;
        let members = match claims::object::read(text) {
            Err(ObjectError::NotJson) => {
                stripped = lenient::without_comments(text, &mut self.repairs)?;
                claims::object::read(&stripped)?
            }
            members => members?,
        };
        let envelope = Envelope::of(&members, &mut self.repairs);
        match envelope.action {
            Some(action) => self.by_action(action, success, answer.status, &envelope, &members),
            None => self.by_message(success, &envelope, &members, answer),
        }
    }

    fn by_action(
        &mut self,
        action: &Member<'_>,
        success: bool,
        status: u16,
        envelope: &Envelope<'_>,
        members: &[Member<'_>],
    ) -> Result<FlowDecision, Reason> {
        if !action.value.starts_with('"') {
            return Err(ContractRule::ActionNotAString.into());
        }
        let word = action.as_text().ok_or(ContractRule::UnknownAction)?;
        match Action::parse(&word, &mut self.repairs).ok_or(ContractRule::UnknownAction)? {
            Action::Continue if !success => Err(ContractRule::ContinueOutside2xx.into()),
            Action::Continue if envelope.says_error() => Err(ContractRule::ContinueAgainstStatus.into()),
            Action::Continue => {
                self.needs_version(envelope);
                Ok(FlowDecision::Continue(self.receive(members)))
            }
            Action::ShowBlockPage => {
                self.needs_version(envelope);
                self.repairs.note_if(!success, Repair::BlockStatus);
                let message = self.message(envelope);
                self.refuse(FlowDecision::ShowBlockPage(message))
            }
            Action::ValidationError => {
                self.needs_version(envelope);
                let documented = status == 400 && envelope.status == Some(400.0);
                self.repairs.note_if(!documented, Repair::ValidationStatus);
                let message = self.message(envelope);
                self.refuse(FlowDecision::ValidationError(message))
            }
        }
    }

    /// The error body of a B2C custom policy (Microsoft: "Define a `RESTful` technical profile") has no action.
    fn by_message(
        &mut self,
        success: bool,
        envelope: &Envelope<'_>,
        members: &[Member<'_>],
        answer: RawAnswer<'_>,
    ) -> Result<FlowDecision, Reason> {
        match (success, envelope.message) {
            (true, _) if envelope.says_error() => Err(ContractRule::ErrorBodyIn2xx.into()),
            (true, Some(message)) if message.value != "\"\"" => Err(ContractRule::ErrorBodyIn2xx.into()),
            (true, _) => self.missing_action(members, answer),
            (false, None) => Err(ContractRule::ErrorWithoutMessage.into()),
            (false, Some(_)) => {
                self.repairs.note(Repair::ErrorBody);
                let message = self.message(envelope);
                self.refuse(FlowDecision::ValidationError(message))
            }
        }
    }

    /// The success body of a B2C custom policy is claims without an action. One with an action further in, such as the
    /// envelope that a function's host did not take off, is none.
    fn missing_action(
        &mut self,
        members: &[Member<'_>],
        answer: RawAnswer<'_>,
    ) -> Result<FlowDecision, Reason> {
        let accepted = self.connector.missing_action == MissingAction::Continue;
        if !accepted || holds_refusal(answer.status, answer.body) {
            return Err(ContractRule::MissingAction.into());
        }
        self.repairs.note(Repair::MissingAction);
        Ok(FlowDecision::Continue(self.receive(members)))
    }

    /// A block or validation, as far as the step has room for it.
    fn refuse(&mut self, decision: FlowDecision) -> Result<FlowDecision, Reason> {
        match (self.step, decision) {
            (Step::PreTokenIssuance, _) => Err(ContractRule::DecisionNotAllowed.into()),
            (Step::PostFederationSignup, FlowDecision::ValidationError(message)) => {
                self.repairs.note(Repair::ValidationBeforeForm);
                Ok(FlowDecision::ShowBlockPage(message))
            }
            (_, decision) => Ok(decision),
        }
    }

    fn receive(&mut self, members: &[Member<'_>]) -> Claims {
        let selected = self.connector.claims_to_receive.apply(members, &mut self.dropped);
        self.repairs.note_if(selected.null_claim, Repair::NullClaim);
        selected.claims
    }

    fn message(&mut self, envelope: &Envelope<'_>) -> String {
        match envelope.message.and_then(Member::as_text) {
            Some(message) if !message.is_empty() => message.into_owned(),
            _ => {
                self.repairs.note(Repair::DefaultMessage);
                self.connector.default_message.clone()
            }
        }
    }

    fn needs_version(&mut self, envelope: &Envelope<'_>) {
        self.repairs.note_if(!envelope.version, Repair::MissingVersion);
    }
}

/// The keys of an answer that are no claims.
#[derive(Default)]
struct Envelope<'a> {
    action: Option<&'a Member<'a>>,
    /// Present and not `null`.
    message: Option<&'a Member<'a>>,
    /// A number, or a text that is one.
    status: Option<f64>,
    version: bool,
}

impl<'a> Envelope<'a> {
    fn of(members: &'a [Member<'a>], repairs: &mut Repairs) -> Self {
        let mut envelope = Self::default();
        for member in members {
            let Some(key) = member.reserved_key() else { continue };
            repairs.note_if(key != member.name, Repair::KeyLetterCase);
            match key {
                "action" => envelope.action = Some(member),
                "userMessage" if !member.is_null() => envelope.message = Some(member),
                "status" => envelope.status = number(member),
                "version" => envelope.version = !member.is_null(),
                _ => {}
            }
        }
        envelope
    }

    fn says_error(&self) -> bool {
        self.status.is_some_and(|status| status >= 400.0)
    }
}

/// `400` and `"400"`: the documentation of the error's `status` says "integer or string". A text such as
/// `400 Bad Request` counts by its number, `OK` by none.
fn number(member: &Member<'_>) -> Option<f64> {
    let text = member.as_text();
    let text = text.as_deref().unwrap_or(member.value).trim().trim_start_matches('+');
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    if digits == 0 {
        return None;
    }
    text.parse().or_else(|_| text[..digits].parse()).ok()
}

enum Action {
    Continue,
    ShowBlockPage,
    ValidationError,
}

impl Action {
    fn parse(word: &str, repairs: &mut Repairs) -> Option<Self> {
        let (documented, action) = match word {
            _ if word.eq_ignore_ascii_case("Continue") => ("Continue", Self::Continue),
            _ if word.eq_ignore_ascii_case("Allow") => {
                repairs.note(Repair::AllowAction);
                return Some(Self::Continue);
            }
            _ if word.eq_ignore_ascii_case("ShowBlockPage") => ("ShowBlockPage", Self::ShowBlockPage),
            _ if word.eq_ignore_ascii_case("ValidationError") => ("ValidationError", Self::ValidationError),
            _ => return None,
        };
        repairs.note_if(word != documented, Repair::ActionLetterCase);
        Some(action)
    }
}

impl From<ContractRule> for Reason {
    fn from(rule: ContractRule) -> Self {
        Self::Contract(rule)
    }
}

impl From<ObjectError> for Reason {
    fn from(error: ObjectError) -> Self {
        Self::Contract(match error {
            ObjectError::NotJson => ContractRule::NotJson,
            ObjectError::NotAnObject => ContractRule::NotAnObject,
            ObjectError::TooDeep => ContractRule::TooDeep,
            ObjectError::Duplicate => ContractRule::DuplicateName,
        })
    }
}

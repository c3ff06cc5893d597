//! What the identity provider gets when no decision was reached.

use super::{Claims, Failure, FlowDecision, Reason, Step};

/// The `on_failure` of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// `block: MESSAGE`: the block page with this message.
    Block(String),
    /// `validation_error: MESSAGE`: the form again with this message; at postAttributeCollection only.
    ValidationError(String),
    /// `continue`: the user flow goes on without the API's claims, where the reason allows it.
    Continue,
    /// `error`: an HTTP error, which the identity provider turns into its own error page.
    Error,
}

/// What the identity provider is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// A decision: the API's, or the one that `on_failure` states.
    Decision(FlowDecision),
    /// An HTTP error with this reason's status.
    Error(Reason),
}

impl OnFailure {
    /// Whether the configuration may state this at `step`.
    ///
    /// A validation error needs a form; before the token is sent the identity provider takes no refusal.
    pub const fn allowed_at(&self, step: Step) -> bool {
        match (self, step) {
            (Self::ValidationError(_), _) => step.has_form(),
            (Self::Block(_), _) => !matches!(step, Step::PreTokenIssuance),
            (Self::Continue | Self::Error, _) => true,
        }
    }

    /// What the identity provider gets for `failure` at `step`.
    ///
    /// Here stands the rule that a refusal never becomes Continue: a failure with evidence of a refusal, or one whose
    /// reason does not allow it, is an error where the configuration says `continue`.
    pub fn resolve(&self, step: Step, failure: Failure) -> Given {
        if failure.reason.is_refusal_of_ours() {
            return Given::Error(failure.reason);
        }
        match self {
            Self::Block(message) => Given::Decision(FlowDecision::ShowBlockPage(message.clone())),
            Self::ValidationError(message) => Given::Decision(FlowDecision::ValidationError(message.clone())),
            Self::Continue if failure.may_continue(step) => {
                Given::Decision(FlowDecision::Continue(Claims::default()))
            }
            Self::Continue | Self::Error => Given::Error(failure.reason),
        }
    }
}

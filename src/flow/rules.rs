//! The rules that an answer of an API, or a hook's request, can break: each is a reason of its own.

/// Which rule of the API connector contract, or of HTTP/1.1, an answer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContractRule {
    /// The head of the answer is no HTTP/1.1 head (RFC 9112): bare LF, folded line, control character, too large.
    HttpHead,
    /// The length of the answer is ambiguous or broken (RFC 9112 section 6): two lengths, both framings, a bad chunk.
    HttpFraming,
    /// An interim answer other than 100, or a change of protocol.
    HttpInterim,
    /// An answer that began before the whole request was sent, on a connection that had carried an earlier exchange.
    HttpStray,
    /// The body is encoded (`Content-Encoding`), though no encoding was offered.
    ContentEncoding,
    /// A 2xx other than 204 without a body.
    EmptyBody,
    /// Not UTF-8 JSON, even with comments and trailing commas removed.
    NotJson,
    /// JSON, but no object.
    NotAnObject,
    /// Nested deeper than [`super::claims::MAX_DEPTH`].
    TooDeep,
    /// Two names of the object are the same claim or the same reserved key.
    DuplicateName,
    /// 204 or a 2xx object without `action`.
    MissingAction,
    /// `action` is no string.
    ActionNotAString,
    /// `action` is none of the three.
    UnknownAction,
    /// `Continue` with an HTTP status outside 2xx.
    ContinueOutside2xx,
    /// `Continue` together with a body `status` of 400 or more.
    ContinueAgainstStatus,
    /// 400, 409 or 422 with neither `action` nor `userMessage`.
    ErrorWithoutMessage,
    /// 2xx without `action`, but with a `userMessage` or a body `status` of 400 or more.
    ErrorBodyIn2xx,
    /// A block or validation where the identity provider takes nothing but Continue.
    DecisionNotAllowed,
    /// `strict: true`, and the answer would have needed a repair.
    NotStrict,
}

/// What made a hook's request a 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestRule {
    /// No `Host`, more than one, or one that is no host (RFC 9112 section 3.2).
    Host,
    /// The body's HTTP framing is broken, or is another one than a length or chunks.
    Framing,
    /// The body is not UTF-8.
    NotUtf8,
    /// The body is not JSON.
    NotJson,
    /// The body is JSON, but no object.
    NotAnObject,
    /// Nested deeper than [`super::claims::MAX_DEPTH`].
    TooDeep,
    /// Two names of the object are the same claim.
    DuplicateClaim,
    /// The `step` claim contradicts the path.
    StepMismatch,
}

impl ContractRule {
    /// Every rule.
    pub const ALL: [Self; 19] = [
        Self::HttpHead,
        Self::HttpFraming,
        Self::HttpInterim,
        Self::HttpStray,
        Self::ContentEncoding,
        Self::EmptyBody,
        Self::NotJson,
        Self::NotAnObject,
        Self::TooDeep,
        Self::DuplicateName,
        Self::MissingAction,
        Self::ActionNotAString,
        Self::UnknownAction,
        Self::ContinueOutside2xx,
        Self::ContinueAgainstStatus,
        Self::ErrorWithoutMessage,
        Self::ErrorBodyIn2xx,
        Self::DecisionNotAllowed,
        Self::NotStrict,
    ];

    /// Whether an answer that breaks this rule is not read, so that nobody knows whether it refused the user.
    pub const fn leaves_answer_unread(self) -> bool {
        matches!(
            self,
            Self::HttpHead | Self::HttpFraming | Self::HttpInterim | Self::HttpStray | Self::ContentEncoding
        )
    }

    /// The reason's name: `contract_` and the rule.
    pub const fn as_str(self) -> &'static str {
        self.text().0
    }

    pub(super) const fn hint(self) -> &'static str {
        self.text().1
    }

    const fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::HttpHead => ("contract_http_head", "the API's answer has no valid HTTP/1.1 head"),
            Self::HttpFraming => {
                ("contract_http_framing", "the length of the API's answer is ambiguous or broken")
            }
            Self::HttpInterim => (
                "contract_http_interim",
                "the API sent an interim answer other than 100 or switched protocols",
            ),
            Self::HttpStray => ("contract_http_stray", "the API sent bytes that belong to no request"),
            Self::ContentEncoding => {
                ("contract_content_encoding", "the API compressed its answer though nothing offered it")
            }
            Self::EmptyBody => (
                "contract_empty_body",
                "the API answered 2xx without a body; answer at least {\"version\":\"1.0.0\",\"action\":\"Continue\"}",
            ),
            Self::NotJson => ("contract_not_json", "the API's answer is not JSON"),
            Self::NotAnObject => ("contract_not_an_object", "the API's answer is JSON, but no object"),
            Self::TooDeep => ("contract_too_deep", "the API's answer is nested too deeply"),
            Self::DuplicateName => {
                ("contract_duplicate_name", "the API's answer has two names for the same claim or key")
            }
            Self::MissingAction => (
                "contract_missing_action",
                "the API's answer has no action; missing_action: continue accepts that",
            ),
            Self::ActionNotAString => ("contract_action_not_a_string", "the API's action is no string"),
            Self::UnknownAction => (
                "contract_unknown_action",
                "the API's action is none of Continue, ShowBlockPage, ValidationError",
            ),
            Self::ContinueOutside2xx => {
                ("contract_continue_outside_2xx", "the API says Continue with an HTTP status that is no 2xx")
            }
            Self::ContinueAgainstStatus => {
                ("contract_continue_against_status", "the API says Continue and a body status of 400 or more")
            }
            Self::ErrorWithoutMessage => (
                "contract_error_without_message",
                "the API answered 400, 409 or 422 with neither action nor userMessage",
            ),
            Self::ErrorBodyIn2xx => (
                "contract_error_body_in_2xx",
                "the API answered 2xx with a userMessage or an error status, but no action",
            ),
            Self::DecisionNotAllowed => {
                ("contract_decision_not_allowed", "before the token is sent only Continue is possible")
            }
            Self::NotStrict => {
                ("contract_not_strict", "strict: true, and the answer is not in the documented form")
            }
        }
    }
}

impl RequestRule {
    /// Every rule.
    pub const ALL: [Self; 8] = [
        Self::Host,
        Self::Framing,
        Self::NotUtf8,
        Self::NotJson,
        Self::NotAnObject,
        Self::TooDeep,
        Self::DuplicateClaim,
        Self::StepMismatch,
    ];

    /// The reason's name: `bad_request_` and the rule.
    pub const fn as_str(self) -> &'static str {
        self.text().0
    }

    pub(super) const fn hint(self) -> &'static str {
        self.text().1
    }

    const fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::Host => {
                ("bad_request_host", "the request has no Host, more than one, or one that is no host")
            }
            Self::Framing => (
                "bad_request_framing",
                "the hook's body is broken HTTP, or its Transfer-Encoding is not exactly chunked",
            ),
            Self::NotUtf8 => ("bad_request_not_utf8", "the hook's body is not UTF-8"),
            Self::NotJson => ("bad_request_not_json", "the hook's body is not JSON"),
            Self::NotAnObject => ("bad_request_not_an_object", "the hook's body is JSON, but no object"),
            Self::TooDeep => ("bad_request_too_deep", "the hook's body is nested too deeply"),
            Self::DuplicateClaim => {
                ("bad_request_duplicate_claim", "the hook has two names for the same claim")
            }
            Self::StepMismatch => {
                ("bad_request_step_mismatch", "the step claim contradicts the step in the path")
            }
        }
    }
}

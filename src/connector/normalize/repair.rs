//! The repairs, each with a name to count it by.

/// A deviation from the documented form that does not change what the API meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Repair {
    /// A byte order mark before the JSON text (RFC 8259 section 8.1 lets a reader ignore it).
    ByteOrderMark,
    /// `//` or `/* */` comments, as the documentation's own examples have them.
    Comments,
    /// A comma before a closing bracket.
    TrailingComma,
    /// A reserved key in another letter case.
    KeyLetterCase,
    /// An action in another letter case.
    ActionLetterCase,
    /// `Allow`, the oldest samples' word for `Continue`.
    AllowAction,
    /// No `version`.
    MissingVersion,
    /// No `action`, read as Continue because the connector says `missing_action: continue`.
    MissingAction,
    /// A block page with an HTTP status of 4xx instead of 200.
    BlockStatus,
    /// A validation error without 400 both as HTTP status and in the body.
    ValidationStatus,
    /// A validation error where there is no form yet, shown as a block page.
    ValidationBeforeForm,
    /// The error body of a custom policy, which has a `userMessage` and no `action`.
    ErrorBody,
    /// A refusal without a message of its own.
    DefaultMessage,
    /// A selected claim that is `null`.
    NullClaim,
}

impl Repair {
    /// Every repair.
    pub const ALL: [Self; 14] = [
        Self::ByteOrderMark,
        Self::Comments,
        Self::TrailingComma,
        Self::KeyLetterCase,
        Self::ActionLetterCase,
        Self::AllowAction,
        Self::MissingVersion,
        Self::MissingAction,
        Self::BlockStatus,
        Self::ValidationStatus,
        Self::ValidationBeforeForm,
        Self::ErrorBody,
        Self::DefaultMessage,
        Self::NullClaim,
    ];

    /// The metric label and log word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ByteOrderMark => "byte_order_mark",
            Self::Comments => "comments",
            Self::TrailingComma => "trailing_comma",
            Self::KeyLetterCase => "key_letter_case",
            Self::ActionLetterCase => "action_letter_case",
            Self::AllowAction => "allow_action",
            Self::MissingVersion => "missing_version",
            Self::MissingAction => "missing_action",
            Self::BlockStatus => "block_status",
            Self::ValidationStatus => "validation_status",
            Self::ValidationBeforeForm => "validation_before_form",
            Self::ErrorBody => "error_body",
            Self::DefaultMessage => "default_message",
            Self::NullClaim => "null_claim",
        }
    }

    /// What was repaired, for the documentation.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::ByteOrderMark => "a byte order mark before the JSON text",
            Self::Comments => "`//` or `/* */` comments",
            Self::TrailingComma => "a comma before a closing bracket",
            Self::KeyLetterCase => {
                "`version`, `action`, `status`, `userMessage` or `code` in another letter case"
            }
            Self::ActionLetterCase => "the value of `action` in another letter case",
            Self::AllowAction => "`Allow`, an older word for `Continue`",
            Self::MissingVersion => "no `version`",
            Self::MissingAction => "no `action`, accepted through `missing_action: continue`",
            Self::BlockStatus => "`ShowBlockPage` with HTTP status 400, 409 or 422 instead of 200",
            Self::ValidationStatus => "`ValidationError` without 400 both as HTTP status and in the body",
            Self::ValidationBeforeForm => {
                "`ValidationError` at postFederationSignup, where there is no form; shown as a block page"
            }
            Self::ErrorBody => "400, 409 or 422 with a `userMessage` and no `action`",
            Self::DefaultMessage => "a block or validation without a message; `default_message` is shown",
            Self::NullClaim => "a selected claim that is `null`; it is left out",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of repairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repairs(u16);

impl Repairs {
    pub(super) fn note(&mut self, repair: Repair) {
        self.0 |= repair.bit();
    }

    pub(super) fn note_if(&mut self, needed: bool, repair: Repair) {
        if needed {
            self.note(repair);
        }
    }

    /// Whether the answer was in the documented form.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The repairs, in the order of the list.
    pub fn iter(self) -> impl Iterator<Item = Repair> {
        Repair::ALL.into_iter().filter(move |repair| self.0 & repair.bit() != 0)
    }
}

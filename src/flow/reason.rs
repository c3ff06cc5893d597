//! Why no decision was reached: one closed list, with everything that follows from each entry.
//!
//! The same value gives the HTTP status, what `on_failure` may do, the log field, the metric label, the hint for the
//! operator and whether it counts as unavailability. A new reason is a new row in [`Reason::row`], nothing else.

use super::{ContractRule, RequestRule, Step};

/// Who has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The web API, or the way to it.
    Api,
    /// claimgate's configuration of the API.
    Configuration,
    /// More hooks than the limits allow.
    Load,
    /// Whoever called the hook port.
    Caller,
    /// claimgate itself.
    Claimgate,
}

impl Blame {
    /// The log field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Configuration => "configuration",
            Self::Load => "load",
            Self::Caller => "caller",
            Self::Claimgate => "claimgate",
        }
    }
}

/// Why no decision was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The API's name does not resolve.
    Dns,
    /// No TCP connection: refused or unreachable.
    Refused,
    /// No TLS session: certificate, name, version or alert.
    Tls,
    /// The connection was reset before an answer began.
    Reset,
    /// The connection ended before the answer was whole.
    CutOff,
    /// The API answered 5xx.
    Status5xx,
    /// `connect_timeout` passed before the name was found and TCP and TLS stood.
    ConnectTimeout,
    /// `timeout` passed before the first byte of the answer.
    FirstByteTimeout,
    /// `timeout` passed inside the answer.
    BodyTimeout,
    /// `answer_within` passed.
    Deadline,
    /// The API answered 429.
    Status429,
    /// The API answered 401 or 403 to our credentials, or refused our certificate in TLS.
    CredentialsRefused,
    /// The API answered 3xx, which is never followed.
    Redirect,
    /// The API answered another 4xx.
    Status4xx,
    /// The answer broke a rule of the contract.
    Contract(ContractRule),
    /// The answer is larger than `max_answer`.
    AnswerTooLarge,
    /// The connector's `breaker` is open: the API was unavailable, and is not called for a while.
    CircuitOpen,
    /// The connector's `rate_limit`.
    ConnectorLimited,
    /// The connector's `max_in_flight`, after waiting `wait`.
    InFlightFull,
    /// The hook's `rate_limit_per_user`.
    UserLimited,
    /// The caller's `rate_limit`.
    CallerLimited,
    /// `listen.max_in_flight`.
    Overloaded,
    /// No such user flow, step or path.
    NotFound,
    /// Not a POST.
    MethodNotAllowed,
    /// No credential of a caller that the user flow names.
    Unauthenticated,
    /// No good credential, and `listen.unauthenticated_limit` is spent.
    UnauthenticatedLimited,
    /// Not `application/json`, or encoded.
    UnsupportedMediaType,
    /// The hook is larger than `listen.max_body`.
    ContentTooLarge,
    /// The hook's body did not arrive within `listen.body_timeout` or `answer_within`.
    RequestTimeout,
    /// The hook's body breaks a rule.
    BadRequest(RequestRule),
    /// The caller hung up before it was answered; nobody reads the status.
    ClientGone,
    /// No file descriptor, port or memory for a connection to the API.
    NoResources,
    /// A defect of claimgate, caught at the hook's boundary.
    Panic,
}

/// Where `on_failure: continue` may apply. Never after an answer that was not read: it cannot be shown to be no refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Continue {
    Anywhere,
    TokenStepOnly,
    Never,
    /// There is nothing to continue: the request was refused before it became a hook.
    NoHook,
}

struct Row {
    name: &'static str,
    blame: Blame,
    status: u16,
    counts: bool,
    may_continue: Continue,
    hint: &'static str,
}

impl Reason {
    /// The log field and metric label.
    pub const fn as_str(self) -> &'static str {
        self.row().name
    }

    /// Who has to act.
    pub const fn blame(self) -> Blame {
        self.row().blame
    }

    /// The HTTP status if the identity provider is answered with an error.
    pub const fn status(self) -> u16 {
        self.row().status
    }

    /// Whether it says that the API is unavailable, which is what a circuit breaker counts.
    pub const fn counts_as_unavailable(self) -> bool {
        self.row().counts
    }

    /// Whether another attempt may do better: the API was unavailable in a way that may pass, or asked for patience.
    pub const fn is_transient(self) -> bool {
        match self {
            Self::Status429 => true,
            // What TLS has against the API stays; and when the hook's time is over there is no other attempt.
            Self::Tls | Self::Deadline => false,
            other => other.counts_as_unavailable(),
        }
    }

    /// What an operator can do.
    pub const fn hint(self) -> &'static str {
        self.row().hint
    }

    /// Whether claimgate itself refused the request before it became a hook, so that `on_failure` has no say.
    pub const fn is_refusal_of_ours(self) -> bool {
        matches!(self.row().may_continue, Continue::NoHook)
    }

    /// Whether the error carries `Retry-After` (RFC 9110 section 10.2.3): what claimgate itself refused, and will not for
    /// ever.
    pub const fn asks_to_retry(self) -> bool {
        matches!(self.row().blame, Blame::Load)
            || matches!(self, Self::CircuitOpen | Self::UnauthenticatedLimited)
    }

    /// The table. One row a reason; the README's table of reasons shows the same.
    #[rustfmt::skip]
    const fn row(self) -> Row {
        use Blame::{Api, Caller, Claimgate, Configuration, Load};
        use Continue::{Anywhere, Never, NoHook, TokenStepOnly};
        const fn row(name: &'static str, blame: Blame, status: u16, counts: bool, may_continue: Continue, hint: &'static str) -> Row {
            Row { name, blame, status, counts, may_continue, hint }
        }
        match self {
            Self::Dns => row("dns", Api, 502, true, Anywhere, "the host of endpoint_url does not resolve from here"),
            Self::Refused => row("refused", Api, 502, true, Anywhere, "nothing accepts connections at endpoint_url"),
            Self::Tls => row("tls", Api, 502, true, Anywhere, "the TLS handshake failed: see the diagnostic log for the certificate or alert, and what to do"),
            Self::Reset => row("reset", Api, 502, true, Anywhere, "the API closed the connection without an answer"),
            Self::CutOff => row("cut_off", Api, 502, true, Anywhere, "the API closed the connection inside its answer"),
            Self::Status5xx => row("status_5xx", Api, 502, true, Anywhere, "the API answered 5xx: look into its own log"),
            Self::ConnectTimeout => row("connect_timeout", Api, 504, true, Anywhere, "no connection within connect_timeout, which covers name lookup, TCP and TLS: resolver, network path or firewall"),
            Self::FirstByteTimeout => row("first_byte_timeout", Api, 504, true, Anywhere, "the API took longer than timeout to begin its answer"),
            Self::BodyTimeout => row("body_timeout", Api, 504, true, Anywhere, "the API began its answer and did not end it within timeout"),
            Self::Deadline => row("deadline", Api, 504, true, Anywhere, "answer_within passed: waiting, connecting and the API together took too long"),
            Self::Status429 => row("status_429", Api, 503, false, Anywhere, "the API limits our rate: lower the connector's rate_limit or raise the API's"),
            Self::CredentialsRefused => row("credentials_refused", Configuration, 502, false, Anywhere, "the API answered 401 or 403, or refused the client certificate: check the connector's authentication; for a certificate see the diagnostic log"),
            Self::Redirect => row("redirect", Configuration, 502, false, Anywhere, "the API redirects: put the final URL into endpoint_url"),
            Self::Status4xx => row("status_4xx", Configuration, 502, false, Anywhere, "the API answered another 4xx: check path and method of endpoint_url"),
            Self::Contract(rule) => row(rule.as_str(), Api, 502, false, if rule.leaves_answer_unread() { Never } else { Anywhere }, rule.hint()),
            Self::AnswerTooLarge => row("answer_too_large", Api, 502, false, Never, "the answer is larger than max_answer"),
            Self::CircuitOpen => row("circuit_open", Api, 503, false, Anywhere, "the API was unavailable and is not called for a while: see the reasons of the calls before"),
            Self::ConnectorLimited => row("connector_limited", Load, 429, false, TokenStepOnly, "the connector's rate_limit is spent"),
            Self::InFlightFull => row("in_flight_full", Load, 503, false, TokenStepOnly, "max_in_flight calls to this API are open and none ended within wait"),
            Self::UserLimited => row("user_limited", Load, 429, false, TokenStepOnly, "the hook's rate_limit_per_user is spent for this user"),
            Self::CallerLimited => row("caller_limited", Load, 429, false, NoHook, "the caller's rate_limit is spent"),
            Self::Overloaded => row("overloaded", Load, 503, false, NoHook, "listen.max_in_flight hooks are open"),
            Self::NotFound => row("not_found", Caller, 404, false, NoHook, "the path names no configured user flow and step"),
            Self::MethodNotAllowed => row("method_not_allowed", Caller, 405, false, NoHook, "hooks are POSTs"),
            Self::Unauthenticated => row("unauthenticated", Caller, 401, false, NoHook, "no credential of a caller that this user flow names"),
            Self::UnauthenticatedLimited => row("unauthenticated_limited", Caller, 429, false, NoHook, "no good credential, and listen.unauthenticated_limit is spent: somebody guesses, or a caller has an old credential"),
            Self::UnsupportedMediaType => row("unsupported_media_type", Caller, 415, false, NoHook, "a hook is application/json without Content-Encoding"),
            Self::ContentTooLarge => row("content_too_large", Caller, 413, false, NoHook, "the hook is larger than listen.max_body"),
            Self::RequestTimeout => row("request_timeout", Caller, 408, false, NoHook, "the hook's body did not arrive within listen.body_timeout or answer_within"),
            Self::BadRequest(rule) => row(rule.as_str(), Caller, 400, false, NoHook, rule.hint()),
            Self::ClientGone => row("client_gone", Caller, 499, false, NoHook, "the caller hung up before it was answered, or shutdown.grace passed"),
            Self::NoResources => row("no_resources", Claimgate, 503, false, TokenStepOnly, "this process or system is out of file descriptors, ports or memory"),
            Self::Panic => row("panic", Claimgate, 500, false, Never, "a defect of claimgate: please report the diagnostic log"),
        }
    }
}

/// A reason together with what was seen of the API's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why no decision was reached.
    pub reason: Reason,
    /// The answer, or what arrived of it, holds evidence that the API refused the user, began as a 4xx and did not end, or
    /// is encoded. Where nothing of an answer was read, the reason itself says so.
    pub refusal: bool,
}

impl Failure {
    /// Whether `on_failure: continue` may apply to it at `step`.
    pub const fn may_continue(self, step: Step) -> bool {
        !self.refusal
            && match self.reason.row().may_continue {
                Continue::Anywhere => true,
                Continue::TokenStepOnly => matches!(step, Step::PreTokenIssuance),
                Continue::Never | Continue::NoHook => false,
            }
    }
}

impl From<Reason> for Failure {
    /// A failure without any answer.
    fn from(reason: Reason) -> Self {
        Self { reason, refusal: false }
    }
}

#[cfg(test)]
#[path = "reason_tests.rs"]
mod tests;

//! The checked configuration: what the rest of the program may trust.
//!
//! Nothing here is optional where a default applies, and no text stands where a type exists. The only way to such a
//! value is [`super::read`], so a wrong one cannot be had.

use std::{fmt, net::SocketAddr, num::NonZeroU32, sync::Arc, time::Duration};

use crate::flow::{OnFailure, Selection, Step};

use super::{DnsName, Pem, Secret, Thumbprint, endpoint::is_loopback_address};

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The hook port.
    pub listen: Listen,
    /// The admin port.
    pub admin: Admin,
    /// How the process ends.
    pub shutdown: Shutdown,
    /// Who may call; in the order of the file.
    pub callers: Vec<Caller>,
    /// The web APIs; in the order of the file.
    pub connectors: Vec<Connector>,
    /// Which hook calls which connector; in the order of the file.
    pub user_flows: Vec<UserFlow>,
}

/// `listen`: the hook port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether hooks may reach it unencrypted from beyond loopback.
    pub plain_text: bool,
    /// TLS, if it speaks that.
    pub tls: Option<ListenTls>,
    /// Longest time for the TLS handshake.
    pub handshake_timeout: Duration,
    /// Connections at a time; further ones wait in the kernel's queue.
    pub max_connections: usize,
    /// Largest body of a hook, in bytes.
    pub max_body: usize,
    /// Longest time from a connection to its first byte.
    pub first_byte_timeout: Duration,
    /// Longest time from the first byte of a request head to its end.
    pub head_timeout: Duration,
    /// Longest time for the body of a hook.
    pub body_timeout: Duration,
    /// Longest time until the caller has taken an answer.
    pub write_timeout: Duration,
    /// Longest time between an answer and the first byte of the next head.
    pub idle_timeout: Duration,
    /// From which age of a connection on, give or take a tenth, its next answer is its last.
    pub max_age: Duration,
    /// Hooks at a time in the whole process.
    pub max_in_flight: usize,
    /// How many requests without a good credential get a 401, in the whole process.
    pub unauthenticated_limit: RateLimit,
}

impl Listen {
    /// Whether hooks may be taken at this address, which may be another one than that of the configuration.
    pub fn may_serve(&self, address: SocketAddr) -> bool {
        self.tls.is_some() || self.plain_text || is_loopback_address(address.ip())
    }
}

/// `listen.tls`: what the hook port shows, and whom it lets connect beside the callers with a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenTls {
    /// The certificate and those of its issuers, the leaf first.
    pub certificate: Pem,
    /// Its private key.
    pub key: Pem,
    /// Whether a client without a trusted certificate may connect.
    pub client: ClientCertificate,
    /// Certificates that may connect.
    pub client_thumbprints: Vec<Thumbprint>,
    /// Authorities whose certificates may connect.
    pub client_ca: Option<Pem>,
    /// Names of which such a certificate must have one; any if there is none.
    pub client_names: Vec<DnsName>,
}

/// `listen.tls.client`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificate {
    /// Without a certificate a client may connect too.
    Optional,
    /// Only with a trusted certificate.
    Required,
}

/// `admin`: the admin port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens.
    pub address: SocketAddr,
}

/// `shutdown`: how the process ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// How long hooks are served on as before after the first signal.
    pub drain_delay: Duration,
    /// Longest time from then on for open hooks, and for callers to leave their connections.
    pub grace: Duration,
}

/// The name of a caller, connector or user flow: `[A-Za-z0-9_.-]{1,80}`, so it is safe in a path, a label and a log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// Most characters.
    pub const LONGEST: usize = 80;

    /// The name, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        let dots_only = text.bytes().all(|byte| byte == b'.');
        ((1..=Self::LONGEST).contains(&text.len()) && text.bytes().all(fits) && !dots_only)
            .then(|| Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `callers.NAME`: who may call, by any one of these credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its name.
    pub name: Name,
    /// HTTP Basic (RFC 7617).
    pub basic: Vec<Basic>,
    /// `?code=` in the query.
    pub code: Vec<Secret>,
    /// A key in a header.
    pub header: Vec<HeaderKey>,
    /// A TLS client certificate.
    pub certificate: Vec<CallerCertificate>,
    /// How many hooks it may send.
    pub rate_limit: Option<RateLimit>,
}

/// A user name and a password (RFC 7617).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basic {
    /// Without a colon.
    pub username: String,
    /// Any text.
    pub password: Secret,
}

/// A key in a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderKey {
    /// Which header; none of those that HTTP or claimgate itself gives a meaning.
    pub name: http::HeaderName,
    /// Its value; visible ASCII.
    pub value: Secret,
}

/// Which client certificate is a caller's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallerCertificate {
    /// This very one.
    Thumbprint(Thumbprint),
    /// One with this name, from these authorities.
    Issued {
        /// The authorities' certificates.
        ca: Pem,
        /// One of its DNS names.
        name: DnsName,
    },
}

/// A rate with an explicit burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// How many in each period.
    pub count: NonZeroU32,
    /// The period.
    pub per: Per,
    /// How many at once after a pause.
    pub burst: NonZeroU32,
}

/// The period of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// `N/s`
    Second,
    /// `N/m`
    Minute,
}

/// `connectors.NAME`: a web API and how to call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connector {
    /// Its name.
    pub name: Name,
    /// What people call it.
    pub display_name: String,
    /// Where it is.
    pub endpoint: Endpoint,
    /// Basic credentials for it.
    pub basic: Option<Basic>,
    /// Client certificates for it, in the order of the file. None where secrets were not read.
    pub certificates: Vec<KeyedCertificate>,
    /// A code for it, sent as `?code=…`.
    pub code: Option<Secret>,
    /// Which claims leave.
    pub claims_to_send: Selection,
    /// Which claims of its answer are taken over.
    pub claims_to_receive: Selection,
    /// Longest time for one attempt of a call once it has a permit.
    pub timeout: Duration,
    /// Longest time for looking up the name, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Largest body of an answer, in bytes.
    pub max_answer: usize,
    /// Which authorities its certificate may come from.
    pub roots: Roots,
    /// The name to ask for in TLS and to find in its certificate: a DNS name, or the address of its endpoint.
    pub server_name: String,
    /// The oldest version of TLS to speak with it.
    pub min_tls: TlsVersion,
    /// How many calls it takes.
    pub rate_limit: Option<RateLimit>,
    /// Calls at a time in the whole process.
    pub max_in_flight: usize,
    /// How long a hook waits for a permit.
    pub wait: Duration,
    /// The same call may reach it twice.
    pub idempotent: bool,
    /// When it is no longer called for a while; never if there is none.
    pub breaker: Option<Breaker>,
    /// Repairs are contract failures.
    pub strict: bool,
    /// What an answer without `action` means.
    pub missing_action: MissingAction,
    /// Shown to the user where the API refused without a message.
    pub default_message: String,
}

/// `breaker`: when an API is no longer called for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Over which time calls are counted.
    pub window: Duration,
    /// How many calls must have ended in the window before it can open.
    pub least_calls: u32,
    /// Share of them that found the API unavailable, from which on it opens; 1 to 100 percent.
    pub failures: u32,
    /// How long no call is made then.
    pub open_for: Duration,
    /// How many calls are let through after that, all of which must find the API available.
    pub probes: u32,
}

/// `endpoint_url`, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `https`
    pub tls: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// The port, also where the URL leaves it out.
    pub port: u16,
    /// Value of the Host header: the port only where it is not the scheme's own.
    pub authority: String,
    /// Path as sent, beginning with `/`.
    pub path: String,
    /// Query as sent, without the question mark. Masked wherever the endpoint is shown, for it may hold a key.
    pub query: Option<String>,
}

impl fmt::Display for Endpoint {
    /// The URL with its query masked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)?;
        if self.query.is_some() { f.write_str("?***") } else { Ok(()) }
    }
}

impl fmt::Debug for Endpoint {
    /// As [`fmt::Display`]: the query may hold a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `roots`: which authorities an API's certificate may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// Mozilla's list, as compiled in.
    Webpki,
    /// The certificates of this file alone.
    File(Pem),
}

/// A certificate with its key, as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedCertificate {
    /// The certificate, and its chain behind it.
    pub certificate: Pem,
    /// Its private key.
    pub key: Pem,
}

/// `min_tls`: a version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    V1_2,
    /// RFC 8446.
    V1_3,
}

/// `missing_action`: what a 2xx answer without `action` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingAction {
    /// A contract failure.
    Fail,
    /// Continue.
    Continue,
}

/// `user_flows.NAME`: the hooks of one user flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserFlow {
    /// Its name: the first segment of the endpoint's path after `/flows/`.
    pub name: Name,
    /// Who may call its hooks: positions in [`Config::callers`], in the order of the file.
    pub callers: Vec<usize>,
    /// Longest time from the complete request head to the answer.
    pub answer_within: Duration,
    /// Its hooks, at most one a step.
    pub hooks: Vec<Hook>,
}

/// `user_flows.NAME.STEP`: one hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// When it fires.
    pub step: Step,
    /// Which API it calls: a position in [`Config::connectors`].
    pub connector: usize,
    /// What the identity provider gets for a failure.
    pub on_failure: OnFailure,
    /// How long the API's decision answers the same hook sent again; not at all if there is none.
    pub duplicate_window: Option<Duration>,
    /// How many hooks one user may cause here.
    pub rate_limit_per_user: Option<RateLimit>,
}

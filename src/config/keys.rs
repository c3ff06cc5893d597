//! Every key that a configuration may hold, declared once.
//!
//! The reader finds unknown keys, defaults and ranges here; documentation and JSON Schema are generated from it.

use std::time::Duration;

use crate::flow::Step;

pub use super::kind::Kind;

/// A map with a closed set of keys.
#[derive(Debug)]
pub struct Section {
    /// Where it stands, such as `connectors.NAME`; the last part alone where it stands in several places.
    pub name: &'static str,
    /// Its keys, in the order in which they are documented.
    pub keys: &'static [Key],
    /// Which of them go together.
    pub choice: Choice,
}

/// What must be written of keys that are optional by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Nothing.
    Free,
    /// One of these or several.
    AtLeastOne(&'static [&'static str]),
    /// One of these or several, but not these two together.
    AtLeastOneBut(&'static [&'static str], [&'static str; 2]),
    /// One of these and no other.
    ExactlyOne(&'static [&'static str]),
    /// All of one of these groups and nothing of the others.
    OneGroup(&'static [&'static [&'static str]]),
}

/// A key.
#[derive(Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What applies if it is not written.
    pub presence: Presence,
    /// One line for the documentation.
    pub doc: &'static str,
}

/// What applies if a key is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It must be written.
    Required,
    /// As if this were written.
    Default(&'static str),
    /// What its line of documentation says.
    Optional,
}

impl Section {
    /// Whether a secret may stand below it.
    pub fn holds_secret(&self) -> bool {
        self.is(&SECRET) || self.keys.iter().any(|key| key.kind.holds_secret())
    }

    /// Whether it is that very section.
    pub fn is(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }

    /// The key of this name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, presence: Presence::Required, doc }
}

const fn default(name: &'static str, kind: Kind, value: &'static str, doc: &'static str) -> Key {
    Key { name, kind, presence: Presence::Default(value), doc }
}

const fn optional(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, presence: Presence::Optional, doc }
}

const fn millis(least: u64, most: u64) -> Kind {
    Kind::Duration(Duration::from_millis(least)..=Duration::from_millis(most))
}

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const MIB: usize = 1024 * 1024;
const MESSAGE: Kind = Kind::Message(1000);
const CLAIMS: Kind = Kind::List(&Kind::Claim, 0);
const STEPS: [&str; 3] = [
    Step::PostFederationSignup.as_str(),
    Step::PostAttributeCollection.as_str(),
    Step::PreTokenIssuance.as_str(),
];
const PLAIN_TEXT: Kind = Kind::Word(&["refused", "allowed"]);

/// The whole file.
#[rustfmt::skip]
pub static ROOT: Section = Section {
    name: "",
    keys: &[
        required("listen", Kind::Section(&LISTEN), "the hook port"),
        optional("admin", Kind::Section(&ADMIN), "the admin port; its defaults if left out"),
        optional("shutdown", Kind::Section(&SHUTDOWN), "how the process ends; its defaults if left out"),
        required("callers", Kind::Named(&Kind::Section(&CALLER)), "who may call, by name; at least one"),
        required("connectors", Kind::Named(&Kind::Section(&CONNECTOR)), "the web APIs, by name; at least one"),
        required("user_flows", Kind::Named(&Kind::Section(&USER_FLOW)), "which hook calls which connector, by name; at least one"),
    ],
    choice: Choice::Free,
};

/// `listen`
#[rustfmt::skip]
pub static LISTEN: Section = Section {
    name: "listen",
    keys: &[
        required("address", Kind::Address, "IP address and port of the hook port"),
        default("plain_text", PLAIN_TEXT, "refused", "`allowed`: hooks travel unencrypted beyond loopback"),
        optional("tls", Kind::Section(&TLS), "TLS 1.2 and 1.3 on the hook port; plain HTTP if left out"),
        default("handshake_timeout", millis(100, MINUTE), "5s", "longest time for the TLS handshake; 100ms to 1m"),
        default("max_connections", Kind::Count(1..=1_000_000), "4096", "connections at a time; further ones wait in the kernel; 1 to 1000000"),
        default("max_body", Kind::Size(1..=16 * MIB), "64KiB", "largest body of a hook; 1B to 16MiB"),
        default("first_byte_timeout", millis(1, HOUR), "5s", "longest time from a connection to its first byte; 1ms to 1h"),
        default("head_timeout", millis(1, HOUR), "10s", "longest time from the first byte of a request head to its end; 1ms to 1h"),
        default("body_timeout", millis(1, HOUR), "5s", "longest time for the body of a hook; 1ms to 1h"),
        default("write_timeout", millis(1, HOUR), "10s", "longest time until the caller has taken an answer; 1ms to 1h"),
        default("idle_timeout", millis(1, HOUR), "2m", "longest time between an answer and the next request; 1ms to 1h"),
        default("max_age", millis(1, DAY), "10m", "age of a connection, give or take a tenth, from which the next answer is its last; 1ms to 24h"),
        default("max_in_flight", Kind::Count(1..=1_000_000), "1024", "hooks at a time in the whole process; 1 to 1000000"),
        optional("unauthenticated_limit", Kind::Section(&RATE_LIMIT), "how many requests without a good credential get a 401, in the whole process; 20/s with a burst of 100 if left out"),
    ],
    choice: Choice::Free,
};

/// `listen.tls`
#[rustfmt::skip]
pub static TLS: Section = Section {
    name: "listen.tls",
    keys: &[
        required("certificate", Kind::Path, "PEM file with the certificate and those of its issuers, the leaf first"),
        required("key", Kind::KeyFile, "PEM file with its private key, not encrypted; may be the same file"),
        default("client", Kind::Word(&["optional", "required"]), "optional", "`required`: who shows no client certificate that is trusted here or by a caller cannot connect"),
        optional("client_thumbprints", Kind::OneOrMany(&Kind::Thumbprint), "SHA-256 thumbprints of client certificates that may connect besides those of callers, one or a list"),
        optional("client_ca", Kind::Path, "PEM file with authorities whose client certificates may connect"),
        optional("client_names", Kind::OneOrMany(&Kind::DnsName), "DNS names of which a client certificate of client_ca must have one, one or a list; any if left out"),
    ],
    choice: Choice::Free,
};

/// `admin`
#[rustfmt::skip]
pub static ADMIN: Section = Section {
    name: "admin",
    keys: &[default("address", Kind::Address, "127.0.0.1:9090", "IP address and port of the admin port, which asks for no credential")],
    choice: Choice::Free,
};

/// `shutdown`
#[rustfmt::skip]
pub static SHUTDOWN: Section = Section {
    name: "shutdown",
    keys: &[
        default("drain_delay", millis(0, 5 * MINUTE), "0s", "how long hooks are served on as before, while `/readyz` already says `draining`; 0ms to 5m"),
        default("grace", millis(1, HOUR), "10s", "longest time from then on for open hooks, and for callers to leave their connections; 1ms to 1h"),
    ],
    choice: Choice::Free,
};

/// `callers.NAME`
#[rustfmt::skip]
pub static CALLER: Section = Section {
    name: "callers.NAME",
    keys: &[
        optional("basic", Kind::OneOrMany(&Kind::Section(&BASIC)), "HTTP Basic credentials, one or a list"),
        optional("code", Kind::OneOrMany(&Kind::Secret), "keys in the query (`?code=…`), one or a list"),
        optional("header", Kind::OneOrMany(&Kind::Section(&HEADER)), "keys in a header, one or a list"),
        optional("certificate", Kind::OneOrMany(&Kind::Section(&CERTIFICATE)), "TLS client certificates, one or a list; they need `listen.tls`"),
        optional("rate_limit", Kind::Section(&RATE_LIMIT), "how many hooks it may send; no limit if left out"),
    ],
    choice: Choice::AtLeastOne(&["basic", "code", "header", "certificate"]),
};

/// `basic`
#[rustfmt::skip]
pub static BASIC: Section = Section {
    name: "basic",
    keys: &[
        required("username", Kind::UserName, "user name; no colon, no control character (RFC 7617)"),
        required("password", Kind::Secret, "password; no control character (RFC 7617)"),
    ],
    choice: Choice::Free,
};

/// `callers.NAME.header`
#[rustfmt::skip]
pub static HEADER: Section = Section {
    name: "header",
    keys: &[
        required("name", Kind::HeaderName, "which header; none that HTTP or claimgate gives a meaning"),
        required("value", Kind::Secret, "its value; visible ASCII"),
    ],
    choice: Choice::Free,
};

/// `callers.NAME.certificate`
#[rustfmt::skip]
pub static CERTIFICATE: Section = Section {
    name: "certificate",
    keys: &[
        optional("thumbprint", Kind::Thumbprint, "SHA-256 thumbprint of this one certificate, whoever issued it"),
        optional("ca", Kind::Path, "PEM file with the authorities that may have issued it; with `name`"),
        optional("name", Kind::DnsName, "DNS name that it must have (subjectAltName); with `ca`"),
    ],
    choice: Choice::OneGroup(&[&["thumbprint"], &["ca", "name"]]),
};

/// `rate_limit`
#[rustfmt::skip]
pub static RATE_LIMIT: Section = Section {
    name: "rate_limit",
    keys: &[
        required("rate", Kind::Rate(1..=1_000_000), "how many in the long run; 1/s to 1000000/s, or as many /m"),
        required("burst", Kind::Count(1..=1_000_000), "how many at once after a pause; 1 to 1000000"),
    ],
    choice: Choice::Free,
};

/// Where a secret comes from.
#[rustfmt::skip]
pub static SECRET: Section = Section {
    name: "secret",
    keys: &[
        optional("file", Kind::Path, "file with the secret; one newline at its end is removed"),
        optional("env", Kind::Variable, "environment variable with the secret"),
    ],
    choice: Choice::ExactlyOne(&["file", "env"]),
};

/// `connectors.NAME`
#[rustfmt::skip]
pub static CONNECTOR: Section = Section {
    name: "connectors.NAME",
    keys: &[
        optional("display_name", Kind::Message(200), "what people call it; its name if left out; 1 to 200 characters"),
        required("endpoint_url", Kind::Url, "where the API is; an absolute http or https URL"),
        required("authentication", Kind::WordOr(&["none"], &AUTHENTICATION), "credentials for the API, or `none`"),
        required("claims_to_send", CLAIMS, "claims that leave besides the ones always sent; may be empty"),
        required("claims_to_receive", CLAIMS, "claims taken over from the answer; may be empty"),
        default("send_ui_locales", Kind::Flag, "true", "whether `ui_locales` is always sent"),
        default("timeout", millis(1, HOUR), "2s", "longest time for one attempt of a call once it has a permit; 1ms to 1h, at most answer_within"),
        optional("connect_timeout", millis(1, HOUR), "longest time for name lookup, TCP and TLS together; 1ms to 1h, at most timeout; if left out 1s, or timeout where that is shorter"),
        default("max_answer", Kind::Size(1..=16 * MIB), "64KiB", "largest body of an answer; 1B to 16MiB"),
        default("roots", Kind::WordOr(&["webpki"], &ROOTS), "webpki", "authorities for the API's certificate: Mozilla's list, or a file"),
        optional("server_name", Kind::DnsName, "DNS name to ask for in TLS and to find in the API's certificate; the host of endpoint_url if left out"),
        default("min_tls", Kind::Word(&["1.2", "1.3"]), "1.2", "oldest version of TLS to speak: `1.2` or `1.3`"),
        default("plain_text", PLAIN_TEXT, "refused", "`allowed`: claims travel unencrypted beyond loopback"),
        optional("rate_limit", Kind::Section(&RATE_LIMIT), "how many calls it takes; no limit if left out"),
        default("max_in_flight", Kind::Count(1..=1_000_000), "64", "calls at a time in the whole process; 1 to 1000000"),
        default("wait", millis(1, MINUTE), "50ms", "how long a hook waits for a permit; 1ms to 1m, less than answer_within"),
        default("idempotent", Kind::Flag, "false", "whether the same call may reach the API twice, so that it may be repeated after it was sent"),
        default("breaker", Kind::WordOr(&["on", "off"], &BREAKER), "on", "stops calling an API that is unavailable: `on` with the numbers below, `off`, or numbers of its own"),
        default("strict", Kind::Flag, "false", "whether an answer that needs a repair is a contract failure"),
        default("missing_action", Kind::Word(&["fail", "continue"]), "fail", "what a 2xx answer without `action` means"),
        default("default_message", MESSAGE, "We cannot complete your request. Please contact support if you need help.", "shown to the user where the API refused without a message; 1 to 1000 characters"),
    ],
    choice: Choice::Free,
};

/// `connectors.NAME.breaker`
#[rustfmt::skip]
pub static BREAKER: Section = Section {
    name: "breaker",
    keys: &[
        default("window", millis(10, 10 * MINUTE), "10s", "over which time calls are counted; 10ms to 10m"),
        default("least_calls", Kind::Count(1..=1_000_000), "20", "how many calls must have ended in the window before it can open; 1 to 1000000"),
        default("failures", Kind::Percent(1..=100), "50%", "share of them that found the API unavailable, from which on it opens; 1% to 100%"),
        default("open_for", millis(1, HOUR), "5s", "how long no call is made then; 1ms to 1h"),
        default("probes", Kind::Count(1..=1_000_000), "3", "how many calls are let through after that, all of which must find the API available; 1 to 1000000"),
    ],
    choice: Choice::Free,
};

/// `connectors.NAME.authentication`
#[rustfmt::skip]
pub static AUTHENTICATION: Section = Section {
    name: "authentication",
    keys: &[
        optional("basic", Kind::Section(&BASIC), "HTTP Basic credentials; not beside `certificate`"),
        optional("certificate", Kind::OneOrMany(&Kind::Section(&CLIENT_CERTIFICATE)), "client certificates for TLS, one or a list; of those valid now the newest is shown"),
        optional("code", Kind::Secret, "key that is appended to the query as `code`"),
    ],
    choice: Choice::AtLeastOneBut(&["basic", "certificate", "code"], ["basic", "certificate"]),
};

/// `connectors.NAME.authentication.certificate`
#[rustfmt::skip]
pub static CLIENT_CERTIFICATE: Section = Section {
    name: "authentication.certificate",
    keys: &[
        required("certificate", Kind::KeyFile, "PEM file with the certificate, and its chain behind it"),
        required("key", Kind::KeyFile, "PEM file with its private key, not encrypted; may be the same file"),
    ],
    choice: Choice::Free,
};

/// `connectors.NAME.roots`
#[rustfmt::skip]
pub static ROOTS: Section = Section {
    name: "roots",
    keys: &[required("file", Kind::Path, "PEM file with the only authorities to trust")],
    choice: Choice::Free,
};

/// `user_flows.NAME`
#[rustfmt::skip]
pub static USER_FLOW: Section = Section {
    name: "user_flows.NAME",
    keys: &[
        required("callers", Kind::List(&Kind::Name, 1), "names of the callers that may call its hooks; the first that matches counts"),
        default("answer_within", millis(10, MINUTE), "4s", "longest time from the complete request head to the answer; 10ms to 1m"),
        optional(Step::PostFederationSignup.as_str(), Kind::Section(&HOOK), "hook after federating with an identity provider during sign-up"),
        optional(Step::PostAttributeCollection.as_str(), Kind::Section(&HOOK), "hook before creating the user"),
        optional(Step::PreTokenIssuance.as_str(), Kind::Section(&HOOK), "hook before sending the token"),
    ],
    choice: Choice::AtLeastOne(&STEPS),
};

/// `user_flows.NAME.STEP`
#[rustfmt::skip]
pub static HOOK: Section = Section {
    name: "user_flows.NAME.STEP",
    keys: &[
        required("connector", Kind::Name, "name of the connector that it calls"),
        required("on_failure", Kind::WordOr(&["continue", "error"], &ON_FAILURE), "what the identity provider gets when the API gave no decision"),
        optional("duplicate_window", millis(0, 10 * MINUTE), "how long the API's decision answers the same hook sent again; 0ms to 10m, 0ms for not at all; if left out 10s, at preTokenIssuance 0s"),
        optional("rate_limit_per_user", Kind::Section(&RATE_LIMIT), "how many hooks one user may cause here; no limit if left out"),
    ],
    choice: Choice::Free,
};

/// `user_flows.NAME.STEP.on_failure`
#[rustfmt::skip]
pub static ON_FAILURE: Section = Section {
    name: "on_failure",
    keys: &[
        optional("block", MESSAGE, "the block page with this message; 1 to 1000 characters"),
        optional("validation_error", MESSAGE, "the form again with this message; at postAttributeCollection only; 1 to 1000 characters"),
    ],
    choice: Choice::ExactlyOne(&["block", "validation_error"]),
};

/// Every section, for documentation.
pub static ALL: [&Section; 19] = [
    &ROOT,
    &LISTEN,
    &TLS,
    &ADMIN,
    &SHUTDOWN,
    &CALLER,
    &BASIC,
    &HEADER,
    &CERTIFICATE,
    &SECRET,
    &RATE_LIMIT,
    &CONNECTOR,
    &BREAKER,
    &AUTHENTICATION,
    &CLIENT_CERTIFICATE,
    &ROOTS,
    &USER_FLOW,
    &HOOK,
    &ON_FAILURE,
];

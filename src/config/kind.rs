//! What a key can hold.

use std::{ops::RangeInclusive, time::Duration};

use super::keys::Section;

/// What a key holds.
#[derive(Debug)]
pub enum Kind {
    /// Text that a person reads; at most so many characters.
    Message(usize),
    /// User name of HTTP Basic.
    UserName,
    /// Name of a header.
    HeaderName,
    /// Name of a claim.
    Claim,
    /// Name of something that stands elsewhere in the file.
    Name,
    /// IP address and port.
    Address,
    /// Absolute http or https URL; its query may hold a key.
    Url,
    /// `true` or `false`.
    Flag,
    /// Integer with `ms`, `s`, `m` or `h`.
    Duration(RangeInclusive<Duration>),
    /// Integer with `B`, `KiB` or `MiB`; in bytes.
    Size(RangeInclusive<usize>),
    /// Integer.
    Count(RangeInclusive<u32>),
    /// Integer with `/s` or `/m`.
    Rate(RangeInclusive<u32>),
    /// Integer with `%`.
    Percent(RangeInclusive<u32>),
    /// Path of a file; relative to the configuration file's directory.
    Path,
    /// The same, of a file with a private key.
    KeyFile,
    /// SHA-256 of a certificate.
    Thumbprint,
    /// Name of a host in a certificate.
    DnsName,
    /// Name of an environment variable.
    Variable,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of at least so many entries, each of which stands there once.
    List(&'static Self, usize),
    /// Plain text, or [`super::keys::SECRET`].
    Secret,
    /// A map.
    Section(&'static Section),
    /// A map from names to maps; at least one.
    Named(&'static Self),
    /// One of these words, or a map.
    WordOr(&'static [&'static str], &'static Section),
    /// One entry or a list of them.
    OneOrMany(&'static Self),
}

impl Kind {
    /// Whether a secret may stand at such a key or below it, so that nothing of its value may be shown.
    pub fn holds_secret(&self) -> bool {
        match self {
            // A secret may have been written in place of a variable's name, or a key in place of its file.
            Self::Secret | Self::Url | Self::Variable | Self::KeyFile => true,
            Self::Section(section) | Self::WordOr(_, section) => section.holds_secret(),
            Self::OneOrMany(kind) | Self::Named(kind) => kind.holds_secret(),
            _ => false,
        }
    }

    /// What must stand at such a key, for a person.
    pub(super) fn expected(&self) -> &'static str {
        match self {
            Self::Message(_) => "a text that can be shown to a person",
            Self::UserName => "a user name without a colon",
            Self::HeaderName => "the name of a header, such as X-Hook-Key",
            Self::Claim => "the name of a claim",
            Self::Name => "a name of letters, digits, `_`, `.` and `-`",
            Self::Address => "an IP address and a port, such as 127.0.0.1:8080",
            Self::Url => "an absolute http or https URL",
            Self::Flag => "`true` or `false`",
            Self::Duration(_) => "a duration, such as 2s",
            Self::Size(_) => "a size, such as 64KiB",
            Self::Count(_) => "a whole number",
            Self::Rate(_) => "a rate, such as 200/s",
            Self::Percent(_) => "a share, such as 50%",
            Self::Path | Self::KeyFile => "the path of a file",
            Self::Thumbprint => "a SHA-256 thumbprint in hexadecimal digits",
            Self::DnsName => "a DNS name, such as b2c.contoso.com",
            Self::Variable => "the name of an environment variable",
            Self::Word(_) => "a single word",
            Self::List(_, 0) => "a list, such as [displayName, city]; [] for none",
            Self::List(..) => "a list, such as [entra]",
            Self::Secret => "{ file: PATH } or { env: NAME }",
            Self::Section(_) => "a map of keys",
            Self::Named(_) => "a map from names to their keys",
            Self::WordOr(..) => "a single word or a map of keys",
            Self::OneOrMany(kind) => kind.expected(),
        }
    }

    /// What each entry of a list, or of a map from names, holds.
    pub(super) fn element(&'static self) -> &'static Self {
        match self {
            Self::OneOrMany(kind) | Self::Named(kind) | Self::List(kind, _) => kind,
            other => other,
        }
    }
}

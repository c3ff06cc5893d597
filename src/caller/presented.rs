//! What a request presents, read from its head.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, header::AUTHORIZATION};
use percent_encoding::percent_decode_str;

use super::digest::Digest;
use crate::tls::Inadmissible;

/// Why a request was not let in. The caller is told none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthFailure {
    /// No credential of a kind that the user flow takes.
    Missing,
    /// Such a credential, and none that matches.
    Mismatch,
    /// More than one `Authorization` or `code`: claimgate and whatever stands before it may have read different ones.
    Repeated,
    /// A client certificate that is trusted, but none of this user flow, and no other credential.
    CertificateMismatch,
    /// The connection has no client certificate and is older than `listen.tls.client: required`.
    CertificateMissing,
    /// The client certificate has ended since the connection or its session began.
    CertificateExpired,
    /// Nothing trusts the client certificate any more.
    CertificateUntrusted,
}

impl From<Inadmissible> for AuthFailure {
    fn from(inadmissible: Inadmissible) -> Self {
        match inadmissible {
            Inadmissible::NoCertificate => Self::CertificateMissing,
            Inadmissible::Expired => Self::CertificateExpired,
            Inadmissible::Untrusted => Self::CertificateUntrusted,
        }
    }
}

impl AuthFailure {
    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "credential_missing",
            Self::Mismatch => "credential_mismatch",
            Self::Repeated => "credential_repeated",
            Self::CertificateMismatch => "certificate_mismatch",
            Self::CertificateMissing => "certificate_missing",
            Self::CertificateExpired => "certificate_expired",
            Self::CertificateUntrusted => "certificate_untrusted",
        }
    }

    /// Whether it holds for every request on this connection.
    pub const fn is_of_connection(self) -> bool {
        matches!(self, Self::CertificateMissing | Self::CertificateExpired | Self::CertificateUntrusted)
    }
}

/// What a request presents of one kind of credential.
pub(super) enum Presented<T> {
    /// Nothing.
    Absent,
    /// Something that can match nothing.
    Unreadable,
    /// This.
    Value(T),
}

/// The digest of the Basic credentials.
pub(super) fn basic(headers: &HeaderMap) -> Result<Presented<Digest>, AuthFailure> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(Presented::Absent) };
    if values.next().is_some() {
        return Err(AuthFailure::Repeated);
    }
    let mut parts = value.as_bytes().splitn(2, |byte| *byte == b' ');
    let (Some(scheme), Some(credentials)) = (parts.next(), parts.next()) else {
        return Ok(Presented::Absent);
    };
    if !scheme.eq_ignore_ascii_case(b"Basic") {
        return Ok(Presented::Absent);
    }
    let pair = STANDARD.decode(credentials.trim_ascii()).ok().map(zeroize::Zeroizing::new);
    Ok(match pair.filter(|pair| pair.contains(&b':')) {
        Some(pair) => Presented::Value(Digest::of(&pair)),
        None => Presented::Unreadable,
    })
}

/// The value of `code` in a query: percent-decoded, while `+` stays `+`, for keys are base64 and no forms.
pub(super) fn code(query: &str) -> Result<Presented<Digest>, AuthFailure> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut codes = pairs.filter(|(name, _)| percent_decode_str(name).eq(*b"code"));
    let first = codes.next();
    if codes.next().is_some() {
        return Err(AuthFailure::Repeated);
    }
    let digest = |value| Presented::Value(Digest::of(&Cow::from(percent_decode_str(value))));
    Ok(first.map_or(Presented::Absent, |(_, value)| digest(value)))
}

/// The value of a key header, of which there must not be two.
pub(super) fn header(headers: &HeaderMap, name: &HeaderName) -> Presented<Digest> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Presented::Absent,
        (Some(value), None) => Presented::Value(Digest::of(value.as_bytes())),
        (Some(_), Some(_)) => Presented::Unreadable,
    }
}

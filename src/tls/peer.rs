//! The certificate that a client has shown.

use std::{
    fmt,
    ops::Range,
    sync::{Mutex, PoisonError, Weak},
    time::{Duration, SystemTime},
};

use rustls::{
    Error,
    pki_types::{CertificateDer, UnixTime},
};
use x509_cert::{
    Certificate,
    der::Decode,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

use super::{
    Validity,
    trust::{Authorities, ClientCa, ClientTrust},
};
use crate::config::Thumbprint;

/// A client on the other side of a connection, by the certificate whose key it has proven to hold.
///
/// A connection, and even more a session that is resumed, outlives the configuration that let it in. So this is no
/// verdict: whether the certificate is trusted is asked anew for each hook, of what is configured then.
pub struct Peer {
    /// The leaf first.
    chain: Vec<CertificateDer<'static>>,
    thumbprint: Thumbprint,
    validity: Validity,
    /// Its DNS names in lower case.
    names: Vec<String>,
    /// When a certificate of the chain becomes valid, or is no longer, in seconds since 1970.
    turns: Vec<u64>,
    verdicts: Mutex<Vec<Verdict>>,
}

/// What came of following the chain to some authorities. Nothing about it changes but the time.
struct Verdict {
    ca: Weak<Authorities>,
    /// In seconds since 1970: between two turns of the chain.
    period: Range<u64>,
    result: Result<(), Error>,
}

/// Why a certificate is not trusted, for the diagnostic log.
#[derive(Debug)]
pub(super) enum Distrust {
    /// It is not yet valid, or no longer.
    Time,
    /// It is not the one.
    Other,
    /// The chain leads to none of the authorities.
    Chain(Error),
    /// An authority that is trusted issued it, for another name.
    Name,
}

impl Peer {
    /// The client that shows this chain, the leaf first; nothing if the leaf cannot be read.
    ///
    /// What else cannot be read is left out of the chain, for nobody would notice when it ends.
    pub(super) fn read(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let (leaf, rest) = chain.split_first()?;
        let parsed = Certificate::from_der(leaf).ok()?;
        let validity = Validity::of(leaf)?;
        let names = dns_names(&parsed);
        let mut turns = turns(validity).to_vec();
        let mut chain = vec![leaf.clone().into_owned()];
        for certificate in rest {
            if let Some(validity) = Validity::of(certificate) {
                turns.extend(self::turns(validity));
                chain.push(certificate.clone().into_owned());
            }
        }
        turns.sort_unstable();
        let thumbprint = Thumbprint::of(leaf);
        Some(Self { chain, thumbprint, validity, names, turns, verdicts: Mutex::default() })
    }

    /// SHA-256 of its certificate.
    pub fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }

    /// When its certificate is valid.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Whether its certificate is trusted in this way, and valid, at `now`.
    pub fn is_trusted_by(&self, trust: &ClientTrust, now: SystemTime) -> bool {
        self.judge(trust, now).is_ok()
    }

    pub(super) fn judge(&self, trust: &ClientTrust, now: SystemTime) -> Result<(), Distrust> {
        if !self.validity.holds_at(now) {
            return Err(Distrust::Time);
        }
        match trust {
            ClientTrust::Thumbprint(thumbprint) if *thumbprint == self.thumbprint => Ok(()),
            ClientTrust::Thumbprint(_) => Err(Distrust::Other),
            ClientTrust::Issued { ca, names } => {
                self.follow(ca, seconds(now)).map_err(Distrust::Chain)?;
                let named = names.iter().any(|name| self.names.iter().any(|own| own == name.as_str()));
                if named || names.is_empty() { Ok(()) } else { Err(Distrust::Name) }
            }
        }
    }

    /// Follows the chain to these authorities, once in each period in which nothing can change. Others, also those of
    /// the same file read anew, are others.
    fn follow(&self, ca: &ClientCa, now: u64) -> Result<(), Error> {
        let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        let known = verdicts.iter().find(|verdict| ca.is(&verdict.ca) && verdict.period.contains(&now));
        if let Some(verdict) = known {
            return verdict.result.clone();
        }
        let result = ca.verify(&self.chain, UnixTime::since_unix_epoch(Duration::from_secs(now)));
        verdicts.retain(|verdict| verdict.ca.strong_count() > 0 && !ca.is(&verdict.ca));
        verdicts.push(Verdict { ca: ca.downgrade(), period: self.period(now), result: result.clone() });
        result
    }

    fn period(&self, now: u64) -> Range<u64> {
        let next = self.turns.partition_point(|turn| *turn <= now);
        let began = next.checked_sub(1).map_or(0, |last| self.turns[last]);
        began..self.turns.get(next).copied().unwrap_or(u64::MAX)
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("thumbprint", &self.thumbprint).finish_non_exhaustive()
    }
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time => f.write_str("it is not yet valid, or no longer"),
            Self::Other => f.write_str("it is none of those that are trusted"),
            Self::Chain(error) => write!(f, "no trusted authority vouches for it: {error}"),
            Self::Name => {
                f.write_str("a trusted authority issued it, for none of the names that are trusted")
            }
        }
    }
}

/// The seconds in which a certificate becomes valid and in which it is no longer: its last second still counts
/// (RFC 5280 section 4.1.2.5).
fn turns(validity: Validity) -> [u64; 2] {
    [seconds(validity.not_before), seconds(validity.not_after).saturating_add(1)]
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn dns_names(certificate: &Certificate) -> Vec<String> {
    let names = certificate.tbs_certificate().get_extension::<SubjectAltName>();
    let names = names.ok().flatten().map(|(_, SubjectAltName(names))| names).unwrap_or_default();
    let dns_name = |name| match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
        _ => None,
    };
    names.into_iter().filter_map(dns_name).collect()
}

#[cfg(test)]
#[path = "peer_tests.rs"]
mod tests;

//! Certificates with their keys: what claimgate shows to the other side.

use std::{fmt, path::PathBuf, sync::Arc, time::SystemTime};

use rustls::{
    Error, InconsistentKeys,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use x509_cert::{
    Certificate,
    der::{DateTime, Decode},
};

use crate::config::Pem;

/// A certificate with its chain and its key. Cheap to clone.
#[derive(Clone)]
pub struct Identity {
    key: Arc<CertifiedKey>,
    validity: Validity,
}

/// From when until when a certificate is valid (RFC 5280 section 4.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Its first moment.
    pub not_before: SystemTime,
    /// Its last moment.
    pub not_after: SystemTime,
}

/// Why a certificate and a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file is no well-formed PEM (RFC 7468).
    #[error("{} is no well-formed PEM file", path.display())]
    NotPem {
        /// Which file.
        path: PathBuf,
    },
    /// The file holds no certificate.
    #[error("{} holds no certificate", path.display())]
    NoCertificate {
        /// Which file.
        path: PathBuf,
    },
    /// A section of the file is no X.509 certificate.
    #[error("certificate {position} in {} cannot be read", path.display())]
    CertificateUnreadable {
        /// Which file.
        path: PathBuf,
        /// Which certificate in it, from 1.
        position: usize,
    },
    /// A certificate is not followed by that of its issuer (RFC 8446 section 4.4.2).
    #[error(
        "certificate {position} in {} was not issued by the one after it; the leaf comes first, then its issuer, and so on",
        path.display()
    )]
    Order {
        /// Which file.
        path: PathBuf,
        /// Which certificate in it, from 1.
        position: usize,
    },
    /// The file holds no private key.
    #[error("{} holds no private key (PKCS #8, PKCS #1 or SEC 1, in PEM)", path.display())]
    NoKey {
        /// Which file.
        path: PathBuf,
    },
    /// The key is encrypted, and nothing here could decrypt it.
    #[error(
        "the private key in {} is encrypted; write it without a pass phrase (`openssl pkey -in FILE -out NEW`) and protect the file",
        path.display()
    )]
    KeyEncrypted {
        /// Which file.
        path: PathBuf,
    },
    /// More than one key: which is meant would be a guess.
    #[error("{} holds more than one private key", path.display())]
    SeveralKeys {
        /// Which file.
        path: PathBuf,
    },
    /// The key is of a kind or size that is not supported, or damaged.
    #[error("the private key in {} cannot be used: it must be RSA of 2048 bits or more, ECDSA or Ed25519", path.display())]
    KeyUnusable {
        /// Which file.
        path: PathBuf,
    },
    /// The key belongs to another certificate.
    #[error("the private key in {} does not belong to the certificate in {}", key.display(), certificate.display())]
    Mismatch {
        /// File of the certificate.
        certificate: PathBuf,
        /// File of the key.
        key: PathBuf,
    },
}

impl Identity {
    /// The certificate, its chain behind it, and its key. Both may stand in one file.
    pub fn read(certificate: &Pem, key: &Pem) -> Result<Self, IdentityError> {
        let chain = read_chain(certificate)?;
        let validity = chain.validity;
        let key_der = read_key(key)?;
        let made = CertifiedKey::from_der(chain.certificates, key_der, &aws_lc_rs::default_provider());
        let key = made.map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                IdentityError::Mismatch { certificate: certificate.path.clone(), key: key.path.clone() }
            }
            _ => IdentityError::KeyUnusable { path: key.path.clone() },
        })?;
        Ok(Self { key: Arc::new(key), validity })
    }

    /// When its leaf is valid.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// What rustls signs with.
    pub(super) fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("validity", &self.validity).finish_non_exhaustive()
    }
}

impl Validity {
    /// Of a certificate in DER; nothing if it cannot be read.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        Certificate::from_der(certificate).ok().map(|certificate| Self::of_parsed(&certificate))
    }

    /// Whether it is valid at `time`.
    pub fn holds_at(&self, time: SystemTime) -> bool {
        (self.not_before..=self.not_after).contains(&time)
    }

    fn of_parsed(certificate: &Certificate) -> Self {
        let validity = certificate.tbs_certificate().validity();
        Self {
            not_before: validity.not_before.to_system_time(),
            not_after: validity.not_after.to_system_time(),
        }
    }
}

impl fmt::Display for Validity {
    /// Both ends as RFC 3339 writes them, in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |time| DateTime::from_system_time(time).map_err(|_| fmt::Error);
        write!(f, "from {} until {}", end(self.not_before)?, end(self.not_after)?)
    }
}

struct Chain {
    certificates: Vec<CertificateDer<'static>>,
    /// Of the leaf.
    validity: Validity,
}

fn read_chain(pem: &Pem) -> Result<Chain, IdentityError> {
    let path = || pem.path.clone();
    // The parser's error quotes the file; what was put there by mistake may be a key.
    let certificates = CertificateDer::pem_slice_iter(pem.contents.expose())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| IdentityError::NotPem { path: path() })?;
    let parsed = certificates
        .iter()
        .zip(1..)
        .map(|(der, position)| {
            Certificate::from_der(der)
                .map_err(|_| IdentityError::CertificateUnreadable { path: path(), position })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let out_of_order =
        |pair: &[Certificate]| pair[0].tbs_certificate().issuer() != pair[1].tbs_certificate().subject();
    if let Some(index) = parsed.windows(2).position(out_of_order) {
        return Err(IdentityError::Order { path: path(), position: index + 1 });
    }
    let leaf = parsed.first().ok_or_else(|| IdentityError::NoCertificate { path: path() })?;
    Ok(Chain { validity: Validity::of_parsed(leaf), certificates })
}

fn read_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, IdentityError> {
    let path = || pem.path.clone();
    let contents = pem.contents.expose();
    // RFC 7468 section 11, and the older form of OpenSSL with its headers.
    let encrypted = [&b"-----BEGIN ENCRYPTED PRIVATE KEY-----"[..], b"Proc-Type: 4,ENCRYPTED"];
    if encrypted.iter().any(|mark| contents.windows(mark.len()).any(|part| part == *mark)) {
        return Err(IdentityError::KeyEncrypted { path: path() });
    }
    let mut keys = PrivateKeyDer::pem_slice_iter(contents);
    let key = keys.next().ok_or_else(|| IdentityError::NoKey { path: path() })?;
    let key = key.map_err(|_| IdentityError::NotPem { path: path() })?;
    match keys.next() {
        None => Ok(key),
        Some(Ok(_)) => Err(IdentityError::SeveralKeys { path: path() }),
        Some(Err(_)) => Err(IdentityError::NotPem { path: path() }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

    use super::*;
    use crate::config::Secret;

    fn pem(name: &str, contents: &str) -> Pem {
        Pem { path: name.into(), contents: Secret::new(contents.as_bytes().to_vec()) }
    }

    fn read(certificate: &str, key: &str) -> Result<Identity, String> {
        Identity::read(&pem("tls.crt", certificate), &pem("tls.key", key)).map_err(|error| error.to_string())
    }

    struct Made {
        leaf: String,
        key: String,
        authority: String,
    }

    fn made() -> Made {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, "the authority");
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        let mut parameters = CertificateParams::new(["hooks.example".to_owned()]).unwrap();
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(2030, 1, 1);
        let key = KeyPair::generate().unwrap();
        let leaf = parameters.signed_by(&key, &issuer).unwrap();
        Made { leaf: leaf.pem(), key: key.serialize_pem(), authority: issuer.pem() }
    }

    #[test]
    fn a_certificate_with_or_without_its_chain_and_both_in_one_file() {
        let Made { leaf, key, authority } = made();
        let days = |days: u64| SystemTime::UNIX_EPOCH + Duration::from_hours(24 * days);
        let expected = Validity { not_before: days(18_262), not_after: days(21_915) };
        let both = format!("{key}{leaf}{authority}");
        for (certificate, key) in [(&leaf, &key), (&format!("{leaf}{authority}"), &key), (&both, &both)] {
            assert_eq!(read(certificate, key).unwrap().validity(), expected);
        }
        let second = Duration::from_secs(1);
        let (first, last) = (expected.not_before, expected.not_after);
        assert!(expected.holds_at(first) && expected.holds_at(last));
        assert!(!expected.holds_at(first - second) && !expected.holds_at(last + second));
    }

    #[test]
    fn what_cannot_be_used_is_told_apart_and_never_quoted() {
        let Made { leaf, key, authority } = made();
        let other = made();
        let section = |label: &str| format!("-----BEGIN {label}-----\nc2VjcmV0\n-----END {label}-----\n");
        let unended = "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n";
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES\n\nc2VjcmV0\n-----END RSA PRIVATE KEY-----\n";
        let rows = [
            ("", &*key, "tls.crt holds no certificate"),
            (&key, &key, "tls.crt holds no certificate"),
            (unended, &key, "tls.crt is no well-formed PEM file"),
            (&section("CERTIFICATE"), &key, "certificate 1 in tls.crt cannot be read"),
            (&format!("{leaf}{}", section("CERTIFICATE")), &key, "certificate 2 in tls.crt cannot be read"),
            (
                &format!("{authority}{leaf}"),
                &key,
                "certificate 1 in tls.crt was not issued by the one after it",
            ),
            (&leaf, &leaf, "tls.key holds no private key"),
            (&leaf, "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n", "tls.key is no well-formed PEM file"),
            (&leaf, &section("PRIVATE KEY"), "the private key in tls.key cannot be used"),
            (&leaf, &section("ENCRYPTED PRIVATE KEY"), "the private key in tls.key is encrypted"),
            (&leaf, old, "the private key in tls.key is encrypted"),
            (&leaf, &format!("{key}{key}"), "tls.key holds more than one private key"),
            (&leaf, &other.key, "the private key in tls.key does not belong to the certificate in tls.crt"),
        ];
        for (certificate, key, expected) in rows {
            let error = read(certificate, key).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
            assert!(!error.contains("c2VjcmV0") && !error.contains("secret"), "{error}");
        }
    }
}

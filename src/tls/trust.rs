//! Which client certificates are trusted.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use rustls::{
    CertificateError, Error,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, UnixTime},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

use super::roots::{self, RootsError};
use crate::config::{CallerCertificate, DnsName, ListenTls, Pem, Thumbprint};

/// One way for a client certificate to be trusted. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientTrust {
    /// It is this very one, whoever issued it.
    Thumbprint(Thumbprint),
    /// It was issued by one of these authorities for clients (RFC 5280 section 4.2.1.12), and has one of these names,
    /// or any if there is none.
    Issued {
        /// The authorities.
        ca: ClientCa,
        /// The names.
        names: Vec<DnsName>,
    },
}

/// Authorities that issue client certificates. Cheap to clone: clones are the same authorities.
#[derive(Clone)]
pub struct ClientCa(Arc<Authorities>);

pub(super) struct Authorities {
    verifier: Arc<dyn ClientCertVerifier>,
    pem: Pem,
}

impl ClientTrust {
    /// What makes a certificate a caller's.
    pub fn of_caller(certificate: &CallerCertificate) -> Result<Self, RootsError> {
        Ok(match certificate {
            CallerCertificate::Thumbprint(thumbprint) => Self::Thumbprint(*thumbprint),
            CallerCertificate::Issued { ca, name } => {
                Self::Issued { ca: ClientCa::new(ca)?, names: vec![name.clone()] }
            }
        })
    }

    /// What the listener trusts beside the callers' certificates.
    pub(super) fn of_listener(listen: &ListenTls) -> Result<Vec<Self>, RootsError> {
        let thumbprints = listen.client_thumbprints.iter().copied().map(Self::Thumbprint);
        let ca = listen.client_ca.as_ref().map(ClientCa::new).transpose()?;
        let issued = ca.map(|ca| Self::Issued { ca, names: listen.client_names.clone() });
        Ok(thumbprints.chain(issued).collect())
    }
}

impl ClientCa {
    fn new(pem: &Pem) -> Result<Self, RootsError> {
        let roots = Arc::new(roots::read(pem)?);
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
        let verifier = verifier.map_err(|_| RootsError::Empty { path: pem.path.clone() })?;
        Ok(Self::with(verifier, pem.clone()))
    }

    pub(super) fn with(verifier: Arc<dyn ClientCertVerifier>, pem: Pem) -> Self {
        Self(Arc::new(Authorities { verifier, pem }))
    }

    /// Follows the chain from its leaf to an authority. Expensive: a signature is verified for each link.
    pub(super) fn verify(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), Error> {
        let (leaf, rest) = chain.split_first().ok_or(CertificateError::BadEncoding)?;
        self.0.verifier.verify_client_cert(leaf, rest, now).map(drop)
    }

    /// Something that remembers these authorities without keeping them. Its address belongs to no others as long as it
    /// lives.
    pub(super) fn downgrade(&self) -> Weak<Authorities> {
        Arc::downgrade(&self.0)
    }

    pub(super) fn is(&self, remembered: &Weak<Authorities>) -> bool {
        std::ptr::eq(Arc::as_ptr(&self.0), remembered.as_ptr())
    }
}

impl PartialEq for ClientCa {
    fn eq(&self, other: &Self) -> bool {
        self.0.pem == other.0.pem
    }
}

impl Eq for ClientCa {}

impl fmt::Debug for ClientCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientCa").field(&self.0.pem).finish()
    }
}

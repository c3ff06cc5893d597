//! Authorities to trust, from a file.

use std::path::PathBuf;

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::config::Pem;

/// Why the certificates of a file cannot be trusted as authorities.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file is no well-formed PEM (RFC 7468).
    #[error("{} is no well-formed PEM file", path.display())]
    NotPem {
        /// Which file.
        path: PathBuf,
    },
    /// The file holds no certificate, so nothing would be trusted.
    #[error("{} holds no certificate", path.display())]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// A section of the file is no certificate that can be trusted as a root.
    #[error("certificate {position} in {} is no usable root: {reason}", path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// Which certificate in it, from 1.
        position: usize,
        /// What the TLS library says about it.
        reason: String,
    },
}

pub(super) fn read(pem: &Pem) -> Result<RootCertStore, RootsError> {
    let path = &pem.path;
    let mut store = RootCertStore::empty();
    for (index, certificate) in CertificateDer::pem_slice_iter(pem.contents.expose()).enumerate() {
        // The error quotes the file; what was put there by mistake may be a key.
        let certificate = certificate.map_err(|_| RootsError::NotPem { path: path.clone() })?;
        store.add(certificate).map_err(|error| RootsError::Unusable {
            path: path.clone(),
            position: index + 1,
            reason: error.to_string(),
        })?;
    }
    if store.is_empty() { Err(RootsError::Empty { path: path.clone() }) } else { Ok(store) }
}

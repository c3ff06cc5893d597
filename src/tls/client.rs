//! The client's side of TLS.

use std::{fmt, io, path::PathBuf, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Stream;
use crate::config::{Pem, Roots};

/// What claimgate speaks inside TLS (RFC 7301): an API that would rather speak HTTP/2 is told so in the handshake.
const ALPN: &[u8] = b"http/1.1";

/// Why TLS towards an API cannot be set up. Found when the configuration is loaded, not at the first call.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// The file with the roots is no well-formed PEM (RFC 7468).
    #[error("roots: {} is no well-formed PEM file", path.display())]
    RootsNotPem {
        /// Which file.
        path: PathBuf,
    },
    /// The file holds no certificate, so every handshake would fail.
    #[error("roots: {} holds no certificate", path.display())]
    RootsEmpty {
        /// Which file.
        path: PathBuf,
    },
    /// A section of the file is no certificate that can be trusted as a root.
    #[error("roots: certificate {position} in {} is no usable root: {reason}", path.display())]
    RootUnusable {
        /// Which file.
        path: PathBuf,
        /// Which certificate in it, from 1.
        position: usize,
        /// What the TLS library says about it.
        reason: String,
    },
    /// The host is neither a DNS name nor an IP address, so no certificate can match it.
    #[error("the host is neither a DNS name nor an IP address")]
    HostName,
    /// The provider of cryptography supports none of the protocol versions.
    #[error("no TLS version is available: {0}")]
    Versions(String),
}

/// Whom to trust and which name to expect. Cheap to clone: clones share the sessions to resume.
///
/// TLS 1.2 and 1.3; the certificate is always verified against the roots and the host's name. Sessions are resumed
/// only within this value, so two connectors never share one.
#[derive(Clone)]
pub struct ClientTls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl ClientTls {
    /// TLS to `host` (a DNS name, or an IP address without brackets) trusting `roots` and nothing else.
    pub fn new(roots: &Roots, host: &str) -> Result<Self, TlsSetupError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsSetupError::HostName)?;
        let roots = match roots {
            Roots::Webpki => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
            Roots::File(pem) => read_roots(pem)?,
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| TlsSetupError::Versions(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// Shakes hands over `tcp`. Bound it in time: it waits for the peer as long as the peer likes. Ask [`super::Fault::of`]
    /// about the error.
    pub async fn connect(&self, tcp: TcpStream) -> io::Result<Stream> {
        let tls = self.connector.connect(self.name.clone(), tcp).await?;
        Ok(Stream::Tls(Box::new(tls)))
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("name", &self.name).finish_non_exhaustive()
    }
}

fn read_roots(pem: &Pem) -> Result<RootCertStore, TlsSetupError> {
    let path = &pem.path;
    let mut store = RootCertStore::empty();
    for (index, certificate) in CertificateDer::pem_slice_iter(pem.contents.expose()).enumerate() {
        // The error quotes the file; what was put there by mistake may be a key.
        let certificate = certificate.map_err(|_| TlsSetupError::RootsNotPem { path: path.clone() })?;
        store.add(certificate).map_err(|error| TlsSetupError::RootUnusable {
            path: path.clone(),
            position: index + 1,
            reason: error.to_string(),
        })?;
    }
    if store.is_empty() { Err(TlsSetupError::RootsEmpty { path: path.clone() }) } else { Ok(store) }
}

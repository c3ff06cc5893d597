//! The server's side of TLS.

use std::{fmt, io, sync::Arc, time::SystemTime};

use rustls::{
    Error, ServerConfig,
    crypto::aws_lc_rs,
    sign::SingleCertAndKey,
    version::{TLS12, TLS13},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::{
    ALPN, ClientTrust, Identity, IdentityError, Peer, Stream, Validity,
    asked::Asked,
    fault::rustls_error,
    roots::RootsError,
    sessions::Sessions,
    stream::Encrypted,
    verifier::{Clients, Inadmissible},
};
use crate::config::{ClientCertificate, ListenTls};

/// Why TLS on the hook port cannot be set up. Found when the configuration is loaded.
#[derive(Debug, thiserror::Error)]
pub enum ServerTlsError {
    /// Its own certificate or key cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The authorities for clients cannot be used.
    #[error("client_ca: {0}")]
    ClientCa(RootsError),
    /// The provider of cryptography supports none of the protocol versions.
    #[error("no TLS version is available: {0}")]
    Versions(String),
}

/// Why a handshake failed: closed words for a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// It took too long.
    Timeout,
    /// The client showed no certificate, and must.
    NoCertificate,
    /// The client's certificate is not trusted, not valid, or not its own.
    CertificateRefused,
    /// The client ended it by an alert: claimgate's certificate is not trusted there, for example.
    ClientRefused,
    /// No version, cipher suite or application protocol in common, or no TLS at all.
    Protocol,
    /// The client hung up.
    Closed,
}

impl HandshakeFailure {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::Timeout,
        Self::NoCertificate,
        Self::CertificateRefused,
        Self::ClientRefused,
        Self::Protocol,
        Self::Closed,
    ];

    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::NoCertificate => "no_certificate",
            Self::CertificateRefused => "certificate_refused",
            Self::ClientRefused => "client_refused",
            Self::Protocol => "protocol",
            Self::Closed => "closed",
        }
    }

    fn of(error: &io::Error) -> Self {
        match rustls_error(error) {
            None => Self::Closed,
            Some(Error::NoCertificatesPresented) => Self::NoCertificate,
            Some(Error::InvalidCertificate(_)) => Self::CertificateRefused,
            Some(Error::AlertReceived(_)) => Self::ClientRefused,
            Some(_) => Self::Protocol,
        }
    }
}

/// A handshake that failed. The alert that says so has been written to `tcp`, and not necessarily read.
#[derive(Debug)]
pub struct Failed {
    /// Why, in a word.
    pub reason: HandshakeFailure,
    /// Why. Its text names alerts and kinds of faults, never what was sent.
    pub error: io::Error,
    /// The connection.
    pub tcp: TcpStream,
}

/// What the hook port shows to clients, and which of them may connect. Cheap to clone: clones share the sessions.
///
/// TLS 1.2 and 1.3, with the cipher suites that Azure AD B2C speaks beside others of their strength (Microsoft: "TLS and
/// cipher suite requirements - Azure AD B2C"). Sessions are resumed only within this value: with another certificate
/// or trust, every client must prove anew who it is.
#[derive(Clone)]
pub struct ServerTls {
    acceptor: TlsAcceptor,
    clients: Arc<Clients>,
    listen: Arc<ListenTls>,
    validity: Validity,
}

impl ServerTls {
    /// TLS as `listen` says, for clients that it trusts or that `callers` do. All that is wrong is reported.
    pub fn new(
        listen: ListenTls,
        callers: impl IntoIterator<Item = ClientTrust>,
    ) -> Result<Self, Vec<ServerTlsError>> {
        let identity = Identity::read(&listen.certificate, &listen.key).map_err(ServerTlsError::Identity);
        let trusts = ClientTrust::of_listener(&listen).map_err(ServerTlsError::ClientCa);
        let (identity, mut trusts) = match (identity, trusts) {
            (Ok(identity), Ok(trusts)) => (identity, trusts),
            (identity, trusts) => return Err(identity.err().into_iter().chain(trusts.err()).collect()),
        };
        trusts.extend(callers);
        let required = listen.client == ClientCertificate::Required;
        let clients = Arc::new(Clients::new(trusts, required));
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| vec![ServerTlsError::Versions(error.to_string())])?;
        let mut config = builder
            .with_client_cert_verifier(clients.clone())
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified_key().clone())));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(Sessions::new());
        let validity = identity.validity();
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            clients,
            listen: Arc::new(listen),
            validity,
        })
    }

    /// Whether it shows and trusts the same, so that sessions of one may be resumed with the other.
    pub fn is_same(&self, other: &Self) -> bool {
        self.listen == other.listen && self.clients.trusts() == other.clients.trusts()
    }

    /// Where its sessions are kept, to tell two values apart.
    #[cfg(test)]
    pub(crate) fn sessions(&self) -> *const () {
        Arc::as_ptr(&self.acceptor.config().session_storage).cast()
    }

    /// When its certificate is valid.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Shakes hands over `tcp`. Bound it in time: it waits for the client as long as the client likes.
    pub async fn accept(&self, tcp: TcpStream) -> Result<(Stream, Option<Peer>), Failed> {
        let accepted = self.acceptor.accept(tcp).into_fallible().await;
        let tls =
            accepted.map_err(|(error, tcp)| Failed { reason: HandshakeFailure::of(&error), error, tcp })?;
        let chain = tls.get_ref().1.peer_certificates();
        // A leaf that cannot be read was refused in the handshake.
        let peer = chain.and_then(Peer::read);
        Ok((Stream::Tls(Box::new(Encrypted::new(tls, 0, Asked::No))), peer))
    }

    /// Whether a connection of this client may still be used at `now`: it may be older than this value, or have resumed
    /// a session.
    pub fn admit(&self, peer: Option<&Peer>, now: SystemTime) -> Result<(), Inadmissible> {
        self.clients.admit(peer, now)
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("listen", &self.listen).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;

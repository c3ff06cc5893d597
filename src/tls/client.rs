//! The client's side of TLS.

use std::{
    fmt, io,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    client::Resumption,
    crypto::aws_lc_rs,
    pki_types::ServerName,
    version::{TLS12, TLS13},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{
    ALPN, Fault, Identity, IdentityError, Stream, Validity,
    asked::{self, Shows},
    in_use::{self, InUse},
    roots::{self, RootsError},
    stream::Encrypted,
};
use crate::config::{KeyedCertificate, Roots, TlsVersion};

/// Why TLS towards an API cannot be set up. Found when the configuration is loaded, not at the first call.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// The file with the roots holds none that can be used.
    #[error("roots: {0}")]
    Roots(#[from] RootsError),
    /// A client certificate cannot be used.
    #[error("certificate: {0}")]
    Certificate(#[from] IdentityError),
    /// The host is neither a DNS name nor an IP address, so no certificate can match it.
    #[error("the host is neither a DNS name nor an IP address")]
    HostName,
    /// The provider of cryptography supports none of the protocol versions.
    #[error("no TLS version is available: {0}")]
    Versions(String),
}

/// What is to be known of an API for TLS with it.
#[derive(Clone, Copy, Debug)]
pub struct ClientSettings<'a> {
    /// Name of the connector, for the diagnostic log.
    pub connector: &'a str,
    /// Which authorities to trust, and no others.
    pub roots: &'a Roots,
    /// The name to ask for and to find in the certificate: a DNS name, or an IP address without brackets.
    pub server_name: &'a str,
    /// The oldest version to speak.
    pub min_version: TlsVersion,
    /// What to show if the API asks: of several, the newest that is valid.
    pub certificates: &'a [KeyedCertificate],
}

/// Whom to trust, which name to expect and which certificate to show. Cheap to clone: clones share the sessions to
/// resume.
///
/// TLS 1.2 and 1.3; the API's certificate is always verified against the roots and the name. Sessions are resumed only
/// within this value and under the same certificate of ours, so neither two connectors nor two certificates share one.
#[derive(Clone)]
pub struct ClientTls {
    shared: Arc<Shared>,
    clock: Clock,
}

struct Shared {
    connector: String,
    name: ServerName<'static>,
    /// At least one.
    identities: Vec<ClientIdentity>,
    /// Which identity was told to be out of its time, so that this is told once.
    told: AtomicUsize,
}

/// What claimgate is towards the API: without a certificate, or with this one.
struct ClientIdentity {
    validity: Option<Validity>,
    connector: TlsConnector,
}

/// The wall clock.
type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Sessions of an identity to resume: as many tickets as are kept of one server.
const SESSIONS: usize = 8;

const NOTHING_TOLD: usize = usize::MAX;

impl ClientTls {
    /// TLS as `settings` say. Warns if no certificate of several, or the only one, is valid now.
    pub fn new(settings: &ClientSettings<'_>) -> Result<Self, TlsSetupError> {
        let name =
            ServerName::try_from(settings.server_name.to_owned()).map_err(|_| TlsSetupError::HostName)?;
        let roots = match settings.roots {
            Roots::Webpki => webpki(),
            Roots::File(pem) => Arc::new(roots::read(pem)?),
        };
        let mut identities = Vec::with_capacity(settings.certificates.len().max(1));
        for KeyedCertificate { certificate, key } in settings.certificates {
            let identity = Identity::read(certificate, key)?;
            identities.push(ClientIdentity::new(&roots, settings.min_version, Some(&identity))?);
        }
        if identities.is_empty() {
            identities.push(ClientIdentity::new(&roots, settings.min_version, None)?);
        }
        let connector = settings.connector.to_owned();
        let shared = Shared { connector, name, identities, told: AtomicUsize::new(NOTHING_TOLD) };
        let tls = Self { shared: Arc::new(shared), clock: Arc::new(SystemTime::now) };
        tls.in_use();
        Ok(tls)
    }

    /// Shakes hands over `tcp`, with the certificate that is in use now. Bound it in time: it waits for the peer as long
    /// as the peer likes. Ask [`Fault::of`] about the error.
    pub async fn connect(&self, tcp: TcpStream) -> io::Result<Stream> {
        let index = self.in_use();
        let handshake = self.shared.identities[index].connector.connect(self.shared.name.clone(), tcp);
        let (result, asked) = asked::during(handshake).await;
        let tls = result.map_err(|error| Fault::complete(error, asked, false))?;
        Ok(Stream::Tls(Box::new(Encrypted::new(tls, index, asked))))
    }

    /// Whether a connection of [`Self::connect`] was made with the certificate that is in use now. If not, it must not
    /// be used again: the API would take it for one of the old certificate.
    pub fn is_current(&self, stream: &Stream) -> bool {
        match stream {
            Stream::Plain(_) => true,
            Stream::Tls(encrypted) => {
                self.shared.identities.len() == 1 || encrypted.identity() == self.in_use()
            }
        }
    }

    /// When its certificates are valid, in the order of the configuration.
    pub fn validities(&self) -> impl Iterator<Item = Validity> + Clone {
        self.shared.identities.iter().filter_map(|identity| identity.validity)
    }

    /// With another clock than the system's.
    #[cfg(test)]
    pub(crate) fn with_clock(self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    fn in_use(&self) -> usize {
        let shared = &*self.shared;
        // Without a certificate there is the one identity.
        let Some(InUse { index, valid }) = in_use::choose(self.validities(), (self.clock)()) else {
            return 0;
        };
        let told = if valid { NOTHING_TOLD } else { index };
        if shared.told.load(Ordering::Relaxed) != told
            && shared.told.swap(told, Ordering::Relaxed) != told
            && !valid
        {
            let validity = shared.identities[index].validity;
            tracing::warn!(
                connector = shared.connector,
                valid = validity.map(tracing::field::display),
                "no client certificate is valid now: the one that ends last is shown, and the API may well refuse it"
            );
        }
        index
    }
}

/// Mozilla's authorities, one store for all connectors.
fn webpki() -> Arc<RootCertStore> {
    static STORE: LazyLock<Arc<RootCertStore>> =
        LazyLock::new(|| Arc::new(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }));
    Arc::clone(&STORE)
}

impl ClientIdentity {
    fn new(
        roots: &Arc<RootCertStore>,
        min_version: TlsVersion,
        identity: Option<&Identity>,
    ) -> Result<Self, TlsSetupError> {
        let versions: &[&SupportedProtocolVersion] = match min_version {
            TlsVersion::V1_2 => &[&TLS13, &TLS12],
            TlsVersion::V1_3 => &[&TLS13],
        };
        let shows = Shows(identity.map(|identity| Arc::clone(identity.certified_key())));
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .map_err(|error| TlsSetupError::Versions(error.to_string()))?
            .with_root_certificates(Arc::clone(roots))
            .with_client_cert_resolver(Arc::new(shows));
        config.alpn_protocols = vec![ALPN.to_vec()];
        // Its default makes room for 32 servers, and this one speaks with a single one.
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        let validity = identity.map(Identity::validity);
        Ok(Self { validity, connector: TlsConnector::from(Arc::new(config)) })
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

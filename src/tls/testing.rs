//! An authority and servers for tests.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::SystemTime,
};

use ::aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use rustls::{
    ConnectionTrafficSecrets, RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::PrivateKeyDer,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{ClientSettings, ClientTls, TlsSetupError};
use crate::config::{KeyedCertificate, Pem, Roots, Secret, TlsVersion};

mod clients;

pub(crate) use clients::{Shown, dns_name};

/// Both versions that claimgate speaks.
pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// A client without a certificate.
pub(crate) fn client(roots: &Roots, server_name: &str) -> Result<ClientTls, TlsSetupError> {
    client_with(roots, server_name, &[])
}

/// A client that shows one of these.
pub(crate) fn client_with(
    roots: &Roots,
    server_name: &str,
    certificates: &[KeyedCertificate],
) -> Result<ClientTls, TlsSetupError> {
    let min_version = TlsVersion::V1_2;
    ClientTls::new(&ClientSettings { connector: "api", roots, server_name, min_version, certificates })
}

/// The first moment of a year.
pub(crate) fn year(year: i32) -> SystemTime {
    date_time_ymd(year, 1, 1).into()
}

/// A certificate authority of its own.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::with(authority())
    }

    /// Two with the same name and different keys.
    pub(crate) fn namesakes() -> [Self; 2] {
        let parameters = authority();
        [Self::with(parameters.clone()), Self::with(parameters)]
    }

    fn with(parameters: CertificateParams) -> Self {
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    /// An authority that this one vouches for.
    pub(crate) fn below(&self) -> Self {
        let key = KeyPair::generate().unwrap();
        Self { issuer: CertifiedIssuer::signed_by(authority(), key, &self.issuer).unwrap() }
    }

    /// Its certificate in PEM.
    pub(crate) fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// Its certificate as the roots to trust.
    pub(crate) fn roots(&self) -> Roots {
        Roots::File(self.pem("roots.pem"))
    }

    /// Its certificate as a file of this name.
    pub(crate) fn pem(&self, name: &str) -> Pem {
        pem(name, &self.issuer.pem())
    }

    /// A client certificate with this serial number, valid in the years from `first` to before `end`.
    pub(crate) fn client_certificate(&self, serial: u64, first: i32, end: i32) -> KeyedCertificate {
        let mut parameters = CertificateParams::default();
        parameters.serial_number = Some(serial.into());
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        parameters.not_before = date_time_ymd(first, 1, 1);
        parameters.not_after = date_time_ymd(end, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        KeyedCertificate {
            certificate: pem("client.pem", &certificate.pem()),
            key: pem("client.key", &key.serialize_pem()),
        }
    }

    /// A server that speaks `versions` and shows a certificate for `name`, which ends with the year `until`.
    pub(crate) fn server(
        &self,
        name: &str,
        versions: &[&'static SupportedProtocolVersion],
        until: i32,
    ) -> TlsAcceptor {
        self.acceptor(name, versions, until, WebPkiClientVerifier::no_client_auth())
    }

    /// A server that takes only clients with a certificate of this authority.
    pub(crate) fn demanding_server(
        &self,
        name: &str,
        versions: &[&'static SupportedProtocolVersion],
    ) -> TlsAcceptor {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        self.acceptor(name, versions, 4000, verifier)
    }

    fn acceptor(
        &self,
        name: &str,
        versions: &[&'static SupportedProtocolVersion],
        until: i32,
        verifier: Arc<dyn ClientCertVerifier>,
    ) -> TlsAcceptor {
        let mut parameters = CertificateParams::new([name.to_owned()]).unwrap();
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(until, 12, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = aws_lc_rs::Ticketer::new().unwrap();
        config.send_tls13_tickets = 4;
        config.enable_secret_extraction = true;
        TlsAcceptor::from(Arc::new(config))
    }
}

fn authority() -> CertificateParams {
    // Two of one name would be told apart by a signature alone.
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let mut parameters = CertificateParams::default();
    let name = format!("Authority {}", NUMBER.fetch_add(1, Ordering::Relaxed));
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters
}

/// Ends a session of TLS 1.3 with a fatal alert of this number, which the TLS library has no way to be told: the record
/// is made here (RFC 8446 sections 5.2, 5.3 and 6).
pub(crate) async fn end_with_alert(tls: TlsStream<TcpStream>, alert: u8) -> TcpStream {
    let (mut tcp, connection) = tls.into_inner();
    // So that it leaves at once, also before a reset.
    tcp.set_nodelay(true).unwrap();
    let (sequence, secrets) = connection.dangerous_extract_secrets().unwrap().tx;
    let ConnectionTrafficSecrets::Aes256Gcm { key, iv } = secrets else { panic!("another cipher") };
    let mut nonce: [u8; NONCE_LEN] = iv.as_ref().try_into().unwrap();
    nonce[4..].iter_mut().zip(sequence.to_be_bytes()).for_each(|(byte, of_sequence)| *byte ^= of_sequence);
    // Fatal, which alert, and that it is an alert.
    let mut record = vec![2, alert, 21];
    let header = [23, 3, 3, 0, 19];
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).unwrap())
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(header), &mut record)
        .unwrap();
    tcp.write_all(&[&header[..], &record].concat()).await.unwrap();
    tcp
}

fn pem(path: &str, contents: &str) -> Pem {
    Pem { path: path.into(), contents: Secret::new(contents.as_bytes().to_vec()) }
}

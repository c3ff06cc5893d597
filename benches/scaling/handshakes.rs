//! What a TLS handshake costs the program, whole and resumed.

use std::{fs, net::SocketAddr, path::Path, sync::Arc};

use rustls::{
    ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion,
    client::Resumption,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName},
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    gateway::{Gateway, HOST, Setup, folder},
    hooks::{api, block_on},
    report::{Part, Table, grouped},
};

/// Handshakes of each kind in a round, and rounds.
const HANDSHAKES: u32 = 200;
const ROUNDS: usize = 7;

/// A certificate for the program, and whoever trusts it.
pub(crate) struct Certificate {
    der: CertificateDer<'static>,
}

impl Certificate {
    /// Writes certificate (ECDSA, P-256) and key as the files that [`LISTEN_TLS`] names.
    pub(crate) fn write(directory: &Path) -> Self {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).expect("a certificate can be made");
        let written = fs::write(directory.join("hooks.pem"), made.cert.pem())
            .and_then(|()| fs::write(directory.join("hooks.key"), made.signing_key.serialize_pem()));
        written.expect("the folder can be written to");
        Self { der: made.cert.der().clone() }
    }

    /// A client that trusts it alone and speaks this version.
    pub(crate) fn client(&self, version: &'static SupportedProtocolVersion, resumes: bool) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("it is a certificate");
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .expect("the provider has a cipher suite for it");
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if !resumes {
            config.resumption = Resumption::disabled();
        }
        TlsConnector::from(Arc::new(config))
    }
}

/// Keys of `listen` with that certificate.
pub(crate) const LISTEN_TLS: &str = ", tls: { certificate: hooks.pem, key: hooks.key }";

/// Connects by this client.
pub(crate) async fn connect(client: &TlsConnector, address: SocketAddr) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(address).await.expect("there is room for the connection");
    stream.set_nodelay(true).expect("it is a TCP connection");
    let name = ServerName::try_from(HOST).expect("it is a name");
    client.connect(name, stream).await.expect("the handshake comes to its end")
}

/// A connection of nothing but its handshake. What else the server says, tickets for example, is read to its end.
async fn shake(client: &TlsConnector, address: SocketAddr) -> HandshakeKind {
    let mut stream = connect(client, address).await;
    let kind = stream.get_ref().1.handshake_kind().expect("the handshake is over");
    stream.shutdown().await.expect("the server listens");
    // How it closes does not matter here.
    drop(stream.read_to_end(&mut Vec::new()).await);
    kind
}

/// What is done in turn.
enum Kind {
    /// A connection without TLS, of the program that has none.
    Plain,
    Whole(TlsConnector),
    Resumed(TlsConnector),
}

pub(crate) fn measure() -> Part {
    let api = api();
    let directory = folder();
    let certificate = Certificate::write(directory.path());
    let setup = Setup { listen: LISTEN_TLS.to_owned(), ..Setup::new(api.address()) };
    let gateway =
        Gateway::start_in(directory, &setup, 1, std::process::Command::new(crate::gateway::program()));
    let plain = Gateway::start(&Setup::new(api.address()), 1);
    let kinds = [
        ("a connection without TLS", Kind::Plain),
        ("TLS 1.3, whole", Kind::Whole(certificate.client(&TLS13, false))),
        ("TLS 1.3, resumed", Kind::Resumed(certificate.client(&TLS13, true))),
        ("TLS 1.2, whole", Kind::Whole(certificate.client(&TLS12, false))),
        ("TLS 1.2, resumed", Kind::Resumed(certificate.client(&TLS12, true))),
    ];
    let mut rounds = vec![Vec::new(); kinds.len()];
    block_on(async {
        for _ in 0..ROUNDS {
            for ((_, kind), costs) in kinds.iter().zip(&mut rounds) {
                let gateway = if matches!(kind, Kind::Plain) { &plain } else { &gateway };
                // The others' sessions have pushed out the one that it has from the round before.
                if let Kind::Resumed(client) = kind {
                    shake(client, gateway.address).await;
                }
                let before = gateway.cpu_time();
                for _ in 0..HANDSHAKES {
                    match kind {
                        Kind::Plain => {
                            let mut stream =
                                TcpStream::connect(gateway.address).await.expect("there is room");
                            stream.shutdown().await.expect("the server listens");
                            drop(stream.read_to_end(&mut Vec::new()).await);
                        }
                        Kind::Whole(client) => {
                            assert_eq!(shake(client, gateway.address).await, HandshakeKind::Full);
                        }
                        Kind::Resumed(client) => {
                            assert_eq!(shake(client, gateway.address).await, HandshakeKind::Resumed);
                        }
                    }
                }
                costs.push(gateway.cpu_time().saturating_sub(before) / HANDSHAKES);
            }
        }
    });
    let medians = rounds.into_iter().map(|mut costs| {
        costs.sort();
        u32::try_from(costs[costs.len() / 2].as_nanos() / 1000).expect("it is less than an hour")
    });
    let medians: Vec<u32> = medians.collect();
    let ratio = |of: usize| format!("{:.2}", f64::from(medians[of]) / f64::from(medians[1]));
    let rows = kinds.iter().enumerate();
    let rows = rows.map(|(kind, (name, _))| vec![(*name).to_owned(), grouped(medians[kind]), ratio(kind)]);
    Part {
        goals: Vec::new(),
        notes: vec![format!(
            "A certificate with a key of ECDSA on P-256, no client certificate. Medians of {ROUNDS} rounds of {HANDSHAKES} \
             connections of each kind."
        )],
        table: Table::new(
            &["a connection of", "µs of the program's processor time", "beside a whole handshake of TLS 1.3"],
            rows.collect(),
        ),
        plot: None,
    }
}

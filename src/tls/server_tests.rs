//! Who gets through the handshake, who does not and why, and what resuming a session does not skip. All of it for both
//! versions.

use std::time::Duration;

use rustls::{
    ClientConfig, HandshakeKind, SupportedProtocolVersion, pki_types::ServerName, sign::CertifiedKey,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsConnector;

use super::{
    super::testing::{Authority, Shown, VERSIONS, dns_name},
    *,
};
use crate::config::{DnsName, Pem, Thumbprint};

const HOST: &str = "hooks.example";

/// An authority for both sides, and what the hook port shows.
struct Place {
    authority: Authority,
    own: [Pem; 2],
}

impl Place {
    fn new() -> Self {
        Self::of(Authority::new())
    }

    fn of(authority: Authority) -> Self {
        let own = authority.leaf(&[HOST], 2020..=4000, rcgen::ExtendedKeyUsagePurpose::ServerAuth);
        Self { authority, own: own.pems(["hooks.pem", "hooks.key"]) }
    }

    fn listen(&self, client: ClientCertificate, client_ca: bool, thumbprints: &[Thumbprint]) -> ListenTls {
        let [certificate, key] = self.own.clone();
        ListenTls {
            certificate,
            key,
            client,
            client_thumbprints: thumbprints.to_vec(),
            client_ca: client_ca.then(|| self.authority.pem("clients.pem")),
            client_names: Vec::new(),
        }
    }

    fn server(&self, client: ClientCertificate, client_ca: bool, thumbprints: &[Thumbprint]) -> ServerTls {
        ServerTls::new(self.listen(client, client_ca, thumbprints), []).unwrap()
    }

    fn client(
        &self,
        version: &'static SupportedProtocolVersion,
        shown: Option<(&Shown, &Shown)>,
    ) -> ClientConfig {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let roots = super::super::roots::read(&self.authority.pem("roots.pem")).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        match shown {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let key = provider.key_provider.load_private_key(key.key()).unwrap();
                let key = CertifiedKey::new(certificate.chain.clone(), key);
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
            }
        }
    }
}

/// What the server knows then, or why it does not; and what the client hears.
type Met = (Result<(HandshakeKind, Option<Peer>), HandshakeFailure>, Result<(), String>);

/// A handshake, and one byte to the client.
async fn meet(server: &ServerTls, client: &Arc<ClientConfig>) -> Met {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = async {
        let (tcp, _) = listener.accept().await.unwrap();
        let (mut stream, peer) = server.accept(tcp).await.map_err(|failed| failed.reason)?;
        stream.write_all(b"x").await.unwrap();
        let Stream::Tls(tls) = &stream else { panic!("it is TLS") };
        let kind = tls.handshake_kind().unwrap();
        // The client has read it when it hangs up.
        let _ = stream.read(&mut [0]).await;
        Ok((kind, peer))
    };
    let calling = async {
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from(HOST).unwrap();
        let mut tls = TlsConnector::from(Arc::clone(client)).connect(name, tcp).await.map_err(text)?;
        tls.read_exact(&mut [0]).await.map_err(text)?;
        Ok(())
    };
    tokio::join!(serving, calling)
}

#[expect(clippy::needless_pass_by_value, reason = "it stands for a closure")]
fn text(error: io::Error) -> String {
    error.to_string()
}

use ClientCertificate::{Optional, Required};

#[tokio::test]
async fn a_trusted_certificate_comes_through_and_without_one_only_where_that_is_allowed() {
    let place = Place::new();
    let pinned = Shown::self_signed(2020..=4000);
    let issued = place.authority.client(&["a.example"], 2020..=4000);
    let between = place.authority.client_of_intermediate("a.example", 2020..=4000);
    for version in VERSIONS {
        for (client, shown, through) in [
            (Optional, Some(&pinned), Ok(Some(&pinned))),
            (Required, Some(&pinned), Ok(Some(&pinned))),
            (Required, Some(&issued), Ok(Some(&issued))),
            (Required, Some(&between), Ok(Some(&between))),
            (Optional, None, Ok(None)),
            (Required, None, Err(HandshakeFailure::NoCertificate)),
        ] {
            let server = place.server(client, true, &[pinned.thumbprint()]);
            let config = Arc::new(place.client(version, shown.map(|shown| (shown, shown))));
            let (seen, heard) = meet(&server, &config).await;
            assert_eq!(heard.is_ok(), through.is_ok(), "{heard:?}");
            let seen = seen.map(|(_, peer)| peer.map(|peer| peer.thumbprint()));
            assert_eq!(seen, through.map(|shown| shown.map(Shown::thumbprint)));
        }
    }
}

#[tokio::test]
async fn where_no_certificate_could_be_trusted_none_is_asked_for() {
    let place = Place::new();
    let shown = Shown::self_signed(2020..=4000);
    for version in VERSIONS {
        let config = Arc::new(place.client(version, Some((&shown, &shown))));
        let (seen, heard) = meet(&place.server(Optional, false, &[]), &config).await;
        assert!(heard.is_ok() && seen.unwrap().1.is_none());
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_or_not_its_own_is_refused_with_its_alert() {
    let [authority, namesake] = Authority::namesakes();
    let place = Place::of(authority);
    let other = namesake.client(&["a.example"], 2020..=4000);
    let [pinned, old, new] = [2020..=4000, 2020..=2021, 3000..=4000].map(Shown::self_signed);
    let [issued_old, issued_new] =
        [2020..=2021, 3000..=4000].map(|years| place.authority.client(&["a.example"], years));
    let between = place.authority.client_of_intermediate("a.example", 2020..=2021);
    let server =
        place.authority.leaf(&["a.example"], 2020..=4000, rcgen::ExtendedKeyUsagePurpose::ServerAuth);
    let stranger = Shown::self_signed(2020..=4000);
    let trusted = [&pinned, &old, &new].map(Shown::thumbprint);
    for version in VERSIONS {
        for (case, certificate, key, alert) in [
            ("an ended one that is pinned", &old, &old, "CertificateExpired"),
            ("one that begins later and is pinned", &new, &new, "CertificateExpired"),
            ("an ended one of the authority", &issued_old, &issued_old, "CertificateExpired"),
            ("one of the authority that begins later", &issued_new, &issued_new, "CertificateExpired"),
            ("one of an authority between that has ended", &between, &between, "CertificateExpired"),
            ("one of an authority of the same name", &other, &other, "DecryptError"),
            ("one that nobody vouches for", &stranger, &stranger, "UnknownCA"),
            ("one for servers", &server, &server, "UnsupportedCertificate"),
            ("the pinned one without its key", &pinned, &stranger, "DecryptError"),
        ] {
            for client in [Optional, Required] {
                let config = Arc::new(place.client(version, Some((certificate, key))));
                let (seen, heard) = meet(&place.server(client, true, &trusted), &config).await;
                assert_eq!(seen.unwrap_err(), HandshakeFailure::CertificateRefused, "{case}");
                let heard = heard.unwrap_err();
                assert!(heard.contains(alert), "{case}: {heard}");
            }
        }
    }
}

#[tokio::test]
async fn the_names_of_the_listener_are_required() {
    let place = Place::new();
    let shown = place.authority.client(&["a.example"], 2020..=4000);
    for (names, through) in [(&["b.example", "a.example"][..], true), (&["b.example"], false)] {
        let client_names: Vec<DnsName> = names.iter().map(|name| dns_name(name)).collect();
        let listen = ListenTls { client_names, ..place.listen(Required, true, &[]) };
        let server = ServerTls::new(listen, []).unwrap();
        for version in VERSIONS {
            let (seen, heard) = meet(&server, &Arc::new(place.client(version, Some((&shown, &shown))))).await;
            assert_eq!((seen.is_ok(), heard.is_ok()), (through, through), "{names:?} {heard:?}");
        }
    }
}

#[tokio::test]
async fn the_trust_of_a_caller_opens_the_handshake() {
    let place = Place::new();
    let shown = Shown::self_signed(2020..=4000);
    let listen = place.listen(Required, false, &[]);
    let server = ServerTls::new(listen, [ClientTrust::Thumbprint(shown.thumbprint())]).unwrap();
    for version in VERSIONS {
        let (seen, _) = meet(&server, &Arc::new(place.client(version, Some((&shown, &shown))))).await;
        assert_eq!(seen.unwrap().1.unwrap().thumbprint(), shown.thumbprint());
    }
}

#[tokio::test]
async fn http_1_1_is_spoken_and_a_client_that_wants_another_protocol_is_told() {
    let place = Place::new();
    let server = place.server(Optional, false, &[]);
    for version in VERSIONS {
        for (offered, through) in
            [(&["http/1.1"][..], true), (&["h2", "http/1.1"], true), (&[], true), (&["h2"], false)]
        {
            let mut config = place.client(version, None);
            config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
            let (seen, heard) = meet(&server, &Arc::new(config)).await;
            assert_eq!(seen.map(drop), if through { Ok(()) } else { Err(HandshakeFailure::Protocol) });
            match heard {
                Ok(()) => assert!(through, "{offered:?}"),
                Err(heard) => assert!(heard.contains("NoApplicationProtocol"), "{offered:?}: {heard}"),
            }
        }
    }
}

#[tokio::test]
async fn a_session_is_resumed_with_its_client_and_only_within_one_configuration() {
    let place = Place::new();
    let shown = Shown::self_signed(2020..=4000);
    let trusted = [shown.thumbprint()];
    for version in VERSIONS {
        let server = place.server(Required, false, &trusted);
        let config = Arc::new(place.client(version, Some((&shown, &shown))));
        let mut kinds = Vec::new();
        for server in [&server, &server.clone(), &place.server(Required, false, &trusted)] {
            let (kind, peer) = meet(server, &config).await.0.unwrap();
            assert_eq!(peer.unwrap().thumbprint(), shown.thumbprint());
            kinds.push(kind);
        }
        let [HandshakeKind::Full, HandshakeKind::Resumed, fresh] = kinds[..] else { panic!("{kinds:?}") };
        assert_ne!(fresh, HandshakeKind::Resumed, "sessions belong to the value, not to what it is made of");
    }
}

#[tokio::test]
async fn what_was_withdrawn_is_refused_on_a_resumed_connection_too() {
    let place = Place::new();
    let shown = Shown::self_signed(2020..=4000);
    let issued = place.authority.client(&["a.example"], 2020..=4000);
    let now = SystemTime::now();
    for version in VERSIONS {
        for (shown, trusts) in [
            (&shown, place.server(Required, false, &[shown.thumbprint()])),
            (&issued, place.server(Required, true, &[])),
        ] {
            let config = Arc::new(place.client(version, Some((shown, shown))));
            meet(&trusts, &config).await.0.unwrap();
            let (kind, peer) = meet(&trusts, &config).await.0.unwrap();
            assert_eq!(kind, HandshakeKind::Resumed);
            let peer = peer.unwrap();
            assert_eq!(trusts.admit(Some(&peer), now), Ok(()));
            let withdrawn = place.server(Optional, false, &[Thumbprint::of(b"another")]);
            assert_eq!(withdrawn.admit(Some(&peer), now), Err(Inadmissible::Untrusted));
            let later = peer.validity().not_after + Duration::from_secs(1);
            assert_eq!(trusts.admit(Some(&peer), later), Err(Inadmissible::Expired));
            assert_eq!(trusts.admit(None, now), Err(Inadmissible::NoCertificate));
            assert_eq!(withdrawn.admit(None, now), Ok(()));
            assert!(!withdrawn.is_same(&trusts));
            let (seen, _) = meet(&withdrawn, &config).await;
            assert_eq!(seen.unwrap_err(), HandshakeFailure::CertificateRefused, "nothing to resume there");
        }
    }
}

#[test]
fn equal_settings_are_the_same_and_no_others() {
    let place = Place::new();
    let one = Thumbprint::of(b"one");
    let server = place.server(Optional, true, &[one]);
    assert!(server.is_same(&place.server(Optional, true, &[one])));
    let caller =
        ServerTls::new(place.listen(Optional, true, &[one]), [ClientTrust::Thumbprint(one)]).unwrap();
    let others = [
        place.server(Required, true, &[one]),
        place.server(Optional, false, &[one]),
        place.server(Optional, true, &[]),
        Place::new().server(Optional, true, &[one]),
        caller,
    ];
    for other in &others {
        assert!(!server.is_same(other));
    }
}

#[tokio::test]
async fn what_is_no_handshake_is_told_apart() {
    let place = Place::new();
    let server = place.server(Optional, false, &[]);
    for (sent, reason) in [
        (&b""[..], HandshakeFailure::Closed),
        (b"\x16\x03\x01", HandshakeFailure::Closed),
        (b"POST /flows/f/s HTTP/1.1\r\nHost: a\r\n\r\n", HandshakeFailure::Protocol),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        tcp.write_all(sent).await.unwrap();
        tcp.shutdown().await.unwrap();
        let failed = server.accept(listener.accept().await.unwrap().0).await.unwrap_err();
        assert_eq!(failed.reason, reason, "{sent:?}: {}", failed.error);
    }
    // A client that does not trust claimgate's certificate.
    let config = Arc::new(Place::new().client(VERSIONS[0], None));
    assert_eq!(meet(&server, &config).await.0.unwrap_err(), HandshakeFailure::ClientRefused);
}

#[test]
fn all_that_cannot_be_put_to_work_is_said() {
    let place = Place::new();
    let mut listen = place.listen(Optional, true, &[]);
    listen.key = place.authority.pem("hooks.key");
    listen.client_ca = Some(place.own[1].clone());
    let said: Vec<_> = ServerTls::new(listen, []).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 2);
    assert!(said[0].starts_with("hooks.key holds no private key"), "{said:?}");
    assert_eq!(said[1], "client_ca: hooks.key holds no certificate");
}

//! Whether a certificate is trusted, when, and how often its chain is followed.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use rustls::{
    DigitallySignedStruct, DistinguishedName, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::aws_lc_rs,
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::*;
use crate::{
    config::CallerCertificate,
    tls::testing::{Authority, Shown, dns_name as name},
};

/// Noon of the first of July.
fn in_year(year: u64) -> SystemTime {
    // The years are those of Gregor's calendar on average, which is exact enough in the middle of one.
    SystemTime::UNIX_EPOCH + Duration::from_secs(31_556_952 * (year - 1970) + 15_700_000)
}

fn issued(authority: &Authority, names: &[&str]) -> ClientTrust {
    let ca = authority.pem("clients.pem");
    let names: Vec<_> = names.iter().copied().map(name).collect();
    match ClientTrust::of_caller(&CallerCertificate::Issued { ca, name: name("x") }).unwrap() {
        ClientTrust::Issued { ca, .. } => ClientTrust::Issued { ca, names },
        other @ ClientTrust::Thumbprint(_) => panic!("{other:?}"),
    }
}

#[test]
fn a_certificate_is_trusted_by_its_thumbprint_or_by_authority_and_name_and_in_its_time() {
    let (authority, other) = (Authority::new(), Authority::new());
    let ours = authority.client(&["a.example", "B.Example"], 2024..=2030);
    let server = authority.leaf(&["a.example"], 2024..=2030, rcgen::ExtendedKeyUsagePurpose::ServerAuth);
    let wildcard = authority.client(&["*.example"], 2024..=2030);
    let pinned = Shown::self_signed(2024..=2030);
    let by = |shown: &Shown| ClientTrust::Thumbprint(shown.thumbprint());
    let rows = [
        ("its thumbprint", &pinned, by(&pinned), true),
        ("another thumbprint", &pinned, by(&ours), false),
        ("the thumbprint of one with an issuer", &ours, by(&ours), true),
        ("its name", &ours, issued(&authority, &["a.example"]), true),
        ("its other name, in other letters", &ours, issued(&authority, &["c.example", "b.example"]), true),
        ("any name", &ours, issued(&authority, &[]), true),
        ("another name", &ours, issued(&authority, &["c.example"]), false),
        ("a part of its name", &ours, issued(&authority, &["example"]), false),
        ("another authority", &ours, issued(&other, &["a.example"]), false),
        ("no authority", &pinned, issued(&authority, &[]), false),
        ("a server's certificate", &server, issued(&authority, &["a.example"]), false),
        ("a wildcard is nobody", &wildcard, issued(&authority, &["a.example"]), false),
    ];
    for (case, shown, trust, trusted) in &rows {
        // The same peer at all times: a verdict of one must not stand for another.
        let peer = shown.peer();
        for (year, valid) in [(2025, true), (2023, false), (2026, true), (2031, false), (2029, true)] {
            let is = peer.is_trusted_by(trust, in_year(year));
            assert_eq!(is, *trusted && valid, "{case} in {year}");
        }
        assert!(!peer.is_trusted_by(trust, SystemTime::UNIX_EPOCH - Duration::from_secs(1)));
    }
}

#[test]
fn an_authority_between_ends_too() {
    let authority = Authority::new();
    let peer = authority.client_of_intermediate("a.example", 2024..=2026).peer();
    let trust = issued(&authority, &["a.example"]);
    for (year, valid) in [(2025, true), (2027, false), (2023, false), (2026, true)] {
        assert_eq!(peer.is_trusted_by(&trust, in_year(year)), valid, "{year}");
    }
}

#[test]
fn the_last_second_counts_and_the_next_does_not() {
    let authority = Authority::new();
    let peer = authority.client_of_intermediate("a.example", 2024..=2026).peer();
    let trust = issued(&authority, &["a.example"]);
    // The thirty-first of December 2026 begins.
    let end = SystemTime::UNIX_EPOCH + Duration::from_hours(499_632);
    let second = Duration::from_secs(1);
    for time in [end, end + Duration::from_millis(999), end - second] {
        assert!(peer.is_trusted_by(&trust, time));
    }
    assert!(!peer.is_trusted_by(&trust, end + second));
}

#[test]
fn what_cannot_be_read_is_no_peer_or_no_part_of_its_chain() {
    let shown = Shown::self_signed(2024..=2030);
    let garbage = CertificateDer::from(&b"\x30\x03abc"[..]);
    assert!(Peer::read(&[]).is_none() && Peer::read(std::slice::from_ref(&garbage)).is_none());
    let with_garbage = [shown.chain[0].clone(), garbage];
    assert_eq!(Peer::read(&with_garbage).unwrap().chain, shown.chain);
}

/// Authorities that count how often they are asked.
#[derive(Debug)]
struct Counted {
    verifier: Arc<dyn ClientCertVerifier>,
    asked: AtomicUsize,
}

impl ClientCertVerifier for Counted {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.verifier.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        unreachable!("nobody shakes hands")
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        unreachable!("nobody shakes hands")
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        Vec::new()
    }
}

fn counted(authority: &Authority) -> (ClientTrust, Arc<Counted>) {
    let pem = authority.pem("clients.pem");
    let roots = Arc::new(super::super::roots::read(&pem).unwrap());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build().unwrap();
    let counted = Arc::new(Counted { verifier, asked: AtomicUsize::new(0) });
    (ClientTrust::Issued { ca: ClientCa::with(counted.clone(), pem), names: Vec::new() }, counted)
}

#[test]
fn a_chain_is_followed_once_for_each_connection_configuration_and_time() {
    let (authority, other) = (Authority::new(), Authority::new());
    let shown = authority.client_of_intermediate("a.example", 2024..=2026);
    let peer = shown.peer();
    let (trust, count) = counted(&authority);
    let (stranger, strangers) = counted(&other);
    let asked = |count: &Counted| count.asked.load(Ordering::Relaxed);
    for _ in 0..3 {
        assert!(peer.is_trusted_by(&trust, in_year(2025)));
        assert!(!peer.is_trusted_by(&stranger, in_year(2025)));
    }
    assert_eq!((asked(&count), asked(&strangers)), (1, 1), "a verdict is kept, whichever it is");
    assert!(peer.is_trusted_by(&trust.clone(), in_year(2026)));
    assert_eq!(asked(&count), 1, "nothing begins or ends between");
    for _ in 0..2 {
        assert!(!peer.is_trusted_by(&trust, in_year(2027)));
    }
    assert_eq!(asked(&count), 2, "the authority between has ended");
    assert!(shown.peer().is_trusted_by(&trust, in_year(2025)));
    assert_eq!(asked(&count), 3, "another connection");
    let (anew, count) = counted(&authority);
    assert!(peer.is_trusted_by(&anew, in_year(2025)));
    assert_eq!(asked(&count), 1, "the same file read anew is another configuration");
}

#[test]
fn verdicts_of_configurations_that_are_gone_are_forgotten() {
    let authority = Authority::new();
    let peer = authority.client(&["a.example"], 2024..=2030).peer();
    for _ in 0..100 {
        let (trust, _) = counted(&authority);
        assert!(peer.is_trusted_by(&trust, in_year(2025)));
    }
    assert_eq!(peer.verdicts.lock().unwrap().len(), 1);
}

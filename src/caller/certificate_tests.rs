//! Client certificates among the other credentials, and what a new configuration makes of a client it did not let in.

use std::time::Duration;

use http::Request;

use super::*;
use crate::{
    config::{Caller, CallerCertificate, Name, Secret},
    tls::testing::{Authority, Shown, dns_name},
};

fn caller(name: &str, code: &[&str], certificate: Vec<CallerCertificate>) -> Caller {
    Caller {
        name: Name::parse(name).unwrap(),
        basic: vec![],
        code: code.iter().map(|code| Secret::new(code.as_bytes().to_vec())).collect(),
        header: vec![],
        certificate,
        rate_limit: None,
    }
}

fn pinned(shown: &Shown) -> CallerCertificate {
    CallerCertificate::Thumbprint(shown.thumbprint())
}

fn issued(authority: &Authority, name: &str) -> CallerCertificate {
    CallerCertificate::Issued { ca: authority.pem("clients.pem"), name: dns_name(name) }
}

/// The guard as a configuration with these callers has it.
fn guard(callers: &[Caller]) -> Guard {
    let trusts: Vec<Vec<ClientTrust>> = callers
        .iter()
        .map(|caller| caller.certificate.iter().map(|one| ClientTrust::of_caller(one).unwrap()).collect())
        .collect();
    Guard::new(callers.iter().zip(trusts.iter().map(Vec::as_slice)))
}

fn admit(guard: &Guard, query: &str, peer: Option<&Peer>) -> Result<Key, AuthFailure> {
    let request = Request::post(format!("/flows/f/postFederationSignup?{query}")).body(()).unwrap();
    guard.admit(&request.into_parts().0, peer, SystemTime::now)
}

const fn at(caller: usize, credential: usize) -> Key {
    Key { caller, credential }
}

#[test]
fn a_certificate_is_one_credential_among_the_others() {
    let authority = Authority::new();
    let [old, new, stranger] = [2020..=4000, 2021..=4000, 2022..=4000].map(Shown::self_signed);
    let (a, b) =
        (authority.client(&["a.example"], 2020..=4000), authority.client(&["b.example"], 2020..=4000));
    let guard = guard(&[
        caller("rotates", &["plain"], vec![pinned(&old), pinned(&new)]),
        caller("issued", &["other"], vec![issued(&authority, "a.example")]),
    ]);
    for (query, shown, expected) in [
        ("", Some(&old), Ok(at(0, 1))),
        ("", Some(&new), Ok(at(0, 2))),
        ("", Some(&a), Ok(at(1, 1))),
        ("code=plain", None, Ok(at(0, 0))),
        // the order of the user flow decides, whatever the kind
        ("code=plain", Some(&a), Ok(at(0, 0))),
        ("code=other", Some(&old), Ok(at(0, 1))),
        ("code=other", Some(&a), Ok(at(1, 0))),
        // another kind beside a good one is ignored
        ("code=wrong", Some(&a), Ok(at(1, 1))),
        ("code=other", Some(&stranger), Ok(at(1, 0))),
        // nobody
        ("", None, Err(AuthFailure::CertificateMissing)),
        ("", Some(&stranger), Err(AuthFailure::CertificateMismatch)),
        ("", Some(&b), Err(AuthFailure::CertificateMismatch)),
        ("code=wrong", Some(&stranger), Err(AuthFailure::Mismatch)),
        ("code=other&code=other", Some(&a), Err(AuthFailure::Repeated)),
    ] {
        let peer = shown.map(Shown::peer);
        assert_eq!(admit(&guard, query, peer.as_ref()), expected, "?{query}");
    }
}

#[test]
fn where_no_caller_has_one_a_certificate_is_ignored() {
    let peer = Shown::self_signed(2020..=4000).peer();
    let guard = guard(&[caller("coded", &["plain"], vec![])]);
    assert_eq!(admit(&guard, "code=plain", Some(&peer)), Ok(at(0, 0)));
    assert_eq!(admit(&guard, "", Some(&peer)), Err(AuthFailure::Missing));
}

#[test]
fn what_was_withdrawn_is_refused_on_the_next_hook_of_a_connection_that_goes_on() {
    let (authority, other) = (Authority::new(), Authority::new());
    let pin = Shown::self_signed(2020..=4000);
    let ours = authority.client(&["a.example"], 2020..=4000);
    let another = Shown::self_signed(2021..=4000);
    let mismatch = Err(AuthFailure::CertificateMismatch);
    for (shown, now, then) in [
        (&pin, pinned(&pin), pinned(&another)),
        (&ours, issued(&authority, "a.example"), issued(&other, "a.example")),
        (&ours, issued(&authority, "a.example"), issued(&authority, "b.example")),
        (&ours, pinned(&ours), issued(&other, "a.example")),
    ] {
        // One peer, as a connection has it, and the configurations that come and go.
        let peer = shown.peer();
        for _ in 0..2 {
            assert_eq!(admit(&guard(&[caller("c", &[], vec![now.clone()])]), "", Some(&peer)), Ok(at(0, 0)));
            assert_eq!(admit(&guard(&[caller("c", &[], vec![then.clone()])]), "", Some(&peer)), mismatch);
        }
    }
}

#[test]
fn a_certificate_that_ends_during_a_connection_is_refused_from_then_on() {
    let authority = Authority::new();
    let pin = Shown::self_signed(2020..=4000);
    let ours = authority.client(&["a.example"], 2020..=4000);
    let guard = guard(&[caller("c", &[], vec![pinned(&pin), issued(&authority, "a.example")])]);
    let request = Request::post("/flows/f/s").body(()).unwrap().into_parts().0;
    for shown in [&pin, &ours] {
        let peer = shown.peer();
        let end = peer.validity().not_after;
        assert!(guard.admit(&request, Some(&peer), SystemTime::now).is_ok());
        assert!(guard.admit(&request, Some(&peer), || end).is_ok());
        let later = guard.admit(&request, Some(&peer), || end + Duration::from_secs(1));
        assert_eq!(later, Err(AuthFailure::CertificateMismatch));
    }
}

#[test]
fn labels_number_certificates_too() {
    let one = Shown::self_signed(2020..=4000);
    let caller = caller("c", &["plain"], vec![pinned(&one), pinned(&one)]);
    assert_eq!(credential_labels(&caller), ["code", "certificate", "certificate#2"]);
}

#[test]
fn who_shows_nothing_where_a_certificate_would_do_ends_the_connection_and_who_guesses_does_not() {
    let certificate = Shown::self_signed(2020..=4000);
    let takes = guard(&[caller("c", &["key"], vec![pinned(&certificate)])]);
    let takes_none = guard(&[caller("c", &["key"], Vec::new())]);
    assert_eq!(admit(&takes, "", None), Err(AuthFailure::CertificateMissing));
    assert_eq!(admit(&takes_none, "", None), Err(AuthFailure::Missing));
    assert_eq!(admit(&takes, "code=guessed", None), Err(AuthFailure::Mismatch));
    for (failure, of_connection) in [
        (AuthFailure::Missing, false),
        (AuthFailure::Mismatch, false),
        (AuthFailure::Repeated, false),
        (AuthFailure::CertificateMismatch, false),
        (AuthFailure::CertificateMissing, true),
        (AuthFailure::CertificateExpired, true),
        (AuthFailure::CertificateUntrusted, true),
    ] {
        assert_eq!(failure.is_of_connection(), of_connection, "{failure:?}");
    }
}

//! One row a rule: what a request presents, and who it is.

use std::{iter, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Request;
use rustix::time::{ClockId, clock_gettime};

use super::*;
use crate::config::{Basic, Caller, HeaderKey, Name, Secret};

fn basic(username: &str, password: &str) -> Basic {
    Basic { username: username.to_owned(), password: secret(password) }
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

fn caller(name: &str) -> Caller {
    Caller {
        name: Name::parse(name).unwrap(),
        basic: vec![],
        code: vec![],
        header: vec![],
        certificate: vec![],
        rate_limit: None,
    }
}

fn key(name: &'static str, value: &str) -> HeaderKey {
    HeaderKey { name: HeaderName::from_static(name), value: secret(value) }
}

/// Caller 0 rotates its Basic password and has a code; caller 1 has a code that needs encoding and two header keys.
fn callers() -> [Caller; 2] {
    [
        Caller {
            basic: vec![basic("entra", "old"), basic("entra", "new:with:colons")],
            code: vec![secret("plain")],
            ..caller("a")
        },
        Caller {
            code: vec![secret("a+b/c==&d%")],
            header: vec![key("x-functions-key", "k1"), key("x-functions-key", "k2")],
            ..caller("b")
        },
    ]
}

fn guard() -> Guard {
    Guard::new(callers().iter().map(|caller| (caller, &[][..])))
}

fn admit(guard: &Guard, query: &str, headers: &[(&str, &str)]) -> Result<Key, AuthFailure> {
    let mut request = Request::post(format!("/flows/f/postFederationSignup?{query}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    guard.admit(&request.body(()).unwrap().into_parts().0, None, SystemTime::now)
}

fn authorization(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

const fn at(caller: usize, credential: usize) -> Key {
    Key { caller, credential }
}

#[test]
fn any_one_credential_of_a_caller_lets_it_in() {
    let (old, new) = (authorization("entra:old"), authorization("entra:new:with:colons"));
    let lower = old.replace("Basic", "bASIC ");
    let (wrong, unknown) = (authorization("entra:wrong"), authorization("nobody:old"));
    let no_colon = authorization("entraold");
    let rows: &[(&str, &[(&str, &str)], Result<Key, AuthFailure>)] = &[
        ("", &[("authorization", &old)], Ok(at(0, 0))),
        ("", &[("authorization", &new)], Ok(at(0, 1))),
        ("", &[("authorization", &lower)], Ok(at(0, 0))),
        ("code=plain", &[], Ok(at(0, 2))),
        ("x=1&code=plain&y", &[], Ok(at(0, 2))),
        ("c%6Fde=pl%61in", &[], Ok(at(0, 2))),
        ("code=a%2Bb%2Fc%3D%3D%26d%25", &[], Ok(at(1, 0))),
        ("code=a+b/c==%26d%25", &[], Ok(at(1, 0))),
        ("", &[("x-functions-key", "k1")], Ok(at(1, 1))),
        ("", &[("x-functions-key", "k2")], Ok(at(1, 2))),
        // another kind beside a good one is ignored
        ("code=plain", &[("authorization", &wrong)], Ok(at(0, 2))),
        ("code=wrong", &[("authorization", &old)], Ok(at(0, 0))),
        ("code=plain", &[("authorization", "Bearer eyJ")], Ok(at(0, 2))),
        // the order of the user flow decides
        ("code=plain", &[("x-functions-key", "k1")], Ok(at(0, 2))),
        ("code=a%2Bb/c==%26d%25", &[("authorization", &old)], Ok(at(0, 0))),
        // nothing to go by
        ("", &[], Err(AuthFailure::Missing)),
        ("", &[("authorization", "Bearer eyJ")], Err(AuthFailure::Missing)),
        ("", &[("authorization", "Basic")], Err(AuthFailure::Missing)),
        ("kode=plain", &[("x-other-key", "k1")], Err(AuthFailure::Missing)),
        // wrong
        ("", &[("authorization", &wrong)], Err(AuthFailure::Mismatch)),
        ("", &[("authorization", &unknown)], Err(AuthFailure::Mismatch)),
        ("", &[("authorization", &no_colon)], Err(AuthFailure::Mismatch)),
        ("", &[("authorization", "Basic !!!")], Err(AuthFailure::Mismatch)),
        ("code=", &[], Err(AuthFailure::Mismatch)),
        ("code", &[], Err(AuthFailure::Mismatch)),
        ("code=PLAIN", &[], Err(AuthFailure::Mismatch)),
        ("code=a%20b/c==%26d%25", &[], Err(AuthFailure::Mismatch)),
        ("", &[("x-functions-key", "k1"), ("x-functions-key", "k1")], Err(AuthFailure::Mismatch)),
        ("", &[("x-functions-key", "")], Err(AuthFailure::Mismatch)),
        // more than one
        ("", &[("authorization", &old), ("authorization", &old)], Err(AuthFailure::Repeated)),
        ("code=plain&code=plain", &[], Err(AuthFailure::Repeated)),
        ("code=plain&c%6fde=x", &[], Err(AuthFailure::Repeated)),
        ("code=plain&code=plain", &[("authorization", &old)], Err(AuthFailure::Repeated)),
        ("code=plain", &[("authorization", &old), ("authorization", "Bearer x")], Err(AuthFailure::Repeated)),
    ];
    let guard = guard();
    for (query, headers, expected) in rows {
        assert_eq!(&admit(&guard, query, headers), expected, "?{query} {headers:?}");
    }
}

#[test]
fn a_credential_opens_only_the_flows_that_name_its_caller() {
    let [a, b] = callers();
    let only_b = Guard::new([(&b, &[][..])].into_iter());
    assert_eq!(
        admit(&only_b, "", &[("authorization", &authorization("entra:old"))]),
        Err(AuthFailure::Missing)
    );
    assert_eq!(admit(&only_b, "code=plain", &[]), Err(AuthFailure::Mismatch));
    assert!(!only_b.takes_basic());
    assert!(guard().takes_basic());
    let reversed = Guard::new([(&b, &[][..]), (&a, &[][..])].into_iter());
    assert_eq!(admit(&reversed, "code=plain", &[("x-functions-key", "k1")]), Ok(at(0, 1)));
}

#[test]
fn labels_number_what_rotates() {
    let [a, b] = callers();
    assert_eq!(credential_labels(&a), ["basic", "basic#2", "code"]);
    assert_eq!(credential_labels(&b), ["code", "header", "header#2"]);
}

#[test]
fn nothing_printed_holds_a_credential() {
    assert_eq!(format!("{:?}", Digest::of(b"k1")), "Digest");
    let printed = format!("{:?} {:?}", guard(), callers());
    for secret in ["old", "new:with", "plain", "a+b", "k1", "k2"] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
}

#[test]
fn each_failure_has_a_name_of_its_own() {
    let failures = [AuthFailure::Missing, AuthFailure::Mismatch, AuthFailure::Repeated];
    assert_eq!(
        failures.map(AuthFailure::as_str),
        ["credential_missing", "credential_mismatch", "credential_repeated"]
    );
}

/// By the time that this thread has computed: eight times the headers must not take much more than eight times as long.
#[test]
fn a_guard_of_many_headers_is_made_in_a_time_in_proportion_to_them() {
    let took = |count: u32| {
        let key =
            |number| HeaderKey { name: format!("x-key-{number}").parse().unwrap(), value: secret("value") };
        let caller = Caller { header: (0..count).map(key).collect(), ..caller("a") };
        let computed = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
        let runs = (0..3).map(|_| {
            let began = computed();
            let guard = Guard::new(iter::once((&caller, &[][..])));
            assert_eq!(guard.headers.len(), count as usize);
            computed().saturating_sub(began)
        });
        runs.min().unwrap_or_default()
    };
    let (few, many) = (took(1_000), took(8_000));
    assert!(many < few * 24, "eight times the headers took {few:?} and {many:?}");
}

//! Authentication of the caller, among 1, 10 and 100 callers that a user flow names.
//!
//! - `claimgate`: the digest of what is presented, compared in constant time with every credential of its kind. What is
//!   right is that of the caller in the middle; `right` and `wrong` should take the same time.
//! - `map`: what is presented is looked up by its user name and compared as text, which tells by its time how much of it
//!   was right.

use std::{collections::HashMap, hint::black_box, time::SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use claimgate::{
    caller::{AuthFailure, Guard, Key},
    config::{Basic, Caller, HeaderKey, Name, Secret},
};
use http::{HeaderName, Request, header::AUTHORIZATION, request::Parts};

use crate::Criterion;

const KEY_HEADER: HeaderName = HeaderName::from_static("x-functions-key");

/// The credentials of one caller. Every caller has one of each kind; what it presents is one of them.
struct Credentials {
    username: String,
    password: String,
    code: String,
    header: String,
}

pub(crate) fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("callers");
    for count in [1, 10, 100] {
        let callers: Vec<_> = (0..count).map(Credentials::of).collect();
        let configured: Vec<_> = callers.iter().map(Credentials::configured).collect();
        let now = SystemTime::now();
        let guard = Guard::new(configured.iter().map(|caller| (caller, &[][..])));
        let (middle, stranger) = (count / 2, Credentials::of(count));
        for (kind, request) in KINDS {
            let (right, wrong) = (request(&callers[middle]), request(&stranger));
            assert_eq!(guard.admit(&right, None, || now).map(|key: Key| key.caller), Ok(middle), "{kind}");
            assert_eq!(guard.admit(&wrong, None, || now), Err(AuthFailure::Mismatch), "{kind}");
            for (name, request) in [("right", &right), ("wrong", &wrong)] {
                group.bench_function(format!("claimgate/{kind}, {name}, of {count}"), |bencher| {
                    bencher.iter(|| guard.admit(black_box(request), None, || now));
                });
            }
        }
        let passwords: HashMap<_, _> =
            callers.iter().map(|caller| (caller.username.as_str(), caller.password.as_str())).collect();
        let right = basic(&callers[middle]);
        assert!(map(&passwords, &right) && !map(&passwords, &basic(&stranger)));
        group.bench_function(format!("map/basic, right, of {count}"), |bencher| {
            bencher.iter(|| map(&passwords, black_box(&right)));
        });
    }
    group.finish();
}

const KINDS: [(&str, fn(&Credentials) -> Parts); 3] = [("basic", basic), ("code", code), ("header", header)];

fn basic(caller: &Credentials) -> Parts {
    let pair = STANDARD.encode(format!("{}:{}", caller.username, caller.password));
    hook("", AUTHORIZATION, &format!("Basic {pair}"))
}

/// With the dummy Basic that Azure sends beside a real code (Microsoft: "Secure APIs used as API connectors").
fn code(caller: &Credentials) -> Parts {
    hook(&format!("?code={}", caller.code), AUTHORIZATION, "Basic dXNlcm5hbWU6cGFzc3dvcmQ=")
}

fn header(caller: &Credentials) -> Parts {
    hook("", KEY_HEADER, &caller.header)
}

/// The head of a hook, with the headers that are not looked at.
fn hook(query: &str, name: HeaderName, value: &str) -> Parts {
    let request = Request::post(format!("/flows/B2X_1_SignUp/postAttributeCollection{query}"))
        .header("host", "hooks.example.com")
        .header("content-type", "application/json")
        .header("content-length", "1229")
        .header("x-request-id", "11c97363410a59190000000000000000")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .header(name, value);
    request.body(()).expect("the head is well-formed").into_parts().0
}

fn map(passwords: &HashMap<&str, &str>, request: &Parts) -> bool {
    let presented =
        request.headers[AUTHORIZATION].to_str().ok().and_then(|value| value.strip_prefix("Basic "));
    let pair = presented.and_then(|pair| STANDARD.decode(pair).ok());
    let pair = pair.as_deref().and_then(|pair| std::str::from_utf8(pair).ok()?.split_once(':'));
    pair.is_some_and(|(username, password)| passwords.get(username) == Some(&password))
}

impl Credentials {
    fn of(number: usize) -> Self {
        let secret = |kind| format!("{kind}-{number:03}-3q2-7wABcDeFgHiJkLmNoPqRsTuVw_Xyz");
        Self {
            username: format!("entra-{number:03}"),
            password: secret("password"),
            code: secret("code"),
            header: secret("key"),
        }
    }

    fn configured(&self) -> Caller {
        let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
        Caller {
            name: Name::parse(&self.username).expect("it is a name"),
            basic: vec![Basic { username: self.username.clone(), password: secret(&self.password) }],
            code: vec![secret(&self.code)],
            header: vec![HeaderKey { name: KEY_HEADER, value: secret(&self.header) }],
            certificate: Vec::new(),
            rate_limit: None,
        }
    }
}

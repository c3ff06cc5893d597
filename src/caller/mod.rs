//! Who may call a hook.
//!
//! A [`Guard`] holds the credentials of the callers that one user flow names. A hook is let in when any one of them
//! matches; the flow's order decides which caller it is. Credentials of other kinds are ignored: Azure sends dummy
//! Basic beside a real `?code=` (Microsoft: "Secure APIs used as API connectors").

#[cfg(test)]
mod certificate_tests;
mod digest;
mod presented;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, time::SystemTime};

use http::{HeaderName, request::Parts};

use crate::{
    config,
    tls::{ClientTrust, Peer},
};
use digest::Digest;
pub use presented::AuthFailure;
use presented::{Presented, basic, code, header};

/// The credentials that open one user flow.
#[derive(Debug)]
pub struct Guard {
    basic: Vec<Entry>,
    code: Vec<Entry>,
    headers: Vec<(HeaderName, Vec<Entry>)>,
    certificates: Vec<(ClientTrust, Key)>,
}

/// One credential, as its digest.
#[derive(Debug)]
struct Entry {
    digest: Digest,
    key: Key,
}

/// Which credential of which caller was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The caller's position in the list that the user flow gives.
    pub caller: usize,
    /// The credential's position in [`credential_labels`].
    pub credential: usize,
}

/// The labels of a caller's credentials, in the order of [`Key::credential`]: `basic`, `basic#2`, `code`, `header` …
pub fn credential_labels(caller: &config::Caller) -> Vec<String> {
    let numbered = |kind: &'static str, count: usize| {
        (1..=count).map(move |number| if number == 1 { kind.to_owned() } else { format!("{kind}#{number}") })
    };
    numbered("basic", caller.basic.len())
        .chain(numbered("code", caller.code.len()))
        .chain(numbered("header", caller.header.len()))
        .chain(numbered("certificate", caller.certificate.len()))
        .collect()
}

impl Guard {
    /// The guard of a user flow that names these callers, in its order, each with what its certificates come to.
    pub fn new<'a>(callers: impl Iterator<Item = (&'a config::Caller, &'a [ClientTrust])>) -> Self {
        let mut guard =
            Self { basic: Vec::new(), code: Vec::new(), headers: Vec::new(), certificates: Vec::new() };
        let mut headers: HashMap<&HeaderName, usize> = HashMap::new();
        for (caller, (entry, certificates)) in callers.enumerate() {
            let mut credential = 0..;
            let mut key = || Key { caller, credential: credential.next().expect("a range without an end") };
            for basic in &entry.basic {
                let digest = Digest::of_basic(basic.username.as_bytes(), basic.password.expose());
                guard.basic.push(Entry { digest, key: key() });
            }
            for code in &entry.code {
                guard.code.push(Entry { digest: Digest::of(code.expose()), key: key() });
            }
            for header in &entry.header {
                let entry = Entry { digest: Digest::of(header.value.expose()), key: key() };
                let position = *headers.entry(&header.name).or_insert(guard.headers.len());
                match guard.headers.get_mut(position) {
                    Some((_, entries)) => entries.push(entry),
                    None => guard.headers.push((header.name.clone(), vec![entry])),
                }
            }
            for trust in certificates {
                guard.certificates.push((trust.clone(), key()));
            }
        }
        guard
    }

    /// Whether a refusal should offer Basic (RFC 7617 section 2).
    pub fn takes_basic(&self) -> bool {
        !self.basic.is_empty()
    }

    /// Which credential lets this request of this client in. What time it is `now` is asked where a certificate is shown:
    /// no other credential ends by itself.
    ///
    /// Every credential of the kinds presented is compared, also after one has matched, so that the time taken says
    /// nothing about them.
    pub fn admit(
        &self,
        request: &Parts,
        peer: Option<&Peer>,
        now: impl FnOnce() -> SystemTime,
    ) -> Result<Key, AuthFailure> {
        let mut attempt = Attempt { best: None, presented: false };
        let basic = basic(&request.headers)?;
        let code = code(request.uri.query().unwrap_or_default())?;
        attempt.compare(&basic, &self.basic);
        attempt.compare(&code, &self.code);
        for (name, entries) in &self.headers {
            attempt.compare(&header(&request.headers, name), entries);
        }
        let peer = peer.filter(|_| !self.certificates.is_empty());
        if let Some(peer) = peer {
            attempt.show(peer, &self.certificates, now());
        }
        match attempt {
            Attempt { best: Some(key), .. } => Ok(key),
            Attempt { presented: true, .. } => Err(AuthFailure::Mismatch),
            Attempt { .. } if peer.is_some() => Err(AuthFailure::CertificateMismatch),
            // It may have been made before a caller had a certificate, and was then not asked for one.
            Attempt { .. } if !self.certificates.is_empty() => Err(AuthFailure::CertificateMissing),
            Attempt { .. } => Err(AuthFailure::Missing),
        }
    }
}

struct Attempt {
    best: Option<Key>,
    presented: bool,
}

impl Attempt {
    /// Looks for the client among those who are trusted. Certificates are public, so the time taken may say so.
    fn show(&mut self, peer: &Peer, certificates: &[(ClientTrust, Key)], now: SystemTime) {
        let trusted = certificates.iter().filter(|(trust, _)| peer.is_trusted_by(trust, now));
        self.best = trusted.map(|(_, key)| *key).chain(self.best).min();
    }

    /// Compares what was presented with every entry of its kind, if the user flow takes that kind at all.
    fn compare(&mut self, presented: &Presented<Digest>, entries: &[Entry]) {
        let presented = match presented {
            _ if entries.is_empty() => return,
            Presented::Absent => return,
            Presented::Unreadable => None,
            Presented::Value(digest) => Some(digest),
        };
        self.presented = true;
        for entry in entries {
            let matches = presented.is_some_and(|presented| presented.is_equal(&entry.digest));
            if matches {
                self.best = Some(self.best.map_or(entry.key, |best| best.min(entry.key)));
            }
        }
    }
}

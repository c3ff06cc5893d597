//! Certificates for clients.

use std::ops::RangeInclusive;

use rcgen::{
    CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Authority;
use crate::{
    config::{self, CallerCertificate, DnsName, Pem, Secret, Secrets, Thumbprint},
    tls::Peer,
};

/// A certificate with its chain and its key.
pub(crate) struct Shown {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
    pem: String,
}

impl Authority {
    /// A certificate of this authority with these DNS names, valid in these years, for clients.
    pub(crate) fn client(&self, names: &[&str], years: RangeInclusive<i32>) -> Shown {
        self.leaf(names, years, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// The same for this purpose.
    pub(crate) fn leaf(
        &self,
        names: &[&str],
        years: RangeInclusive<i32>,
        purpose: ExtendedKeyUsagePurpose,
    ) -> Shown {
        let mut parameters = parameters(names, &years);
        parameters.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().unwrap();
        let leaf = parameters.signed_by(&key, &self.issuer).unwrap();
        Shown { chain: vec![leaf.der().clone()], key, pem: leaf.pem() }
    }

    /// A certificate with this name from an authority between, which is valid in these years.
    pub(crate) fn client_of_intermediate(&self, name: &str, years: RangeInclusive<i32>) -> Shown {
        let mut between = parameters(&[], &years);
        between.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        between.distinguished_name.push(DnType::CommonName, "between");
        let between =
            CertifiedIssuer::signed_by(between, KeyPair::generate().unwrap(), &self.issuer).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = parameters(&[name], &(2020..=4000)).signed_by(&key, &between).unwrap();
        Shown { chain: vec![leaf.der().clone(), between.der().clone()], key, pem: leaf.pem() }
    }
}

impl Shown {
    /// A certificate that nobody vouches for.
    pub(crate) fn self_signed(years: RangeInclusive<i32>) -> Self {
        let key = KeyPair::generate().unwrap();
        let leaf = parameters(&["self.example"], &years).self_signed(&key).unwrap();
        Self { chain: vec![leaf.der().clone()], key, pem: leaf.pem() }
    }

    pub(crate) fn thumbprint(&self) -> Thumbprint {
        Thumbprint::of(&self.chain[0])
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.serialize_der().into())
    }

    /// What a connection on which it was shown knows of the client.
    pub(crate) fn peer(&self) -> Peer {
        Peer::read(&self.chain).unwrap()
    }

    /// The certificate and the key as files of these names.
    pub(crate) fn pems(&self, names: [&str; 2]) -> [Pem; 2] {
        let [certificate, key] = names;
        let pem = |name: &str, contents: &str| Pem {
            path: name.into(),
            contents: Secret::new(contents.as_bytes().to_vec()),
        };
        [pem(certificate, &self.pem), pem(key, &self.key.serialize_pem())]
    }
}

fn parameters(names: &[&str], years: &RangeInclusive<i32>) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(names).unwrap();
    // Else all have the name of every authority of these tests.
    parameters.distinguished_name.push(DnType::CommonName, "a client");
    parameters.not_before = date_time_ymd(*years.start(), 1, 1);
    parameters.not_after = date_time_ymd(*years.end(), 12, 31);
    parameters
}

/// A DNS name; the only way to one leads through a configuration.
pub(crate) fn dns_name(text: &str) -> DnsName {
    let text = format!(
        "{{ listen: {{ address: '127.0.0.1:0', tls: {{ certificate: a, key: b }} }}, \
         callers: {{ c: {{ certificate: {{ ca: Cargo.toml, name: {text} }} }} }}, \
         connectors: {{ a: {{ endpoint_url: 'https://a', authentication: none, claims_to_send: [], claims_to_receive: [] }} }}, \
         user_flows: {{ f: {{ callers: [c], preTokenIssuance: {{ connector: a, on_failure: error }} }} }} }}"
    );
    let outcome = config::read("c.yaml", &text, Secrets::Skip);
    let mut callers = outcome.config.unwrap_or_else(|| panic!("{}", outcome.report)).callers;
    match callers.remove(0).certificate.remove(0) {
        CallerCertificate::Issued { name, .. } => name,
        other @ CallerCertificate::Thumbprint(_) => panic!("{other:?}"),
    }
}

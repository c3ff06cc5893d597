//! Client certificates, and the authority that issues them, as files.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SignatureAlgorithm,
};
use tempfile::TempDir;

const DAY: Duration = Duration::from_hours(24);

/// An authority and what it has issued; the files go with it.
pub(crate) struct ClientAuthority {
    directory: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl ClientAuthority {
    /// An authority of this name.
    pub(crate) fn of(authority: &str) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, authority);
        let key = KeyPair::generate().expect("a key can be generated");
        let issuer = CertifiedIssuer::self_signed(parameters, key).expect("an authority can be made");
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        std::fs::write(directory.path().join("ca.pem"), issuer.pem()).expect("a file can be written");
        Self { directory, issuer }
    }

    /// The authority's certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A valid certificate for this client, as the entry of a configuration.
    pub(crate) fn valid(&self, client: &str) -> String {
        let now = SystemTime::now();
        self.issue(client, &PKCS_ECDSA_P256_SHA256, now - DAY, now + DAY)
    }

    /// The same, but it begins at this moment, which is a whole second.
    pub(crate) fn beginning(&self, client: &str, first: SystemTime) -> String {
        self.issue(client, &PKCS_ECDSA_P256_SHA256, first, first + DAY)
    }

    /// The same with an Ed25519 key.
    pub(crate) fn of_ed25519(&self, client: &str) -> String {
        let now = SystemTime::now();
        self.issue(client, &PKCS_ED25519, now - DAY, now + DAY)
    }

    /// The same, but it ended yesterday.
    pub(crate) fn expired(&self, client: &str) -> String {
        let now = SystemTime::now();
        self.issue(client, &PKCS_ECDSA_P256_SHA256, now - 10 * DAY, now - DAY)
    }

    fn issue(
        &self,
        client: &str,
        key: &'static SignatureAlgorithm,
        first: SystemTime,
        last: SystemTime,
    ) -> String {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, client);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        (parameters.not_before, parameters.not_after) = (first.into(), last.into());
        let key = KeyPair::generate_for(key).expect("a key can be generated");
        let certificate = parameters.signed_by(&key, &self.issuer).expect("the authority can sign");
        let [certificate_file, key_file] =
            ["pem", "key"].map(|kind| self.directory.path().join(format!("{client}.{kind}")));
        std::fs::write(&certificate_file, certificate.pem()).expect("a file can be written");
        std::fs::write(&key_file, key.serialize_pem()).expect("a file can be written");
        format!("{{ certificate: {}, key: {} }}", certificate_file.display(), key_file.display())
    }
}

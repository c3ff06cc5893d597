//! Certificates for the hook port and its clients, made anew for each test.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    PKCS_RSA_SHA256, RsaKeySize, date_time_ymd,
};
use tempfile::TempDir;

/// An authority, and the files of what it issues.
pub(crate) struct Certificates {
    directory: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

/// Which kind of key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Ecdsa,
    Rsa,
}

/// A certificate and its key, as PEM files.
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificates {
    /// With `ca.pem`, the authority's own certificate.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = format!("Authority of {}", directory.path().display());
        parameters.distinguished_name.push(DnType::CommonName, name);
        let authority = CertifiedIssuer::self_signed(parameters, key(Kind::Ecdsa));
        let authority = authority.expect("an authority can be made");
        write(&directory.path().join("ca.pem"), &authority.pem());
        Self { directory, authority }
    }

    /// The authority's certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// One for `localhost`, for the hook port.
    pub(crate) fn server(&self, kind: Kind) -> Files {
        self.server_for(kind, Duration::from_hours(24 * 365))
    }

    /// The same, which ends after so long.
    pub(crate) fn server_for(&self, kind: Kind, left: Duration) -> Files {
        let mut parameters = parameters("localhost", ExtendedKeyUsagePurpose::ServerAuth);
        parameters.not_after = (SystemTime::now() + left).into();
        self.issue("server", &parameters, &key(kind))
    }

    /// One with this DNS name, for a client; also the name of its files.
    pub(crate) fn client(&self, name: &str) -> Files {
        self.issue(name, &parameters(name, ExtendedKeyUsagePurpose::ClientAuth), &key(Kind::Ecdsa))
    }

    /// One for a client that nobody vouches for, valid from and until these years.
    pub(crate) fn self_signed(&self, name: &str, kind: Kind, from: i32, until: i32) -> Files {
        let mut parameters = parameters(name, ExtendedKeyUsagePurpose::ClientAuth);
        parameters.not_before = date_time_ymd(from, 1, 1);
        parameters.not_after = date_time_ymd(until, 1, 1);
        let key = key(kind);
        let certificate = parameters.self_signed(&key).expect("a certificate can be made");
        self.files(name, &certificate.pem(), &key)
    }

    /// `listen.tls` with this certificate, and more of its keys.
    pub(crate) fn listen(files: &Files, more: &str) -> String {
        let Files { certificate, key } = files;
        format!("tls: {{ certificate: {}, key: {}{more} }}", certificate.display(), key.display())
    }

    fn issue(&self, name: &str, parameters: &CertificateParams, key: &KeyPair) -> Files {
        let certificate = parameters.signed_by(key, &self.authority).expect("the authority can sign");
        self.files(name, &certificate.pem(), key)
    }

    fn files(&self, name: &str, certificate: &str, key: &KeyPair) -> Files {
        let [certificate_file, key_file] =
            ["pem", "key"].map(|end| self.directory.path().join(format!("{name}.{end}")));
        write(&certificate_file, certificate);
        write(&key_file, &key.serialize_pem());
        Files { certificate: certificate_file, key: key_file }
    }
}

fn parameters(name: &str, purpose: ExtendedKeyUsagePurpose) -> CertificateParams {
    let mut parameters = CertificateParams::new([name.to_owned()]).expect("it is a name");
    parameters.not_before = date_time_ymd(2020, 1, 1);
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.extended_key_usages = vec![purpose];
    parameters
}

fn key(kind: Kind) -> KeyPair {
    match kind {
        Kind::Ecdsa => KeyPair::generate(),
        Kind::Rsa => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
    }
    .expect("a key can be generated")
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a file can be written");
}

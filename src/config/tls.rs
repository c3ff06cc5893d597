//! `listen.tls` and the client certificates of callers.
//!
//! Whether a file holds what it should shows when TLS is set up; here it must be there and hold something.

use super::{
    Pem, Secrets, authentication,
    callers::ReadCaller,
    certificates::{DnsName, Thumbprint},
    fields::{Context, Entry, Fields},
    keys,
    model::{CallerCertificate, ClientCertificate, ListenTls},
    problem::{Wrong, quoted},
    secret::Secret,
};

/// Largest file, in bytes; Mozilla's whole list of authorities has 200 KiB.
const MAX_PEM: u64 = 4 * 1024 * 1024;

/// `listen.tls` as far as it could be read.
pub(super) struct ReadTls<'t> {
    /// Nothing if it is not written, or wrong, or secrets are skipped: without its key there is no TLS.
    pub(super) value: Option<ListenTls>,
    written: Option<Entry<'t>>,
    /// Where `client: required` stands.
    required: Option<Entry<'t>>,
    /// Whether it trusts any client itself.
    trusts: bool,
}

/// `tls`, if it is written.
pub(super) fn listen_tls<'t>(cx: &mut Context<'t>, listen: &Fields<'t>) -> ReadTls<'t> {
    let mut read = ReadTls { value: None, written: listen.get(cx, "tls"), required: None, trusts: false };
    let fields = read.written.as_ref().and_then(|entry| Fields::open(cx, &keys::TLS, entry));
    let Some(fields) = fields else { return read };
    let certificate = fields.get(cx, "certificate").and_then(|entry| pem(cx, &entry));
    let key = fields.get(cx, "key").and_then(|entry| key(cx, &entry));
    let client = fields.word(cx, "client").map(|word| match word {
        "required" => ClientCertificate::Required,
        _ => ClientCertificate::Optional,
    });
    let thumbprints = each(cx, &fields, "client_thumbprints", Thumbprint::parse);
    let ca = fields.get(cx, "client_ca");
    let client_ca = ca.as_ref().and_then(|entry| pem(cx, entry));
    let names = each(cx, &fields, "client_names", DnsName::parse);
    if let (None, Some(entry)) = (&ca, fields.get(cx, "client_names")) {
        let wrong = Wrong::new("`client_names` has no effect without `client_ca`").help(
            "a certificate that is trusted by its thumbprint needs no name; write `client_ca`, or remove this",
        );
        cx.wrong_key(&entry, wrong);
    }
    if client == Some(ClientCertificate::Required) {
        read.required = fields.get(cx, "client");
    }
    read.trusts = ca.is_some() || thumbprints.as_ref().is_none_or(|thumbprints| !thumbprints.is_empty());
    let (Some(certificate), Some(key), Some(client)) = (certificate, key, client) else { return read };
    let (Some(client_thumbprints), Some(client_names)) = (thumbprints, names) else { return read };
    read.value = Some(ListenTls { certificate, key, client, client_thumbprints, client_ca, client_names });
    read
}

impl<'t> ReadTls<'t> {
    /// Whether the port has TLS.
    pub(super) fn is_written(&self) -> bool {
        self.written.is_some()
    }

    /// Reports what does not fit the callers: certificates without TLS, and TLS that nobody could use.
    pub(super) fn check_with(&self, cx: &mut Context<'t>, callers: &[ReadCaller<'t>]) {
        let mut certificates = callers.iter().filter_map(|caller| caller.certificate.as_ref()).peekable();
        if let (Some(required), false, None) = (&self.required, self.trusts, certificates.peek()) {
            let wrong = Wrong::new("no client certificate is trusted, so nobody could connect").help(
                "give a caller a `certificate`, write `client_thumbprints` or `client_ca`, or remove `client`",
            );
            cx.wrong_value(required, wrong);
        }
        if self.written.is_none() {
            for entry in certificates {
                let wrong = Wrong::new("a client certificate comes with TLS, and the hook port has none")
                    .help(
                        "write `listen.tls`; what ends TLS before claimgate keeps the certificate to itself",
                    );
                cx.wrong_key(entry, wrong);
            }
        }
    }
}

/// `certificate: { thumbprint }` or `{ ca, name }`
pub(super) fn caller<'t>(cx: &mut Context<'t>, entry: &Entry<'t>) -> Option<CallerCertificate> {
    let fields = Fields::open(cx, &keys::CERTIFICATE, entry)?;
    let [thumbprint, ca, name] = ["thumbprint", "ca", "name"].map(|key| fields.get(cx, key));
    match (thumbprint, ca, name) {
        (Some(thumbprint), None, None) => {
            cx.parsed(&thumbprint, Thumbprint::parse).map(CallerCertificate::Thumbprint)
        }
        (None, Some(ca), Some(name)) => {
            let (ca, name) = (pem(cx, &ca), cx.parsed(&name, DnsName::parse));
            let name = name?;
            match ca {
                Some(ca) => Some(CallerCertificate::Issued { ca, name }),
                // A stand-in, as for the secrets: no certificate is trusted by it, and the rest can be put to work.
                None if cx.secrets == Secrets::Skip => {
                    Some(CallerCertificate::Thumbprint(Thumbprint::of(Secret::MASK.as_bytes())))
                }
                None => None,
            }
        }
        (thumbprint, ca, name) => {
            let message = match (thumbprint, ca, name) {
                (Some(_), ..) => "a thumbprint names one certificate; `ca` and `name` add nothing to it",
                (None, Some(_), None) => {
                    "without `name` every certificate of that authority would be this caller"
                }
                (None, None, Some(_)) => {
                    "without `ca` anybody could have issued a certificate with that name"
                }
                _ => "no certificate is stated",
            };
            cx.wrong_key(entry, Wrong::new(message).help("write either `thumbprint`, or `ca` and `name`"));
            None
        }
    }
}

/// What each entry says, one or a list; nothing if one is wrong, an empty list if the key is not written.
fn each<'t, T>(
    cx: &mut Context<'t>,
    fields: &Fields<'t>,
    key: &str,
    parse: impl Fn(&str) -> Result<T, Wrong>,
) -> Option<Vec<T>> {
    let Some(entry) = fields.get(cx, key) else { return Some(Vec::new()) };
    let entries = cx.one_or_many(&entry)?;
    let values: Vec<_> = entries.iter().map(|entry| cx.parsed(entry, &parse)).collect();
    values.into_iter().collect()
}

/// A file that must be there. Where secrets are skipped it may be missing, which is said.
fn pem<'t>(cx: &mut Context<'t>, entry: &Entry<'t>) -> Option<Pem> {
    let path = cx.base.join(cx.scalar(entry)?);
    if cx.secrets == Secrets::Skip && !path.exists() {
        let wrong = Wrong::new(format!("the file {} does not exist here", quoted(&path.to_string_lossy())));
        cx.warn(entry, wrong);
        return None;
    }
    read(cx, entry, path)
}

/// The file of a private key, which is a secret.
fn key<'t>(cx: &mut Context<'t>, entry: &Entry<'t>) -> Option<Pem> {
    let path = cx.base.join(cx.parsed(entry, authentication::path)?);
    if cx.secrets == Secrets::Skip { None } else { read(cx, entry, path) }
}

fn read<'t>(cx: &mut Context<'t>, entry: &Entry<'t>, path: std::path::PathBuf) -> Option<Pem> {
    let contents = cx.read_file(&path, MAX_PEM).and_then(|contents| {
        let empty = || Wrong::new(format!("the file {} is empty", quoted(&path.to_string_lossy())));
        if contents.is_empty() { Err(empty()) } else { Ok(contents) }
    });
    match contents {
        Ok(contents) => Some(Pem { path, contents: Secret::new(contents) }),
        Err(wrong) => {
            cx.wrong_value(entry, wrong);
            None
        }
    }
}

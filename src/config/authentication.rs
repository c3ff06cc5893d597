//! `authentication`: what claimgate shows an API.

use std::path::PathBuf;

use super::{
    Pem, Secrets,
    connectors::needs_tls,
    credentials::{self, Use},
    endpoint,
    fields::{Context, Entry, Fields},
    keys,
    model::{Basic, Endpoint, KeyedCertificate},
    problem::Wrong,
    secret::Secret,
    tree::Value,
};

/// Largest file with a certificate or a key, in bytes; one with its whole chain has some kilobytes.
const MAX_PEM: u64 = 256 * 1024;

/// The credentials for an API; none for `none`.
#[derive(Default)]
pub(super) struct Authentication {
    pub(super) basic: Option<Basic>,
    pub(super) certificates: Vec<KeyedCertificate>,
    pub(super) code: Option<Secret>,
}

/// `authentication`
pub(super) fn authentication<'t>(
    cx: &mut Context<'t>,
    parent: &Fields<'t>,
    endpoint: Option<&Endpoint>,
) -> Option<Authentication> {
    let entry = parent.get(cx, "authentication")?;
    if let Value::Scalar(text) = &entry.node.value {
        // Not quoted: it may be the secret itself.
        if text != "none" {
            let wrong = Wrong::new("this is no kind of authentication").help(
                "write `none`, { basic: { username, password } }, { certificate: { certificate, key } } or { code: { env: NAME } }",
            );
            cx.wrong_value(&entry, wrong);
            return None;
        }
        return Some(Authentication::default());
    }
    let fields = Fields::open(cx, &keys::AUTHENTICATION, &entry)?;
    let [basic, certificate, code] = ["basic", "certificate", "code"].map(|key| fields.get(cx, key));
    if basic.is_none() && certificate.is_none() && code.is_none() {
        let wrong = Wrong::new("no authentication is stated")
            .help("write `basic` or `certificate`, `code`, or both, or `authentication: none`");
        cx.wrong_key(&entry, wrong);
        return None;
    }
    if let (Some(certificate), true) = (&certificate, basic.is_some()) {
        let wrong = Wrong::new("`basic` and `certificate` cannot stand together")
            .help("keep the one that the API goes by; either may stand beside `code`");
        cx.wrong_key(certificate, wrong);
    }
    if let Some(certificate) = &certificate {
        needs_tls(cx, certificate, "certificate", endpoint);
    }
    if let (Some(code), true) = (&code, endpoint.is_some_and(endpoint::has_code)) {
        let wrong =
            Wrong::new("`code` stands in the query of endpoint_url too").help("remove it from endpoint_url");
        cx.wrong_key(code, wrong);
    }
    let basic = basic.map(|entry| credentials::basic(cx, &entry));
    let certificates = certificate.map(|entry| certificates(cx, &entry));
    let code = code.map(|entry| credentials::secret(cx, &entry, Use::PasswordOrCode));
    let whole =
        !matches!(basic, Some(None)) && !matches!(certificates, Some(None)) && !matches!(code, Some(None));
    whole.then(|| Authentication {
        basic: basic.flatten(),
        certificates: certificates.flatten().unwrap_or_default(),
        code: code.flatten(),
    })
}

/// `certificate`: one or a list. Whether these are certificates, and usable ones, shows when TLS is set up. None where
/// secrets are not read.
fn certificates<'t>(cx: &mut Context<'t>, entry: &Entry<'t>) -> Option<Vec<KeyedCertificate>> {
    let entries = cx.one_or_many(entry)?;
    let paths: Vec<_> = entries.iter().map(|entry| paths(cx, entry)).collect();
    if cx.secrets == Secrets::Skip {
        let known: Option<Vec<_>> = paths.into_iter().collect();
        return known.map(|_| Vec::new());
    }
    let read = paths.into_iter().map(|paths| {
        let [certificate, key] = paths?.map(|(entry, path)| pem(cx, &entry, path));
        Some(KeyedCertificate { certificate: certificate?, key: key? })
    });
    let read: Vec<Option<KeyedCertificate>> = read.collect();
    read.into_iter().collect()
}

/// Where the certificate is and where its key is.
fn paths<'t>(cx: &mut Context<'t>, entry: &Entry<'t>) -> Option<[(Entry<'t>, PathBuf); 2]> {
    let fields = Fields::open(cx, &keys::CLIENT_CERTIFICATE, entry)?;
    let [certificate, key] = ["certificate", "key"].map(|name| {
        let entry = fields.get(cx, name)?;
        let path = cx.parsed(&entry, path)?;
        Some((entry, cx.base.join(path)))
    });
    Some([certificate?, key?])
}

fn pem<'t>(cx: &mut Context<'t>, entry: &Entry<'t>, path: PathBuf) -> Option<Pem> {
    match cx.read_file(&path, MAX_PEM) {
        Ok(contents) => Some(Pem { path, contents: Secret::new(contents) }),
        Err(wrong) => {
            cx.wrong_value(entry, wrong);
            None
        }
    }
}

/// A path; not the certificate or key itself, which would be quoted as the file that is not there.
pub(super) fn path(text: &str) -> Result<String, Wrong> {
    // PEM, and how the Base64 of every key and certificate in DER begins.
    let is_contents =
        text.contains("-----") || text.contains('\n') || (text.len() >= 60 && text.starts_with('M'));
    if is_contents {
        return Err(
            Wrong::new("this is no path of a file").help("put it into a file, and write the path of that")
        );
    }
    Ok(text.to_owned())
}

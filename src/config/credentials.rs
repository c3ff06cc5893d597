//! Secrets by reference, and the credentials made of them.
//!
//! No text here holds any of a secret's contents, also not its length.

use std::path::Path;

use super::{
    Secrets,
    fields::{Context, Entry, Fields},
    keys,
    model::{Basic, HeaderKey},
    problem::{Wrong, quoted},
    secret::Secret,
    tree::Value,
};

/// Largest file with a secret, in bytes. A path that leads elsewhere (a device, an image) ends here.
const MAX_SECRET: u64 = 64 * 1024;

/// What a secret must look like to be usable where it stands.
#[derive(Clone, Copy)]
pub(super) enum Use {
    /// RFC 7617 section 2: no control characters in a password. A code has none either, for nobody could type it.
    PasswordOrCode,
    /// RFC 9110 section 5.5: visible ASCII, blanks inside only.
    HeaderValue,
}

/// A secret: `{ file }`, `{ env }` or plain text.
pub(super) fn secret<'t>(cx: &mut Context<'t>, entry: &Entry<'t>, purpose: Use) -> Option<Secret> {
    let read = match &entry.node.value {
        Value::Scalar(text) => {
            let help = "write { file: PATH } or { env: NAME }, so that the file can be shown and stored";
            cx.warn(entry, Wrong::new("a secret stands here as plain text").help(help));
            Ok(text.clone().into_bytes())
        }
        Value::Map(_) => {
            let fields = Fields::open(cx, &keys::SECRET, entry)?;
            match (fields.get(cx, "file"), fields.get(cx, "env")) {
                (Some(file), None) => {
                    let path = cx.parsed(&file, |text| Ok(text.to_owned()))?;
                    if cx.secrets == Secrets::Skip {
                        return Some(masked());
                    }
                    from_file(cx, &cx.base.join(&path)).map_err(|why| (file, why))
                }
                (None, Some(env)) => {
                    let name = cx.parsed(&env, variable)?;
                    if cx.secrets == Secrets::Skip {
                        return Some(masked());
                    }
                    from_variable(&name).map_err(|why| (env, why))
                }
                (file, _) => {
                    let message = if file.is_some() { "there are two sources" } else { "there is no source" };
                    cx.wrong_key(entry, Wrong::new(message).help("write either `file` or `env`"));
                    return None;
                }
            }
        }
        _ => {
            cx.wrong_shape(entry);
            return None;
        }
    };
    let bytes = match read {
        Ok(bytes) => bytes,
        Err((entry, wrong)) => {
            cx.wrong_value(&entry, wrong);
            return None;
        }
    };
    if let Some(message) = unusable(&bytes, purpose) {
        cx.wrong_value(entry, Wrong::new(message));
        return None;
    }
    Some(if cx.secrets == Secrets::Skip { masked() } else { Secret::new(bytes) })
}

/// `basic: { username, password }`
pub(super) fn basic<'t>(cx: &mut Context<'t>, entry: &Entry<'t>) -> Option<Basic> {
    let fields = Fields::open(cx, &keys::BASIC, entry)?;
    let username = fields.value(cx, "username", |_, text| {
        if text.contains(':') || text.chars().any(char::is_control) {
            return Err(
                Wrong::new("a user name has no colon and no control character").help("RFC 7617 section 2")
            );
        }
        Ok(text.to_owned())
    });
    let password = fields.get(cx, "password").and_then(|entry| secret(cx, &entry, Use::PasswordOrCode));
    Some(Basic { username: username?, password: password? })
}

/// `header: { name, value }`
pub(super) fn header<'t>(cx: &mut Context<'t>, entry: &Entry<'t>) -> Option<HeaderKey> {
    let fields = Fields::open(cx, &keys::HEADER, entry)?;
    let name = fields.value(cx, "name", |_, text| header_name(text));
    let value = fields.get(cx, "value").and_then(|entry| secret(cx, &entry, Use::HeaderValue));
    Some(HeaderKey { name: name?, value: value? })
}

fn masked() -> Secret {
    Secret::new(Secret::MASK.as_bytes().to_vec())
}

/// Exactly one newline is removed: editors and `echo` add one, and a second one is part of the secret.
fn from_file(cx: &mut Context<'_>, path: &Path) -> Result<Vec<u8>, Wrong> {
    let mut bytes = cx.read_file(path, MAX_SECRET)?;
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    if bytes.is_empty() {
        return Err(Wrong::new(format!("the file {} is empty", quoted(&path.to_string_lossy()))));
    }
    Ok(bytes)
}

fn variable(text: &str) -> Result<String, Wrong> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if text.is_empty() || !text.bytes().all(fits) || text.as_bytes()[0].is_ascii_digit() {
        return Err(Wrong::new("this cannot be the name of an environment variable")
            .help("letters, digits and `_`, such as ENTRA_PASSWORD; the secret itself does not stand here"));
    }
    Ok(text.to_owned())
}

fn from_variable(name: &str) -> Result<Vec<u8>, Wrong> {
    // Shown only if it looks like one: somebody may have written the secret in its place.
    let shown = if name.bytes().any(|byte| byte.is_ascii_lowercase()) {
        String::new()
    } else {
        format!(" {}", quoted(name))
    };
    match std::env::var_os(name) {
        None => Err(Wrong::new(format!("the environment variable{shown} is not set"))),
        Some(value) if value.is_empty() => {
            Err(Wrong::new(format!("the environment variable{shown} is empty")))
        }
        Some(value) => Ok(value.into_encoded_bytes()),
    }
}

fn unusable(bytes: &[u8], purpose: Use) -> Option<&'static str> {
    if bytes.is_empty() {
        return Some("the secret is empty");
    }
    match purpose {
        Use::PasswordOrCode => bytes.iter().any(u8::is_ascii_control).then_some(
            "the secret has a control character, such as a newline inside or a second one at its end",
        ),
        Use::HeaderValue => {
            let blank = |byte: Option<&u8>| byte == Some(&b' ');
            (blank(bytes.first())
                || blank(bytes.last())
                || !bytes.iter().all(|byte| (b' '..=b'~').contains(byte)))
            .then_some("a header's value is visible ASCII, with blanks inside only")
        }
    }
}

/// Headers that HTTP, a proxy on the way or claimgate itself gives a meaning: a key there would be changed, removed,
/// or logged by somebody. RFC 9110 sections 5 to 12, RFC 9112, RFC 6265, W3C Trace Context.
fn header_name(text: &str) -> Result<http::HeaderName, Wrong> {
    #[rustfmt::skip]
    const TAKEN: &[&str] = &[
        "accept", "age", "alt-svc", "authorization", "baggage", "cache-control", "connection", "cookie", "cookie2",
        "date", "expect", "forwarded", "from", "host", "http2-settings", "idempotency-key", "keep-alive",
        "max-forwards", "origin", "pragma", "priority", "range", "referer", "set-cookie", "te", "traceparent",
        "tracestate", "trailer", "transfer-encoding", "upgrade", "user-agent", "via", "warning", "www-authenticate",
        "x-real-ip", "x-request-id",
    ];
    const FAMILIES: &[&str] =
        &["accept-", "access-control-", "content-", "if-", "proxy-", "sec-", "x-forwarded-"];
    let name = http::HeaderName::from_bytes(text.as_bytes()).map_err(|_| {
        Wrong::new("this is not a header's name").help("letters, digits and `-`, such as X-Hook-Key")
    })?;
    let taken =
        TAKEN.contains(&name.as_str()) || FAMILIES.iter().any(|family| name.as_str().starts_with(family));
    if taken {
        return Err(Wrong::new(format!("{} has a meaning of its own", quoted(name.as_str())))
            .help("choose a header that nobody else reads or writes, such as X-Hook-Key"));
    }
    Ok(name)
}

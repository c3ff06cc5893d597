//! `connectors`: the web APIs and how to call them.

use std::{cell::Cell, time::Duration};

use crate::flow::{
    Selection,
    claims::{ClaimName, DistinctClaims},
};

use super::{
    Pem, Secrets,
    authentication::{Authentication, authentication},
    breaker,
    callers::rate_limit,
    endpoint,
    fields::{Context, Entry, Fields, one_of},
    keys::{self, Kind},
    model::{Connector, Endpoint, MissingAction, Name, Roots, TlsVersion},
    ports::{count, duration, size},
    problem::{Wrong, quoted},
    secret::Secret,
    tree::Value,
    units,
};

/// Largest file of authorities, in bytes; Mozilla's whole list has 200 KiB.
const MAX_ROOTS: u64 = 4 * 1024 * 1024;

/// `connect_timeout` where it is not written and `timeout` is not shorter.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A connector as far as it could be read, with what the user flows check against.
pub(super) struct ReadConnector<'t> {
    pub(super) name: Name,
    pub(super) entry: Entry<'t>,
    pub(super) used: Cell<bool>,
    pub(super) connector: Option<Connector>,
    /// `timeout` and `wait`, each with its place if it is written.
    pub(super) within: [Option<(&'static str, Duration, Option<Entry<'t>>)>; 2],
}

/// `connectors`
pub(super) fn connectors<'t>(cx: &mut Context<'t>, entry: &Entry<'t>) -> Option<Vec<ReadConnector<'t>>> {
    let named = cx.named(entry)?;
    Some(named.into_iter().map(|(name, entry)| connector(cx, name, &entry)).collect())
}

fn connector<'t>(cx: &mut Context<'t>, name: Name, entry: &Entry<'t>) -> ReadConnector<'t> {
    let mut read = ReadConnector {
        name: name.clone(),
        entry: entry.clone(),
        used: Cell::new(false),
        connector: None,
        within: [None, None],
    };
    if let Some(fields) = Fields::open(cx, &keys::CONNECTOR, entry) {
        read.within = ["timeout", "wait"].map(|key| {
            let value = fields.value(cx, key, duration)?;
            Some((key, value, fields.get(cx, key)))
        });
        let [timeout, wait] = [0, 1].map(|index| read.within[index].as_ref().map(|(_, value, _)| *value));
        read.connector = whole(cx, name, &fields, timeout, wait);
    }
    read
}

fn whole<'t>(
    cx: &mut Context<'t>,
    name: Name,
    fields: &Fields<'t>,
    timeout: Option<Duration>,
    wait: Option<Duration>,
) -> Option<Connector> {
    let display_name = match fields.get(cx, "display_name") {
        Some(entry) => cx.parsed(&entry, |text| message(entry.kind, text)),
        None => Some(name.as_str().to_owned()),
    };
    let endpoint = fields.value(cx, "endpoint_url", |_, text| endpoint::parse(text));
    plain_text(cx, fields, endpoint.as_ref());
    let authentication = authentication(cx, fields, endpoint.as_ref());
    let claims_to_send = claims(cx, fields, "claims_to_send");
    let claims_to_receive = claims(cx, fields, "claims_to_receive");
    let send_ui_locales = fields.value(cx, "send_ui_locales", |_, text| units::flag(text));
    let connect_timeout = connect_timeout(cx, fields, timeout);
    let max_answer = fields.value(cx, "max_answer", size);
    let roots = roots(cx, fields, endpoint.as_ref());
    let server_name = server_name(cx, fields, endpoint.as_ref());
    let min_tls = min_tls(cx, fields, endpoint.as_ref());
    let rate_limit = rate_limit(cx, fields, "rate_limit");
    let max_in_flight = count(cx, fields, "max_in_flight");
    let idempotent = fields.value(cx, "idempotent", |_, text| units::flag(text));
    let breaker = breaker::breaker(cx, fields);
    let strict = fields.value(cx, "strict", |_, text| units::flag(text));
    let missing_action = missing_action(cx, fields, strict);
    let default_message = fields.value(cx, "default_message", message);
    let Authentication { basic, certificates, code } = authentication?;
    Some(Connector {
        name,
        display_name: display_name?,
        endpoint: endpoint?,
        basic,
        certificates,
        code,
        claims_to_send: Selection::to_send(&claims_to_send?, send_ui_locales?),
        claims_to_receive: Selection::to_receive(&claims_to_receive?),
        timeout: timeout?,
        connect_timeout: connect_timeout?,
        max_answer: max_answer?,
        roots: roots?,
        server_name: server_name?,
        min_tls: min_tls?,
        rate_limit,
        max_in_flight: max_in_flight?,
        wait: wait?,
        idempotent: idempotent?,
        breaker: breaker?,
        strict: strict?,
        missing_action: missing_action?,
        default_message: default_message?,
    })
}

/// A text that a person reads: not empty, not too long, no control characters but line breaks.
pub(super) fn message(kind: &Kind, text: &str) -> Result<String, Wrong> {
    let Kind::Message(most) = kind else { unreachable!("a message is declared as {kind:?}") };
    let allowed = |c: char| !c.is_control() || c == '\n';
    if text.trim().is_empty() || text.chars().count() > *most || !text.chars().all(allowed) {
        return Err(Wrong::new("this text cannot be shown to a person").help(format!(
            "1 to {most} characters, not only blanks, no control characters but line breaks"
        )));
    }
    Ok(text.to_owned())
}

fn plain_text<'t>(cx: &mut Context<'t>, fields: &Fields<'t>, endpoint: Option<&Endpoint>) {
    let allowed = fields.word(cx, "plain_text");
    let (Some(endpoint), Some(url)) = (endpoint, fields.get(cx, "endpoint_url")) else { return };
    if endpoint.query.is_some() {
        let wrong = Wrong::new("a query often holds a key; it is masked wherever the URL is shown")
            .help("put a `code` into `authentication`, where it can come from a file or the environment");
        cx.warn(&url, wrong);
    }
    match allowed {
        Some("allowed") if endpoint.tls => {
            let written = fields.get(cx, "plain_text").unwrap_or(url);
            cx.warn(&written, Wrong::new("`plain_text` has no effect: the URL is https"));
        }
        Some("allowed") if !endpoint::is_loopback(&endpoint.host) => {
            cx.warn(&url, Wrong::new("claims and credentials travel to this API unencrypted"));
        }
        Some("refused") if !endpoint.tls && !endpoint::is_loopback(&endpoint.host) => {
            let wrong = Wrong::new("this URL is not https, and its host is not loopback")
                .help("write https, or `plain_text: allowed` if the way to the API is protected otherwise");
            cx.wrong_value(&url, wrong);
        }
        _ => {}
    }
}

fn claims<'t>(cx: &mut Context<'t>, fields: &Fields<'t>, key: &str) -> Option<Vec<ClaimName>> {
    let entry = fields.get(cx, key)?;
    let mut names = DistinctClaims::default();
    for entry in cx.list(&entry)? {
        let parse =
            |text: &str| ClaimName::parse(text).map_err(|why| Wrong::new(format!("{}: {why}", quoted(text))));
        let Some(name) = cx.parsed(&entry, parse) else { continue };
        if let Err((name, other)) = names.push(name) {
            let (name, other) = (quoted(name.as_str()), quoted(other.as_str()));
            let wrong = if name == other {
                Wrong::new(format!("{name} stands here twice"))
            } else {
                Wrong::new(format!("{name} is the same claim as {other}")).help("keep one of them")
            };
            cx.wrong_value(&entry, wrong);
        }
    }
    Some(names.into_names())
}

fn connect_timeout<'t>(
    cx: &mut Context<'t>,
    fields: &Fields<'t>,
    timeout: Option<Duration>,
) -> Option<Duration> {
    let Some(entry) = fields.get(cx, "connect_timeout") else {
        return Some(timeout.map_or(CONNECT_TIMEOUT, |timeout| timeout.min(CONNECT_TIMEOUT)));
    };
    let written = cx.parsed(&entry, |text| duration(entry.kind, text))?;
    if let Some(timeout) = timeout.filter(|timeout| written > *timeout) {
        let (written, timeout) = (units::show_duration(written), units::show_duration(timeout));
        let wrong = Wrong::new(format!("connect_timeout ({written}) is longer than timeout ({timeout})"))
            .help("timeout covers connecting too; it would always pass first");
        cx.wrong_value(&entry, wrong);
    }
    Some(written)
}

fn roots<'t>(cx: &mut Context<'t>, parent: &Fields<'t>, endpoint: Option<&Endpoint>) -> Option<Roots> {
    let Some(entry) = parent.get(cx, "roots") else { return Some(Roots::Webpki) };
    needs_tls(cx, &entry, "roots", endpoint);
    if let (Value::Scalar(_), Kind::WordOr(words, _)) = (&entry.node.value, entry.kind) {
        return cx.parsed(&entry, |text| one_of(words, text)).map(|_| Roots::Webpki);
    }
    let fields = Fields::open(cx, &keys::ROOTS, &entry)?;
    let file = fields.get(cx, "file")?;
    let path = cx.base.join(cx.scalar(&file)?);
    if cx.secrets == Secrets::Skip && !path.exists() {
        let wrong = Wrong::new(format!("the file {} does not exist here", quoted(&path.to_string_lossy())));
        cx.warn(&file, wrong);
        // A stand-in, as for the secrets: with it the rest can still be put to work.
        return Some(Roots::Webpki);
    }
    // Whether these are certificates, and usable ones, shows when TLS is set up.
    let read = cx.read_file(&path, MAX_ROOTS).and_then(|pem| {
        let help = "it needs at least one block `-----BEGIN CERTIFICATE-----`";
        if pem.is_empty() {
            Err(Wrong::new("the file holds no certificate in PEM").help(help))
        } else {
            Ok(pem)
        }
    });
    match read {
        Ok(pem) => Some(Roots::File(Pem { path, contents: Secret::new(pem) })),
        Err(wrong) => {
            cx.wrong_value(&file, wrong);
            None
        }
    }
}

fn server_name<'t>(cx: &mut Context<'t>, fields: &Fields<'t>, endpoint: Option<&Endpoint>) -> Option<String> {
    let Some(entry) = fields.get(cx, "server_name") else {
        return endpoint.map(|endpoint| endpoint.host.clone());
    };
    needs_tls(cx, &entry, "server_name", endpoint);
    cx.parsed(&entry, endpoint::server_name)
}

fn min_tls<'t>(cx: &mut Context<'t>, fields: &Fields<'t>, endpoint: Option<&Endpoint>) -> Option<TlsVersion> {
    if let Some(entry) = fields.get(cx, "min_tls") {
        needs_tls(cx, &entry, "min_tls", endpoint);
    }
    let word = fields.word(cx, "min_tls")?;
    Some(if word == "1.3" { TlsVersion::V1_3 } else { TlsVersion::V1_2 })
}

/// A key that says something about TLS.
pub(super) fn needs_tls<'t>(cx: &mut Context<'t>, entry: &Entry<'t>, key: &str, endpoint: Option<&Endpoint>) {
    if endpoint.is_some_and(|endpoint| !endpoint.tls) {
        let wrong = Wrong::new(format!("`{key}` has no effect: the URL is not https"))
            .help("remove it, or write https");
        cx.wrong_key(entry, wrong);
    }
}

fn missing_action<'t>(
    cx: &mut Context<'t>,
    fields: &Fields<'t>,
    strict: Option<bool>,
) -> Option<MissingAction> {
    let word = fields.word(cx, "missing_action")?;
    if word == "fail" {
        return Some(MissingAction::Fail);
    }
    if let (Some(true), Some(entry)) = (strict, fields.get(cx, "missing_action")) {
        let wrong = Wrong::new("`missing_action: continue` has no effect with `strict: true`")
            .help("remove one of them");
        cx.wrong_value(&entry, wrong);
    }
    Some(MissingAction::Continue)
}

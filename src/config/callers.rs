//! `callers`: who may call.

use std::{cell::Cell, num::NonZeroU32};

use super::{
    Secrets,
    credentials::{self, Use},
    fields::{Context, Entry, Fields},
    keys::{self, Kind},
    model::{Basic, Caller, CallerCertificate, HeaderKey, Name, RateLimit},
    problem::{Wrong, quoted},
    secret::Secret,
    tls, units,
};

/// A caller as far as it could be read: what is wrong with one key must not hide what is wrong between two callers.
pub(super) struct ReadCaller<'t> {
    pub(super) name: Name,
    pub(super) entry: Entry<'t>,
    pub(super) used: Cell<bool>,
    pub(super) caller: Option<Caller>,
    /// Where its certificates are written.
    pub(super) certificate: Option<Entry<'t>>,
    credentials: Vec<(Entry<'t>, Credential)>,
}

/// `callers`
pub(super) fn callers<'t>(cx: &mut Context<'t>, entry: &Entry<'t>) -> Option<Vec<ReadCaller<'t>>> {
    let named = cx.named(entry)?;
    Some(named.into_iter().map(|(name, entry)| caller(cx, name, &entry)).collect())
}

/// Reports a credential that two callers of one user flow share: the second caller could never be recognised.
pub(super) fn shared_credentials<'t>(cx: &mut Context<'t>, flow: &Name, callers: &[&ReadCaller<'t>]) {
    if cx.secrets == Secrets::Skip {
        return;
    }
    for (index, second) in callers.iter().enumerate() {
        for (entry, credential) in &second.credentials {
            if let Some(first) = callers[..index].iter().find(|first| first.has(credential)) {
                let (first, flow) = (quoted(first.name.as_str()), quoted(flow.as_str()));
                let wrong = Wrong::new(format!(
                    "caller {first} has the same credential, and user flow {flow} names both"
                ))
                .help("the second one could never be recognised; give each caller its own");
                cx.wrong_key(entry, wrong);
            }
        }
    }
}

/// A limit such as `rate_limit`; none if it is not written, or wrong and therefore reported.
pub(super) fn rate_limit<'t>(cx: &mut Context<'t>, parent: &Fields<'t>, name: &str) -> Option<RateLimit> {
    let entry = parent.get(cx, name)?;
    let fields = Fields::open(cx, &keys::RATE_LIMIT, &entry)?;
    let rate = fields.value(cx, "rate", |kind, text| match kind {
        Kind::Rate(range) => units::rate(text, range),
        other => unreachable!("a rate is declared as {other:?}"),
    });
    let burst = fields.value(cx, "burst", |kind, text| match kind {
        Kind::Count(range) => units::count(text, range),
        other => unreachable!("a count is declared as {other:?}"),
    });
    let (count, per) = rate?;
    Some(RateLimit { count, per, burst: burst.and_then(NonZeroU32::new)? })
}

enum Credential {
    Basic(Basic),
    Code(Secret),
    Header(HeaderKey),
    Certificate(CallerCertificate),
}

impl Credential {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Basic(a), Self::Basic(b)) => {
                a.username == b.username && a.password.expose() == b.password.expose()
            }
            (Self::Code(a), Self::Code(b)) => a.expose() == b.expose(),
            (Self::Header(a), Self::Header(b)) => a.name == b.name && a.value.expose() == b.value.expose(),
            (Self::Certificate(a), Self::Certificate(b)) => match (a, b) {
                (
                    CallerCertificate::Issued { ca, name },
                    CallerCertificate::Issued { ca: other, name: same },
                ) => name == same && ca.contents == other.contents,
                _ => a == b,
            },
            _ => false,
        }
    }
}

impl ReadCaller<'_> {
    fn has(&self, credential: &Credential) -> bool {
        self.credentials.iter().any(|(_, own)| own.is_same(credential))
    }
}

fn caller<'t>(cx: &mut Context<'t>, name: Name, entry: &Entry<'t>) -> ReadCaller<'t> {
    let mut read = ReadCaller {
        name: name.clone(),
        entry: entry.clone(),
        used: Cell::new(false),
        caller: None,
        certificate: None,
        credentials: Vec::new(),
    };
    let Some(fields) = Fields::open(cx, &keys::CALLER, entry) else { return read };
    read.certificate = fields.get(cx, "certificate");
    let credentials = [
        entries(cx, &fields, "basic", |cx, entry| credentials::basic(cx, entry).map(Credential::Basic)),
        entries(cx, &fields, "code", |cx, entry| {
            credentials::secret(cx, entry, Use::PasswordOrCode).map(Credential::Code)
        }),
        entries(cx, &fields, "header", |cx, entry| credentials::header(cx, entry).map(Credential::Header)),
        entries(cx, &fields, "certificate", |cx, entry| tls::caller(cx, entry).map(Credential::Certificate)),
    ];
    let rate_limit = rate_limit(cx, &fields, "rate_limit");
    if credentials.iter().all(Option::is_none) {
        cx.wrong_key(
            entry,
            Wrong::new("a caller needs a credential")
                .help("write `basic`, `code`, `header` or `certificate`"),
        );
    }
    let mut caller = Caller {
        name,
        basic: Vec::new(),
        code: Vec::new(),
        header: Vec::new(),
        certificate: Vec::new(),
        rate_limit,
    };
    for (entry, credential) in credentials.into_iter().flatten().flatten() {
        match &credential {
            Credential::Basic(basic) => caller.basic.push(basic.clone()),
            Credential::Code(code) => caller.code.push(code.clone()),
            Credential::Header(header) => caller.header.push(header.clone()),
            Credential::Certificate(certificate) => caller.certificate.push(certificate.clone()),
        }
        read.credentials.push((entry, credential));
    }
    read.caller = Some(caller);
    read
}

/// The credentials of one kind; nothing if the key is not written.
fn entries<'t>(
    cx: &mut Context<'t>,
    fields: &Fields<'t>,
    name: &str,
    read: impl Fn(&mut Context<'t>, &Entry<'t>) -> Option<Credential>,
) -> Option<Vec<(Entry<'t>, Credential)>> {
    let entry = fields.get(cx, name)?;
    let entries = cx.one_or_many(&entry).unwrap_or_default();
    Some(
        entries
            .into_iter()
            .filter_map(|entry| read(cx, &entry).map(|credential| (entry, credential)))
            .collect(),
    )
}

//! `callers`: who may call.

use std::{cell::Cell, collections::HashMap, num::NonZeroU32};

use http::HeaderName;

use super::{
    Secrets, Thumbprint,
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
    /// Those that another caller has too: the position in `credentials`, and a number that stands for the credential.
    shared: Vec<(usize, usize)>,
}

/// `callers`
pub(super) fn callers<'t>(cx: &mut Context<'t>, entry: &Entry<'t>) -> Option<Vec<ReadCaller<'t>>> {
    let named = cx.named(entry)?;
    let mut callers: Vec<_> = named.into_iter().map(|(name, entry)| caller(cx, name, &entry)).collect();
    // Where secrets are skipped all are alike.
    if cx.secrets == Secrets::Load {
        let shared = shared(&callers);
        callers.iter_mut().zip(shared).for_each(|(caller, shared)| caller.shared = shared);
    }
    Some(callers)
}

/// [`ReadCaller::shared`] of each: found once for all user flows, which may be as many as the credentials.
fn shared(callers: &[ReadCaller<'_>]) -> Vec<Vec<(usize, usize)>> {
    /// The first caller with a credential, and whether there is a second one.
    struct Holders {
        number: usize,
        first: usize,
        several: bool,
    }
    let mut all: HashMap<Same<'_>, Holders> = HashMap::new();
    for (caller, read) in callers.iter().enumerate() {
        for (_, credential) in &read.credentials {
            let number = all.len();
            let holders =
                all.entry(credential.same()).or_insert(Holders { number, first: caller, several: false });
            holders.several |= holders.first != caller;
        }
    }
    let shared = |credential: &Credential| {
        all.get(&credential.same()).filter(|holders| holders.several).map(|holders| holders.number)
    };
    let of_caller = |read: &ReadCaller<'_>| {
        let credentials = read.credentials.iter().enumerate();
        credentials.filter_map(|(position, (_, credential))| Some((position, shared(credential)?))).collect()
    };
    callers.iter().map(of_caller).collect()
}

/// Reports a credential that two callers of one user flow share: the second caller could never be recognised.
///
/// `most` counts down with each report. All else that is wrong with a file is at most as much as the file is long; this
/// grows with credentials times user flows.
pub(super) fn shared_credentials<'t>(
    cx: &mut Context<'t>,
    flow: &Name,
    callers: &[&ReadCaller<'t>],
    most: &Cell<usize>,
) {
    let sharing: Vec<_> = callers.iter().filter(|caller| !caller.shared.is_empty()).collect();
    if sharing.len() < 2 || most.get() == 0 {
        return;
    }
    let mut first_with = HashMap::new();
    for (index, second) in sharing.iter().enumerate() {
        for &(position, number) in &second.shared {
            let first = *first_with.entry(number).or_insert(index);
            if first == index {
                continue;
            }
            let Some(left) = most.get().checked_sub(1) else { return };
            most.set(left);
            let (first, flow) = (quoted(sharing[first].name.as_str()), quoted(flow.as_str()));
            let wrong = Wrong::new(format!(
                "caller {first} has the same credential, and user flow {flow} names both"
            ))
            .help("the second one could never be recognised; give each caller its own");
            let (entry, _) = &second.credentials[position];
            cx.wrong_key(entry, wrong);
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

/// What makes two credentials one.
#[derive(PartialEq, Eq, Hash)]
enum Same<'c> {
    Basic(&'c str, &'c [u8]),
    Code(&'c [u8]),
    Header(&'c HeaderName, &'c [u8]),
    Thumbprint(&'c Thumbprint),
    /// The authorities by what their file holds, wherever it is.
    Issued(&'c [u8], &'c str),
}

impl Credential {
    fn same(&self) -> Same<'_> {
        match self {
            Self::Basic(Basic { username, password }) => Same::Basic(username, password.expose()),
            Self::Code(code) => Same::Code(code.expose()),
            Self::Header(HeaderKey { name, value }) => Same::Header(name, value.expose()),
            Self::Certificate(CallerCertificate::Thumbprint(thumbprint)) => Same::Thumbprint(thumbprint),
            Self::Certificate(CallerCertificate::Issued { ca, name }) => {
                Same::Issued(ca.contents.expose(), name.as_str())
            }
        }
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
        shared: Vec::new(),
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

//! `listen`, `admin` and `shutdown`.

use std::{net::SocketAddr, num::NonZeroU32};

use super::{
    callers::rate_limit,
    endpoint::is_loopback_address,
    fields::{Context, Entry, Fields},
    keys::Kind,
    model::{Admin, Listen, Per, RateLimit, Shutdown},
    problem::{Wrong, quoted},
    tls::{self, ReadTls},
    units,
};

/// `unauthenticated_limit` where it is not written: more than people who mistype a password cause, and few guesses.
const UNAUTHENTICATED: RateLimit = RateLimit {
    count: NonZeroU32::new(20).expect("20 is not zero"),
    per: Per::Second,
    burst: NonZeroU32::new(100).expect("100 is not zero"),
};

/// The hook port's address, if it is known, and where it is written.
pub(super) type Hooks<'t> = Option<(SocketAddr, Entry<'t>)>;

/// `listen`; its address and what is written of its TLS also where something else is wrong with it.
pub(super) fn listen<'t>(
    cx: &mut Context<'t>,
    fields: &Fields<'t>,
) -> (Option<Listen>, Hooks<'t>, Option<ReadTls<'t>>) {
    let written = fields.get(cx, "address");
    let address = written.as_ref().and_then(|entry| cx.parsed(entry, |text| address(entry.kind, text)));
    let hooks = address.zip(written);
    let tls = tls::listen_tls(cx, fields);
    let plain_text = plain_text(cx, fields, &hooks, tls.is_written());
    let handshake_timeout = fields.value(cx, "handshake_timeout", duration);
    let max_connections = count(cx, fields, "max_connections");
    let max_body = fields.value(cx, "max_body", size);
    let first_byte_timeout = fields.value(cx, "first_byte_timeout", duration);
    let head_timeout = fields.value(cx, "head_timeout", duration);
    let body_timeout = fields.value(cx, "body_timeout", duration);
    let write_timeout = fields.value(cx, "write_timeout", duration);
    let idle_timeout = fields.value(cx, "idle_timeout", duration);
    let max_age = fields.value(cx, "max_age", duration);
    let max_in_flight = count(cx, fields, "max_in_flight");
    let unauthenticated_limit = rate_limit(cx, fields, "unauthenticated_limit").unwrap_or(UNAUTHENTICATED);
    let listen = || {
        Some(Listen {
            address: address?,
            plain_text: plain_text?,
            tls: tls.value.clone(),
            handshake_timeout: handshake_timeout?,
            max_connections: max_connections?,
            max_body: max_body?,
            first_byte_timeout: first_byte_timeout?,
            head_timeout: head_timeout?,
            body_timeout: body_timeout?,
            write_timeout: write_timeout?,
            idle_timeout: idle_timeout?,
            max_age: max_age?,
            max_in_flight: max_in_flight?,
            unauthenticated_limit,
        })
    };
    (listen(), hooks, Some(tls))
}

/// `plain_text`: whether it is allowed.
fn plain_text<'t>(cx: &mut Context<'t>, fields: &Fields<'t>, hooks: &Hooks<'t>, tls: bool) -> Option<bool> {
    let plain_text = fields.word(cx, "plain_text");
    match (hooks, plain_text) {
        (_, Some("allowed")) if tls => {
            if let Some(written) = fields.get(cx, "plain_text") {
                cx.warn(&written, Wrong::new("`plain_text` has no effect: the port has TLS"));
            }
        }
        (Some((address, written)), Some(word)) if !tls && !is_loopback_address(address.ip()) => {
            if word == "allowed" {
                let wrong = Wrong::new("hooks and credentials reach this port unencrypted")
                    .help("write `tls`, or let only something that ends TLS reach it, such as an ingress");
                cx.warn(written, wrong);
            } else {
                let wrong = Wrong::new("this address is not loopback, and the port has no TLS").help(
                    "write `tls`, listen on 127.0.0.1, or write `plain_text: allowed` if TLS ends before it",
                );
                cx.wrong_value(written, wrong);
            }
        }
        _ => {}
    }
    Some(plain_text? == "allowed")
}

/// `admin`; `hooks` must not be the same address.
pub(super) fn admin<'t>(cx: &mut Context<'t>, fields: &Fields<'t>, hooks: Hooks<'t>) -> Option<Admin> {
    let address = fields.value(cx, "address", address)?;
    let written = fields.get(cx, "address");
    if let Some((hooks, listen)) = hooks
        && collide(hooks, address)
    {
        let wrong = Wrong::new(format!("the admin port listens on {address}, and the hook port on the same"))
            .help("give them different ports");
        cx.wrong_value(written.as_ref().unwrap_or(&listen), wrong);
    }
    if let Some(written) = written
        && !is_loopback_address(address.ip())
    {
        let wrong = Wrong::new("the admin port asks for no credential, and this address is not loopback")
            .help("let only the scraper and the orchestrator reach it");
        cx.warn(&written, wrong);
    }
    Some(Admin { address })
}

/// `shutdown`
pub(super) fn shutdown<'t>(cx: &mut Context<'t>, fields: &Fields<'t>) -> Option<Shutdown> {
    let drain_delay = fields.value(cx, "drain_delay", duration);
    let grace = fields.value(cx, "grace", duration);
    Some(Shutdown { drain_delay: drain_delay?, grace: grace? })
}

/// A count as `usize`.
pub(super) fn count<'t>(cx: &mut Context<'t>, fields: &Fields<'t>, name: &str) -> Option<usize> {
    let number = fields.value(cx, name, |kind, text| match kind {
        Kind::Count(range) => units::count(text, range),
        other => unreachable!("a count is declared as {other:?}"),
    })?;
    // Every declared range of a count ends far below 2^31.
    usize::try_from(number).ok()
}

/// A size in bytes.
pub(super) fn size(kind: &Kind, text: &str) -> Result<usize, Wrong> {
    match kind {
        Kind::Size(range) => units::size(text, range),
        other => unreachable!("a size is declared as {other:?}"),
    }
}

/// A duration.
pub(super) fn duration(kind: &Kind, text: &str) -> Result<std::time::Duration, Wrong> {
    match kind {
        Kind::Duration(range) => units::duration(text, range),
        other => unreachable!("a duration is declared as {other:?}"),
    }
}

fn address(_: &Kind, text: &str) -> Result<SocketAddr, Wrong> {
    text.parse().map_err(|_| {
        let wrong = Wrong::new(format!("{} is not an IP address and a port", quoted(text)));
        match text.strip_prefix("localhost") {
            Some(port) => wrong.help(format!("write 127.0.0.1{port}")),
            None => wrong.help("write 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:8080"),
        }
    })
}

/// Whether the system would refuse the second one: port 0 is a free port, and an unspecified address takes all.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port()
        && one.port() != 0
        && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
}

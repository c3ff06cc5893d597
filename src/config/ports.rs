//! `listen`, `admin` and `shutdown`.

use std::net::SocketAddr;

use super::{
    endpoint::is_loopback_address,
    fields::{Context, Entry, Fields},
    keys::Kind,
    model::{Admin, Listen, Shutdown},
    problem::{Wrong, quoted},
    units,
};

/// The hook port's address, if it is known, and where it is written.
pub(super) type Hooks<'t> = Option<(SocketAddr, Entry<'t>)>;

/// `listen`; its address also where something else is wrong with it.
pub(super) fn listen<'t>(cx: &mut Context<'t>, fields: &Fields<'t>) -> (Option<Listen>, Hooks<'t>) {
    let written = fields.get(cx, "address");
    let address = written.as_ref().and_then(|entry| cx.parsed(entry, |text| address(entry.kind, text)));
    let hooks = address.zip(written);
    let plain_text = fields.word(cx, "plain_text");
    if let (Some((address, written)), Some(plain_text)) = (&hooks, plain_text)
        && !is_loopback_address(address.ip())
    {
        if plain_text == "allowed" {
            let wrong = Wrong::new("hooks and credentials reach this port unencrypted")
                .help("let only something that ends TLS reach it, such as an ingress or a load balancer");
            cx.warn(written, wrong);
        } else {
            let wrong = Wrong::new("this address is not loopback, and the port has no TLS")
                .help("listen on 127.0.0.1, or write `plain_text: allowed` if TLS ends before it");
            cx.wrong_value(written, wrong);
        }
    }
    let max_connections = count(cx, fields, "max_connections");
    let max_body = fields.value(cx, "max_body", size);
    let first_byte_timeout = fields.value(cx, "first_byte_timeout", duration);
    let head_timeout = fields.value(cx, "head_timeout", duration);
    let body_timeout = fields.value(cx, "body_timeout", duration);
    let write_timeout = fields.value(cx, "write_timeout", duration);
    let idle_timeout = fields.value(cx, "idle_timeout", duration);
    let max_age = fields.value(cx, "max_age", duration);
    let max_in_flight = count(cx, fields, "max_in_flight");
    let listen = || {
        Some(Listen {
            address: address?,
            plain_text: plain_text? == "allowed",
            max_connections: max_connections?,
            max_body: max_body?,
            first_byte_timeout: first_byte_timeout?,
            head_timeout: head_timeout?,
            body_timeout: body_timeout?,
            write_timeout: write_timeout?,
            idle_timeout: idle_timeout?,
            max_age: max_age?,
            max_in_flight: max_in_flight?,
        })
    };
    (listen(), hooks)
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

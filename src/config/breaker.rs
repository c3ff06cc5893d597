//! `breaker`: when an API is no longer called for a while.

use super::{
    fields::{Context, Fields, one_of},
    keys::{self, Kind},
    model::Breaker,
    ports::duration,
    tree::Value,
    units,
};

/// The breaker of a connector: `None` if what is written is wrong, and therefore reported; `Some(None)` for `off`.
#[expect(clippy::option_option, reason = "the outer one is the reader's, the inner one the configuration's")]
pub(super) fn breaker<'t>(cx: &mut Context<'t>, parent: &Fields<'t>) -> Option<Option<Breaker>> {
    let Some(entry) = parent.get(cx, "breaker") else {
        return numbers(cx, &Fields::absent(&keys::BREAKER, parent.entry())).map(Some);
    };
    if let (Value::Scalar(_), Kind::WordOr(words, _)) = (&entry.node.value, entry.kind) {
        let word = cx.parsed(&entry, |text| one_of(words, text))?;
        let fields = Fields::absent(&keys::BREAKER, &entry);
        return if word == "off" { Some(None) } else { numbers(cx, &fields).map(Some) };
    }
    let fields = Fields::open(cx, &keys::BREAKER, &entry)?;
    numbers(cx, &fields).map(Some)
}

fn numbers<'t>(cx: &mut Context<'t>, fields: &Fields<'t>) -> Option<Breaker> {
    let window = fields.value(cx, "window", duration);
    let least_calls = number(cx, fields, "least_calls");
    let failures = fields.value(cx, "failures", |kind, text| match kind {
        Kind::Percent(range) => units::percent(text, range),
        other => unreachable!("a share is declared as {other:?}"),
    });
    let open_for = fields.value(cx, "open_for", duration);
    let probes = number(cx, fields, "probes");
    Some(Breaker {
        window: window?,
        least_calls: least_calls?,
        failures: failures?,
        open_for: open_for?,
        probes: probes?,
    })
}

fn number<'t>(cx: &mut Context<'t>, fields: &Fields<'t>, name: &str) -> Option<u32> {
    fields.value(cx, name, |kind, text| match kind {
        Kind::Count(range) => units::count(text, range),
        other => unreachable!("a count is declared as {other:?}"),
    })
}

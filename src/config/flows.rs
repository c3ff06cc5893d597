//! `user_flows`: which hook calls which connector, and who may call it.

use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
    rc::Rc,
    time::Duration,
};

use crate::flow::{OnFailure, Step};

use super::{
    callers::{ReadCaller, rate_limit, shared_credentials},
    connectors::{ReadConnector, message},
    fields::{Context, Entry, Fields, one_of},
    keys::{self, Kind},
    model::{Hook, Name, UserFlow},
    ports::duration,
    problem::{Wrong, quoted},
    similar::{Names, nearest},
    tree::Value,
    units,
};

/// `duplicate_window` where it is not written, at the steps of a sign-up: an identity provider that gave up after some
/// seconds tries again at once.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(10);

/// Most reports of a credential that two callers share.
const MOST_SHARED: usize = 100_000;

/// What the flows refer to. `None` where the section itself could not be read, so that no name can be judged.
pub(super) struct Known<'c, 't> {
    callers: Option<Named<'c, ReadCaller<'t>>>,
    connectors: Option<Named<'c, ReadConnector<'t>>>,
    /// How many more shared credentials are reported.
    most_shared: Cell<usize>,
}

/// The entries of a section, found by their names.
pub(super) struct Named<'c, T> {
    entries: &'c [T],
    /// In the order of the file.
    names: Rc<Names>,
    positions: HashMap<&'c str, usize>,
}

impl<'c, 't> Known<'c, 't> {
    pub(super) fn new(
        callers: Option<&'c [ReadCaller<'t>]>,
        connectors: Option<&'c [ReadConnector<'t>]>,
    ) -> Self {
        Self {
            callers: callers.map(|callers| Named::new(callers, |caller| &caller.name)),
            connectors: connectors.map(|connectors| Named::new(connectors, |connector| &connector.name)),
            most_shared: Cell::new(MOST_SHARED),
        }
    }
}

impl<'c, T> Named<'c, T> {
    pub(super) fn new(entries: &'c [T], name: impl Fn(&'c T) -> &'c Name) -> Self {
        let names = entries.iter().map(|entry| name(entry).as_str());
        let positions = names.clone().enumerate().map(|(position, name)| (name, position)).collect();
        Self { entries, names: Rc::new(Names::new(names)), positions }
    }

    /// Where the entry of this name stands; `what` it is, for people.
    pub(super) fn position(&self, text: &str, what: &str) -> Result<usize, Wrong> {
        self.positions.get(text).copied().ok_or_else(|| {
            Wrong::new(format!("there is no {what} {}", quoted(text))).help_among(text, &self.names)
        })
    }
}

/// `user_flows`
pub(super) fn user_flows<'t>(
    cx: &mut Context<'t>,
    entry: &Entry<'t>,
    known: &Known<'_, 't>,
) -> Option<Vec<UserFlow>> {
    let named = cx.named(entry)?;
    named
        .into_iter()
        .map(|(name, entry)| user_flow(cx, name, &entry, known))
        .collect::<Vec<_>>()
        .into_iter()
        .collect()
}

/// Warns about callers and connectors that no user flow names.
pub(super) fn unused<'t>(cx: &mut Context<'t>, known: &Known<'_, 't>) {
    let callers = known.callers.iter().flat_map(|callers| callers.entries);
    for caller in callers.filter(|caller| !caller.used.get()) {
        cx.warn(
            &caller.entry,
            Wrong::new(format!("no user flow names caller {}", quoted(caller.name.as_str()))),
        );
    }
    let connectors = known.connectors.iter().flat_map(|connectors| connectors.entries);
    for connector in connectors.filter(|connector| !connector.used.get()) {
        cx.warn(
            &connector.entry,
            Wrong::new(format!("no hook calls connector {}", quoted(connector.name.as_str()))),
        );
    }
}

fn user_flow<'t>(
    cx: &mut Context<'t>,
    name: Name,
    entry: &Entry<'t>,
    known: &Known<'_, 't>,
) -> Option<UserFlow> {
    let fields = Fields::open(cx, &keys::USER_FLOW, entry)?;
    let callers = fields.get(cx, "callers").and_then(|entry| callers(cx, &name, &entry, known));
    let answer_within = fields.value(cx, "answer_within", duration);
    let mut hooks = Vec::new();
    let mut written = 0;
    for step in Step::ALL {
        if let Some(entry) = fields.get(cx, step.as_str()) {
            written += 1;
            hooks.extend(hook(cx, step, &entry, (&name, answer_within), known));
        }
    }
    if written == 0 {
        let steps = Step::ALL.map(Step::as_str).join(", ");
        cx.wrong_key(
            entry,
            Wrong::new("a user flow needs at least one step").help(format!("steps: {steps}")),
        );
    }
    Some(UserFlow { name, callers: callers?, answer_within: answer_within?, hooks })
}

fn callers<'t>(
    cx: &mut Context<'t>,
    flow: &Name,
    entry: &Entry<'t>,
    known: &Known<'_, 't>,
) -> Option<Vec<usize>> {
    let items = cx.list(entry)?;
    if items.is_empty() {
        cx.wrong_value(
            entry,
            Wrong::new("nobody could call this user flow").help("name at least one caller"),
        );
        return None;
    }
    let Known { callers: known, most_shared, .. } = known;
    let known = known.as_ref()?;
    let callers = known.entries;
    let mut found: Vec<usize> = Vec::new();
    let mut seen = HashSet::new();
    for item in items {
        let Some(index) = cx.parsed(&item, |text| known.position(text, "caller")) else { continue };
        callers[index].used.set(true);
        if seen.insert(index) {
            found.push(index);
        } else {
            let name = quoted(callers[index].name.as_str());
            cx.wrong_value(&item, Wrong::new(format!("{name} stands here twice")));
        }
    }
    let named: Vec<&ReadCaller<'t>> = found.iter().map(|index| &callers[*index]).collect();
    shared_credentials(cx, flow, &named, most_shared);
    Some(found)
}

fn hook<'t>(
    cx: &mut Context<'t>,
    step: Step,
    entry: &Entry<'t>,
    flow: (&Name, Option<Duration>),
    known: &Known<'_, 't>,
) -> Option<Hook> {
    let fields = Fields::open(cx, &keys::HOOK, entry)?;
    let connector = fields.get(cx, "connector").and_then(|entry| {
        let known = known.connectors.as_ref()?;
        let index = cx.parsed(&entry, |text| known.position(text, "connector"))?;
        let connector = &known.entries[index];
        connector.used.set(true);
        in_time(cx, &entry, connector, flow);
        Some(index)
    });
    let on_failure = fields.get(cx, "on_failure").and_then(|entry| on_failure(cx, step, &entry));
    let duplicate_window = duplicate_window(cx, step, &fields);
    let rate_limit_per_user = rate_limit(cx, &fields, "rate_limit_per_user");
    Some(Hook {
        step,
        connector: connector?,
        on_failure: on_failure?,
        duplicate_window: duplicate_window.filter(|window| !window.is_zero()),
        rate_limit_per_user,
    })
}

/// None if what is written is wrong, and therefore reported.
fn duplicate_window<'t>(cx: &mut Context<'t>, step: Step, fields: &Fields<'t>) -> Option<Duration> {
    match fields.get(cx, "duplicate_window") {
        Some(entry) => cx.parsed(&entry, |text| duration(entry.kind, text)),
        // Claims for a token are asked for anew each time a token is issued, also to the same user.
        None if step == Step::PreTokenIssuance => None,
        None => Some(DUPLICATE_WINDOW),
    }
}

/// A connector must be able to end within the time of every user flow that calls it.
fn in_time<'t>(
    cx: &mut Context<'t>,
    hook: &Entry<'t>,
    connector: &ReadConnector<'t>,
    (flow, answer_within): (&Name, Option<Duration>),
) {
    let Some(limit) = answer_within else { return };
    for (key, value, written) in connector.within.iter().flatten() {
        // A call may take all of the time; waiting for it may not, for then nothing would be left.
        let fits = if *key == "wait" { *value < limit } else { *value <= limit };
        if !fits {
            let (name, limit) = (quoted(connector.name.as_str()), units::show_duration(limit));
            let relation = if *key == "wait" { "not shorter than" } else { "longer than" };
            let value = units::show_duration(*value);
            let wrong = Wrong::new(format!(
                "{key} ({value}) of connector {name} is {relation} answer_within ({limit}) of user flow {}",
                quoted(flow.as_str())
            ));
            cx.wrong_value(
                written.as_ref().unwrap_or(hook),
                wrong.help(format!("shorten {key} or raise answer_within")),
            );
        }
    }
}

fn on_failure<'t>(cx: &mut Context<'t>, step: Step, entry: &Entry<'t>) -> Option<OnFailure> {
    let stated = if let (Value::Scalar(text), Kind::WordOr(words, section)) = (&entry.node.value, entry.kind)
    {
        let with_message = || nearest(text, section.keys.iter().map(|key| key.name));
        let word = cx.parsed(entry, |text| match (one_of(words, text), with_message()) {
            (Err(_), Some(key)) => {
                Err(Wrong::new(format!("`{key}` needs a message"))
                    .help(format!("write {{ {key}: MESSAGE }}")))
            }
            (Err(wrong), None) if nearest(text, words.iter().copied()).is_none() => {
                Err(wrong.help("write { block: MESSAGE }, { validation_error: MESSAGE }, continue or error"))
            }
            (word, _) => word,
        })?;
        if word == "continue" { OnFailure::Continue } else { OnFailure::Error }
    } else {
        let fields = Fields::open(cx, &keys::ON_FAILURE, entry)?;
        match (fields.get(cx, "block"), fields.get(cx, "validation_error")) {
            (Some(block), None) => OnFailure::Block(cx.parsed(&block, |text| message(block.kind, text))?),
            (None, Some(validation)) => {
                OnFailure::ValidationError(cx.parsed(&validation, |text| message(validation.kind, text))?)
            }
            (block, _) => {
                let message =
                    if block.is_some() { "only one answer is possible" } else { "no answer is stated" };
                cx.wrong_key(entry, Wrong::new(message).help("write either `block` or `validation_error`"));
                return None;
            }
        }
    };
    if !stated.allowed_at(step) {
        let wrong = match stated {
            OnFailure::ValidationError(_) => {
                Wrong::new(format!("`validation_error` is not possible at {step}"))
                    .help("no form is shown there; write { block: MESSAGE }, continue or error")
            }
            _ => Wrong::new(format!("`block` is not possible at {step}"))
                .help("the identity provider takes no refusal there; write continue or error"),
        };
        cx.wrong_value(entry, wrong);
        return None;
    }
    if stated == OnFailure::Continue && step != Step::PreTokenIssuance {
        let wrong = Wrong::new("with `continue` a user signs up unchecked whenever the API fails")
            .help("write { block: MESSAGE } if the API decides who may sign up");
        cx.warn(entry, wrong);
    }
    Some(stated)
}

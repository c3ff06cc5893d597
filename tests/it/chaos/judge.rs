//! Whether all that happened may happen.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use super::{
    api::ids,
    cast::{ANSWER_WITHIN, CAST, Part, TIMEOUT, WINDOW},
    ledger::{Asked, End, Hook, Told, Try},
    mood::{Kind, Verdict},
};

/// Most violations of one kind that are told.
const TOLD: usize = 3;
/// How late an answer may be where nobody waits for a processor.
const LATE: Duration = Duration::from_millis(300);
/// How long the gateway may need to see a hook whose sender has hung up.
const UNSEEN: Duration = Duration::from_millis(500);

/// What the access log says of one try.
struct Event {
    decision: String,
    outcome: String,
    reason: Option<String>,
}

/// What is known by the end.
#[derive(Default)]
pub(super) struct Judge {
    events: HashMap<(u32, u8), Event>,
    /// By user flow, step, decision and outcome; by user flow, step, reason and decision.
    pub(super) requests: BTreeMap<[String; 4], u32>,
    pub(super) fallbacks: BTreeMap<[String; 4], u32>,
    pub(super) lines: u32,
    /// How long a thread of the gateway had to wait for a processor, within the time of a hook.
    pub(super) starved: Duration,
    /// The longest that an answer took, in milliseconds.
    pub(super) longest: f64,
    /// How many of each kind, and the first of them.
    violations: BTreeMap<&'static str, (usize, Vec<String>)>,
    /// What came about, by name: a run that did not do what it is for shows here.
    pub(super) seen: BTreeMap<String, usize>,
}

impl Judge {
    /// Reads one line of the access log.
    pub(super) fn line(&mut self, line: &str) {
        self.lines += 1;
        let text = |name: &str| field(line, name).unwrap_or_default().to_owned();
        let [flow, step, decision, outcome] = ["user_flow", "step", "decision", "outcome"].map(text);
        let reason = field(line, "reason").map(str::to_owned);
        let Some((id, number)) = field(line, "request_id").and_then(ids) else {
            return self.violation("an event of no try", line.to_owned());
        };
        *self.requests.entry([flow.clone(), step.clone(), decision.clone(), outcome.clone()]).or_default() +=
            1;
        if outcome == "fallback" {
            let key = [flow, step, reason.clone().unwrap_or_default(), decision.clone()];
            *self.fallbacks.entry(key).or_default() += 1;
        }
        if outcome != "abandoned" {
            let milliseconds = number_field(line, "duration_ms").unwrap_or(f64::MAX);
            self.longest = self.longest.max(milliseconds);
            if milliseconds > (ANSWER_WITHIN + LATE + self.starved).as_secs_f64() * 1000.0 {
                self.violation("an answer after answer_within", line.to_owned());
            }
        }
        self.see(&format!("event {outcome} {}", reason.as_deref().unwrap_or("")));
        if let Some(how) = field(line, "duplicate") {
            self.see(&format!("duplicate {how}"));
        }
        if self.events.insert((id, number), Event { decision, outcome, reason }).is_some() {
            self.violation("a second event of a try", line.to_owned());
        }
    }

    /// Judges one hook by all that is known of it.
    pub(super) fn hook(&mut self, id: u32, hook: &Hook) {
        let part = &CAST[usize::from(hook.part)];
        for tried in &hook.tries {
            self.tried(id, part, tried, hook);
        }
        self.at_most_once(id, part, hook);
        if part.window && is_inside(hook) {
            self.duplicates(id, hook);
        }
    }

    /// The answer by itself, and beside its event.
    fn tried(&mut self, id: u32, part: &Part, tried: &Try, hook: &Hook) {
        let event = self.events.get(&(id, tried.number));
        let said = event.map(|event| (event.decision.as_str(), event.outcome.as_str()));
        let problem = match (&tried.end, said) {
            (End::Broken(_), _) => Some("broken"),
            // One that hangs up at once may not have been seen at all.
            (End::HungUp, _) => None,
            (End::Told(_), None) => Some("answered without an event"),
            (End::Told(Told::Api(_, of, _)), _) if *of != id => Some("the answer to another hook"),
            (End::Told(told), Some((decision, outcome))) => {
                let same = match told {
                    Told::Api(verdict, ..) => {
                        matches!(outcome, "api" | "replayed") && decision == name(*verdict)
                    }
                    Told::Fallback(verdict) => outcome == "fallback" && decision == name(*verdict),
                    Told::Problem(_, reason) => {
                        let reasoned = event.is_some_and(|event| event.reason.as_deref() == Some(reason));
                        decision == "error" && matches!(outcome, "fallback" | "refused") && reasoned
                    }
                };
                (!same).then_some("told otherwise than the event says")
            }
        };
        let kind = match &tried.end {
            End::Told(Told::Api(..)) => "told the API's decision",
            End::Told(Told::Fallback(_)) => "told what on_failure says",
            End::Told(Told::Problem(..)) => "told a problem",
            End::HungUp => "hung up",
            End::Broken(_) => "broken",
        };
        if let Some(problem) = problem {
            self.violation(problem, format!("hook {id} of {}: try {} of {hook}", part.name, tried.number));
        }
        self.see(kind);
        self.see(&format!("tries, {}", tried.number));
        self.surely(id, part, tried, hook);
    }

    /// What the API said whole and in time is what the identity provider is told.
    fn surely(&mut self, id: u32, part: &Part, tried: &Try, hook: &Hook) {
        let End::Told(told) = &tried.end else { return };
        let of_this = (1_u16..).zip(&hook.asked).filter(|(_, asked)| asked.attempt_of == tried.number);
        for (number, asked) in of_this {
            let Some(kind) = surely_told(asked, tried) else { continue };
            let fits = match kind {
                Kind::Decision(verdict) => {
                    self.see("decisions surely told");
                    *told == Told::Api(verdict, id, number)
                }
                Kind::Refusing => {
                    self.see("refusals surely told");
                    told.verdict() != Some(Verdict::Continue)
                }
                Kind::Other => true,
            };
            if !fits {
                let text = format!(
                    "hook {id} of {}: request {number} said {kind:?}: try {} of {hook}",
                    part.name, tried.number
                );
                self.violation("told otherwise than the API surely said", text);
            }
        }
    }

    /// Without `idempotent`, one request for one try at most.
    fn at_most_once(&mut self, id: u32, part: &Part, hook: &Hook) {
        let mut by_try: HashMap<u8, usize> = HashMap::new();
        for asked in &hook.asked {
            *by_try.entry(asked.attempt_of).or_default() += 1;
        }
        let most = by_try.values().max().copied().unwrap_or(0);
        if most > 1 {
            self.see("tries that became several requests");
        }
        if most > 1 && !part.idempotent {
            self.violation(
                "asked again though not idempotent",
                format!("hook {id} of {}: {hook}", part.name),
            );
        }
    }

    /// Inside the window all tries are one hook: one effect, and one decision.
    fn duplicates(&mut self, id: u32, hook: &Hook) {
        let what = || format!("hook {id}: {hook}");
        let mut keys: Vec<_> = hook.asked.iter().map(|asked| asked.key).collect();
        keys.sort_unstable();
        keys.dedup();
        if keys.len() > 1 || keys.contains(&None) {
            self.violation("not one key", what());
        }
        if hook.tries.len() < 2 {
            return;
        }
        self.see("hooks tried again inside the window");
        // From when on the decision stands, and which: told to one try, or surely given to one that hung up.
        let told = hook.tries.iter().filter_map(|tried| match &tried.end {
            End::Told(told @ Told::Api(..)) => Some((tried.ended, told.clone())),
            _ => None,
        });
        let given = (1_u16..).zip(&hook.asked).filter_map(|(number, asked)| {
            let tried = hook.tries.iter().find(|tried| tried.number == asked.attempt_of)?;
            match (surely_told(asked, tried), asked.done) {
                (Some(Kind::Decision(verdict)), Some((at, _))) => {
                    Some((at + TIMEOUT, Told::Api(verdict, id, number)))
                }
                _ => None,
            }
        });
        let Some((since, decision)) = told.chain(given).min_by_key(|(since, _)| *since) else { return };
        self.see("of these decided");
        for tried in &hook.tries {
            let later = tried.began > since;
            match &tried.end {
                End::Told(told @ Told::Api(..)) if *told != decision => {
                    self.violation("two decisions", what());
                }
                End::Told(told) if later && *told != decision => {
                    self.violation("decided, and later told otherwise", what());
                }
                _ => {}
            }
            if later && hook.asked.iter().any(|asked| asked.attempt_of == tried.number) {
                self.violation("decided, and asked again", what());
            }
        }
    }

    fn see(&mut self, what: &str) {
        *self.seen.entry(what.trim_end().to_owned()).or_default() += 1;
    }

    pub(super) fn violation(&mut self, kind: &'static str, text: String) {
        let (count, told) = self.violations.entry(kind).or_default();
        *count += 1;
        if told.len() < TOLD {
            told.push(text);
        }
    }

    /// Everything that must not be, at most a few of each kind.
    pub(super) fn verdict(&self) -> Result<(), String> {
        let kinds = self
            .violations
            .iter()
            .map(|(kind, (count, told))| format!("{count} × {kind}:\n{}", told.join("\n")));
        let text = kinds.collect::<Vec<_>>().join("\n");
        if text.is_empty() { Ok(()) } else { Err(text) }
    }
}

impl Told {
    fn verdict(&self) -> Option<Verdict> {
        match self {
            Self::Api(verdict, ..) | Self::Fallback(verdict) => Some(*verdict),
            Self::Problem(..) => None,
        }
    }
}

/// The answer to this request, if all of it was out long before the time of the call can have passed: that did not begin
/// before the try did.
fn surely_told(asked: &Asked, tried: &Try) -> Option<Kind> {
    asked.done.filter(|(at, _)| *at < tried.began + TIMEOUT / 2).map(|(_, kind)| kind)
}

/// Whether all tries were surely seen before the window of the first can have passed.
fn is_inside(hook: &Hook) -> bool {
    let first = hook.tries.iter().map(|tried| tried.began).min();
    let seen = |tried: &Try| tried.ended + if tried.end == End::HungUp { UNSEEN } else { Duration::ZERO };
    first.is_some_and(|first| hook.tries.iter().all(|tried| seen(tried) < first + WINDOW))
}

fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Continue => "Continue",
        Verdict::Block => "ShowBlockPage",
        Verdict::Validation => "ValidationError",
    }
}

/// A text in a line of JSON; those that are looked for have nothing to escape.
fn field<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let rest = line.split_once(&format!("\"{name}\":\""))?.1;
    rest.split_once('"').map(|(value, _)| value)
}

fn number_field(line: &str, name: &str) -> Option<f64> {
    let rest = line.split_once(&format!("\"{name}\":"))?.1;
    rest.split([',', '}']).next()?.parse().ok()
}

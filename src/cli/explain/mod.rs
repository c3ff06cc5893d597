//! `explain`: what claimgate does with one hook, and why.
//!
//! This file walks a [`Rehearsal`] of the hook, whose stages are those of the gateway, and collects what each came to in
//! an [`Explained`]; `text` and `json` write that down, `words` says why and what the user meets.

mod input;
mod json;
mod text;
mod words;

use std::{io, path::Path};

use clap::Args;
use tokio::runtime;
use tracing::Level;

use self::{input::Input, words::Because};
use super::{CANNOT, ConfigArgs, FINE, PROBLEMS, load, tell};
use crate::{
    config::{Config, Secrets, UserFlow, nearest},
    connector::{Decided, Notes, normalize::Repairs},
    flow::{Claims, Failure, Given, OnFailure, Reason, Step},
    gateway::{Rehearsal, Snapshot},
    telemetry::{LogFormat, Metrics, diagnostics},
};

/// The API gave no decision, so `on_failure` spoke.
const FALLBACK: u8 = 3;

#[derive(Args, Debug)]
pub(super) struct Explain {
    #[command(flatten)]
    config: ConfigArgs,
    /// The user flow.
    #[arg(long, value_name = "FLOW")]
    flow: String,
    /// The step: postFederationSignup, postAttributeCollection or preTokenIssuance.
    #[arg(long, value_name = "STEP")]
    step: String,
    /// The hook's body as the identity provider sends it; `-` or nothing is standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    hook: Input,
    /// Really call the API. This reads every secret of the configuration.
    #[arg(long, conflicts_with = "answer")]
    call: bool,
    /// Read the body of an answer from here instead of calling the API; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    answer: Option<Input>,
    /// The HTTP status of that answer [default: 200].
    #[arg(long, value_name = "N", requires = "answer", value_parser = clap::value_parser!(u16).range(200..=599))]
    status: Option<u16>,
    /// Write one JSON object for machines. Its keys are listed in the README and stay.
    #[arg(long)]
    json: bool,
}

/// What a hook came to.
struct Explained<'a> {
    user_flow: &'a str,
    step: Step,
    connector: &'a str,
    endpoint: String,
    claims: Vec<Claim<'a>>,
    /// As it would go out, secrets masked.
    request: Vec<u8>,
    ending: Option<Ending>,
    /// What comes of an API that cannot be reached.
    unreachable: Shown,
    /// `on_failure` is `continue`, which does not always apply.
    may_continue: bool,
}

/// A claim of the hook.
struct Claim<'a> {
    name: &'a str,
    because: Because<'a>,
}

/// What came of an answer, or of a call without one.
struct Ending {
    called: bool,
    /// HTTP status and body, if the answer is whole.
    answer: Option<(u16, Vec<u8>)>,
    /// HTTP status, if as much arrived.
    status: Option<u16>,
    took_ms: Option<u128>,
    repairs: Repairs,
    dropped: Vec<String>,
    failure: Option<Failure>,
    shown: Shown,
}

/// What the identity provider gets, and what the user meets.
struct Shown {
    decision: &'static str,
    status: u16,
    body: String,
    user_sees: String,
}

impl Explain {
    pub(super) fn run(&self) -> u8 {
        self.explain().unwrap_or_else(|status| status)
    }

    /// The exit status; as an error if its reason has been told.
    fn explain(&self) -> Result<u8, u8> {
        if let (Input::Standard, Some(Input::Standard)) = (&self.hook, &self.answer) {
            return Err(refuse(CANNOT, "the hook and the answer cannot both come from standard input"));
        }
        let secrets = if self.call { Secrets::Load } else { Secrets::Skip };
        let (config, _) = load::checked(&self.config.config, secrets)?;
        let step = self.find(&config)?;
        let metrics = Metrics::new();
        // What a reason leaves out, such as the alert of a failed TLS handshake, is said there.
        let _diagnostics = if self.call {
            let dropped = metrics.log_lines_dropped();
            Some(diagnostics::init(LogFormat::Text, Level::WARN, dropped).map_err(|e| refuse(CANNOT, e))?)
        } else {
            None
        };
        let snapshot = Snapshot::new(config, metrics).map_err(|error| refuse(PROBLEMS, error))?;
        let hook = snapshot.rehearse(&self.flow, step).expect("the configuration was asked for this hook");
        let body = self.hook.read(hook.max_body())?;
        self.rehearse(step, &hook, &body)
    }

    /// The step, if the configuration has this hook.
    fn find(&self, config: &Config) -> Result<Step, u8> {
        let flows = &config.user_flows;
        let Some(flow) = flows.iter().find(|flow| flow.name.as_str() == self.flow) else {
            let names: Vec<_> = flows.iter().map(|flow| flow.name.as_str()).collect();
            let file = self.config.config.display();
            let unknown = format!("{file} has no user flow `{}`", text::printable(&self.flow));
            return Err(refuse(PROBLEMS, format_args!("{unknown}; {}", instead(&self.flow, &names))));
        };
        let Some(step) = Step::from_name(&self.step) else {
            let names = Step::ALL.map(Step::as_str);
            let unknown = format!("`{}` is no step", text::printable(&self.step));
            return Err(refuse(PROBLEMS, format_args!("{unknown}; {}", instead(&self.step, &names))));
        };
        if flow.hooks.iter().any(|hook| hook.step == step) { Ok(step) } else { Err(no_hook(flow, step)) }
    }

    fn rehearse(&self, step: Step, hook: &Rehearsal<'_>, body: &[u8]) -> Result<u8, u8> {
        let members = hook.read(body).map_err(|reason| refused(step, hook, reason))?;
        let connector = hook.connector();
        let judged = members.iter().zip(connector.verdicts(&members));
        let claims = judged
            .map(|(member, verdict)| Claim {
                name: &member.name,
                because: Because::of(&member.name, verdict),
            })
            .collect();
        let sent = connector.select(&members);
        let ending = self.answer(step, hook, &sent.claims)?;
        let explained = Explained {
            user_flow: &self.flow,
            step,
            connector: connector.name(),
            endpoint: connector.endpoint().to_string(),
            claims,
            request: hook.masked_request(&sent.claims),
            ending,
            unreachable: shown(step, hook, &hook.give(Err(Reason::Refused.into()))),
            may_continue: *hook.on_failure() == OnFailure::Continue,
        };
        tell::out(if self.json { json::write(&explained) } else { text::write(&explained) });
        let failed = explained.ending.is_some_and(|ending| ending.failure.is_some());
        Ok(if failed { FALLBACK } else { FINE })
    }

    /// What the API says, or said; nothing if neither was asked for.
    fn answer(&self, step: Step, hook: &Rehearsal<'_>, claims: &Claims) -> Result<Option<Ending>, u8> {
        let answered = if let Some(answer) = &self.answer {
            let most = hook.connector().max_answer();
            hook.read_answer(self.status.unwrap_or(200), answer.read(most)?)
        } else if self.call {
            call(hook, claims).map_err(|error| refuse(CANNOT, error))?
        } else {
            return Ok(None);
        };
        let Decided { decision, notes } = answered;
        let dropped = hook.not_taken_over(&notes);
        let Notes { facts, repairs, answer, .. } = notes;
        let answer = answer.map(|answer| (answer.status, answer.body));
        let failure = decision.as_ref().err().copied();
        Ok(Some(Ending {
            called: self.call,
            answer,
            status: facts.status,
            took_ms: facts.took.map(|took| took.as_millis()),
            repairs,
            dropped,
            failure,
            shown: shown(step, hook, &hook.give(decision)),
        }))
    }
}

fn call(hook: &Rehearsal<'_>, claims: &Claims) -> io::Result<Decided> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let answered = runtime.block_on(hook.call(claims));
    // A lookup that takes for ever must not keep the command.
    runtime.shutdown_background();
    Ok(answered)
}

fn shown(step: Step, hook: &Rehearsal<'_>, given: &Given) -> Shown {
    let reply = hook.reply(given);
    let decision = match given {
        Given::Decision(decision) => decision.as_str(),
        Given::Error(_) => "error",
    };
    let body = String::from_utf8_lossy(&reply.body).into_owned();
    Shown { decision, status: reply.status, body, user_sees: words::user_sees(step, given) }
}

/// The hook never gets as far as the API.
fn refused(step: Step, hook: &Rehearsal<'_>, reason: Reason) -> u8 {
    let given = hook.give(Err(reason.into()));
    let meets = words::user_sees(step, &given);
    let what = format!("the hook is refused: {}: {}", reason.as_str(), reason.hint());
    refuse(
        PROBLEMS,
        format_args!(
            "{what}\n   IdP gets   an error with HTTP status {}\n   user sees  {meets}",
            reason.status()
        ),
    )
}

fn no_hook(flow: &UserFlow, step: Step) -> u8 {
    let steps: Vec<_> = flow.hooks.iter().map(|hook| hook.step.as_str()).collect();
    refuse(PROBLEMS, format_args!("user flow `{}` has no {step}; it has {}", flow.name, steps.join(", ")))
}

/// What may have been meant.
fn instead(typed: &str, names: &[&str]) -> String {
    match nearest(typed, names.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("there is {}", names.join(", ")),
    }
}

/// Tells why, and gives the exit status back.
fn refuse(status: u8, why: impl std::fmt::Display) -> u8 {
    tell::err(format_args!("error: {why}\n"));
    status
}

/// What a path is called in an error.
fn named(path: &Path) -> String {
    text::printable(&path.to_string_lossy())
}

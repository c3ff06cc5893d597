//! Requests that never become a hook.

use std::time::Duration;

use claimgate::flow::{Reason, RequestRule};
use tokio::time::Instant;

use super::{check::Asked, means::ON_FAILURE};
use crate::support::{
    CALLER, Gateway, PASSWORD, Parts, Play, Request, Response, STEPS, ScriptedApi, wait_until,
};

const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// A gateway with little room. Each reason has a user flow of its own for each `on_failure`.
pub(super) struct Small {
    pub(super) gateway: Gateway,
    silent: ScriptedApi,
    _ready: ScriptedApi,
}

impl Small {
    pub(super) fn start(reasons: &[Reason]) -> Self {
        let silent = ScriptedApi::start(Play::silence());
        let ready = ScriptedApi::start(Play::continue_());
        let within = format!("answer_within: {}s", ANSWER_WITHIN.as_secs());
        let parts = Parts::new()
            .listen("max_in_flight: 1\nmax_body: 1KiB\nbody_timeout: 100ms\nunauthenticated_limit: { rate: 1/m, burst: 9 }")
            .connector("silent", &silent.url("/"), "timeout: 20s")
            .connector("ready", &ready.url("/"), "")
            .caller(
                "limited",
                "basic: { username: limited, password: p }\nrate_limit: { rate: 1/m, burst: 1 }",
            )
            .flow("held", &format!("{within}\n{}: {{ connector: silent, on_failure: error }}", STEPS[0]));
        let mut parts = parts;
        for reason in reasons {
            for (on_failure, yaml, steps) in ON_FAILURE {
                let hook = |step: &&str| format!("{step}: {{ connector: ready, on_failure: {yaml} }}");
                let hooks: Vec<_> = steps.iter().map(hook).collect();
                let callers = format!("callers: [{CALLER}, limited]\n{within}\n");
                let name = format!("{}.{on_failure}", reason.as_str());
                parts = parts.flow(&name, &(callers + &hooks.join("\n")));
            }
        }
        Self { gateway: Gateway::start(&parts.text()), silent, _ready: ready }
    }

    /// Every step under every `on_failure`.
    pub(super) fn ask_all(&self, reason: Reason) -> Vec<Asked> {
        let held = (reason == Reason::Overloaded).then(|| {
            let mut connection = self.gateway.client().connect();
            connection.write(&known(self.gateway.client().post_hook("held", STEPS[0], "{}")).to_bytes());
            wait_until("the only place is taken", || self.silent.requests().len() == 1);
            connection
        });
        if reason == Reason::CallerLimited {
            let flow = format!("{}.error", reason.as_str());
            let spent = self.gateway.client().post_hook(&flow, STEPS[0], "{}").basic("limited", "p").send();
            assert_eq!(spent.status, 200);
        }
        let each = ON_FAILURE
            .iter()
            .flat_map(|(on_failure, _, steps)| steps.iter().map(move |step| (*step, *on_failure)));
        let asked = each.map(|(step, on_failure)| self.ask(reason, step, on_failure)).collect();
        held.into_iter().for_each(crate::support::client::Connection::hang_up);
        asked
    }

    fn ask(&self, reason: Reason, step: &'static str, on_failure: &'static str) -> Asked {
        let flow = format!("{}.{on_failure}", reason.as_str());
        let id = format!("{flow}.{step}");
        let client = self.gateway.client();
        let hook = |body: &str| client.post_hook(&flow, step, body).header("X-Request-ID", &id);
        let begin = Instant::now();
        let response = match reason {
            Reason::CallerLimited => hook("{}").basic("limited", "p").send(),
            Reason::Overloaded => known(hook("{}")).send(),
            Reason::NotFound => {
                known(client.post_hook(&flow, "noStep", "{}").header("X-Request-ID", &id)).send()
            }
            Reason::MethodNotAllowed => {
                let request = client.request("PUT", &format!("/flows/{flow}/{step}"));
                known(request.header("X-Request-ID", &id).body("{}")).send()
            }
            // So many as are refused first, in the order of the reasons.
            Reason::Unauthenticated | Reason::UnauthenticatedLimited => {
                hook("{}").basic(CALLER, "wrong").send()
            }
            Reason::UnsupportedMediaType => {
                known(hook("{}")).without("Content-Type").header("Content-Type", "text/plain").send()
            }
            Reason::ContentTooLarge => known(hook(&format!("{{\"a\":\"{}\"}}", "x".repeat(1100)))).send(),
            Reason::RequestTimeout => {
                self.raw(&known(hook("{}")), |head| head.replace("Content-Length: 2", "Content-Length: 3"))
            }
            Reason::BadRequest(rule) => self.broken(rule, &hook),
            _ => unreachable!("{reason:?} is a failure of a hook"),
        };
        let took = begin.elapsed();
        Asked {
            id,
            flow,
            step,
            on_failure,
            connector: String::new(),
            reason,
            refusal: false,
            answer_within: ANSWER_WITHIN,
            took,
            response,
        }
    }

    fn broken(&self, rule: RequestRule, hook: &dyn Fn(&str) -> Request) -> Response {
        let with = |body: &str| known(hook(body)).send();
        match rule {
            RequestRule::Host => {
                self.raw(&known(hook("{}")), |head| head.replacen("\r\nHost: ", "\r\nHost: a/", 1))
            }
            RequestRule::Framing => self.raw(&known(hook("zz\r\n\r\n")), |head| {
                head.replace("Content-Length: 6", "Transfer-Encoding: gzip, chunked")
            }),
            RequestRule::NotUtf8 => known(hook("")).body(b"{\"a\":\"\xff\"}").send(),
            RequestRule::NotJson => with("<html>"),
            RequestRule::NotAnObject => with("[]"),
            RequestRule::TooDeep => with(&format!("{{\"a\":{}{}}}", "[".repeat(40), "]".repeat(40))),
            RequestRule::DuplicateClaim => with(r#"{"city":1,"city":2}"#),
            RequestRule::StepMismatch => with(r#"{"step":"PostSomething"}"#),
        }
    }

    /// The same with another head.
    fn raw(&self, request: &Request, change: impl Fn(&str) -> String) -> Response {
        let bytes = request.to_bytes();
        let text = String::from_utf8(bytes).expect("this request is UTF-8");
        let changed = change(&text);
        assert_ne!(changed, text);
        let mut connection = self.gateway.client().connect();
        connection.write(changed.as_bytes());
        connection.response("POST")
    }
}

fn known(request: Request) -> Request {
    request.basic(CALLER, PASSWORD)
}

//! For every reason a way there, with marks in all that is said on the way.

use claimgate::flow::{ContractRule, Reason, RequestRule};

use super::{
    marks::{HIDDEN, SHOWN, sent},
    stage::{Stage, known},
};
use crate::support::{Act, Play, STEPS};

/// How a hook comes to fail for a reason.
pub(super) enum Path {
    /// The API does this.
    Api(Play),
    /// The API does this, at the step where only Continue is possible.
    ApiAtToken(Play),
    /// Something else happens.
    Other(fn(&Stage)),
    /// It cannot be brought about from outside: this unit test has its marks.
    Inside(&'static str),
}

use Path::{Api, ApiAtToken, Inside, Other};

/// The way to each reason. A new reason does not compile without one.
pub(super) fn path(reason: Reason) -> Path {
    match reason {
        Reason::Dns => Other(|stage| stage.hook("Unknown")),
        Reason::Refused => Other(|stage| stage.hook("Refusing")),
        Reason::Tls => Other(|stage| stage.hook("NoTls")),
        Reason::Reset => Api(Play::new([Act::ReadRequest, Act::Reset])),
        Reason::CutOff => Api(Play::half(answer(200, &continues()))),
        Reason::Status5xx => Api(Play::answer(answer(500, &format!("<html>{}", sent(HIDDEN))))),
        Reason::ConnectTimeout => Other(|stage| stage.hook("Mute")),
        Reason::FirstByteTimeout => Api(Play::silence()),
        Reason::BodyTimeout => {
            let mut begun = answer(200, &continues());
            begun.pop();
            Api(Play::answer(begun).then(Act::Forever))
        }
        Reason::Deadline => Other(|stage| stage.hook("Hurried")),
        Reason::Status429 => Api(Play::answer(answer(429, &hidden()))),
        Reason::CredentialsRefused => Api(Play::answer(answer(401, &hidden()))),
        Reason::Redirect => Api(Play::answer(answer(302, &hidden()))),
        Reason::Status4xx => Api(Play::answer(answer(404, &hidden()))),
        Reason::Contract(rule) => contract(rule),
        Reason::AnswerTooLarge => Api(Play::answer(answer(200, &format!("\"{}\"", HIDDEN.repeat(1000))))),
        Reason::CircuitOpen => Other(|stage| {
            stage.hook("Tripped");
            stage.hook("Tripped");
        }),
        Reason::ConnectorLimited => Other(|stage| {
            stage.hook("Limited");
            stage.hook("Limited");
        }),
        Reason::InFlightFull => Other(|stage| stage.while_held("Full", 1, || stage.hook("Full"))),
        Reason::UserLimited => Other(|stage| {
            stage.hook("OfUser");
            stage.hook("OfUser");
        }),
        Reason::CallerLimited => Other(|stage| {
            let hook = || stage.post("OfLimited", STEPS[1], "none").basic("limited", &sent(HIDDEN));
            stage.send(&hook());
            stage.send(&hook());
        }),
        Reason::Overloaded => Other(|stage| stage.while_held("Silent", 3, || stage.hook("Scripted"))),
        Reason::NotFound => Other(|stage| {
            stage.hook(&format!("Scripted{HIDDEN}"));
            stage.send(&stage.client().get(&format!("/{0}?{0}={0}", sent(HIDDEN))));
        }),
        Reason::MethodNotAllowed => Other(|stage| {
            let target = format!("/flows/Scripted/{}?{}", STEPS[1], sent(HIDDEN));
            stage.send(&known(stage.client().request("PUT", &target)));
            stage.send(&stage.client().request(HIDDEN, &target));
        }),
        Reason::Unauthenticated => Other(strangers),
        Reason::UnauthenticatedLimited => Other(|stage| {
            for _ in 0..5 {
                strangers(stage);
            }
        }),
        Reason::UnsupportedMediaType => Other(|stage| {
            let of_type = |name: &str, value: &str| {
                let hook = known(stage.post("Scripted", STEPS[1], "none"));
                stage.send(&hook.without(name).header(name, value));
            };
            of_type("Content-Type", &sent(HIDDEN));
            of_type("Content-Type", &format!("application/json; charset={}", sent(HIDDEN)));
            of_type("Content-Encoding", &sent(HIDDEN));
        }),
        Reason::ContentTooLarge => Other(|stage| {
            let hook = known(stage.post("Scripted", STEPS[1], "none"));
            stage.send_but(&hook, |head| with_length(head, "99999999"));
        }),
        Reason::RequestTimeout => Other(|stage| {
            let hook = known(stage.post("Hurried", STEPS[1], "none"));
            // Longer than it is, and within the limit.
            stage.send_but(&hook, |head| with_length(head, "100000"));
        }),
        Reason::BadRequest(rule) => Other(request(rule)),
        Reason::ClientGone => Other(|stage| stage.while_held("Silent", 1, || {})),
        Reason::NoResources => Other(Stage::starve),
        Reason::Panic => Inside("a_panic_costs_its_hook_a_failure_that_is_never_continue_and_nothing_else"),
    }
}

fn contract(rule: ContractRule) -> Path {
    let json =
        |status: u16, body: &str| Api(Play::answer(answer(status, &body.replace("MARK", &sent(HIDDEN)))));
    match rule {
        ContractRule::HttpHead => Api(Play::garbage(format!("{0}\r\n{0}: {0}\r\n\r\n", sent(HIDDEN)))),
        ContractRule::HttpFraming => {
            Api(Play::answer(head(200, "Transfer-Encoding: chunked\r\n") + &sent(HIDDEN) + "\r\n"))
        }
        ContractRule::HttpInterim => Api(Play::answer(head(103, ""))),
        ContractRule::HttpStray => Other(Stage::stray),
        ContractRule::ContentEncoding => {
            let encoding = format!("Content-Encoding: {}\r\nContent-Length: 0\r\n", sent(HIDDEN));
            Api(Play::answer(head(200, &encoding)))
        }
        ContractRule::EmptyBody => json(200, ""),
        ContractRule::NotJson => json(200, "MARK"),
        ContractRule::NotAnObject => json(200, "[\"MARK\"]"),
        ContractRule::TooDeep => {
            json(200, &format!("{{\"MARK\":{}\"MARK\"{}}}", "[".repeat(40), "]".repeat(40)))
        }
        ContractRule::DuplicateName => json(200, "{\"MARK\":1,\"MARK\":2,\"action\":\"Continue\"}"),
        ContractRule::MissingAction => json(200, "{\"MARK\":\"MARK\"}"),
        ContractRule::ActionNotAString => json(200, "{\"action\":[\"MARK\"]}"),
        ContractRule::UnknownAction => json(200, "{\"action\":\"MARK\",\"userMessage\":\"MARK\"}"),
        ContractRule::ContinueOutside2xx => json(400, "{\"action\":\"Continue\",\"city\":\"MARK\"}"),
        ContractRule::ContinueAgainstStatus => {
            json(200, "{\"action\":\"Continue\",\"status\":400,\"userMessage\":\"MARK\"}")
        }
        ContractRule::ErrorWithoutMessage => json(409, "{\"error\":\"MARK\",\"code\":\"MARK\"}"),
        ContractRule::ErrorBodyIn2xx => json(200, "{\"userMessage\":\"MARK\"}"),
        ContractRule::DecisionNotAllowed => {
            let block = format!("{{\"action\":\"ShowBlockPage\",\"userMessage\":\"{}\"}}", sent(HIDDEN));
            ApiAtToken(Play::answer(answer(200, &block)))
        }
        ContractRule::NotStrict => Other(|stage| stage.hook("Strict")),
    }
}

fn request(rule: RequestRule) -> fn(&Stage) {
    fn with_body(stage: &Stage, body: &[u8]) {
        stage.send(&known(stage.post("Scripted", STEPS[1], "none")).body(body));
    }
    fn marked(stage: &Stage, body: &str) {
        with_body(stage, body.replace("MARK", &sent(HIDDEN)).as_bytes());
    }
    match rule {
        RequestRule::Host => |stage| {
            let hook = known(stage.post("Scripted", STEPS[1], "none"));
            stage.send_but(&hook, |head| format!("{head}\r\nHost: {HIDDEN}"));
            stage.send_but(&hook, |head| head.replacen("\r\nHost: ", "\r\nHost: a/", 1));
        },
        RequestRule::Framing => |stage| {
            let coded = |coding: String| {
                let hook = known(stage.post("Scripted", STEPS[1], "none"));
                stage.send_but(&hook.body(""), |head| head.replace("Content-Length: 0", &coding));
            };
            coded(format!("Transfer-Encoding: {}, chunked", sent(HIDDEN)));
            coded(format!("Transfer-Encoding: chunked\r\n\r\n{0};{0}={0}\r\n", sent(HIDDEN)));
            coded(format!("Transfer-Encoding: chunked\r\n\r\n0;{0}\r\n{0}\r\n", sent(HIDDEN)));
        },
        RequestRule::NotUtf8 => |stage| with_body(stage, &[sent(HIDDEN).as_bytes(), b"\xff"].concat()),
        RequestRule::NotJson => |stage| {
            marked(stage, "MARK");
            marked(stage, "{\"MARK\":\"MARK\",\"MARK");
        },
        RequestRule::NotAnObject => |stage| marked(stage, "[\"MARK\"]"),
        RequestRule::TooDeep => |stage| {
            marked(stage, &format!("{{\"MARK\":{}\"MARK\"{}}}", "[".repeat(40), "]".repeat(40)));
        },
        RequestRule::DuplicateClaim => |stage| marked(stage, "{\"MARK\":1,\"MARK\":2}"),
        RequestRule::StepMismatch => |stage| marked(stage, "{\"step\":\"MARK\"}"),
    }
}

/// Every way to be nobody.
fn strangers(stage: &Stage) {
    let mark = sent(HIDDEN);
    let hook = || stage.post("Scripted", STEPS[1], "none");
    for stranger in [
        hook(),
        hook().basic(HIDDEN, &mark),
        hook().basic("known", &mark),
        hook().basic("known", HIDDEN).basic("known", HIDDEN),
        hook().header("Authorization", &format!("Bearer {mark}")),
        hook().header("Authorization", &format!("Basic {mark}")),
        hook().header("Authorization", HIDDEN),
        hook().code(&mark),
        hook().code(&mark).code(&mark),
        hook().header("X-Key", &mark),
        known(stage.post("OfLimited", STEPS[1], "none")),
    ] {
        stage.send(&stranger);
    }
}

fn with_length(head: &str, length: &str) -> String {
    let lines = head.split("\r\n").map(|line| match line.split_once(": ") {
        Some(("Content-Length", _)) => format!("Content-Length: {length}"),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\r\n")
}

/// A head with marks wherever an API can put them.
pub(super) fn head(status: u16, framing: &str) -> String {
    let mark = sent(HIDDEN);
    format!(
        "HTTP/1.1 {status} {mark}\r\nX-{HIDDEN}: {mark}\r\nContent-Type: {mark}\r\nLocation: https://{HIDDEN}/{mark}\r\n\
         Set-Cookie: {mark}\r\nWWW-Authenticate: Basic realm=\"{mark}\"\r\nRetry-After: {mark}\r\nX-Request-ID: {mark}\r\n\
         {framing}\r\n"
    )
}

/// An answer with such a head.
pub(super) fn answer(status: u16, body: &str) -> Vec<u8> {
    (head(status, &format!("Content-Length: {}\r\n", body.len())) + body).into_bytes()
}

/// A Continue with a claim that the identity provider gets, and others that it does not.
pub(super) fn continues() -> String {
    format!(
        "{{\"version\":\"1.0.0\",\"action\":\"Continue\",\"city\":\"{}\",\"surname\":\"{1}\",\"{1}\":[{{\"{1}\":\"{1}\"}}],\
         \"\\n{{\\\"forged\\\":\\u001b[31m{1}\":\"{1}\"}}",
        sent(SHOWN),
        sent(HIDDEN)
    )
}

fn hidden() -> String {
    format!("{{\"userMessage\":\"{0}\",\"code\":\"{0}\"}}", sent(HIDDEN))
}

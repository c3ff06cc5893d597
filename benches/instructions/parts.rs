//! The parts of a hook's life, one by one.

use std::{
    fmt::Write as _,
    future::ready,
    hint::black_box,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use claimgate::{
    caller::Guard,
    config::{self, Basic, Caller, Name, Per, RateLimit, Secret, Secrets},
    connector::{
        Api, Ask, Connector, Correlation, Decided, Facts, IdempotencyKey, Notes,
        normalize::{RawAnswer, normalize},
    },
    dialect::api_connector,
    flow::{FlowDecision, claims::user},
    gateway::duplicates::{Duplicates, HookIdentity, Seen},
    limits::{Availability, Breaker, PerUser, RetryBudget},
    telemetry::{AccessEvent, ClaimNames, DecisionLabel, Metrics, Outcome},
};
use futures_util::FutureExt as _;
use http::{Request, header::AUTHORIZATION};
use tokio::{
    runtime::{self, Runtime},
    time::Instant,
};

use crate::{
    hook::{CONTINUE, Hook, OF_CONTINUE, SIGN_UP, STEP},
    wire,
};

/// Does a part once.
pub(crate) type Part = Box<dyn FnMut()>;

/// What is done for the first time may cost more.
fn after_the_first(mut once: impl FnMut() + 'static) -> Part {
    once();
    Box::new(once)
}

pub(crate) fn authenticate(callers: usize) -> Part {
    let basic = |number| Basic {
        username: format!("entra-{number:03}"),
        password: Secret::new(format!("password-{number:03}-3q2-7wABcDeFgHiJkLm").into_bytes()),
    };
    let caller = |number| Caller {
        name: Name::parse(&format!("entra-{number:03}")).expect("it is a name"),
        basic: vec![basic(number)],
        code: Vec::new(),
        header: Vec::new(),
        certificate: Vec::new(),
        rate_limit: None,
    };
    let callers: Vec<_> = (0..callers).map(caller).collect();
    let guard = Guard::new(callers.iter().map(|caller| (caller, &[][..])));
    let middle = callers.len() / 2;
    let Basic { username, password } = basic(middle);
    let pair = STANDARD.encode([username.as_bytes(), b":", password.expose()].concat());
    let request = Request::post("/flows/B2X_1_SignUp/postAttributeCollection")
        .header("host", "hooks.example.com")
        .header("content-type", "application/json")
        .header(AUTHORIZATION, format!("Basic {pair}"));
    let (head, ()) = request.body(()).expect("the head is well-formed").into_parts();
    after_the_first(move || {
        let key = guard.admit(black_box(&head), None, || UNIX_EPOCH);
        assert_eq!(key.map(|key| key.caller), Ok(middle));
    })
}

pub(crate) fn decode(hook: Hook) -> Part {
    after_the_first(move || {
        let members = api_connector::decode(black_box(hook.text.as_bytes()), STEP);
        assert_eq!(members.map(|members| members.len()), Ok(hook.claims));
    })
}

pub(crate) fn select(hook: Hook) -> Part {
    let selection = hook.selection();
    // For as long as the process lives, as text that is borrowed.
    let text: &'static str = hook.text.leak();
    let members = api_connector::decode(text.as_bytes(), STEP).expect("the body keeps every rule");
    after_the_first(move || {
        assert!(!selection.apply(black_box(&members), |_| {}).claims.members().is_empty());
    })
}

pub(crate) fn duplicates_first() -> Part {
    let (duplicates, hook) = (Duplicates::new(&Metrics::new()), HookIdentity::unused());
    let mut body = SIGN_UP.as_bytes().to_vec();
    after_the_first(move || {
        let (number, _) = body.split_first_chunk_mut().expect("it is longer than a number");
        *number = u64::from_ne_bytes(*number).wrapping_add(1).to_ne_bytes();
        lead(&duplicates, hook, &body);
    })
}

pub(crate) fn duplicates_again() -> Part {
    let (duplicates, hook) = (Duplicates::new(&Metrics::new()), HookIdentity::unused());
    lead(&duplicates, hook, SIGN_UP.as_bytes());
    after_the_first(move || {
        let (body, window) = (black_box(SIGN_UP.as_bytes()), Duration::from_hours(1));
        let seen = duplicates.look("entra", hook, body, window, Instant::now());
        assert!(matches!(seen, Seen::Before(_)));
    })
}

fn lead(duplicates: &Arc<Duplicates>, hook: HookIdentity, body: &[u8]) {
    let Seen::First(lead) = duplicates.look("entra", hook, body, Duration::from_hours(1), Instant::now())
    else {
        panic!("it was not seen before")
    };
    let facts = Facts { took: Some(Duration::ZERO), ..Facts::default() };
    let decision = FlowDecision::ShowBlockPage("Please come back later.".to_owned());
    let decided = Decided { decision: Ok(decision), notes: Notes { facts, ..Notes::default() } };
    assert!(lead.call(ready(decided), ()).now_or_never().is_some());
}

pub(crate) fn user_limit() -> Part {
    let limit = RateLimit { count: NonZeroU32::MAX, per: Per::Second, burst: NonZeroU32::MAX };
    let limiter = PerUser::new(limit, Metrics::new().users_unlimited());
    let members = api_connector::decode(SIGN_UP.as_bytes(), STEP).expect("the body keeps every rule");
    after_the_first(move || {
        let user = user(black_box(&members)).expect("the hook names one");
        assert!(limiter.take(&user, "entra").is_ok());
    })
}

pub(crate) fn breaker() -> Part {
    let settings = config::Breaker {
        window: Duration::from_secs(10),
        least_calls: 20,
        failures: 50,
        open_for: Duration::from_secs(5),
        probes: 3,
    };
    let breaker = Breaker::new(settings, Instant::now());
    after_the_first(move || {
        let pass = breaker.admit(Instant::now()).expect("it is closed");
        pass.ended(black_box(Availability::Available), Instant::now());
    })
}

pub(crate) fn decide() -> Part {
    let config = connector(1);
    after_the_first(move || {
        let answer = RawAnswer { status: 200, encoded: false, body: black_box(CONTINUE.as_bytes()) };
        let decision = normalize(&config, STEP, answer).decision.expect("a Continue is a decision");
        assert!(!api_connector::encode(&decision).body.is_empty());
    })
}

/// The request, the policies, the exchange over a kept connection, the decision; with the runtime, and the API itself.
pub(crate) fn call() -> Part {
    let (runtime, api) = running();
    let retries = Arc::new(RetryBudget::new());
    let target = Api::succeeding(connector(api.port), &Metrics::new(), &retries, None);
    let connector = Arc::new(Connector::succeeding(target.expect("it needs no trust in certificates"), None));
    let members = api_connector::decode(SIGN_UP.as_bytes(), STEP).expect("the body keeps every rule");
    let sent = connector.select(&members).claims;
    let correlation = Correlation {
        request_id: "11c97363410a59190000000000000000",
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        tracestate: None,
        idempotency_key: IdempotencyKey::fresh(),
    };
    after_the_first(move || {
        let deadline = Instant::now() + Duration::from_secs(4);
        let ask = Ask { claims: black_box(&sent), step: STEP, correlation, deadline };
        let decided = runtime.block_on(connector.call(ask));
        assert!(decided.decision.is_ok());
        assert_eq!(api.seen().connections, 1, "it was kept");
    })
}

fn running() -> (Runtime, wire::Api) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the system has sockets to spare");
    let api = runtime.block_on(wire::Api::start(CONTINUE));
    (runtime, api)
}

fn connector(port: u16) -> config::Connector {
    let mut text = format!(
        "
listen: {{ address: 127.0.0.1:0 }}
callers:
  entra: {{ code: {{ env: CODE }} }}
connectors:
  check:
    endpoint_url: http://127.0.0.1:{port}/api/check
    authentication: none
    claims_to_send: [displayName, givenName, surname, city, country]
    claims_to_receive: [{}]
user_flows:
  sign-up:
    callers: [entra]
",
        OF_CONTINUE.join(", ")
    );
    writeln!(text, "    {STEP}: {{ connector: check, on_failure: error }}").expect("a String takes any text");
    let read = config::read("bench.yaml", &text, Secrets::Skip);
    read.config.expect("the configuration is valid").connectors.remove(0)
}

pub(crate) fn access_event() -> Part {
    let mut dropped = ClaimNames::none();
    for name in ["postalCode", "extension_Internal"] {
        dropped.push(name);
    }
    let [user_flow, caller] = ["B2X_1_SignUp", "entra"].map(|name| Name::parse(name).expect("it is a name"));
    let mut line = Vec::with_capacity(4 * 1024);
    after_the_first(move || {
        let event = AccessEvent {
            request_id: Some("11c97363410a59190000000000000000"),
            trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736"),
            user_flow: Some(&user_flow),
            step: Some(STEP),
            caller: Some(&caller),
            credential: Some("basic-0"),
            connector: Some("check"),
            status: Some(200),
            upstream_status: Some(200),
            reused: Some(true),
            total: Some(Duration::from_micros(12_034)),
            upstream: Some(Duration::from_micros(10_999)),
            wait: Some(Duration::ZERO),
            deadline_remaining: Some(Duration::from_millis(3_987)),
            bytes_in: SIGN_UP.len(),
            bytes_out: CONTINUE.len(),
            claims_sent: 10,
            dropped_received: &dropped,
            ..AccessEvent::new(
                UNIX_EPOCH + Duration::from_millis(1_767_225_599_990),
                DecisionLabel::Continue,
                Outcome::Api,
            )
        };
        line.clear();
        black_box(&event).write_json(&mut line);
        assert!(line.ends_with(b"\n"));
    })
}

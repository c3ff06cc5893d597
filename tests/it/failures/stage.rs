//! The gateway with everything that fails around it.

use std::{
    any::Any,
    fs,
    net::{SocketAddr, TcpListener},
    process::Command,
    sync::Arc,
    thread,
    time::Duration,
};

use claimgate::flow::Reason;
use rcgen::{CertificateParams, KeyPair};
use rustls::{ServerConfig, ServerConnection, pki_types::PrivatePkcs8KeyDer};
use serde_json::json;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;
use tokio::time::Instant;

use super::{
    check::Asked,
    faults::{CONTINUE, Fault, Limit, Place, Way, faults},
    means::ON_FAILURE,
};
use crate::support::{
    Act, CALLER, Gateway, PASSWORD, Parts, Play, RefusingAddress, Request, STEPS, ScriptedApi, answer,
    client::Connection, wait_until,
};

/// The time that runs out, where one does: long enough that on a busy machine nothing else is too late.
const TIMEOUT: Duration = Duration::from_millis(800);
/// The hook's, unless it is the one that runs out.
const ANSWER_WITHIN: Duration = Duration::from_secs(6);
/// The user flow whose hooks spend what others will want.
const SPEND: &str = "spend";
/// The hook of somebody.
const USER: &str = r#"{"email":"jane@fabrikam.com"}"#;
const PER_USER: &str = ", rate_limit_per_user: { rate: 1/m, burst: 1 }";
/// How often a connection is tried to be used again before it is too old.
const ATTEMPTS: usize = 15;

pub(super) struct Stage {
    pub(super) gateway: Gateway,
    pub(super) faults: Arc<[Fault]>,
    scripted: ScriptedApi,
    silent: ScriptedApi,
    _others: Vec<Other>,
    _directory: Option<TempDir>,
}

/// What is at an address; it ends when this is dropped.
type Other = Box<dyn Any + Send + Sync>;

impl Stage {
    /// With every fault that is brought about in one of these ways. One worker has one set of connections to each API.
    pub(super) fn set(ways: impl Fn(Way) -> bool) -> Self {
        let faults: Arc<[Fault]> = Reason::all().flat_map(faults).filter(|fault| ways(fault.way)).collect();
        let plays = Arc::clone(&faults);
        let scripted = ScriptedApi::answering(move |request| {
            let number = request.target.strip_prefix('/').and_then(|number| number.parse::<usize>().ok());
            match number.and_then(|number| plays.get(number)).map(|fault| fault.way) {
                Some(Way::Says(play)) => play(),
                _ => Play::continue_(),
            }
        });
        let silent = ScriptedApi::start(Play::silence());
        let mut others: Vec<Other> = Vec::new();
        let stray = stray();
        let mut parts = Parts::new().listen("max_body: 12MiB\nbody_timeout: 15s");
        for (number, fault) in faults.iter().enumerate() {
            let url = match fault.way {
                Way::At(Place::Slow) | Way::HangsUp | Way::Spent(Limit::InFlight) => silent.url("/"),
                Way::At(place) => other(place, &mut others),
                Way::Spent(Limit::Breaker) => other(Place::Closed, &mut others),
                Way::Stray => stray.url("/"),
                Way::Says(_) | Way::Spent(Limit::Rate | Limit::User) | Way::Starved => {
                    scripted.url(&format!("/{number}"))
                }
                Way::Refused | Way::Inside(_) => continue,
            };
            parts = add(parts, number, fault, &url);
        }
        others.push(Box::new(stray));
        let starves = faults.iter().any(|fault| matches!(fault.way, Way::Starved));
        let (gateway, directory) = if starves {
            starving(&parts.text())
        } else {
            (Gateway::start_with_arguments(&parts.text(), &["--workers", "1"]), None)
        };
        Self { gateway, faults, scripted, silent, _others: others, _directory: directory }
    }

    /// How many requests the API with the scripts has seen.
    pub(super) fn requests(&self) -> usize {
        self.scripted.requests().len()
    }

    /// One hook for the fault of this number; its answer.
    pub(super) fn ask(&self, number: usize, step: &'static str, on_failure: &'static str) -> Asked {
        let fault = &self.faults[number];
        let body = match fault.way {
            Way::Spent(Limit::User) => USER.to_owned(),
            _ => "{}".to_owned(),
        };
        let id = format!("{number}.{on_failure}.{step}");
        self.ask_with(number, step, on_failure, id, &body, Request::send)
    }

    /// The same with this id and body, sent in this way.
    pub(super) fn ask_with(
        &self,
        number: usize,
        step: &'static str,
        on_failure: &'static str,
        id: String,
        body: &str,
        send: impl FnOnce(Request) -> crate::support::Response,
    ) -> Asked {
        let fault = &self.faults[number];
        let flow = flow(fault, number, on_failure);
        let request = self.post(&flow, step, body).header("X-Request-ID", &id);
        let begin = Instant::now();
        let response = send(request);
        let took = begin.elapsed();
        let (reason, refusal) = (fault.reason, fault.refusal);
        let connector = connector(fault, number, on_failure, step);
        let answer_within = answer_within(fault);
        assert!(!runs_out(fault) || took >= TIMEOUT, "{id} {}: {took:?}", reason.as_str());
        Asked { id, flow, step, on_failure, connector, reason, refusal, answer_within, took, response }
    }

    /// Sends one, and hangs up once the API has it.
    pub(super) fn hang_up(&self, number: usize, step: &str, on_failure: &str) -> String {
        let id = format!("{number}.{on_failure}.{step}");
        let (before, flow) = (self.silent.requests().len(), flow(&self.faults[number], number, on_failure));
        let mut connection = self.gateway.client().connect();
        connection.write(&self.post(&flow, step, "{}").header("X-Request-ID", &id).to_bytes());
        wait_until("the API has the hook", || self.silent.requests().len() > before);
        connection.hang_up();
        id
    }

    /// Spends what the hooks of the limited connectors will want: one hook passed, and one holds the only permit.
    pub(super) fn spend(&self) -> Vec<Connection> {
        let mut held = Vec::new();
        for (number, fault) in self.faults.iter().enumerate() {
            let request = self.post(&flow(fault, number, SPEND), STEPS[0], "{}");
            match fault.way {
                Way::Spent(Limit::Rate) => assert_eq!(request.send().status, 200),
                Way::Spent(Limit::Breaker) => assert_eq!(request.send().json()["reason"], "refused"),
                Way::Spent(Limit::User) => {
                    // Each hook has its own.
                    for (on_failure, _, steps) in ON_FAILURE {
                        for step in steps {
                            let request = self.post(&flow(fault, number, on_failure), step, USER);
                            assert_eq!(request.send().status, 200);
                        }
                    }
                }
                Way::Spent(Limit::InFlight) => {
                    let mut connection = self.gateway.client().connect();
                    connection.write(&request.to_bytes());
                    wait_until("the only permit is taken", || self.silent.requests().len() == 1);
                    held.push(connection);
                }
                _ => {}
            }
        }
        held
    }

    /// An answer that begins before the request has left, on a connection that was used before. On a busy machine that
    /// may be too old by then: so this is tried again.
    pub(super) fn stray(&self, number: usize, step: &'static str, on_failure: &'static str) -> Asked {
        let flow = flow(&self.faults[number], number, on_failure);
        let large = large();
        for attempt in 0..ATTEMPTS {
            assert_eq!(self.post(&flow, step, "{}").send().status, 200);
            let id = format!("{number}.{on_failure}.{step}.{attempt}");
            let asked = self.ask_with(number, step, on_failure, id, &large, Request::send);
            if !asked.response.text().contains(r#""stray""#) {
                return asked;
            }
        }
        panic!("no connection was used twice in {ATTEMPTS} attempts");
    }

    fn post(&self, flow: &str, step: &str, body: &str) -> Request {
        self.gateway.client().post_hook(flow, step, body).basic(CALLER, PASSWORD)
    }
}

fn flow(fault: &Fault, number: usize, on_failure: &str) -> String {
    format!("{}.{on_failure}", fault.connector(number))
}

/// A stray answer loses the trust of its connector, so there is one for each hook.
fn connector(fault: &Fault, number: usize, on_failure: &str, step: &str) -> String {
    let name = fault.connector(number);
    if matches!(fault.way, Way::Stray) { format!("{name}.{on_failure}.{step}") } else { name }
}

fn answer_within(fault: &Fault) -> Duration {
    match fault.way {
        Way::At(Place::Slow) => TIMEOUT,
        Way::Spent(Limit::InFlight) | Way::HangsUp => Duration::from_mins(1),
        Way::Stray => Duration::from_secs(20),
        _ => ANSWER_WITHIN,
    }
}

fn runs_out(fault: &Fault) -> bool {
    matches!(fault.reason, Reason::FirstByteTimeout | Reason::BodyTimeout | Reason::Deadline)
}

/// The fault's connector, and a user flow for each `on_failure` with every step at which that may stand.
fn add(mut parts: Parts, number: usize, fault: &Fault, url: &str) -> Parts {
    let within = answer_within(fault);
    let timeout = if runs_out(fault) { TIMEOUT } else { within };
    let connect = if timeout == ANSWER_WITHIN { "connect_timeout: 5s\n" } else { "" };
    let connect = if fault.keys.contains("connect_timeout") { "" } else { connect };
    let keys = format!(
        "timeout: {}ms\n{connect}max_answer: 1KiB\nclaims_to_send: [city]\nclaims_to_receive: [city]\n{}",
        timeout.as_millis(),
        fault.keys
    );
    let steps = |on_failure: &str, steps: &[&'static str]| -> Vec<_> {
        let steps = steps.iter().filter(|step| !fault.at_token_only || **step == STEPS[2]);
        steps.map(|step| (*step, connector(fault, number, on_failure, step))).collect()
    };
    let mut known = Vec::new();
    // What is spent beforehand is not counted with the others.
    let spend = matches!(fault.way, Way::Spent(_)).then_some((SPEND, "error", &STEPS[..1]));
    for (on_failure, yaml, at) in ON_FAILURE.into_iter().chain(spend) {
        let hooks: Vec<_> = steps(on_failure, at)
            .into_iter()
            .map(|(step, connector)| {
                if !known.contains(&connector) {
                    parts = parts.clone().connector(&connector, url, &keys);
                    known.push(connector.clone());
                }
                let limit = if matches!(fault.way, Way::Spent(Limit::User)) { PER_USER } else { "" };
                format!("{step}: {{ connector: {connector}, on_failure: {yaml}{limit} }}")
            })
            .collect();
        if !hooks.is_empty() {
            let yaml = format!("answer_within: {}ms\n{}", within.as_millis(), hooks.join("\n"));
            parts = parts.flow(&flow(fault, number, on_failure), &yaml);
        }
    }
    parts
}

/// Its address as an endpoint.
fn other(place: Place, others: &mut Vec<Other>) -> String {
    let https = |address: SocketAddr| format!("https://{address}/");
    match place {
        Place::NoName => "https://does-not-exist.invalid/".to_owned(),
        Place::Closed => {
            let address = RefusingAddress::take();
            let url = address.url("/");
            others.push(Box::new(address));
            url
        }
        Place::Full => {
            let (listener, url, waiting) = full();
            others.push(Box::new((listener, waiting)));
            url
        }
        Place::Mute => {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port exists");
            let url = https(listener.local_addr().expect("it is bound"));
            others.push(Box::new(listener));
            url
        }
        Place::Says(bytes) => {
            let api = ScriptedApi::start(Play::new([Act::Send(bytes.to_vec()), Act::Forever]));
            let url = https(api.address());
            others.push(Box::new(api));
            url
        }
        Place::HangsUp => {
            let api = ScriptedApi::start(Play::new([Act::Close]));
            let url = https(api.address());
            others.push(Box::new(api));
            url
        }
        Place::Untrusted => https(untrusted()),
        Place::Slow => unreachable!("it is the silent API"),
    }
}

/// A listener whose queue is full, so that the system lets further connections wait and refuses none (`listen(2)`).
fn full() -> (Socket, String, Vec<std::net::TcpStream>) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port exists");
    socket.listen(0).expect("a bound socket can listen");
    let address = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("it is bound");
    let mut waiting = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        waiting.push(stream);
        assert!(waiting.len() < 100, "the queue is never full");
    }
    (socket, format!("http://{address}/"), waiting)
}

/// A server with a certificate that nobody trusts; it ends with the test's process.
fn untrusted() -> SocketAddr {
    let key = KeyPair::generate().expect("a key can be made");
    let certificate =
        CertificateParams::new(["localhost".to_owned()]).and_then(|params| params.self_signed(&key));
    let certificate = certificate.expect("a certificate can be made").der().clone();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has ciphers for them")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .expect("the key is the certificate's");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port exists");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut tls = ServerConnection::new(Arc::clone(&config)).expect("the configuration is whole");
            // Refused, as it should be.
            while tls.is_handshaking() && tls.complete_io(&mut stream).is_ok() {}
        }
    });
    address
}

/// The second request of a connection gets its answer while the API reads nothing but its head.
fn stray() -> ScriptedApi {
    let usual = Play::continue_().then(Act::Pause(Duration::from_millis(300)));
    let early = Play::new([
        Act::ReadHeadOnly,
        Act::Send(answer(200, &CONTINUE.replace('}', r#","city":"stray"}"#))),
        Act::Pause(Duration::from_secs(1)),
        Act::ReadRequest,
    ]);
    let hooks: usize = ON_FAILURE.iter().map(|(.., steps)| steps.len()).sum();
    ScriptedApi::start((0..hooks * ATTEMPTS).flat_map(|_| [usual.clone(), early.clone()]).collect::<Vec<_>>())
}

/// More than the system holds for a peer that does not read: Linux takes 4 MiB on this side.
fn large() -> String {
    json!({ "city": "x".repeat(5_500_000) }).to_string()
}

/// Few file descriptors; see [`starve`].
pub(super) const FILES: usize = 64;

fn starving(config: &str) -> (Gateway, Option<TempDir>) {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let file = directory.path().join("claimgate.yaml");
    fs::write(&file, config).expect("the configuration can be written");
    let mut command = Command::new("sh");
    let script = format!(r#"ulimit -n {FILES}; exec "$0" serve --workers 1 --config "$1""#);
    command.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_claimgate")).arg(file);
    (Gateway::from_command(command), Some(directory))
}

/// Takes all descriptors of such a gateway: one connection that is served, and others.
pub(super) fn starve(gateway: &Gateway) -> (Connection, Vec<Connection>) {
    let mut kept = gateway.client().connect();
    assert_eq!(gateway.client().get("/nowhere").send_on(&mut kept).status, 404);
    let others = (0..FILES).map(|_| gateway.client().connect()).collect();
    wait_until("no descriptor is left", || gateway.stderr_text().contains("cannot accept connections"));
    (kept, others)
}

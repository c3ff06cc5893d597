//! Slow, silent and greedy clients: what each of them costs, and that the others do not pay.

use std::{
    io::{ErrorKind, Write as _},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, sleep},
    time::Duration,
};

use socket2::{Domain, Socket, Type};
use tokio::time::Instant;

use super::support::{
    CALLER, Client, ConfigText, FLOW, Gateway, PASSWORD, Play, Request, STEPS, ScriptedApi,
    client::{Connection, LIMIT},
};

const BODY: &str = r#"{"email":"jane@fabrikam.com"}"#;

fn hook(client: Client) -> Request {
    client.post_hook(FLOW, STEPS[1], BODY).basic(CALLER, PASSWORD)
}

fn start(api: &ScriptedApi, listen: &str) -> Gateway {
    Gateway::start(&ConfigText::new(&api.url("/")).listen(listen).text())
}

/// Connections that send these bytes one by one, a byte of each in turn, until they are told to stop.
fn drip(
    mut connections: Vec<Connection>,
    bytes: &'static [u8],
    stop: Arc<AtomicBool>,
) -> thread::JoinHandle<Vec<Connection>> {
    thread::spawn(move || {
        for byte in bytes.iter().cycle() {
            for connection in &mut connections {
                connection.write(&[*byte]);
            }
            sleep(Duration::from_millis(40));
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
        connections
    })
}

#[test]
fn slow_heads_and_bodies_cost_their_places_for_their_time_outs_and_other_clients_nothing() {
    const SLOW: usize = 20;
    let timeouts = Duration::from_millis(1500);
    let api = ScriptedApi::start(Play::continue_());
    let listen = format!("max_connections: {}\nhead_timeout: 1500ms\nbody_timeout: 1500ms", 2 * SLOW + 1);
    let gateway = start(&api, &listen);
    let client = gateway.client();
    let mut good = client.connect();
    assert_eq!(hook(client).send_on(&mut good).status, 200);

    let begin = Instant::now();
    let heads: Vec<_> = (0..SLOW).map(|_| client.connect()).collect();
    let mut bodies: Vec<_> = (0..SLOW).map(|_| client.connect()).collect();
    let whole = client.post_hook(FLOW, STEPS[1], &" ".repeat(10_000)).basic(CALLER, PASSWORD).to_bytes();
    for connection in &mut bodies {
        connection.write(&whole[..whole.len() - 10_000]);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let heads = drip(
        heads,
        b"POST /flows/x HTTP/1.1\r\nX-Slow: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy",
        Arc::clone(&stop),
    );
    let bodies = drip(bodies, b" ", Arc::clone(&stop));
    // Every place is taken: this one waits for the first of the slow ones to lose theirs.
    let mut waiting = client.connect();
    waiting.write(&hook(client).to_bytes());
    let mut answered = 0;
    while begin.elapsed() < Duration::from_secs(1) {
        assert_eq!(hook(client).send_on(&mut good).status, 200);
        answered += 1;
        sleep(Duration::from_millis(5));
    }
    assert!(answered > 5, "{answered} hooks in a second beside {} slow clients", 2 * SLOW);
    assert_eq!(waiting.response("POST").status, 200);
    let waited = begin.elapsed();
    assert!(waited + Duration::from_millis(100) >= timeouts, "{waited:?}: every place was taken");
    assert!(waited < LIMIT, "{waited:?}");
    stop.store(true, Ordering::Relaxed);
    for connection in &mut heads.join().expect("it only writes") {
        let response = connection.response("POST");
        assert_eq!((response.status, response.body.len()), (408, 0), "a head is no hook yet");
    }
    for connection in &mut bodies.join().expect("it only writes") {
        let response = connection.response("POST");
        assert_eq!((response.status, &response.json()["reason"]), (408, &"request_timeout".into()));
    }
    assert_eq!(hook(client).send_on(&mut good).status, 200);
}

#[test]
fn a_client_that_never_reads_its_answers_is_cut_off_after_write_timeout_and_costs_others_nothing() {
    let big = "x".repeat(60_000);
    let body = serde_json::json!({ "version": "1.0.0", "action": "Continue", "extension_Big": big });
    let api = ScriptedApi::start(Play::json(200, &body.to_string()));
    let config = ConfigText::new(&api.url("/")).receive(&["extension_Big"]).listen("write_timeout: 1s");
    let gateway = Gateway::start(&config.text());
    let client = gateway.client();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
    // The less the kernel takes in its place, the sooner the answers are stuck.
    socket.set_recv_buffer_size(4096).expect("it is a size");
    socket.connect(&gateway.address().into()).expect("the gateway listens");
    let mut greedy: TcpStream = socket.into();
    greedy.set_write_timeout(Some(Duration::from_millis(50))).expect("it is a time");
    let request = hook(client).to_bytes();
    let begin = Instant::now();
    let mut good = client.connect();
    let mut bytes = request.iter().cycle().copied();
    let mut unsent = Vec::new();
    let ended = loop {
        assert!(begin.elapsed() < 3 * LIMIT, "it is still open");
        if unsent.is_empty() {
            unsent = bytes.by_ref().take(request.len()).collect();
        }
        match greedy.write(&unsent) {
            Ok(length) => drop(unsent.drain(..length)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                assert_eq!(hook(client).send_on(&mut good).status, 200);
            }
            Err(error) => break error.kind(),
        }
    };
    assert!(matches!(ended, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{ended}");
    assert!(begin.elapsed() >= Duration::from_secs(1), "{:?}", begin.elapsed());
    assert_eq!(hook(client).send_on(&mut good).status, 200);
}

#[test]
fn no_time_out_of_a_connection_touches_a_hook_that_waits_for_its_api() {
    let api = ScriptedApi::start(Play::continue_().after(Duration::from_millis(800)));
    let listen = "first_byte_timeout: 200ms\nhead_timeout: 200ms\nwrite_timeout: 200ms\nidle_timeout: 5s\nmax_age: 100ms";
    let gateway = start(&api, listen);
    let client = gateway.client();
    let mut connection = client.connect();
    let response = hook(client).send_on(&mut connection);
    assert_eq!((response.status, response.header("connection")), (200, Some("close")), "it aged meanwhile");
}

#[test]
fn an_aged_connection_says_so_in_its_next_answer_and_is_not_closed_before() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = start(&api, "max_age: 1s");
    let client = gateway.client();
    let mut connection = client.connect();
    assert_eq!(hook(client).send_on(&mut connection).header("connection"), None);
    assert!(!connection.is_closed_within(Duration::from_millis(1200)), "an idle connection may carry a hook");
    let last = hook(client).send_on(&mut connection);
    assert_eq!((last.status, last.header("connection")), (200, Some("close")));
    assert!(connection.is_closed_within(LIMIT));
}

#[test]
fn open_connections_are_counted_also_those_that_say_nothing() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = Gateway::start(&ConfigText::new(&api.url("/")).text());
    let silent: Vec<_> = (0..3).map(|_| gateway.client().connect()).collect();
    gateway.wait_for_metric("claimgate_connections", 3.0);
    silent.into_iter().for_each(Connection::hang_up);
    gateway.wait_for_metric("claimgate_connections", 0.0);
}

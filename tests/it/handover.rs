//! Listening sockets that outlive the process, and restarts on them that no caller notices.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Output, Stdio},
    thread::sleep,
    time::Duration,
};

use socket2::{Domain, Socket, Type};
use tokio::time::Instant;

use super::support::{
    CALLER, Client, ConfigText, FLOW, Gateway, Load, PASSWORD, Play, Request, STEPS, ScriptedApi, client,
    gateway::{passing, serve, written},
    soak, wait_until,
};

const BODY: &str = r#"{"email":"jane@fabrikam.com"}"#;
/// What a busy machine may add to a time.
const SLACK: Duration = Duration::from_secs(1);

fn hook(client: Client) -> Request {
    client.post_hook(FLOW, STEPS[1], BODY).basic(CALLER, PASSWORD)
}

fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port exists")
}

#[test]
fn the_first_socket_is_the_hook_port_and_the_second_or_the_one_of_that_name_the_admin_port() {
    let api = ScriptedApi::start(Play::continue_());
    let config = ConfigText::new(&api.url("/")).text();
    let (one, two) = (listener(), listener());
    let address = |socket: &TcpListener| socket.local_addr().expect("it is bound");
    let (one_at, two_at) = (address(&one), address(&two));
    for (sockets, names, hooks, admin) in [
        (&[&one][..], None, Some(one_at), None),
        (&[&one, &two], None, Some(one_at), Some(two_at)),
        (&[&one, &two], Some("hooks:admin"), Some(one_at), Some(two_at)),
        (&[&one, &two], Some("admin:hooks"), Some(two_at), Some(one_at)),
        (&[&one, &two], Some("claimgate.socket:claimgate.socket"), Some(one_at), Some(two_at)),
        (&[&two], Some("admin"), None, Some(two_at)),
    ] {
        let gateway = Gateway::start_on(&config, sockets, names);
        assert!(hooks.is_none_or(|hooks| hooks == gateway.address()), "{names:?}");
        assert!(admin.is_none_or(|admin| admin == gateway.admin()), "{names:?}");
        assert_eq!(hook(gateway.client()).send().status, 200, "{names:?}");
        assert_eq!(gateway.admin_client().get("/readyz").send().text(), "ready\n", "{names:?}");
        let said = gateway.stderr_text();
        assert!(said.contains(&format!("\"passed\":{}", hooks.is_some())), "{said}");
        assert!(!said.contains("WARN"), "port 0 is any port: {said}");
    }
}

#[test]
fn a_passed_socket_wins_over_the_address_of_the_configuration_and_a_difference_is_a_warning() {
    let api = ScriptedApi::start(Play::continue_());
    let socket = listener();
    let configured = listener().local_addr().expect("it is bound");
    let config = ConfigText::new(&api.url("/")).text();
    let config = config.replacen("address: 127.0.0.1:0", &format!("address: {configured}"), 1);
    let gateway = Gateway::start_on(&config, &[&socket], None);
    assert_eq!(gateway.address(), socket.local_addr().expect("it is bound"));
    assert!(TcpStream::connect(configured).is_err(), "that address is not bound");
    let said = gateway.stderr_text();
    let warning = said.lines().find(|line| line.contains("WARN")).unwrap_or_else(|| panic!("{said}"));
    let told = [configured.to_string(), gateway.address().to_string(), "listen.address".to_owned()];
    assert!(told.iter().all(|part| warning.contains(part)), "{warning}");
}

#[test]
fn sockets_for_another_process_are_left_alone() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = Gateway::start_with_env(
        &ConfigText::new(&api.url("/")).text(),
        [("LISTEN_FDS", "1"), ("LISTEN_PID", "1"), ("LISTEN_FDNAMES", "admin")],
    );
    assert!(gateway.stderr_text().contains("\"passed\":false"));
    assert_eq!(hook(gateway.client()).send().status, 200);
}

fn refused(sockets: &[&TcpListener], names: Option<&str>) -> (Option<i32>, String) {
    let directory = written(&ConfigText::new("http://127.0.0.1:1/").text());
    let mut passing = passing(sockets, names, &serve(&directory));
    let command = passing.command.stdin(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program can be started");
    let end = Instant::now() + client::LIMIT;
    while child.try_wait().expect("a child can be waited for").is_none() && Instant::now() < end {
        sleep(Duration::from_millis(20));
    }
    // If it serves all the same, it has no status.
    child.kill().ok();
    let Output { status, stderr, .. } = child.wait_with_output().expect("a child can be waited for");
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

#[test]
fn sockets_that_cannot_be_served_end_the_start_with_what_is_wrong() {
    let (one, two, three) = (listener(), listener(), listener());
    let open = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port exists");
    let bound = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
    let silent: TcpListener = bound.into();
    let datagrams: TcpListener =
        Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket can be made").into();
    for (sockets, names, expected) in [
        (&[&one, &two, &three][..], None, "passes 3 sockets"),
        (&[&one, &two], Some("admin:admin"), "calls both sockets `admin`"),
        (&[&silent], None, "socket 1: it does not listen"),
        (&[&one, &datagrams], None, "socket 2: fd 4 is not a valid tcp socket"),
        (&[&open], None, "not loopback, and the port has no TLS"),
    ] {
        let (status, said) = refused(sockets, names);
        assert_eq!(status, Some(2), "{expected}: {said}");
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

/// What arrives while nobody serves waits, and so does what a process that ends had not accepted.
#[test]
fn the_queue_of_a_passed_socket_is_left_for_the_successor() {
    let api = ScriptedApi::start(Play::continue_());
    let config = ConfigText::new(&api.url("/")).text();
    let socket = listener();
    let mut first = Gateway::start_on(&config, &[&socket], None);
    let client = first.client();
    let send = || {
        let mut connection = client.connect();
        connection.write(&hook(client).to_bytes());
        connection
    };
    first.signal("STOP");
    let mut connections: Vec<_> = (0..10).map(|_| send()).collect();
    first.signal("TERM");
    first.signal("CONT");
    // Those that it accepted before it heard the signal are its own, and may be kept without `Connection: close`.
    wait_until("the first one accepts no more", || first.stderr_text().contains("no new connections"));
    connections.extend((0..10).map(|_| send()));
    let second = Gateway::start_on(&config, &[&socket], None);
    for (number, connection) in connections.iter_mut().enumerate() {
        assert_eq!(connection.response("POST").status, 200, "connection {number}");
    }
    drop(connections);
    assert!(first.wait().success());
    let left = 20 - first.events().len();
    assert!(left >= 10, "the first one took none that came after its end began");
    assert_eq!(second.wait_for_events(left).len(), left);
}

/// Every kind of connection at once, and each ends in its own way and time; the load meanwhile moves to the successor.
#[test]
fn at_the_end_each_connection_is_bounded_and_idle_ones_are_kept_for_the_grace() {
    let api = ScriptedApi::start(Play::continue_().after(Duration::from_millis(500)));
    let grace = Duration::from_secs(3);
    let listen = "first_byte_timeout: 2s\nhead_timeout: 1s";
    let config = ConfigText::new(&api.url("/")).top("shutdown: { grace: 3s }").listen(listen).text();
    let socket = listener();
    let mut first = Gateway::start_on(&config, &[&socket], None);
    let client = first.client();
    let load = Load::start(first.address(), &hook(client).to_bytes(), 4);
    let mut idle = client.connect();
    assert_eq!(hook(client).send_on(&mut idle).status, 200);
    let (mut silent, mut half, mut busy) = (client.connect(), client.connect(), client.connect());
    half.write(&hook(client).to_bytes()[..30]);
    busy.write(&hook(client).header("X-Request-ID", "busy").to_bytes());
    wait_until("the hook is at the API", || {
        api.requests().iter().any(|request| request.header("x-request-id") == Some("busy"))
    });
    let begin = Instant::now();
    first.signal("TERM");
    let second = Gateway::start_on(&config, &[&socket], None);
    let response = busy.response("POST");
    assert_eq!((response.status, response.header("connection")), (200, Some("close")));
    assert_eq!(half.response("POST").status, 408);
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(1) + SLACK, "half a head has head_timeout: {took:?}");
    assert!(silent.is_closed_within(SLACK + Duration::from_secs(1)), "and no byte has first_byte_timeout");
    assert!(idle.is_closed_within(grace + SLACK), "the grace has passed");
    let took = begin.elapsed();
    assert!((grace..grace + SLACK).contains(&took), "{took:?}");
    assert!(first.wait().success());
    let said = first.stderr_text();
    assert!(said.contains("every hook was answered") && !said.contains("WARN"), "{said}");
    let report = load.stop();
    assert_eq!(report.errors, Vec::<String>::new());
    assert!(!second.events().is_empty(), "it took over the load");
}

#[test]
fn restarts_on_a_passed_socket_under_constant_load_cost_no_hook() {
    let seconds = soak().as_secs();
    let api = ScriptedApi::start(Play::continue_());
    let config = ConfigText::new(&api.url("/")).text();
    let socket = listener();
    let start = || Gateway::start_on(&config, &[&socket], None);
    let mut serving = start();
    let load = Load::start(serving.address(), &hook(serving.client()).to_bytes(), 8);
    let begin = Instant::now();
    let (mut restarts, mut events) = (0, 0);
    let check = |ended: &Gateway, success: bool| {
        let said = ended.stderr_text();
        assert!(success && said.contains("every hook was answered") && !said.contains("WARN"), "{said}");
        let events = ended.events().len();
        assert!(events > 0, "it was not under load");
        events
    };
    while restarts < 6 || begin.elapsed() < Duration::from_secs(seconds) {
        let before = load.answered();
        wait_until("the load goes on", || load.answered() > before + 50);
        let next = match restarts % 3 {
            // The successor starts before, after, and while its predecessor ends.
            0 => {
                let next = start();
                sleep(Duration::from_millis(100));
                (serving.terminate(), next)
            }
            1 => (serving.terminate(), start()),
            _ => {
                serving.signal("TERM");
                let next = start();
                (serving.wait(), next)
            }
        };
        events += check(&serving, next.0.success());
        serving = next.1;
        restarts += 1;
    }
    let report = load.stop();
    let status = serving.terminate();
    events += check(&serving, status.success());
    assert_eq!(report.errors, Vec::<String>::new(), "in {restarts} restarts: {report:?}");
    assert_eq!(events, report.answered, "each hook has one event, in one of the processes");
    eprintln!(
        "{restarts} restarts, {} hooks on {} connections, no error",
        report.answered, report.connections
    );
}

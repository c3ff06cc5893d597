use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    net::TcpListener as TokioListener,
    time::{Instant, sleep, timeout},
};

use super::{
    connections::{CONNECTION_TIMEOUT, GRACE, HEAD_TIMEOUT, MAX_CONNECTIONS, serve_connection},
    *,
};

fn state() -> Arc<AdminState> {
    Arc::new(AdminState { metrics: Metrics::new(), readiness: Readiness::new() })
}

fn started(state: &Arc<AdminState>) -> (AdminServer, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (AdminServer::spawn(listener, Arc::clone(state)).unwrap(), address)
}

struct Answered {
    status: u16,
    head: String,
    body: String,
}

impl Answered {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// Sends the text as it is and reads until the server closes.
fn exchange(address: SocketAddr, request: &str) -> Answered {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answered { status, head: head.to_owned(), body: body.to_owned() }
}

fn request(address: SocketAddr, method: &str, target: &str) -> Answered {
    exchange(address, &format!("{method} {target} HTTP/1.1\r\nHost: admin\r\n\r\n"))
}

#[test]
fn every_path_answers_get_and_head_with_the_same_head() {
    let state = state();
    state.readiness.set_ready();
    let (server, address) = started(&state);
    let version = format!("{{\"name\":\"claimgate\",\"version\":\"{}\"}}\n", env!("CARGO_PKG_VERSION"));
    let cases = [
        ("/livez", 200, "text/plain; charset=utf-8", Some("ok\n")),
        ("/readyz", 200, "text/plain; charset=utf-8", Some("ready\n")),
        ("/readyz?verbose", 200, "text/plain; charset=utf-8", Some("ready\n")),
        ("/metrics", 200, "text/plain; version=0.0.4", None),
        ("/version", 200, "application/json", Some(version.as_str())),
        (
            "/",
            404,
            "text/plain; charset=utf-8",
            Some("not found; this port has /livez, /readyz, /metrics, /version\n"),
        ),
        ("/livez/", 404, "text/plain; charset=utf-8", None),
        ("/config", 404, "text/plain; charset=utf-8", None),
    ];
    for (target, status, content_type, body) in cases {
        let got = request(address, "GET", target);
        assert_eq!(got.status, status, "{target}");
        assert_eq!(got.header("content-type"), Some(content_type), "{target}");
        assert_eq!(got.header("content-length"), Some(got.body.len().to_string().as_str()), "{target}");
        assert_eq!(got.header("cache-control"), Some("no-store"), "{target}");
        assert_eq!(got.header("connection"), Some("close"), "{target}");
        if let Some(body) = body {
            assert_eq!(got.body, body, "{target}");
        }
        let head = request(address, "HEAD", target);
        assert_eq!((head.status, head.body.as_str()), (status, ""), "HEAD {target}");
        assert_eq!(head.header("content-type"), Some(content_type), "HEAD {target}");
        let length: usize = head.header("content-length").unwrap().parse().unwrap();
        // The page of metrics changes between two requests, by a digit or two.
        assert!(length.abs_diff(got.body.len()) < 64, "HEAD {target}: {length}");
    }
    server.stop();
}

#[test]
fn the_page_of_metrics_is_the_processs_own() {
    let state = state();
    state.metrics.panics().inc();
    let (server, address) = started(&state);
    let body = request(address, "GET", "/metrics").body;
    assert!(body.contains("\nclaimgate_panics_total 1\n"), "{body}");
    server.stop();
}

#[test]
fn another_method_is_refused_where_the_path_exists() {
    let (server, address) = started(&state());
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get"] {
        for target in ["/livez", "/readyz", "/metrics", "/version"] {
            let answered = request(address, method, target);
            assert_eq!(answered.status, 405, "{method} {target}");
            assert_eq!(answered.header("allow"), Some("GET, HEAD"), "{method} {target}");
        }
        assert_eq!(request(address, method, "/flows").status, 404, "{method}");
    }
    server.stop();
}

#[test]
fn a_body_is_not_waited_for() {
    let (server, address) = started(&state());
    let announced = "POST /livez HTTP/1.1\r\nHost: admin\r\nContent-Length: 1000000\r\n\r\n";
    assert_eq!(exchange(address, announced).status, 405);
    server.stop();
}

#[test]
fn readiness_is_told_as_it_is_and_life_is_not_readiness() {
    let state = state();
    let (server, address) = started(&state);
    let told = || {
        let ready = request(address, "GET", "/readyz");
        assert_eq!(request(address, "GET", "/livez").status, 200);
        (ready.status, ready.body)
    };
    assert_eq!(told(), (503, "starting\n".to_owned()));
    state.readiness.set_ready();
    assert_eq!(told(), (200, "ready\n".to_owned()));
    state.readiness.set_draining();
    assert_eq!(told(), (503, "draining\n".to_owned()));
    server.stop();
}

#[test]
fn after_the_stop_nobody_listens() {
    let (server, address) = started(&state());
    assert_eq!(request(address, "GET", "/livez").status, 200);
    server.stop();
    assert!(TcpStream::connect(address).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_end_is_cut_off() {
    for sent in ["", "GET /livez HTTP/1.1\r\nHost: a"] {
        let (mut client, server) = duplex(1024);
        let begun = Instant::now();
        client.write_all(sent.as_bytes()).await.unwrap();
        serve_connection(server, &state()).await;
        assert_eq!(begun.elapsed().as_secs(), HEAD_TIMEOUT.as_secs(), "{sent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_cut_off() {
    let (mut client, server) = duplex(64);
    let state = state();
    let begun = Instant::now();
    let ((), sent) = tokio::join!(
        serve_connection(server, &state),
        client.write_all(b"GET /metrics HTTP/1.1\r\nHost: admin\r\n\r\n")
    );
    sent.unwrap();
    assert_eq!(begun.elapsed().as_secs(), CONNECTION_TIMEOUT.as_secs());
}

#[tokio::test]
async fn one_connection_too_many_waits_for_a_place() {
    let listener = TokioListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(serve(listener, state(), std::future::pending()));
    let mut silent = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        silent.push(tokio::net::TcpStream::connect(address).await.unwrap());
    }
    let mut late = tokio::net::TcpStream::connect(address).await.unwrap();
    late.write_all(b"GET /livez HTTP/1.1\r\nHost: admin\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let too_early = timeout(Duration::from_millis(200), late.read_to_end(&mut answer)).await;
    assert!(too_early.is_err() && answer.is_empty(), "{answer:?}");
    drop(silent.pop());
    timeout(Duration::from_secs(3), late.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    server.abort();
}

#[tokio::test]
async fn a_shutdown_gives_an_open_connection_a_second_and_no_more() {
    let listener = TokioListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, state(), async { stopped.await.unwrap_or(()) }));
    let mut open = tokio::net::TcpStream::connect(address).await.unwrap();
    open.write_all(b"GET /readyz HTTP/1.1\r\n").await.unwrap();
    let mut stuck = tokio::net::TcpStream::connect(address).await.unwrap();
    stuck.write_all(b"GET").await.unwrap();
    sleep(Duration::from_millis(50)).await;
    let begun = Instant::now();
    stop.send(()).unwrap();
    open.write_all(b"Host: admin\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    open.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 503 "), "an open request is still answered");
    timeout(Duration::from_secs(10), server).await.unwrap().unwrap();
    assert!((GRACE..GRACE * 3).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

//! Each time-out of a connection, on paused time; and when an answer is the last one.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, DuplexStream, ReadBuf, duplex},
    time::{Instant, sleep},
};

use super::*;
use crate::{
    config::{self, Secrets},
    gateway::Snapshot,
    telemetry::{LogFormat, LogWriter, Metrics},
};

mod rest;

const CONFIG: &str = r#"
listen: { address: "127.0.0.1:0", first_byte_timeout: 5s, head_timeout: 10s, write_timeout: 20s, idle_timeout: 2m }
callers:
  entra: { basic: { username: entra, password: pw } }
connectors:
  api:
    endpoint_url: http://127.0.0.1:1/
    authentication: none
    claims_to_send: []
    claims_to_receive: []
user_flows:
  F:
    callers: [entra]
    postFederationSignup: { connector: api, on_failure: error }
"#;

/// Of a known caller, and no JSON, so that the answer needs no API: 415.
const REQUEST: &[u8] = b"POST /flows/F/postFederationSignup HTTP/1.1\r\nHost: h\r\n\
    Authorization: Basic ZW50cmE6cHc=\r\nContent-Length: 0\r\n\r\n";
/// Of nobody: 404.
const NOBODYS: &[u8] = b"GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n";

fn port(listen: &str) -> Port {
    let text = CONFIG.replace("idle_timeout: 2m", listen);
    let config = config::read("test.yaml", &text, Secrets::Load).config.unwrap();
    let metrics = Metrics::new();
    let (_log, logs) = LogWriter::spawn(io::sink(), LogFormat::Json, metrics.log_lines_dropped()).unwrap();
    let snapshot = Arc::new(Snapshot::new(config, metrics).unwrap());
    let worker = Arc::new(Worker::new(snapshot, logs.access_log()));
    Port { worker, ending: Arc::default() }
}

/// The client's end of a served connection, and the task that serves it.
fn connect(port: &Port) -> DuplexStream {
    let (client, server) = duplex(64 * 1024);
    tokio::spawn(serve(server, None, port.clone()));
    client
}

/// The next answer, whole.
async fn answer(client: &mut DuplexStream) -> String {
    let mut text = String::new();
    loop {
        let byte = client.read_u8().await.expect("an answer comes");
        text.push(char::from(byte));
        if let Some(head) = text.strip_suffix("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.and_then(|length| length.parse().ok()).expect("it has a length")];
            client.read_exact(&mut body).await.expect("the body comes");
            return text;
        }
    }
}

/// What comes until the end, and how long that takes.
async fn rest(client: &mut DuplexStream) -> (String, Duration) {
    let begin = Instant::now();
    let mut bytes = Vec::new();
    let end = timeout(seconds(3600), client.read_to_end(&mut bytes)).await.expect("the connection ends");
    end.expect("the end is a clean one");
    (String::from_utf8(bytes).unwrap(), begin.elapsed())
}

async fn ask(client: &mut DuplexStream) -> String {
    client.write_all(REQUEST).await.expect("the connection is open");
    answer(client).await
}

/// The timer has milliseconds, and rounds up.
fn is_about(seen: Duration, expected: Duration) -> bool {
    (expected..expected + Duration::from_millis(5)).contains(&seen)
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_closed_after_first_byte_timeout_without_a_word() {
    let (said, took) = rest(&mut connect(&port("idle_timeout: 2m"))).await;
    assert_eq!(said, "");
    assert!(is_about(took, seconds(5)), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn who_has_shown_no_good_credential_keeps_its_connection_for_first_byte_timeout_only() {
    let mut client = connect(&port("idle_timeout: 2m"));
    for _ in 0..2 {
        client.write_all(NOBODYS).await.unwrap();
        assert!(answer(&mut client).await.starts_with("HTTP/1.1 404"));
        sleep(seconds(4)).await;
    }
    assert!(ask(&mut client).await.starts_with("HTTP/1.1 415"));
    client.write_all(NOBODYS).await.unwrap();
    answer(&mut client).await;
    assert!(is_about(rest(&mut client).await.1, seconds(120)), "known is known");
    let mut client = connect(&port("idle_timeout: 2m"));
    client.write_all(NOBODYS).await.unwrap();
    answer(&mut client).await;
    let (said, took) = rest(&mut client).await;
    assert!(said.is_empty() && is_about(took, seconds(5)), "{said} {took:?}");
    let mut client = connect(&port("idle_timeout: 2s"));
    client.write_all(NOBODYS).await.unwrap();
    answer(&mut client).await;
    assert!(is_about(rest(&mut client).await.1, seconds(2)), "and no longer than others");
}

#[tokio::test(start_paused = true)]
async fn a_head_has_head_timeout_from_its_first_byte_on_also_byte_by_byte_and_on_a_kept_connection() {
    let port = port("idle_timeout: 2m");
    for kept in [false, true] {
        let mut client = connect(&port);
        if kept {
            ask(&mut client).await;
            sleep(seconds(60)).await;
        } else {
            sleep(seconds(4)).await;
        }
        let begin = Instant::now();
        for byte in &REQUEST[..9] {
            client.write_u8(*byte).await.unwrap();
            sleep(seconds(1)).await;
        }
        let (said, _) = rest(&mut client).await;
        assert_eq!(said, "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        assert!(is_about(begin.elapsed(), seconds(10)), "{:?}", begin.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_slow_but_in_time_is_answered() {
    let mut client = connect(&port("idle_timeout: 2m"));
    let pause = seconds(9) / u32::try_from(REQUEST.len()).unwrap();
    for byte in REQUEST {
        client.write_u8(*byte).await.unwrap();
        sleep(pause).await;
    }
    assert!(answer(&mut client).await.starts_with("HTTP/1.1 415 "));
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_may_idle_for_idle_timeout_after_each_answer_and_is_closed_without_a_word() {
    let mut client = connect(&port("idle_timeout: 2m"));
    for _ in 0..3 {
        ask(&mut client).await;
        sleep(seconds(119)).await;
    }
    ask(&mut client).await;
    let (said, took) = rest(&mut client).await;
    assert_eq!(said, "");
    assert!(is_about(took, seconds(120)), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_refused_body_is_no_head_and_the_pause_after_it_an_idle_one() {
    let mut client = connect(&port("idle_timeout: 2m"));
    ask(&mut client).await;
    client.write_all(b"POST /nowhere HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n").await.unwrap();
    assert!(answer(&mut client).await.starts_with("HTTP/1.1 404 "));
    for byte in b"body" {
        sleep(Duration::from_millis(200)).await;
        client.write_u8(*byte).await.unwrap();
    }
    sleep(seconds(60)).await;
    assert!(ask(&mut client).await.starts_with("HTTP/1.1 415 "));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_taken_ends_the_connection_after_write_timeout() {
    let port = port("idle_timeout: 2m");
    let (mut client, server) = duplex(64);
    let task = tokio::spawn(serve(server, None, port.clone()));
    client.write_all(REQUEST).await.unwrap();
    let begin = Instant::now();
    // A byte now and then buys no time.
    for _ in 0..15 {
        client.read_u8().await.unwrap();
        sleep(seconds(1)).await;
    }
    assert_eq!(port.ending.hooks(), 1, "its answer has not left");
    timeout(seconds(3600), task).await.expect("it ends").unwrap();
    assert!(is_about(begin.elapsed(), seconds(20)), "{:?}", begin.elapsed());
    assert_eq!(port.ending.hooks(), 0);
}

/// A stream that cannot be closed in order, such as one with TLS whose client reads nothing.
struct NeverShut(DuplexStream);

impl AsyncRead for NeverShut {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for NeverShut {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn closing_in_order_has_write_timeout_too_and_is_no_open_hook() {
    let port = port("idle_timeout: 2m");
    port.ending.begin();
    let (mut client, server) = duplex(4096);
    let task = tokio::spawn(serve(NeverShut(server), None, port.clone()));
    ask(&mut client).await;
    let begin = Instant::now();
    sleep(seconds(1)).await;
    assert_eq!(port.ending.hooks(), 0);
    timeout(seconds(3600), task).await.expect("it ends").unwrap();
    assert!(is_about(begin.elapsed(), seconds(20)), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn from_its_age_on_the_next_answer_is_the_last_and_age_alone_closes_nothing() {
    let port = port("idle_timeout: 1h, max_age: 10m");
    let mut client = connect(&port);
    // A tenth less than the age is the least; a tenth more is the most.
    for _ in 0..8 {
        assert!(!ask(&mut client).await.contains("connection: close"));
        sleep(seconds(60)).await;
    }
    sleep(seconds(59)).await;
    assert!(!ask(&mut client).await.contains("connection: close"), "after 8 min 59 s");
    sleep(seconds(122 + 10 * 60)).await;
    assert!(ask(&mut client).await.contains("connection: close"), "it is still there, and older than 11 min");
    let (said, took) = rest(&mut client).await;
    assert_eq!((said.as_str(), took), ("", Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn at_the_end_an_idle_connection_is_kept_and_its_next_answer_is_the_last() {
    let port = port("idle_timeout: 2m");
    let mut client = connect(&port);
    assert!(!ask(&mut client).await.contains("connection: close"));
    port.ending.begin();
    sleep(seconds(100)).await;
    assert!(ask(&mut client).await.contains("connection: close"));
    assert_eq!(rest(&mut client).await, (String::new(), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_head_has_room_for_sixteen_kibibytes_and_a_hundred_lines() {
    let port = port("idle_timeout: 2m");
    let head = |lines: usize, filler: usize| {
        let host = "GET /nowhere HTTP/1.1\r\nHost: h\r\n".to_owned();
        host + &"A: b\r\n".repeat(lines - 2) + "C: " + &"d".repeat(filler) + "\r\n\r\n"
    };
    let empty = head(2, 0).len();
    for (head, status) in [
        (head(100, 1), "404"),
        (head(101, 1), "431"),
        (head(2, MAX_HEAD - empty), "404"),
        (head(2, MAX_HEAD - empty + 1), "431"),
    ] {
        let mut client = connect(&port);
        client.write_all(head.as_bytes()).await.unwrap();
        assert!(answer(&mut client).await.starts_with(&format!("HTTP/1.1 {status} ")), "{}", head.len());
    }
}

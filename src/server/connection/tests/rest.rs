//! A connection at rest, which has no HTTP state: nobody can tell by what it answers, or when.

use std::task::ready;

use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);

/// Before, at and after the moment of rest, and long after.
const PAUSES: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_millis(999),
    seconds(1),
    Duration::from_millis(1001),
    seconds(3),
    seconds(9),
];

/// What two answers to the same request have in common.
fn lasting(answer: &str) -> String {
    let changes = |line: &&str| line.starts_with("date: ") || line.starts_with("x-request-id: ");
    answer.lines().filter(|line| !changes(line)).collect::<Vec<_>>().join("\n")
}

async fn expect(client: &mut DuplexStream, expected: &str, case: &str) {
    assert_eq!(lasting(&answer(client).await), expected, "{case}");
}

#[tokio::test(start_paused = true)]
async fn a_request_split_at_any_byte_before_and_after_the_rest_is_answered_as_one_that_is_not() {
    let port = port("idle_timeout: 2m");
    let expected = lasting(&ask(&mut connect(&port)).await);
    for split in 0..=REQUEST.len() {
        let mut client = connect(&port);
        let (begin, end) = REQUEST.split_at(split);
        for pause in PAUSES {
            let case = format!("split at {split}, paused for {pause:?}");
            // Its beginning comes with the request before it, and waits among what was read.
            client.write_all(&[REQUEST, begin].concat()).await.unwrap();
            expect(&mut client, &expected, &case).await;
            sleep(pause).await;
            client.write_all(end).await.unwrap();
            expect(&mut client, &expected, &case).await;
            // It comes by itself, and wakes a connection at rest.
            sleep(pause).await;
            client.write_all(begin).await.unwrap();
            sleep(pause).await;
            client.write_all(end).await.unwrap();
            expect(&mut client, &expected, &case).await;
        }
        client.shutdown().await.unwrap();
        assert_eq!(rest(&mut client).await, (String::new(), Duration::ZERO), "none was answered twice");
    }
}

#[tokio::test(start_paused = true)]
async fn what_wakes_it_may_be_longer_than_what_is_read_at_once_and_many_requests() {
    let port = port("idle_timeout: 2m");
    let mut client = connect(&port);
    let expected = lasting(&ask(&mut client).await);
    // More than hyper answers before it lets other tasks run.
    for requests in [2, 40, 200] {
        sleep(seconds(3)).await;
        client.write_all(&REQUEST.repeat(requests)).await.unwrap();
        for number in 0..requests {
            expect(&mut client, &expected, &format!("{number} of {requests}")).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_is_refused_as_on_a_connection_that_never_rests() {
    let port = port("idle_timeout: 2m");
    for (bytes, status) in [(&b"no request\r\n\r\n"[..], "400"), (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "")] {
        let mut said = Vec::new();
        for pause in [Duration::ZERO, seconds(3)] {
            let mut client = connect(&port);
            ask(&mut client).await;
            sleep(pause).await;
            client.write_all(bytes).await.unwrap();
            let (answer, took) = rest(&mut client).await;
            assert_eq!(took, Duration::ZERO);
            said.push(lasting(&answer));
        }
        assert_eq!(said[0], said[1]);
        assert!(said[0].is_empty() == status.is_empty() && said[0].contains(status), "{said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_hangs_up_ends_it_at_once() {
    let port = port("idle_timeout: 2m");
    for (pause, begun) in [(seconds(0), 0), (seconds(3), 0), (seconds(3), 5)] {
        let (mut client, server) = duplex(4096);
        let task = tokio::spawn(serve(server, None, port.clone()));
        // With the beginning of another.
        client.write_all(&[REQUEST, &REQUEST[..begun]].concat()).await.unwrap();
        answer(&mut client).await;
        sleep(pause).await;
        let gone = Instant::now();
        drop(client);
        timeout(seconds(600), task).await.expect("it ends").unwrap();
        assert!(gone.elapsed() <= MILLISECOND, "{:?} after {pause:?}", gone.elapsed());
    }
}

/// A stream whose end is an error, said once, as a reset is.
struct Reset {
    stream: DuplexStream,
    said: bool,
}

impl AsyncRead for Reset {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.said {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.said = buffer.filled().len() == before;
        Poll::Ready(if self.said { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) })
    }
}

impl AsyncWrite for Reset {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_ends_it_at_once() {
    let port = port("idle_timeout: 2m");
    for pause in [seconds(0), seconds(3)] {
        let (mut client, stream) = duplex(4096);
        let task = tokio::spawn(serve(Reset { stream, said: false }, None, port.clone()));
        ask(&mut client).await;
        sleep(pause).await;
        let gone = Instant::now();
        drop(client);
        timeout(seconds(600), task).await.expect("it ends").unwrap();
        assert!(gone.elapsed() <= MILLISECOND, "{:?} after {pause:?}", gone.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_late_and_slowly_outlives_the_moment_of_rest() {
    let port = port("idle_timeout: 2m");
    let mut client = connect(&port);
    ask(&mut client).await;
    sleep(seconds(3)).await;
    let headers = "\r\nContent-Type: application/json\r\nContent-Length: 4\r\n";
    let head = String::from_utf8_lossy(REQUEST).replace("\r\nContent-Length: 0\r\n", headers);
    client.write_all(head.as_bytes()).await.unwrap();
    for byte in b"body" {
        sleep(Duration::from_millis(900)).await;
        client.write_u8(*byte).await.unwrap();
    }
    assert!(answer(&mut client).await.starts_with("HTTP/1.1 400 "), "it is no JSON");
    sleep(seconds(3)).await;
    assert!(ask(&mut client).await.starts_with("HTTP/1.1 415 "));
}

#[tokio::test]
async fn what_it_keeps_at_rest_is_small() {
    let port = port("idle_timeout: 2m");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let serving = serve_accepted(stream, port);
    assert!(size_of_val(&serving) < 1536, "{} bytes", size_of_val(&serving));
}

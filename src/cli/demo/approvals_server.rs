//! The sample approval system as a web API, secured as Microsoft's samples are: Basic, and a function key in the query.
//!
//! It keeps the last exchanges, so that the demo can show what really left and what really came back.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use percent_encoding::percent_decode_str;
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet, time};

use crate::config::Secret;

use super::approvals::{Approvals, REQUEST_APPROVAL};

/// How many exchanges it keeps.
const MAX_EXCHANGES: usize = 256;
/// Connections at a time; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 64;
/// Largest body of a request, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// Longest time for a head, and between two requests of a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time for a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// One request and its answer. It holds claims, so it has no `Debug`.
#[derive(Clone)]
pub struct Exchange {
    /// The body as it arrived.
    pub sent_body: Bytes,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The body of the answer as it left.
    pub answer_body: Bytes,
}

/// The running system.
pub struct ApprovalsServer {
    /// The whole value of the Authorization header.
    authorization: Secret,
    code: Secret,
    approvals: Mutex<Approvals>,
    /// The newest last, each with its request id.
    exchanges: Mutex<VecDeque<(String, Exchange)>>,
}

impl ApprovalsServer {
    /// Takes these credentials: Basic everywhere, and `code` where an approval is requested.
    pub fn new(username: &str, password: &str, code: &str) -> Self {
        let basic = BASE64_STANDARD.encode(format!("{username}:{password}"));
        Self {
            authorization: Secret::new(format!("Basic {basic}").into_bytes()),
            code: Secret::new(code.as_bytes().to_vec()),
            approvals: Mutex::new(Approvals::new()),
            exchanges: Mutex::default(),
        }
    }

    /// Serves until the future is dropped; then every connection is closed.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let permit = Arc::clone(&permits).acquire_owned().await.expect("the semaphore is never closed");
            while connections.try_join_next().is_some() {}
            let Ok((stream, _)) = listener.accept().await else {
                // Out of file descriptors, most likely: trying again at once would only burn the CPU.
                time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            // A small answer should leave at once; where the option cannot be set, it leaves a little later.
            stream.set_nodelay(true).ok();
            let server = Arc::clone(&self);
            connections.spawn(async move {
                let service = service_fn(|request| server.answer(request));
                let mut http = http1::Builder::new();
                http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
                // An error is the peer's: it hung up or did not speak HTTP.
                http.serve_connection(TokioIo::new(stream), service).await.ok();
                drop(permit);
            });
        }
    }

    /// What a reviewer does: grants or refuses a waiting request. Returns whether one was waiting.
    pub fn review(&self, email: &str, grant: bool) -> bool {
        self.approvals().review(email, grant)
    }

    /// The last exchange with this `X-Request-ID`, if it is one of the newest 256. A request with wrong credentials is
    /// none.
    pub fn exchange(&self, request_id: &str) -> Option<Exchange> {
        self.exchanges().iter().rev().find(|(id, _)| id == request_id).map(|(_, exchange)| exchange.clone())
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        if !self.is_authenticated(&request) {
            return Ok(empty(StatusCode::UNAUTHORIZED));
        }
        if request.method() != Method::POST {
            let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            return Ok(response);
        }
        let path = request.uri().path().to_owned();
        let id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
        let body =
            match time::timeout(BODY_TIMEOUT, Limited::new(request.into_body(), MAX_BODY).collect()).await {
                Ok(Ok(body)) => body.to_bytes(),
                Ok(Err(_)) => return Ok(empty(StatusCode::BAD_REQUEST)),
                Err(_) => return Ok(empty(StatusCode::REQUEST_TIMEOUT)),
            };
        let (status, answer) = self.approvals().handle(&path, &body);
        let answer = Bytes::from(answer);
        if let Some(id) = id {
            self.keep(id, Exchange { sent_body: body, status, answer_body: answer.clone() });
        }
        let mut response = Response::new(Full::new(answer));
        *response.status_mut() =
            StatusCode::from_u16(status).expect("the sample system answers with valid statuses");
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }

    fn is_authenticated<B>(&self, request: &Request<B>) -> bool {
        let is = |seen: &[u8], secret: &Secret| verify_slices_are_equal(seen, secret.expose()).is_ok();
        let basic = one(request.headers().get_all(header::AUTHORIZATION).iter())
            .is_some_and(|value| is(value.as_bytes(), &self.authorization));
        if request.uri().path() != REQUEST_APPROVAL {
            return basic;
        }
        let pairs = request.uri().query().unwrap_or_default().split('&');
        let code = one(pairs.filter_map(|pair| pair.strip_prefix("code=")))
            .is_some_and(|code| is(&percent_decode_str(code).collect::<Vec<u8>>(), &self.code));
        basic && code
    }

    fn keep(&self, id: String, exchange: Exchange) {
        let mut exchanges = self.exchanges();
        if exchanges.len() == MAX_EXCHANGES {
            exchanges.pop_front();
        }
        exchanges.push_back((id, exchange));
    }

    fn approvals(&self) -> MutexGuard<'_, Approvals> {
        self.approvals.lock().expect("the sample system does not panic")
    }

    fn exchanges(&self) -> MutexGuard<'_, VecDeque<(String, Exchange)>> {
        self.exchanges.lock().expect("nothing panics while it holds the exchanges")
    }
}

/// The only value; of two, neither counts.
fn one<T>(mut values: impl Iterator<Item = T>) -> Option<T> {
    values.next().filter(|_| values.next().is_none())
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
        task::JoinHandle,
    };

    use super::*;

    const BASIC: &str = "Authorization: Basic Y2xhaW1nYXRlOnA6dw==\r\n";
    const CHECK: &str = "/api/approvals/checkstatus";

    async fn start() -> (Arc<ApprovalsServer>, SocketAddr, JoinHandle<()>) {
        let server = Arc::new(ApprovalsServer::new("claimgate", "p:w", "k+/="));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        (Arc::clone(&server), address, tokio::spawn(server.serve(listener)))
    }

    /// Sends one request and reads one answer with Content-Length; status and body.
    async fn exchange(stream: &mut TcpStream, line: &str, headers: &str, body: &str) -> (u16, String) {
        let length = body.len();
        let request =
            format!("{line} HTTP/1.1\r\nHost: h\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        loop {
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "closed");
            let text = std::str::from_utf8(&bytes).unwrap();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.split_once("content-length: ").unwrap().1.lines().next().unwrap();
            if body.len() == length.parse::<usize>().unwrap() {
                return (head[9..12].parse().unwrap(), body.to_owned());
            }
        }
    }

    #[tokio::test]
    async fn both_credentials_are_needed_and_one_of_each() {
        let (_, address, _) = start().await;
        let twice = format!("{BASIC}{BASIC}");
        let table = [
            (CHECK, BASIC, 200),
            (CHECK, "", 401),
            (CHECK, "Authorization: Basic Y2xhaW1nYXRlOnA6eA==\r\n", 401),
            (CHECK, &twice, 401),
            ("/api/approvals?code=k%2B%2F%3D", BASIC, 400),
            ("/api/approvals?a=b&code=k+/=", BASIC, 400),
            ("/api/approvals?code=k%2B%2F%3D", "", 401),
            ("/api/approvals", BASIC, 401),
            ("/api/approvals?code=k", BASIC, 401),
            ("/api/approvals?xcode=k%2B%2F%3D", BASIC, 401),
            ("/api/approvals?code=k%2B%2F%3D&code=k%2B%2F%3D", BASIC, 401),
            ("/elsewhere", BASIC, 404),
        ];
        // One connection for all: it is kept, also after a refusal.
        let mut stream = TcpStream::connect(address).await.unwrap();
        for (target, headers, expected) in table {
            let (status, body) = exchange(&mut stream, &format!("POST {target}"), headers, "{}").await;
            assert_eq!((status, body.is_empty()), (expected, expected == 401), "{target} {headers}");
        }
        let (status, _) = exchange(&mut stream, &format!("GET {CHECK}"), BASIC, "").await;
        assert_eq!(status, 405);
    }

    #[tokio::test]
    async fn an_exchange_is_kept_as_it_was() {
        let (server, address, _) = start().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let body = r#"{ "email":"jane@contoso.com" }"#;
        let headers = format!("{BASIC}X-Request-ID: one\r\n");
        let target = "POST /api/approvals?code=k%2B%2F%3D";
        let (status, answer) = exchange(&mut stream, target, &headers, body).await;
        let kept = server.exchange("one").unwrap();
        assert_eq!((kept.status, kept.sent_body.as_ref()), (status, body.as_bytes()));
        assert_eq!(kept.answer_body, answer);
        assert!(answer.contains("now waiting"));
        assert!(server.review("jane@contoso.com", true));
        let (_, again) = exchange(&mut stream, target, &headers, body).await;
        assert!(again.contains("Continue"));
        assert_eq!(server.exchange("one").unwrap().answer_body, again, "the last one of the same id");
        let refused = exchange(&mut stream, &format!("POST {CHECK}"), "X-Request-ID: two\r\n", body).await;
        assert_eq!(refused.0, 401);
        assert!(server.exchange("two").is_none());
    }

    #[test]
    fn the_newest_exchanges_are_kept() {
        let server = ApprovalsServer::new("a", "b", "c");
        for number in 0..=MAX_EXCHANGES {
            let exchange = Exchange { sent_body: Bytes::new(), status: 200, answer_body: Bytes::new() };
            server.keep(number.to_string(), exchange);
        }
        assert!(server.exchange("0").is_none());
        assert!(server.exchange("1").is_some());
        assert!(server.exchange(&MAX_EXCHANGES.to_string()).is_some());
    }

    #[tokio::test]
    async fn a_body_is_limited_in_size() {
        let (_, address, _) = start().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let body = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_BODY));
        assert_eq!(exchange(&mut stream, &format!("POST {CHECK}"), BASIC, &body).await.0, 400);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_limited_in_time() {
        let (_, address, _) = start().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let begin = time::Instant::now();
        let head = format!("POST {CHECK} HTTP/1.1\r\nHost: h\r\n{BASIC}Content-Length: 2\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 408");
        assert!((BODY_TIMEOUT..HEAD_TIMEOUT).contains(&begin.elapsed()));
    }

    #[tokio::test]
    async fn dropping_it_closes_its_connections() {
        let (_, address, task) = start().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        assert_eq!(exchange(&mut stream, &format!("POST {CHECK}"), BASIC, "{}").await.0, 200);
        task.abort();
        assert!(!matches!(stream.read(&mut [0]).await, Ok(1..)));
        assert!(TcpStream::connect(address).await.is_err());
    }
}

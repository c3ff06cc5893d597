//! Hooks over kept connections.

use std::{
    cell::Cell,
    io::{self, Read as _, Write as _},
    net::SocketAddr,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::future::join_all;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    api::Api,
    body::Shape,
    gateway::{CALLER, Gateway, HOST, Setup},
};

/// An API on a free port.
pub(crate) fn api() -> Api {
    Api::start(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port is free")
}

/// The same, which gives this one of its answers.
pub(crate) fn api_that_answers(name: &str) -> Api {
    let api = api();
    let mut stream = std::net::TcpStream::connect(api.address()).expect("the API listens");
    let request = format!("PUT /-/answer/{name} HTTP/1.1\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the API listens");
    let mut said = String::new();
    stream.read_to_string(&mut said).expect("the API answers");
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    api
}

/// Runs what drives the program.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(future)
}

/// The request of a hook.
pub(crate) fn request(flow: &str, body: &str, password: &str) -> Vec<u8> {
    let credential = BASE64_STANDARD.encode(format!("{}:{password}", CALLER.0));
    let length = body.len();
    format!(
        "POST /flows/{flow}/postAttributeCollection HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Basic {credential}\r\n\
         Content-Type: application/json; charset=utf-8\r\nAccept: application/json\r\nContent-Length: {length}\r\n\r\n\
         {body}"
    )
    .into_bytes()
}

/// A kept connection.
pub(crate) struct Connection<S = TcpStream> {
    stream: S,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Sends these bytes and expects nothing.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends a request and reads its answer, head and body.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> io::Result<&[u8]> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if length(&self.buffer).is_some_and(|length| self.buffer.len() >= length) {
                return Ok(&self.buffer);
            }
        }
    }

    /// Sends a hook whose answer must be `Continue`.
    pub(crate) async fn continues(&mut self, request: &[u8]) {
        let answer = self.exchange(request).await.expect("the hook is answered");
        let text = String::from_utf8_lossy(answer);
        assert!(text.starts_with("HTTP/1.1 200 ") && text.contains(r#""action":"Continue""#), "{text}");
    }
}

/// The answer in a word: its decision, or its status.
pub(crate) fn answer(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let decision = text.split(r#""action":""#).nth(1).and_then(|rest| rest.split('"').next());
    let status = text.split(' ').nth(1).unwrap_or("no answer");
    decision.unwrap_or(status).to_owned()
}

/// Whether the gateway closes the connection behind this answer, as it does with old ones.
pub(crate) fn is_last(answer: &[u8]) -> bool {
    String::from_utf8_lossy(answer).contains("connection: close")
}

/// The length of the answer that begins here, once its head is complete.
fn length(bytes: &[u8]) -> Option<usize> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut fields);
    let Ok(httparse::Status::Complete(body)) = head.parse(bytes) else { return None };
    let field = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"))?;
    Some(body + std::str::from_utf8(field.value).ok()?.parse::<usize>().ok()?)
}

/// Hooks of this shape, at the user flows in turn, each of another user: one that was sent before would be answered by
/// what is remembered.
pub(crate) struct Hooks {
    shape: Shape,
    flows: usize,
    stride: usize,
    sent: Cell<u64>,
}

impl Hooks {
    pub(crate) fn new(shape: Shape, flows: usize) -> Self {
        Self { shape, flows, stride: 1, sent: Cell::new(0) }
    }

    /// At every `stride`th user flow alone.
    pub(crate) fn with_stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// The next one.
    pub(crate) fn next(&self) -> Vec<u8> {
        let number = self.sent.replace(self.sent.get() + 1);
        let flow = usize::try_from(number).expect("it is small") * self.stride % self.flows;
        request(&Setup::flow(flow), &self.shape.body(number), CALLER.1)
    }

    /// Opens so many connections, with a hook over each.
    pub(crate) async fn open(&self, address: SocketAddr, count: usize) -> Vec<Connection> {
        let mut connections = Vec::new();
        for _ in 0..count {
            let mut connection = Connection::open(address).await.expect("there is room for the connection");
            connection.continues(&self.next()).await;
            connections.push(connection);
        }
        connections
    }

    /// Sends so many over each connection, those of `at_a_time` at once.
    pub(crate) async fn send<S>(&self, connections: &mut [Connection<S>], each: usize, at_a_time: usize)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let share = connections.len().div_ceil(at_a_time);
        join_all(connections.chunks_mut(share).map(async |connections| {
            for _ in 0..each {
                for connection in connections.iter_mut() {
                    connection.continues(&self.next()).await;
                }
            }
        }))
        .await;
    }
}

/// Shows that what is measured is what it is taken for: each hook reaches the API, and is answered by it.
pub(crate) fn try_out() {
    let api = api();
    let gateway = Gateway::start(&Setup { connectors: 3, ..Setup::new(api.address()) }, 1);
    let hooks = Hooks::new(Shape::SIGN_UP, 3);
    assert_eq!(Shape::SIGN_UP.body(7).len(), 1_230);
    block_on(async {
        let mut connections = hooks.open(gateway.address, 4).await;
        hooks.send(&mut connections, 2, 2).await;
    });
    assert_eq!(api.hooks(), 12);
}

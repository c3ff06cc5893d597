//! A constant load of one hook, by clients that count every error.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime,
    time::{sleep, timeout},
};

use super::wire::{self, Head};

/// Longest wait for one answer, connecting included: long enough for a restart on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);
/// Between two hooks of one client, so that the load leaves the processor some room.
const PAUSE: Duration = Duration::from_millis(3);
const CONTINUE: &[u8] = br#"{"version":"1.0.0","action":"Continue"}"#;

/// Clients at work.
pub(crate) struct Load {
    shared: Arc<Shared>,
    thread: JoinHandle<Vec<String>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    answered: AtomicUsize,
    connections: AtomicUsize,
}

/// What clients saw.
#[derive(Debug)]
pub(crate) struct Report {
    /// Hooks that were answered with `Continue`.
    pub(crate) answered: usize,
    /// Connections that were opened.
    pub(crate) connections: usize,
    /// Everything else.
    pub(crate) errors: Vec<String>,
}

impl Load {
    /// Lets so many clients send this request again and again. Half of them keep their connections until an answer says
    /// `Connection: close`, as an identity provider does; the others open one for each hook.
    pub(crate) fn start(address: SocketAddr, request: &[u8], clients: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let (at_work, request): (_, Arc<[u8]>) = (Arc::clone(&shared), request.into());
        let thread = std::thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be made").block_on(async {
                let client =
                    |number| client(address, Arc::clone(&request), number % 2 == 0, Arc::clone(&at_work));
                let tasks: Vec<_> = (0..clients).map(|number| tokio::spawn(client(number))).collect();
                let mut errors = Vec::new();
                for task in tasks {
                    errors.extend(task.await.expect("a client does not panic"));
                }
                errors
            })
        });
        Self { shared, thread }
    }

    /// Hooks that were answered so far.
    pub(crate) fn answered(&self) -> usize {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Lets each client end after its answer.
    pub(crate) fn stop(self) -> Report {
        self.shared.stop.store(true, Ordering::Relaxed);
        let errors = self.thread.join().expect("the clients do not panic");
        let (answered, connections) = (&self.shared.answered, &self.shared.connections);
        Report {
            answered: answered.load(Ordering::Relaxed),
            connections: connections.load(Ordering::Relaxed),
            errors,
        }
    }
}

async fn client(address: SocketAddr, request: Arc<[u8]>, keeps: bool, shared: Arc<Shared>) -> Vec<String> {
    let mut errors = Vec::new();
    let mut kept = None;
    while !shared.stop.load(Ordering::Relaxed) {
        let new = kept.is_none();
        match timeout(LIMIT, exchange(address, kept.take(), &request, &shared)).await {
            Ok(Ok((stream, goes_on))) => {
                shared.answered.fetch_add(1, Ordering::Relaxed);
                kept = (keeps && goes_on).then_some(stream);
            }
            Ok(Err(error)) => errors.push(format!("{error} (new connection: {new})")),
            Err(_) => errors.push(format!("no answer within {LIMIT:?} (new connection: {new})")),
        }
        sleep(PAUSE).await;
    }
    errors
}

/// One hook; whether the connection may carry another.
async fn exchange(
    address: SocketAddr,
    kept: Option<TcpStream>,
    request: &[u8],
    shared: &Shared,
) -> io::Result<(TcpStream, bool)> {
    let mut stream = if let Some(stream) = kept {
        stream
    } else {
        shared.connections.fetch_add(1, Ordering::Relaxed);
        TcpStream::connect(address).await?
    };
    stream.write_all(request).await?;
    let mut bytes = Vec::new();
    loop {
        if let Some(length) = wire::head_length(&bytes) {
            let head = Head::parse(&bytes[..length]).map_err(io::Error::other)?;
            let body = head.content_length().map_err(io::Error::other)?.unwrap_or(0);
            if bytes.len() >= length + body {
                if !head.start_line.starts_with("HTTP/1.1 200 ") || &bytes[length..] != CONTINUE {
                    return Err(io::Error::other(String::from_utf8_lossy(&bytes).into_owned()));
                }
                let connection = head.one("connection").map_err(io::Error::other)?;
                return Ok((stream, connection.is_none()));
            }
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::Error::other(format!("closed after {} bytes of an answer", bytes.len())));
        }
    }
}

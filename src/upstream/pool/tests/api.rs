//! An API that does as it is told.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    net::{TcpListener, TcpStream},
    time::Instant,
};

use crate::{
    tls::ClientTls,
    upstream::{IDLE_TIMEOUT, Lookups, MAX_AGE, Target, Trust, Until},
};

pub(super) const REQUEST: &[u8] = b"POST / HTTP/1.1\r\nHost: api.example\r\nContent-Length: 2\r\n\r\n{}";

/// A listening API that counts its connections.
pub(super) struct Api {
    port: u16,
    accepted: Arc<AtomicUsize>,
}

impl Api {
    /// Runs `script` for each connection, with the number of it from 0.
    pub(super) async fn start<F>(script: impl Fn(usize, TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepted = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&accepted);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(script(counter.fetch_add(1, Ordering::Relaxed), tcp));
            }
        });
        Self { port, accepted }
    }

    /// An API that answers each request with the number of its connection.
    pub(super) async fn counting() -> Self {
        Self::start(|number, mut tcp| async move {
            while read_request(&mut tcp).await {
                write(&mut tcp, &ok(&number.to_string())).await;
            }
        })
        .await
    }

    pub(super) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    pub(super) fn target(&self, tls: Option<ClientTls>) -> Target {
        Target {
            host: "127.0.0.1".into(),
            port: self.port,
            lookups: Lookups::default(),
            trust: Trust::default(),
            tls,
            connect_timeout: Duration::from_secs(5),
            max_answer: 1024,
            max_idle: 4,
            idle_timeout: IDLE_TIMEOUT,
            max_age: MAX_AGE,
        }
    }
}

/// An answer with `body`.
pub(super) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Whether a whole [`REQUEST`] came before the end of the stream.
pub(super) async fn read_request(io: &mut (impl AsyncRead + Unpin)) -> bool {
    let mut request = [0; REQUEST.len()];
    let whole = io.read_exact(&mut request).await.is_ok();
    assert!(!whole || request == REQUEST, "another request than was sent");
    whole
}

/// The peer may be gone; the test sees that at its own end.
pub(super) async fn write(io: &mut (impl tokio::io::AsyncWrite + Unpin), text: &str) {
    use tokio::io::AsyncWriteExt as _;
    let written = async {
        io.write_all(text.as_bytes()).await?;
        io.flush().await
    };
    drop(written.await);
}

/// Far more time than any of these exchanges takes.
pub(super) fn soon() -> Until {
    let now = Instant::now();
    Until { attempt: now + Duration::from_secs(8), deadline: now + Duration::from_secs(9) }
}

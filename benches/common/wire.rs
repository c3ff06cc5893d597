//! The two ends that a gateway stands between, each as cheap as it can be: bytes out, bytes in.

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// An API on the runtime of its caller, whose answer is always the same.
///
/// It reads the first request of a connection as HTTP, and expects every later one to be as long as that.
pub(crate) struct Api {
    /// Where it listens.
    pub(crate) port: u16,
    seen: watch::Receiver<Seen>,
}

/// What came to an [`Api`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Connections.
    pub(crate) connections: usize,
    /// The first request of the latest of them.
    pub(crate) request: Vec<u8>,
}

impl Api {
    /// Listens, on a port that the system chooses.
    pub(crate) async fn start(answer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it listens").port();
        let (tell, seen) = watch::channel(Seen::default());
        let answer = message("HTTP/1.1 200 OK\r\nContent-Type: application/json", answer);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Self::serve(stream, answer.clone(), tell.clone()));
            }
        });
        Self { port, seen }
    }

    /// What has come so far.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    async fn serve(mut stream: TcpStream, answer: Vec<u8>, tell: watch::Sender<Seen>) {
        stream.set_nodelay(true).expect("the socket is open");
        let mut request = read_message(&mut stream).await;
        tell.send_modify(|seen| {
            seen.connections += 1;
            seen.request.clone_from(&request);
        });
        // Whoever has what it wanted closes.
        while stream.write_all(&answer).await.is_ok() && stream.read_exact(&mut request).await.is_ok() {}
    }
}

/// A head without its length, and a body.
pub(crate) fn message(head: &str, body: &str) -> Vec<u8> {
    format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Reads head and body of one message, behind which nothing must follow.
pub(crate) async fn read_message(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut message = Vec::new();
    while length(&message) != Some(message.len()) {
        let count = stream.read_buf(&mut message).await.expect("the other end writes");
        assert!(count > 0, "the other end closed within a message");
    }
    message
}

/// The length of the message that begins here, once its head is there.
fn length(message: &[u8]) -> Option<usize> {
    let end = message.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&message[..end]).expect("the head is ASCII").to_ascii_lowercase();
    let body = head.split("\r\n").find_map(|line| line.strip_prefix("content-length: "))?;
    Some(end + body.parse::<usize>().expect("a length is a number"))
}

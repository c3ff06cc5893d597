//! A web API for measurements: it answers at once, with the same bytes each time, so that what is measured is whoever
//! stands before it.
//!
//! One thread, kept connections. It counts the hooks it was sent and remembers the last of them, for whoever checks that
//! the work was done. Requests below [`DESK`] are no hooks; they ask and set:
//!
//! | request | answer |
//! |---|---|
//! | `GET /-/count` | how many hooks came so far |
//! | `GET /-/last` | the last hook, head and body as they came |
//! | `PUT /-/answer/NAME` | nothing; from then on the API gives this answer: `continue`, `block` or `validation` |

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

/// What asks and sets begins with this; everything else is a hook.
const DESK: &str = "/-/";
/// Most header fields of a request.
const MAX_FIELDS: usize = 64;
/// Most bytes of a request; a hook's claims are a kilobyte or two.
const MAX_REQUEST: usize = 1 << 20;

/// What the API may say to every hook: name, status, body.
const ANSWERS: [(&str, &str, &str); 3] = [
    (
        "continue",
        "200 OK",
        concat!(
            r#"{"version":"1.0.0","action":"Continue","displayName":"Jane Doe","city":"Redmond","#,
            r#""country":"United States","postalCode":"98052","extension_LoyaltyId":"L-2718281828","#,
            r#""extension_ApprovalId":"APPROVAL-0004","extension_Internal":"not selected"}"#,
        ),
    ),
    (
        "block",
        "200 OK",
        r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":"Please wait for approval."}"#,
    ),
    (
        "validation",
        "400 Bad Request",
        r#"{"version":"1.0.0","status":400,"action":"ValidationError","userMessage":"Please enter five digits."}"#,
    ),
];

/// A running API. It ends when this is dropped.
pub(crate) struct Api {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What came, and what is said to it.
struct Seen {
    hooks: u64,
    last: Vec<u8>,
    answer: Arc<[u8]>,
}

impl Api {
    /// Listens on this address (port 0: a free one) and answers on a thread of its own.
    pub(crate) fn start(address: SocketAddr) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let listener = runtime.block_on(TcpListener::bind(address))?;
        let address = listener.local_addr()?;
        let seen = Seen { hooks: 0, last: Vec::new(), answer: answer("continue").expect("it is the first") };
        let seen = Arc::new(Mutex::new(seen));
        let (end, ended) = oneshot::channel();
        let accept = accept(listener, seen.clone());
        let thread = thread::Builder::new().name("api".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept => {}
                    _ = ended => {}
                }
            });
        })?;
        Ok(Self { address, seen, end: Some(end), thread: Some(thread) })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many hooks came so far.
    pub(crate) fn hooks(&self) -> u64 {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).hooks
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic on that thread was printed there.
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, seen: Arc<Mutex<Seen>>) {
    loop {
        // An error here is that of a connection which is already gone, or of no descriptors for now.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let seen = seen.clone();
        tokio::spawn(async move {
            // A caller that hangs up, and one that speaks no HTTP, lose their connection; nobody else is told.
            let _ = serve(stream, &seen).await;
        });
    }
}

/// Answers the requests of one connection.
async fn serve(mut stream: TcpStream, seen: &Mutex<Seen>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(8 << 10);
    loop {
        while let Some(request) = Request::of(&buffer)? {
            let (length, close) = (request.length, request.close);
            let bytes = &buffer[..length];
            let answer = match request.target.strip_prefix(DESK) {
                None => hook(bytes, &mut seen.lock().unwrap_or_else(PoisonError::into_inner)),
                Some(asked) => desk(asked, &mut seen.lock().unwrap_or_else(PoisonError::into_inner)),
            };
            stream.write_all(&answer).await?;
            if close {
                return stream.shutdown().await;
            }
            buffer.drain(..length);
        }
        if buffer.len() > MAX_REQUEST {
            return Err(invalid("a request is too long"));
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

/// Counts a hook and answers it.
fn hook(bytes: &[u8], seen: &mut Seen) -> Arc<[u8]> {
    seen.hooks += 1;
    seen.last.clear();
    seen.last.extend_from_slice(bytes);
    seen.answer.clone()
}

/// What is no hook.
fn desk(asked: &str, seen: &mut Seen) -> Arc<[u8]> {
    match asked {
        "count" => response("200 OK", "text/plain", seen.hooks.to_string().as_bytes()),
        "last" => response("200 OK", "application/octet-stream", &seen.last),
        _ => match asked.strip_prefix("answer/").and_then(answer) {
            Some(answer) => {
                seen.answer = answer;
                response("200 OK", "text/plain", b"")
            }
            None => response("404 Not Found", "text/plain", b"count, last, answer/NAME\n"),
        },
    }
}

/// The answer of this name.
fn answer(name: &str) -> Option<Arc<[u8]>> {
    let (_, status, body) = ANSWERS.iter().find(|(known, ..)| *known == name)?;
    Some(response(status, "application/json; charset=utf-8", body.as_bytes()))
}

fn response(status: &str, kind: &str, body: &[u8]) -> Arc<[u8]> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nDate: Sun, 22 Nov 2026 15:00:00 GMT\r\nContent-Type: {kind}\r\nServer: Kestrel\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat().into()
}

/// A request that is complete.
struct Request<'b> {
    target: &'b str,
    /// Head and body together.
    length: usize,
    /// The caller will not send another one over this connection.
    close: bool,
}

impl<'b> Request<'b> {
    /// The request at the beginning of these bytes, once it is complete.
    fn of(bytes: &'b [u8]) -> io::Result<Option<Self>> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut head = httparse::Request::new(&mut fields);
        let httparse::Status::Complete(body) =
            head.parse(bytes).map_err(|fault| invalid(&fault.to_string()))?
        else {
            return Ok(None);
        };
        let (mut length, mut close) = (body, false);
        for field in head.headers.iter() {
            if field.name.eq_ignore_ascii_case("content-length") {
                let size = std::str::from_utf8(field.value).ok().and_then(|size| size.parse::<usize>().ok());
                length =
                    body + size.filter(|size| *size <= MAX_REQUEST).ok_or_else(|| invalid("no length"))?;
            } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
                return Err(invalid("a body without its length"));
            } else if field.name.eq_ignore_ascii_case("connection") {
                close = field.value.eq_ignore_ascii_case(b"close");
            }
        }
        let complete = bytes.len() >= length;
        Ok(complete.then_some(Self { target: head.path.unwrap_or_default(), length, close }))
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

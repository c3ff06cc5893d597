//! The APIs: one for each connector, which lose their temper, die and return.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Builder,
    sync::oneshot,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    cast::{CAST, HOOK, Part},
    dice::Dice,
    ledger::{Asked, Ledger},
    mood::{Manner, Mood, Then, Verdict},
};
use crate::support::{RecordedRequest, wire};

/// How much of an endless answer there is at most, if somebody reads it.
const FLOOD: usize = 1 << 20;
/// Longest time for one piece of an answer to leave.
const LIMIT: Duration = Duration::from_secs(5);

/// All of them, on a thread and a runtime of their own.
pub(super) struct Apis {
    pub(super) addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    seed: u64,
    ledger: Arc<Ledger>,
    /// Whether they behave, and after how many milliseconds they answer then.
    calm: AtomicBool,
    pause: AtomicU64,
    deaths: AtomicUsize,
    open: AtomicUsize,
    accepted: AtomicUsize,
    /// What was wrong with a request.
    violations: Mutex<Vec<String>>,
}

impl Apis {
    pub(super) fn start(seed: u64, ledger: Arc<Ledger>) -> Self {
        let shared = Arc::new(Shared {
            seed,
            ledger,
            calm: AtomicBool::new(false),
            pause: AtomicU64::new(0),
            deaths: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            accepted: AtomicUsize::new(0),
            violations: Mutex::default(),
        });
        // Bound as long as this lives, so that nobody else gets the port of one that is dead.
        let places: Vec<Socket> = CAST.iter().map(|_| bound(None)).collect();
        let addresses: Vec<SocketAddr> = places.iter().map(address).collect();
        let (stop, stopped) = oneshot::channel();
        let (for_thread, at) = (Arc::clone(&shared), addresses.clone());
        let thread = std::thread::spawn(move || {
            let _places = places;
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
            runtime.block_on(async {
                for (number, (address, part)) in at.into_iter().zip(&CAST).enumerate() {
                    tokio::spawn(live(number as u64, address, part, Arc::clone(&for_thread)));
                }
                stopped.await.ok();
            });
        });
        Self { addresses, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// From now on they answer properly and at once.
    pub(super) fn calm_down(&self) {
        self.shared.calm.store(true, Ordering::Relaxed);
    }

    /// From now on they take their time.
    pub(super) fn slow_down(&self, pause: Duration) {
        self.shared.pause.store(u64::try_from(pause.as_millis()).expect("it is short"), Ordering::Relaxed);
    }

    /// Connections that are open on their side.
    pub(super) fn open(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// Connections that they accepted, and how often one of them died.
    pub(super) fn accepted_and_deaths(&self) -> (usize, usize) {
        (self.shared.accepted.load(Ordering::Relaxed), self.shared.deaths.load(Ordering::Relaxed))
    }

    /// What was wrong with requests.
    pub(super) fn violations(&self) -> Vec<String> {
        self.shared.violations().clone()
    }
}

impl Drop for Apis {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().is_some_and(|thread| thread.join().is_ok());
        // A second panic while one unwinds would abort and hide the first.
        assert!(ended || std::thread::panicking(), "the thread of the APIs panicked");
    }
}

impl Shared {
    fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    fn violations(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.violations.lock().expect("nothing panics while it holds them")
    }
}

/// A socket at this address, or at a free one, which others of ours may share.
fn bound(at: Option<SocketAddr>) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
    socket.set_reuse_address(true).expect("an option can be set");
    socket.set_reuse_port(true).expect("an option can be set");
    let at = at.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    socket.bind(&at.into()).expect("the address is free, or ours");
    socket
}

fn address(socket: &Socket) -> SocketAddr {
    let address = socket.local_addr().ok().and_then(|address| address.as_socket());
    address.expect("a bound IPv4 socket has an address")
}

/// One API: it lives for a while, is dead for a while, and so on.
async fn live(number: u64, address: SocketAddr, part: &'static Part, shared: Arc<Shared>) {
    let mut dice = Dice::of(shared.seed, &[1, number]);
    loop {
        let listener = bound(Some(address));
        listener
            .listen(1024)
            .and_then(|()| listener.set_nonblocking(true))
            .expect("a bound socket can listen");
        let listener = TcpListener::from_std(listener.into()).expect("it is non-blocking");
        let life = Duration::from_millis(dice.between(700, 4000));
        let mut connections = JoinSet::new();
        let end = sleep(life);
        tokio::pin!(end);
        loop {
            tokio::select! {
                accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(stream, part, Arc::clone(&shared)));
                },
                Some(_) = connections.join_next() => {}
                () = &mut end, if !end.is_elapsed() => if !shared.is_calm() { break },
            }
        }
        shared.deaths.fetch_add(1, Ordering::Relaxed);
        drop(listener);
        connections.shutdown().await;
        sleep(Duration::from_millis(dice.between(20, 400))).await;
    }
}

/// Counts one open connection.
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve(stream: TcpStream, part: &'static Part, shared: Arc<Shared>) {
    shared.open.fetch_add(1, Ordering::Relaxed);
    let number = shared.accepted.fetch_add(1, Ordering::Relaxed) as u64;
    let open = Open(Arc::clone(&shared));
    let dice = Dice::of(shared.seed, &[2, number]);
    let mut connection = Connection { stream, buffer: Vec::new(), part, shared, dice };
    // An error is the other side's hanging up, or what the dice wanted.
    if let Err(error) = connection.run().await
        && error.kind() == io::ErrorKind::InvalidData
    {
        connection.shared.violations().push(format!("{}: {error}", part.name));
    }
    drop(open);
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    part: &'static Part,
    shared: Arc<Shared>,
    dice: Dice,
}

/// The connection is to be closed.
fn over() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

impl Connection {
    async fn run(&mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        self.greet().await?;
        loop {
            let (request, length) = self.head().await?;
            while self.buffer.len() < length {
                self.fill().await?;
            }
            let body: Vec<u8> = self.buffer.drain(..length).collect();
            if !self.buffer.is_empty() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "bytes after the request"));
            }
            self.answer(&request, &body).await?;
        }
    }

    /// Before anything has been read.
    async fn greet(&mut self) -> io::Result<()> {
        if self.shared.is_calm() {
            return Ok(());
        }
        match self.dice.between(0, 1000) {
            0..15 => self.reset(),
            15..30 => Err(over()),
            30..45 => {
                // The request is there, and nobody has read it.
                self.stream.readable().await?;
                self.reset()
            }
            45..75 => {
                let pause = self.dice.between(1, 100);
                sleep(Duration::from_millis(pause)).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn reset(&self) -> io::Result<()> {
        self.stream.set_zero_linger()?;
        Err(over())
    }

    async fn fill(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(over()),
            _ => Ok(()),
        }
    }

    async fn head(&mut self) -> io::Result<(RecordedRequest, usize)> {
        let invalid = |text| io::Error::new(io::ErrorKind::InvalidData, text);
        loop {
            if let Some(length) = wire::head_length(&self.buffer) {
                let raw: Vec<u8> = self.buffer.drain(..length).collect();
                return RecordedRequest::parse(0, &raw).map_err(invalid);
            }
            self.fill().await?;
        }
    }

    async fn answer(&mut self, request: &RecordedRequest, body: &[u8]) -> io::Result<()> {
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
        let Some((id, attempt_of)) = request.header("x-request-id").and_then(ids) else {
            return Err(invalid(format!("a request of no hook: {:?}", request.headers)));
        };
        // The claim says the same, or it is somebody else's.
        let claim = format!("\"{HOOK}\":\"{id}\"");
        if !String::from_utf8_lossy(body).contains(&claim) {
            return Err(invalid(format!("the body of another hook under the id {id}")));
        }
        let key = request.header("idempotency-key").map(hash);
        let number = self.shared.ledger.asked(id, Asked::now(attempt_of, key));
        let echo = format!("{id}.{number}");
        // One that is idempotent thinks the same under the same key.
        let (seed, same) =
            (self.shared.seed, if self.part.idempotent { key.unwrap_or(0) } else { number.into() });
        let verdict = Dice::of(seed, &[3, id.into(), same]).weighted(&[
            (70, Verdict::Continue),
            (15, Verdict::Block),
            (15, Verdict::Validation),
        ]);
        let mood = if self.shared.is_calm() {
            let pause = Duration::from_millis(self.shared.pause.load(Ordering::Relaxed));
            Mood { manner: Manner::After(pause), ..Mood::good(verdict, &echo, self.part) }
        } else {
            Mood::draw(&mut Dice::of(seed, &[4, id.into(), number.into()]), verdict, &echo, self.part)
        };
        self.give(&mood).await?;
        self.shared.ledger.done(id, number, mood.kind);
        match mood.then {
            Then::Keep => Ok(()),
            Then::Close => Err(over()),
            Then::Reset => self.reset(),
            Then::CloseAfter(pause) => {
                sleep(pause).await;
                Err(over())
            }
        }
    }

    async fn give(&mut self, mood: &Mood) -> io::Result<()> {
        match mood.manner {
            Manner::AtOnce => self.send(&mood.bytes).await,
            Manner::After(pause) => {
                sleep(pause).await;
                self.send(&mood.bytes).await
            }
            Manner::Pieces(count, pause) => {
                for piece in mood.bytes.chunks(mood.bytes.len().div_ceil(count)) {
                    self.send(piece).await?;
                    sleep(pause).await;
                }
                Ok(())
            }
            Manner::Part(of_hundred) => self.send(&mood.bytes[..mood.bytes.len() * of_hundred / 100]).await,
            Manner::Endless(bytes) => {
                self.send(&mood.bytes).await?;
                let piece = bytes.repeat(4096 / bytes.len());
                let mut sent = 0;
                while sent < FLOOD {
                    self.send(&piece).await?;
                    sent += piece.len();
                }
                Ok(())
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(LIMIT, self.stream.write_all(bytes)).await.map_err(|_| over())?
    }
}

/// The hook and the try of an `X-Request-ID`.
pub(super) fn ids(text: &str) -> Option<(u32, u8)> {
    let (id, attempt) = text.strip_prefix('c')?.split_once('.')?;
    Some((id.parse().ok()?, attempt.parse().ok()?))
}

/// The `X-Request-ID` of a try.
pub(super) fn request_id(id: u32, attempt: u8) -> String {
    format!("c{id}.{attempt}")
}

/// FNV-1a.
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

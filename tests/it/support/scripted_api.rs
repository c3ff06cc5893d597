//! A web API on a raw socket that does what a script says, correct or not.
//!
//! It runs on a thread and a runtime of its own, so plain tests and tests on paused time can use it alike. Everything
//! ends when it is dropped. What it received and was not well-formed, or was beyond the script, fails the test then.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard},
    thread::JoinHandle,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Builder,
    sync::oneshot,
    time::{sleep, timeout},
};

use super::{
    play::{Act, Play, STRAY_DELAY},
    recorded::RecordedRequest,
    wire,
};

/// Longest time for one request to arrive or one piece of an answer to leave.
const LIMIT: Duration = Duration::from_secs(20);

/// Which play is for which exchange.
pub(crate) enum Script {
    /// Every exchange the same.
    Fixed(Play),
    /// One after the other over all connections, in the order in which requests begin. A further one is a violation.
    Sequence(Vec<Play>),
    /// The request decides.
    Answering(Box<dyn Fn(&RecordedRequest) -> Play + Send + Sync>),
}

impl From<Play> for Script {
    fn from(play: Play) -> Self {
        Self::Fixed(play)
    }
}

impl From<Vec<Play>> for Script {
    fn from(plays: Vec<Play>) -> Self {
        Self::Sequence(plays)
    }
}

/// The running API.
pub(crate) struct ScriptedApi {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ScriptedApi {
    /// Starts it on a free port of 127.0.0.1.
    pub(crate) fn start(script: impl Into<Script>) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port exists");
        listener.set_nonblocking(true).expect("a listener can be non-blocking");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared { script: script.into(), state: Mutex::default() });
        let (stop, stopped) = oneshot::channel();
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("the listener is non-blocking");
                tokio::select! {
                    () = accept(&listener, &for_thread) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Starts it with a closure that chooses the play once the whole request has been read.
    pub(crate) fn answering(choose: impl Fn(&RecordedRequest) -> Play + Send + Sync + 'static) -> Self {
        Self::start(Script::Answering(Box::new(choose)))
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT` and this path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far, in the order in which their heads were complete.
    pub(crate) fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.state().requests.clone()
    }

    /// How many connections it has accepted.
    pub(crate) fn connections(&self) -> usize {
        self.shared.state().connections
    }

    /// How many of them are still open on this side.
    pub(crate) fn open_connections(&self) -> usize {
        self.shared.state().open
    }

    /// The connections whose play is over, once for each time: what it did at its end is on the wire.
    pub(crate) fn played(&self) -> Vec<usize> {
        self.shared.state().played.clone()
    }

    /// What was wrong with the requests so far. Whoever takes it answers for it: dropping no longer panics.
    pub(crate) fn take_violations(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.state().violations)
    }
}

impl Drop for ScriptedApi {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().is_some_and(|thread| thread.join().is_ok());
        // A second panic while one unwinds would abort and hide the first.
        if !std::thread::panicking() {
            assert!(ended, "the scripted API's thread panicked");
            let violations = self.take_violations();
            assert!(violations.is_empty(), "the scripted API saw: {violations:#?}");
        }
    }
}

struct Shared {
    script: Script,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    requests: Vec<RecordedRequest>,
    connections: usize,
    open: usize,
    taken: usize,
    played: Vec<usize>,
    violations: Vec<String>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the state")
    }

    /// The play that a connection accepted now would begin with, if that one does not wait for a request.
    fn play_at_accept(&self) -> Option<Play> {
        match &self.script {
            Script::Fixed(play) => play.acts_at_accept().then(|| play.clone()),
            Script::Sequence(plays) => {
                let mut state = self.state();
                let play = plays.get(state.taken).filter(|play| play.acts_at_accept())?;
                state.taken += 1;
                Some(play.clone())
            }
            Script::Answering(_) => None,
        }
    }

    fn next_in_sequence(&self, plays: &[Play]) -> Result<Play, Ended> {
        let mut state = self.state();
        state.taken += 1;
        let play = plays.get(state.taken - 1).cloned();
        play.ok_or_else(|| {
            Ended::Violation(format!("request {} is beyond the script of {}", state.taken, plays.len()))
        })
    }
}

/// Why a connection is over.
enum Ended {
    /// The script or the peer ended it.
    Closed,
    /// The peer broke a rule.
    Violation(String),
}

impl From<std::io::Error> for Ended {
    fn from(_: std::io::Error) -> Self {
        Self::Closed
    }
}

async fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        let number = {
            let mut state = shared.state();
            state.connections += 1;
            state.open += 1;
            state.connections - 1
        };
        let shared = Arc::clone(shared);
        let play = shared.play_at_accept();
        tokio::spawn(async move {
            let mut connection =
                Connection { number, stream, buffer: Vec::new(), request: Request::Unread, shared };
            let ended = connection.run(play).await;
            let shared = Arc::clone(&connection.shared);
            // Before the peer can see the close: a test may look as soon as it does.
            if let Err(Ended::Violation(text)) = ended {
                shared.state().violations.push(format!("connection {number}: {text}"));
            }
            drop(connection);
            let mut state = shared.state();
            state.open -= 1;
            state.played.push(number);
        });
    }
}

/// How much of the exchange's request has been read.
#[derive(Clone, Copy)]
enum Request {
    Unread,
    /// Position in the recorded requests, and how long its body is.
    Head(usize, usize),
    Whole(usize),
}

struct Connection {
    number: usize,
    stream: TcpStream,
    buffer: Vec<u8>,
    request: Request,
    shared: Arc<Shared>,
}

impl Connection {
    async fn run(&mut self, at_accept: Option<Play>) -> Result<(), Ended> {
        self.stream.set_nodelay(true)?;
        if let Some(play) = at_accept {
            self.perform(&play).await?;
        }
        loop {
            self.request = Request::Unread;
            // Not before a request begins: an idle connection must not take the play of another one's request.
            while self.buffer.is_empty() {
                self.fill().await?;
            }
            let shared = Arc::clone(&self.shared);
            let play = match &shared.script {
                Script::Fixed(play) => play.clone(),
                Script::Sequence(plays) => shared.next_in_sequence(plays)?,
                Script::Answering(choose) => {
                    let at = self.read_request().await?;
                    let request = self.shared.state().requests[at].clone();
                    choose(&request)
                }
            };
            self.perform(&play).await?;
            self.shared.state().played.push(self.number);
        }
    }

    async fn perform(&mut self, play: &Play) -> Result<(), Ended> {
        for act in play.acts() {
            match act {
                Act::ReadRequest => drop(self.read_request().await?),
                Act::ReadHeadOnly => drop(self.read_head().await?),
                Act::Send(bytes) => self.send(bytes).await?,
                Act::SendByteByByte(bytes, gap) => {
                    for byte in bytes {
                        self.send(&[*byte]).await?;
                        sleep(*gap).await;
                    }
                }
                Act::Pause(duration) => sleep(*duration).await,
                Act::StrayAfter(bytes) => {
                    sleep(STRAY_DELAY).await;
                    self.send(bytes).await?;
                }
                Act::HalfClose => self.stream.shutdown().await?,
                Act::Close => return Err(Ended::Closed),
                Act::Reset => {
                    self.stream.set_zero_linger()?;
                    return Err(Ended::Closed);
                }
                Act::Forever => loop {
                    self.fill().await?;
                    self.buffer.clear();
                },
            }
        }
        Ok(())
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        let sent = timeout(LIMIT, self.stream.write_all(bytes)).await;
        Ok(sent.map_err(|_| Ended::Violation("nobody reads the answer".to_owned()))??)
    }

    /// Reads once; the end of the stream ends the connection.
    async fn fill(&mut self) -> Result<(), Ended> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(Ended::Closed),
            _ => Ok(()),
        }
    }

    async fn read_head(&mut self) -> Result<Request, Ended> {
        if let Request::Unread = self.request {
            let read = timeout(LIMIT, async {
                loop {
                    if let Some(length) = wire::head_length(&self.buffer) {
                        return Ok(length);
                    }
                    if wire::is_hopeless(&self.buffer) {
                        return Err(Ended::Violation("the bytes received are no request head".to_owned()));
                    }
                    self.fill().await?;
                }
            });
            let length =
                read.await.map_err(|_| Ended::Violation("a request head did not end".to_owned()))??;
            let raw: Vec<u8> = self.buffer.drain(..length).collect();
            let (request, body_length) =
                RecordedRequest::parse(self.number, &raw).map_err(Ended::Violation)?;
            let mut state = self.shared.state();
            state.requests.push(request);
            self.request = Request::Head(state.requests.len() - 1, body_length);
        }
        Ok(self.request)
    }

    /// Reads what is missing of the request; its position in the recorded ones.
    async fn read_request(&mut self) -> Result<usize, Ended> {
        let (at, length) = match self.read_head().await? {
            Request::Whole(at) => return Ok(at),
            Request::Head(at, length) => (at, length),
            Request::Unread => unreachable!("read_head has read it"),
        };
        let read = timeout(LIMIT, async {
            while self.buffer.len() < length {
                self.fill().await?;
            }
            Ok::<_, Ended>(())
        });
        read.await.map_err(|_| Ended::Violation("a request body did not end".to_owned()))??;
        self.shared.state().requests[at].body = self.buffer.drain(..length).collect();
        self.request = Request::Whole(at);
        if self.buffer.is_empty() {
            Ok(at)
        } else {
            Err(Ended::Violation("bytes after the request".to_owned()))
        }
    }
}

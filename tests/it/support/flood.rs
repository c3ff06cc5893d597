//! More hooks than a gateway takes: clients that ask again as soon as they are answered, and an API that takes its time.
//!
//! Both run on a thread of their own and say how much of the processor they took, so that what a gateway did can be told
//! from what was left for it.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime,
    time::{Instant, interval, sleep},
};

/// What is left out at the beginning of each round, until all clients are connected and busy.
const WARM_UP: Duration = Duration::from_millis(300);
const CONTINUE: &[u8] = br#"{"version":"1.0.0","action":"Continue"}"#;

/// What clients saw in one round.
#[derive(Debug, Default)]
pub(crate) struct Round {
    /// Hooks answered with `Continue`.
    pub(crate) accepted: u32,
    /// Hooks answered as `is_refusal` wants it.
    pub(crate) refused: u32,
    /// The same of the whole round, with its beginning and its end.
    pub(crate) accepted_in_all: u32,
    pub(crate) refused_in_all: u32,
    /// Everything else.
    pub(crate) wrong: Vec<String>,
    /// How long it was measured.
    pub(crate) time: Duration,
    /// What the clients took of the processor meanwhile.
    pub(crate) cpu: Duration,
}

impl Round {
    /// Hooks per second that came to a decision.
    pub(crate) fn goodput(&self) -> f64 {
        per_second(self.accepted, self.time)
    }

    /// Hooks per second that were refused.
    pub(crate) fn refusals(&self) -> f64 {
        per_second(self.refused, self.time)
    }
}

fn per_second(count: u32, time: Duration) -> f64 {
    f64::from(count) / time.as_secs_f64()
}

/// Lets so many clients send this request for a time, each again as soon as it is answered, over one connection each.
pub(crate) fn flood(
    address: SocketAddr,
    request: &[u8],
    clients: usize,
    time: Duration,
    is_refusal: fn(&[u8]) -> bool,
) -> Round {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let (counted, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let request: Arc<[u8]> = request.into();
    runtime.block_on(async {
        let client = || {
            let (request, counted, stop) = (Arc::clone(&request), Arc::clone(&counted), Arc::clone(&stop));
            async move {
                let mut seen = Round::default();
                if let Err(error) = ask(address, &request, [&counted, &stop], is_refusal, &mut seen).await {
                    seen.wrong.push(error.to_string());
                }
                seen
            }
        };
        let clients: Vec<_> = (0..clients).map(|_| tokio::spawn(client())).collect();
        sleep(WARM_UP).await;
        counted.store(true, Ordering::Relaxed);
        let (began, cpu) = (Instant::now(), own_cpu());
        sleep(time).await;
        counted.store(false, Ordering::Relaxed);
        let mut round =
            Round { time: began.elapsed(), cpu: own_cpu().saturating_sub(cpu), ..Round::default() };
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            let seen = client.await.expect("a client does not panic");
            round.accepted += seen.accepted;
            round.refused += seen.refused;
            round.accepted_in_all += seen.accepted_in_all;
            round.refused_in_all += seen.refused_in_all;
            round.wrong.extend(seen.wrong);
        }
        round
    })
}

async fn ask(
    address: SocketAddr,
    request: &[u8],
    [counted, stop]: [&AtomicBool; 2],
    is_refusal: fn(&[u8]) -> bool,
    seen: &mut Round,
) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let mut bytes = Vec::with_capacity(2048);
    while !stop.load(Ordering::Relaxed) {
        stream.write_all(request).await?;
        bytes.clear();
        while !is_whole(&bytes) {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Err(io::Error::other(format!("closed after {} bytes of an answer", bytes.len())));
            }
        }
        let accepted = bytes.starts_with(b"HTTP/1.1 200 ") && bytes.ends_with(CONTINUE);
        if !accepted && !is_refusal(&bytes) {
            return Err(io::Error::other(String::from_utf8_lossy(&bytes).into_owned()));
        }
        let [whole, measured] = if accepted {
            [&mut seen.accepted_in_all, &mut seen.accepted]
        } else {
            [&mut seen.refused_in_all, &mut seen.refused]
        };
        *whole += 1;
        *measured += u32::from(counted.load(Ordering::Relaxed));
    }
    Ok(())
}

/// Whether these are a head and as many bytes as it says.
fn is_whole(bytes: &[u8]) -> bool {
    let find = |part: &[u8]| bytes.windows(part.len()).position(|window| window.eq_ignore_ascii_case(part));
    let (Some(head), Some(length)) = (find(b"\r\n\r\n"), find(b"\r\ncontent-length: ")) else { return false };
    let digits = bytes[length + 18..].iter().take_while(|byte| byte.is_ascii_digit());
    let length = digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
    bytes.len() >= head + 4 + length
}

/// An API that answers each call with `Continue` after a time.
pub(crate) struct SlowApi {
    address: SocketAddr,
    shared: Arc<Calls>,
}

#[derive(Default)]
struct Calls {
    connections: AtomicUsize,
    open: AtomicUsize,
    most: AtomicUsize,
    cpu: AtomicU64,
}

impl SlowApi {
    pub(crate) fn start(takes: Duration) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port exists");
        listener.set_nonblocking(true).expect("a listener can be non-blocking");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Calls::default());
        let for_thread = Arc::clone(&shared);
        thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be made").block_on(async {
                let calls = Arc::clone(&for_thread);
                tokio::spawn(async move {
                    let mut tick = interval(Duration::from_millis(20));
                    loop {
                        tick.tick().await;
                        let cpu = u64::try_from(own_cpu().as_nanos()).unwrap_or(u64::MAX);
                        calls.cpu.store(cpu, Ordering::Relaxed);
                    }
                });
                let listener = tokio::net::TcpListener::from_std(listener).expect("it is non-blocking");
                while let Ok((stream, _)) = listener.accept().await {
                    let calls = Arc::clone(&for_thread);
                    tokio::spawn(async move {
                        calls.connections.fetch_add(1, Ordering::Relaxed);
                        // However it ends, it is over.
                        drop(answer(stream, takes, &calls).await);
                        calls.connections.fetch_sub(1, Ordering::Relaxed);
                    });
                }
            });
        });
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Connections that are open.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Most calls that were open at a time.
    pub(crate) fn most_at_a_time(&self) -> usize {
        self.shared.most.load(Ordering::Relaxed)
    }

    /// What it has taken of the processor.
    pub(crate) fn cpu(&self) -> Duration {
        Duration::from_nanos(self.shared.cpu.load(Ordering::Relaxed))
    }
}

async fn answer(mut stream: TcpStream, takes: Duration, calls: &Calls) -> io::Result<()> {
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
        CONTINUE.len(),
        String::from_utf8_lossy(CONTINUE)
    );
    let mut bytes = Vec::with_capacity(2048);
    loop {
        bytes.clear();
        while !is_whole(&bytes) {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        }
        let open = calls.open.fetch_add(1, Ordering::Relaxed) + 1;
        calls.most.fetch_max(open, Ordering::Relaxed);
        sleep(takes).await;
        calls.open.fetch_sub(1, Ordering::Relaxed);
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// What this thread has taken of the processor.
fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let part = |number: i64| u64::try_from(number).unwrap_or_default();
    Duration::from_secs(part(time.tv_sec)) + Duration::from_nanos(part(time.tv_nsec))
}

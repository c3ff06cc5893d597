//! The load that shows the compiler what the shipped program does; see `deploy/build-release.sh`.
//!
//! Hooks of all usual kinds, over plain HTTP and under TLS on both sides: steps, callers, lists of claims, decisions, hooks
//! that are sent again, strangers, and scrapes. A hook that is not answered as it should be ends it as a failure.

use std::{
    cell::Cell,
    fs, io,
    net::SocketAddr,
    ops::Range,
    path::Path,
    process::{Command, Stdio},
};

use futures_util::{TryStreamExt as _, future::try_join_all, stream::FuturesUnordered};
use rustls::version::{TLS12, TLS13};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    signal::unix::{SignalKind, signal},
};
use tokio_rustls::TlsConnector;

use crate::{
    api::Api,
    gateway::{Gateway, Setup, folder, program, with_secrets},
    handshakes::{Certificate, LISTEN_TLS, connect},
    hooks::{Connection, answer, api, api_that_answers, block_on, is_last},
};

mod front;
mod hook;

use hook::{Hook, Manner};

const CONFIG: &str = include_str!("train/claimgate.yaml");
/// Kept connections: fewer than the calls that each API takes at a time.
const CLIENTS: usize = 32;
/// A scrape comes with every so many hooks.
const SCRAPED: u64 = 500;
/// Of the file that is checked.
const CONNECTORS: usize = 1_000;

/// Sends so many hooks, half of them under TLS. What went wrong, if anything did.
pub(crate) fn run(hooks: u64) -> Result<(), String> {
    check()?;
    let apis = Apis {
        go_on: api(),
        block: api_that_answers("block"),
        validation: api_that_answers("validation"),
        nobody: api().address(),
    };
    block_on(async {
        let text = |fault: io::Error| format!("signals: {fault}");
        let mut terminate = signal(SignalKind::terminate()).map_err(text)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(text)?;
        tokio::select! {
            done = both(&apis, hooks) => done,
            _ = terminate.recv() => Err("ended by SIGTERM".to_owned()),
            _ = interrupt.recv() => Err("ended by SIGINT".to_owned()),
        }
    })
}

/// A large file is read, as at a start.
fn check() -> Result<(), String> {
    let directory = folder();
    let file = Setup { connectors: CONNECTORS, ..Setup::new(SocketAddr::from(([127, 0, 0, 1], 1))) }
        .write(directory.path());
    let mut command = with_secrets(Command::new(program()));
    let status = command.arg("check").arg("--config").arg(&file).stdout(Stdio::null()).status();
    let status = status.map_err(|fault| format!("{}: {fault}", program().display()))?;
    if status.success() { Ok(()) } else { Err(format!("claimgate check: {status}")) }
}

/// What the gateways call.
struct Apis {
    go_on: Api,
    block: Api,
    validation: Api,
    /// Where no API listens any longer.
    nobody: SocketAddr,
}

impl Apis {
    /// Hooks that came to them so far.
    fn hooks(&self) -> u64 {
        self.go_on.hooks() + self.block.hooks() + self.validation.hooks()
    }

    /// The configuration of a gateway that calls them, some of them under TLS, with this behind `listen`.
    async fn config(&self, directory: &Path, listen: &str) -> io::Result<String> {
        let tls = [&self.go_on, &self.validation].map(|api| front::before(api.address(), directory));
        let [go_on, validation] = tls;
        let places = [
            ("# LISTEN", listen.trim_start_matches(", ").to_owned()),
            // Before those that are a part of them.
            ("CONTINUE_TLS", go_on.await?.to_string()),
            ("VALIDATION_TLS", validation.await?.to_string()),
            ("CONTINUE", self.go_on.address().to_string()),
            ("BLOCK", self.block.address().to_string()),
            ("NOBODY", self.nobody.to_string()),
        ];
        Ok(places.iter().fold(CONFIG.to_owned(), |text, (place, with)| text.replace(place, with)))
    }
}

/// Numbers go on, so that no user of the first half comes again in the second.
async fn both(apis: &Apis, hooks: u64) -> Result<(), String> {
    half(apis, 0..hooks / 2, false).await?;
    half(apis, hooks / 2..hooks, true).await
}

/// Sends the hooks with these numbers to a gateway of their own.
async fn half(apis: &Apis, numbers: Range<u64>, tls: bool) -> Result<(), String> {
    let directory = folder();
    let certificate = Certificate::write(directory.path());
    let file = directory.path().join("claimgate.yaml");
    let text = apis.config(directory.path(), if tls { LISTEN_TLS } else { "" }).await;
    text.and_then(|text| fs::write(&file, text)).map_err(|fault| fault.to_string())?;
    // One worker, for two would write over each other's counts.
    let gateway = Gateway::start_with(directory, &file, 1, Command::new(program()));
    let clients = [(&TLS13, false), (&TLS13, true), (&TLS12, false), (&TLS12, true)];
    let clients = clients.map(|(version, resumes)| certificate.client(version, resumes));
    let load = Load {
        gateway: &gateway,
        tls: tls.then_some(clients),
        opened: Cell::default(),
        next: Cell::new(numbers.start),
        end: numbers.end,
        calls: Cell::default(),
        repeats: Cell::default(),
    };
    let before = apis.hooks();
    // Ends at the first that goes wrong.
    (0..CLIENTS).map(|_| load.client()).collect::<FuturesUnordered<_>>().try_collect::<Vec<()>>().await?;
    let (came, least) = (apis.hooks() - before, load.calls.get());
    // What was not remembered, because there was no room for it or too late, comes there again.
    let most = least + load.repeats.get();
    if !(least..=most).contains(&came) {
        return Err(format!("{least} to {most} hooks were for an API, and {came} came there"));
    }
    let status = gateway.end();
    if !status.success() {
        return Err(format!("claimgate did not end by itself: {status}"));
    }
    let (count, how) = (numbers.count(), if tls { "under TLS" } else { "in plain text" });
    println!("{count} hooks {how}: answered as they should be; an API was asked {came} times");
    Ok(())
}

/// A connection of either kind.
trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

struct Load<'g> {
    gateway: &'g Gateway,
    /// Clients that connections are opened with in turn.
    tls: Option<[TlsConnector; 4]>,
    opened: Cell<usize>,
    next: Cell<u64>,
    end: u64,
    /// Hooks that an API must have seen.
    calls: Cell<u64>,
    /// Of them, those that were sent twice.
    repeats: Cell<u64>,
}

impl Load<'_> {
    /// Sends the next hook, until there is none.
    async fn client(&self) -> Result<(), String> {
        let mut kept = None;
        loop {
            let number = self.next.get();
            if number >= self.end {
                return Ok(());
            }
            self.next.set(number + 1);
            if number.is_multiple_of(SCRAPED) {
                self.scrape()?;
            }
            let hook = Hook::number(number);
            let twice = hook.calls && matches!(hook.manner, Manner::Again | Manner::Together);
            self.calls.set(self.calls.get() + u64::from(hook.calls));
            self.repeats.set(self.repeats.get() + u64::from(twice));
            let answers =
                self.send(&hook, &mut kept).await.map_err(|fault| format!("hook {number}: {fault}"))?;
            if let Some(other) = answers.iter().find(|said| *said != hook.expected) {
                return Err(format!("hook {number} was answered {other}, not {}", hook.expected));
            }
        }
    }

    fn scrape(&self) -> Result<(), String> {
        let metrics = self.gateway.get("/metrics").filter(|answer| answer.starts_with("HTTP/1.1 200 "));
        metrics.map(drop).ok_or_else(|| "the admin port gives no metrics".to_owned())
    }

    /// The answers to a hook.
    async fn send(
        &self,
        hook: &Hook,
        kept: &mut Option<Connection<Box<dyn Stream>>>,
    ) -> io::Result<Vec<String>> {
        let fresh = async || io::Result::Ok(answer(self.open().await?.exchange(&hook.request).await?));
        match hook.manner {
            Manner::Fresh => Ok(vec![fresh().await?]),
            Manner::Again => Ok(vec![fresh().await?, fresh().await?]),
            Manner::Together => try_join_all([fresh(), fresh()]).await,
            Manner::Kept => {
                let mut connection = match kept.take() {
                    Some(connection) => connection,
                    None => self.open().await?,
                };
                let said = connection.exchange(&hook.request).await?;
                let (said, last) = (answer(said), is_last(said));
                if !last {
                    *kept = Some(connection);
                }
                Ok(vec![said])
            }
        }
    }

    async fn open(&self) -> io::Result<Connection<Box<dyn Stream>>> {
        let opened = self.opened.replace(self.opened.get() + 1);
        let address = self.gateway.address;
        let stream: Box<dyn Stream> = if let Some(clients) = &self.tls {
            Box::new(connect(&clients[opened % clients.len()], address).await)
        } else {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        };
        Ok(Connection::over(stream))
    }
}

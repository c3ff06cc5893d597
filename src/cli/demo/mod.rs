//! `claimgate demo`: whole sign-ups on one machine, with a sample approval system behind a real gateway.
//!
//! - [`story`]: which sign-ups are played, and what each hook must come to.
//! - [`approvals`]: what the sample system decides; [`approvals_server`]: the sample system as a web API.
//! - `show`: how it is printed.

pub mod approvals;
pub mod approvals_server;
pub mod setting;
mod show;
pub mod story;

use std::{
    cell::Cell,
    io::{self, IsTerminal, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    thread,
};

use clap::Args;
use tokio::{runtime, sync::oneshot};

use super::{
    CANNOT, FINE, PROBLEMS, WorkerArgs,
    process::{Process, StartError, told_to_end},
    sockets::Sockets,
    tell,
};
use crate::{
    config::{self, Config, Secrets},
    server::{self, Queue},
    telemetry::{LogFormat, Metrics, diagnostics},
};
use approvals_server::ApprovalsServer;
use setting::Setting;
use show::Show;
use story::{Player, REQUEST_ID_PREFIX};

/// The configuration, with the addresses and secrets of a run by hand.
const CONFIG: &str = include_str!("../../../config/demo.yaml");

const USERNAME: &str = "entra";
/// These open nothing but the sample system, which listens on loopback while the demo runs.
const PASSWORD: &str = "demo-password";
const API_USERNAME: &str = "claimgate";
const API_PASSWORD: &str = "demo-api-password";
const API_CODE: &str = "demo+function/key==";

const USUAL_PORT: u16 = 8080;
const USUAL_ADMIN_PORT: u16 = 9090;

#[derive(Args, Debug)]
pub(super) struct Demo {
    /// Port of the hooks on 127.0.0.1; 0 picks a free one [default: 8080, or a free one if that is busy].
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Port of the metrics on 127.0.0.1; 0 picks a free one [default: 9090, or a free one if that is busy].
    #[arg(long, value_name = "PORT")]
    admin_port: Option<u16>,
    /// End after the sign-ups: with status 0 if every decision was the expected one, else 1.
    #[arg(long)]
    exit: bool,
    #[command(flatten)]
    workers: WorkerArgs,
}

impl Demo {
    pub(super) fn run(&self) -> u8 {
        match self.play() {
            Ok(true) => FINE,
            Ok(false) => PROBLEMS,
            Err(error) => {
                tell::err(format_args!("error: {error}\n"));
                CANNOT
            }
        }
    }

    /// Whether every decision was the expected one.
    fn play(&self) -> Result<bool, DemoError> {
        let metrics = Metrics::new();
        let _diagnostics =
            diagnostics::init(LogFormat::Text, tracing::Level::WARN, metrics.log_lines_dropped())?;
        diagnostics::hear_panics();
        let (hooks, moved) = listen("--port", self.port, USUAL_PORT)?;
        let (admin, admin_moved) = listen("--admin-port", self.admin_port, USUAL_ADMIN_PORT)?;
        let api = server::bind(loopback(0))?;
        let config = configuration(hooks.local_addr()?, admin.local_addr()?, api.local_addr()?)?;

        let sockets = Sockets { hooks, admin, queue: Queue::Take };
        let approvals = Arc::new(ApprovalsServer::new(API_USERNAME, API_PASSWORD, API_CODE));
        serve_approvals(Arc::clone(&approvals), api)?;
        let process =
            Process::start(sockets, config, self.workers.count(), LogFormat::Text, Events, metrics)?;
        let setting = Setting { address: process.address, admin: process.admin_address };
        let (end, ended) = oneshot::channel::<()>();
        let gateway = thread::Builder::new().name("gateway".to_owned()).spawn(move || {
            process.run(async {
                tokio::select! {
                    () = told_to_end(|| {}) => {}
                    // A dropped sender ends it too.
                    _ = ended => {}
                }
            })
        })?;

        let reader_gone = Cell::new(false);
        let mut show = Show::new(Told { out: io::stdout(), reader_gone: &reader_gone }, colours());
        for port in [moved, admin_moved].into_iter().flatten() {
            show.note(&format!("Port {port} is busy; a free one is used instead."))?;
        }
        let as_expected = Player::new(setting, &approvals).play(&mut show)?;
        if !self.exit {
            show.invitation(setting, USERNAME, PASSWORD)?;
        }
        if self.exit || reader_gone.get() {
            drop(end);
        }
        gateway.join().map_err(|_| DemoError::GatewayPanicked)??;
        Ok(as_expected)
    }
}

/// A listening socket, and the usual port if that was busy.
fn listen(
    option: &'static str,
    asked: Option<u16>,
    usual: u16,
) -> Result<(TcpListener, Option<u16>), DemoError> {
    match (asked, server::bind(loopback(asked.unwrap_or(usual)))) {
        (_, Ok(listener)) => Ok((listener, None)),
        (None, Err(error)) if error.kind() == io::ErrorKind::AddrInUse => {
            Ok((server::bind(loopback(0))?, Some(usual)))
        }
        (_, Err(error)) => Err(DemoError::Port { option, port: asked.unwrap_or(usual), error }),
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// `config/demo.yaml` with the addresses and secrets of this run.
fn configuration(hooks: SocketAddr, admin: SocketAddr, api: SocketAddr) -> Result<Config, DemoError> {
    let secret = |name: &str| format!("env: CLAIMGATE_DEMO_{name}");
    let quoted = |value: &str| format!("\"{value}\"");
    let mut text = CONFIG
        .replace("127.0.0.1:8080", &hooks.to_string())
        .replace("127.0.0.1:9090", &admin.to_string())
        .replace("127.0.0.1:8791", &api.to_string());
    for (name, value) in
        [("CALLER_PASSWORD", PASSWORD), ("API_PASSWORD", API_PASSWORD), ("API_CODE", API_CODE)]
    {
        text = text.replace(&secret(name), &quoted(value));
    }
    let outcome = config::read("demo.yaml", &text, Secrets::Load);
    outcome.config.ok_or_else(|| DemoError::Configuration(outcome.report.to_string()))
}

/// Serves the sample system on a thread of its own until the process ends.
fn serve_approvals(approvals: Arc<ApprovalsServer>, listener: TcpListener) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("approvals".to_owned()).spawn(move || {
        runtime.block_on(async {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => approvals.serve(listener).await,
                Err(error) => tracing::error!(%error, "the sample approval system cannot listen"),
            }
        });
    })?;
    Ok(())
}

/// An output that stays quiet once its reader has gone (`claimgate demo | head`): the sign-ups are played to their end,
/// so that the exit status says what it always says.
struct Told<'a, W> {
    out: W,
    reader_gone: &'a Cell<bool>,
}

impl<W: Write> Write for Told<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.out.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.reader_gone.set(true);
                Ok(bytes.len())
            }
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Colours are for a terminal, and not for those who ask for none (<https://no-color.org>).
fn colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Access events: those of the story are left out, because the story says the same at more length. When it ends, some of
/// them are still on their way; so it is the line that decides, not the time.
#[derive(Debug)]
struct Events;

impl Write for Events {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = bytes.split_inclusive(|&byte| byte == b'\n').next().unwrap_or_default();
        if !is_of_the_story(line) {
            io::stdout().write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

fn is_of_the_story(line: &[u8]) -> bool {
    let field = format!("request_id={REQUEST_ID_PREFIX}");
    line.windows(field.len()).any(|window| window == field.as_bytes())
}

/// Why the demo cannot be played.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("{option} {port}: {error}; {option} 0 picks a free port")]
    Port { option: &'static str, port: u16, error: io::Error },
    #[error("the demo's own configuration:\n{0}")]
    Configuration(String),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Story(#[from] story::StoryError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Diagnostics(#[from] diagnostics::InitError),
    #[error("the gateway ended by a defect")]
    GatewayPanicked,
}

//! The two listening sockets: passed by whoever started this process, or bound where the configuration says.
//!
//! A passed socket outlives the process, so that one process can take over from another without a refused connection.
//! The protocol is that of `sd_listen_fds(3)`, which any parent can speak: sockets from file descriptor 3 on, their number
//! in `LISTEN_FDS`, and in `LISTEN_PID` whom they are for (everybody if it is left out).

use std::{
    env, io,
    net::{SocketAddr, TcpListener},
};

use listenfd::ListenFd;
use socket2::SockRef;

use super::process::StartError;
use crate::{
    config::Config,
    server::{self, Queue},
};

/// What a socket for the admin port is called in `LISTEN_FDNAMES`.
const ADMIN: &str = "admin";

/// Sockets that listen already.
#[derive(Debug, Default)]
pub(super) struct Passed {
    hooks: Option<TcpListener>,
    admin: Option<TcpListener>,
}

/// Why sockets that were passed cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum PassedError {
    #[error(
        "LISTEN_FDS passes {0} sockets: pass one for the hook port, and at most one more for the admin port"
    )]
    TooMany(usize),
    #[error("LISTEN_FDNAMES calls both sockets `{ADMIN}`: only one can be that")]
    BothAdmin,
    #[error("LISTEN_FDS, socket {number}: {error}")]
    Unusable { number: usize, error: io::Error },
}

/// The sockets of a process.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) hooks: TcpListener,
    pub(super) admin: TcpListener,
    /// What becomes at the end of connections that nobody has accepted.
    pub(super) queue: Queue,
}

impl Passed {
    /// Takes what was passed to this process, once: the variables are removed. To be called before there are threads.
    pub(super) fn take() -> Result<Self, PassedError> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut passed = ListenFd::from_env();
        let is_admin = |index: usize| names.split(':').nth(index) == Some(ADMIN);
        let admin_first = match (passed.len(), is_admin(0), is_admin(1)) {
            (0, ..) => return Ok(Self::default()),
            (2, true, true) => return Err(PassedError::BothAdmin),
            (1 | 2, first, _) => first,
            (count, ..) => return Err(PassedError::TooMany(count)),
        };
        let mut take = |index: usize| {
            let taken = passed.take_tcp_listener(index).and_then(|socket| socket.map(listening).transpose());
            taken.map_err(|error| PassedError::Unusable { number: index + 1, error })
        };
        let (first, second) = (take(0)?, take(1)?);
        let (hooks, admin) = if admin_first { (second, first) } else { (first, second) };
        Ok(Self { hooks, admin })
    }
}

impl Sockets {
    /// What was passed, and for the rest what the configuration says.
    pub(super) fn open(passed: Passed, config: &Config) -> Result<Self, StartError> {
        let queue = if passed.hooks.is_some() { Queue::Leave } else { Queue::Take };
        let (listen, admin) = (config.listen.address, config.admin.address);
        let sockets = Self {
            hooks: passed.hooks.map_or_else(|| bind("listen.address", listen), Ok)?,
            admin: passed.admin.map_or_else(|| bind("admin.address", admin), Ok)?,
            queue,
        };
        let address = sockets.hooks.local_addr()?;
        differs("listen.address", listen, address);
        differs("admin.address", admin, sockets.admin.local_addr()?);
        // The configuration was checked against its own address.
        if queue == Queue::Leave && !config.listen.may_serve(address) {
            return Err(StartError::PlainText(address));
        }
        Ok(sockets)
    }
}

/// What the protocol says nothing about: it must listen, and not block.
fn listening(socket: TcpListener) -> io::Result<TcpListener> {
    if !SockRef::from(&socket).is_listener()? {
        return Err(io::Error::other("it does not listen (Accept=yes in a systemd socket unit?)"));
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    server::bind(address).map_err(|error| StartError::Bind { key, address, error })
}

/// Port 0 of the configuration is any.
fn differs(key: &'static str, configured: SocketAddr, served: SocketAddr) {
    let any_port = SocketAddr::new(configured.ip(), served.port());
    if served != configured && !(configured.port() == 0 && served == any_port) {
        tracing::warn!(%configured, %served, "a socket was passed that is not at {key}, which is not used");
    }
}

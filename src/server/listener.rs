//! The listening socket.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait in the kernel until they are accepted; it has its own upper bound (`somaxconn`).
pub(super) const BACKLOG: usize = 1024;

/// What becomes at the end of connections that wait in the kernel and were not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// They are accepted: the socket ends with this process, and would reset them.
    Take,
    /// They are left for whoever accepts next: somebody else has the socket too.
    Leave,
}

/// Listens at `address`. The address is free again as soon as this process has ended, even if connections linger.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(BACKLOG).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

//! The TLS handshake of a connection, in its own task: one that stalls costs its place and its time, nothing else.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    gateway::Worker,
    tls::{Failed, HandshakeFailure, Peer, Stream},
};

/// How long a client may take to read why its handshake failed.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Most that is read and dropped meanwhile, in bytes.
const MOST_DROPPED: u64 = 64 * 1024;

/// The connection as hooks travel over it, and the client if it has shown a certificate; nothing if it came to no such
/// connection, which is counted.
pub(super) async fn shake(tcp: TcpStream, worker: &Worker) -> Option<(Stream, Option<Arc<Peer>>)> {
    let Some(tls) = worker.tls() else { return Some((Stream::Plain(tcp), None)) };
    // Boxed: the state of a handshake is large, and a connection needs it for a moment only.
    let shaken = timeout(worker.current().listen().handshake_timeout, Box::pin(tls.accept(tcp))).await;
    let (reason, error, tcp) = match shaken {
        Ok(Ok((stream, peer))) => return Some((stream, peer.map(Arc::new))),
        Ok(Err(Failed { reason, error, tcp })) => (reason, error, Some(tcp)),
        Err(late) => (HandshakeFailure::Timeout, late.into(), None),
    };
    worker.handshake_failed(reason);
    // A port on the internet sees many of them, and the client's side is to blame.
    tracing::debug!(reason = reason.as_str(), %error, "a TLS handshake failed");
    if let (Some(tcp), true) = (tcp, reason != HandshakeFailure::Closed) {
        let _late_or_gone = timeout(LAST_WORD, let_it_be_read(tcp)).await;
    }
    None
}

/// Closing while something is left unread would reset the connection, and the client never saw the alert: in TLS 1.3 it
/// may have sent its first request before its certificate was refused.
async fn let_it_be_read(mut tcp: TcpStream) -> io::Result<u64> {
    tcp.shutdown().await?;
    tokio::io::copy(&mut tcp.take(MOST_DROPPED), &mut tokio::io::sink()).await
}

//! One connection of a caller.

use std::{convert::Infallible, pin::pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header::CONNECTION};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{
    handshake,
    progress::{Ending, Phase, Progress},
    watched::{Watched, WatchedBody},
    watcher::{Due, Timeouts, Watcher},
};
use crate::{
    gateway::{self, Client, Worker},
    telemetry::Unparsed,
    tls::Peer,
};

/// Largest head of a request, and of what hyper reads ahead, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// Said to a client whose head did not arrive in time (RFC 9110 section 15.5.9). There is no hook to say more about.
const REQUEST_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// What the connections of a worker have in common.
#[derive(Clone, Debug)]
pub(super) struct Port {
    pub(super) worker: Arc<Worker>,
    pub(super) ending: Arc<Ending>,
}

/// Serves a connection as it was accepted to its end.
pub(super) async fn serve_accepted(stream: TcpStream, port: Port) {
    // An answer is one small write; waiting for more to send with it would cost up to 40 ms.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let worker = Arc::clone(&port.worker);
    let _connection = worker.metrics().enter_connection();
    let Some((stream, peer)) = handshake::shake(stream, &worker).await else { return };
    serve(stream, peer, port).await;
}

/// Serves the hooks that come over one stream to its end, as a [`Server`](super::Server) does with each connection: for
/// a stream that no listener accepts, such as one within the process. It speaks HTTP without TLS, whatever `listen.tls`
/// says, and stands for a client without a certificate. Must run on the runtime that has the worker's connections, and that
/// on one thread: how far a connection is, is counted without regard to others.
pub async fn serve_stream<S>(stream: S, worker: Arc<Worker>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let metrics = worker.metrics().clone();
    let _connection = metrics.enter_connection();
    serve(stream, None, Port { worker, ending: Arc::default() }).await;
}

/// Serves HTTP on a stream to its end.
///
/// The state of HTTP, with its buffers some 24 KiB, is there only from the first byte of a request until the connection
/// has been idle for a while. What it has read beyond the last request outlives it.
///
/// hyper's own timer for heads is off: it runs through idle times too, and is made anew for each head. The watcher
/// bounds both, each by its own time-out.
async fn serve<S>(stream: S, peer: Option<Arc<Peer>>, port: Port)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Port { worker, ending } = port;
    let timeouts = Timeouts::from(worker.current().listen());
    let progress = Arc::new(Progress::new(ending));
    let _over = Over(&progress);
    let shared = Arc::new(Shared { worker, client: Client::new(peer), progress: Arc::clone(&progress) });
    let mut stream = Watched::new(stream, Arc::clone(&progress));
    let (mut watcher, timer) = Watcher::new(timeouts);
    let mut timer = pin!(timer);
    let at = loop {
        let due = tokio::select! {
            // The watcher must see the connection as it waits.
            biased;
            () = stream.speaks() => None,
            due = watcher.due(&progress, timer.as_mut()) => Some(due),
        };
        match due {
            None => {}
            Some(Due::Rest) => continue,
            Some(Due::End(at)) => break at,
        }
        let service = service_fn(|request| answer(Asked { of: Arc::clone(&shared), request: Some(request) }));
        // Boxed: a connection at rest shall not keep the place for it.
        let mut connection = Box::new(
            http1::Builder::new()
                .header_read_timeout(None)
                .max_buf_size(MAX_HEAD)
                // Head and body in one `send`: cheaper for the kernel than two pieces, for answers this small.
                .writev(false)
                .serve_connection(TokioIo::new(stream), service),
        );
        let due = tokio::select! {
            biased;
            ended = &mut *connection => {
                if let Err(error) = ended {
                    ended_by_caller(&error, &shared.worker);
                }
                return;
            }
            due = watcher.due(&progress, timer.as_mut()) => due,
        };
        let parts = connection.into_parts();
        stream = parts.io.into_inner();
        match due {
            Due::Rest => stream.unread(parts.read_buf),
            Due::End(at) => break at,
        }
    };
    tracing::debug!(?at, "connection timed out");
    // Elsewhere an answer would be taken for that to the next request, or be stuck behind one that is not read.
    if at == Phase::Head {
        let mut stream = stream.into_inner();
        let said = async {
            stream.write_all(REQUEST_TIMEOUT).await?;
            stream.shutdown().await
        };
        // Whoever does not hear it has gone, or does not listen.
        drop(timeout(timeouts.write, said).await);
    }
}

/// The caller's side of the wire: a hang-up, broken HTTP. Whatever was a hook has its own event; what could not be read
/// has only this. The error's text holds no byte of it.
fn ended_by_caller(error: &hyper::Error, worker: &Worker) {
    let unparsed = unparsed(error);
    if let Some(fault) = unparsed {
        worker.metrics().request_unparsed(fault);
    }
    let fault = unparsed.map(Unparsed::as_str);
    tracing::debug!(fault, %error, "connection ended");
}

/// Whether the connection ended with a request that the HTTP layer could not read, and refused by itself; not with a
/// hang-up.
fn unparsed(error: &hyper::Error) -> Option<Unparsed> {
    if error.is_parse_version_h2() {
        Some(Unparsed::Http2)
    } else if error.is_parse_too_large() {
        Some(Unparsed::TooLarge)
    } else {
        error.is_parse().then_some(Unparsed::Malformed)
    }
}

/// What the requests of a connection share.
struct Shared {
    worker: Arc<Worker>,
    client: Client,
    progress: Arc<Progress>,
}

/// A request that has been read and not yet looked at: hyper drops it so if the caller's end comes right behind it.
struct Asked {
    of: Arc<Shared>,
    request: Option<Request<Incoming>>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            gateway::gone(&self.of.worker, request);
        }
    }
}

async fn answer(mut asked: Asked) -> Result<Response<Full<Bytes>>, Infallible> {
    let request = asked.request.take().expect("it is taken here alone, and this runs once");
    let Shared { worker, client, progress } = &*asked.of;
    progress.asked();
    let request = request.map(|body| WatchedBody::new(body, Arc::clone(progress)));
    let mut response = gateway::answer(worker, client, request).await;
    if client.is_known() {
        progress.known();
    }
    if progress.answers_last() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    progress.answered();
    Ok(response)
}

/// Says that the connection is over, also when its task is dropped.
struct Over<'p>(&'p Progress);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over();
    }
}

#[cfg(test)]
mod tests;

//! Connections to the admin port: few, short, each with an end.

use std::{convert::Infallible, future::Future, pin::pin, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{AdminState, answer::answer};

/// Connections at a time; further ones wait in the kernel's queue.
pub(super) const MAX_CONNECTIONS: usize = 64;

/// Longest time for a request head.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest time for a whole connection, so that a client that does not read its answer holds no place for ever.
pub(super) const CONNECTION_TIMEOUT: Duration = Duration::from_secs(20);

/// Longest time for open answers after the shutdown.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// Pause after an accept that failed, most likely for want of file descriptors: trying at once would only burn CPU.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the admin port until `shutdown`, then gives open answers a second.
pub async fn serve(listener: TcpListener, state: Arc<AdminState>, shutdown: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            (stream, place) = accept(&listener, &places) => {
                let state = Arc::clone(&state);
                connections.spawn(async move {
                    serve_connection(stream, &state).await;
                    drop(place);
                });
            }
            // Collects those that have ended; the set would keep them otherwise.
            Some(_ended) = connections.join_next() => {}
        }
    }
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if timeout(GRACE, all_ended).await.is_err() {
        tracing::debug!("connections to the admin port were cut off by the shutdown");
    }
}

/// Answers one request. There is no second one on the connection: scrapes and probes are too rare to keep it for.
pub(super) async fn serve_connection(io: impl AsyncRead + AsyncWrite + Unpin, state: &AdminState) {
    let service = service_fn(|request| {
        let answer = answer(state, &request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(io), service);
    match timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection to the admin port failed"),
        Err(_elapsed) => tracing::debug!("a client of the admin port did not read its answer"),
    }
}

/// The next connection, once there is a place for it.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    let place = Arc::clone(places).acquire_owned().await.expect("nobody closes the semaphore");
    loop {
        match listener.accept().await {
            Ok((stream, _peer)) => return (stream, place),
            Err(error) => {
                tracing::warn!(%error, "the admin port cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

//! One connection of a caller.

use std::{convert::Infallible, future, pin::pin, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    gateway::{self, Worker},
    telemetry::Unparsed,
};

/// When everything must have ended, once that is known. It may be moved to an earlier time.
pub(super) type Stopping = watch::Receiver<Option<Instant>>;

/// Completes when everything must have ended, or nobody is left to say when.
pub(super) async fn stopped(mut stopping: Stopping) {
    loop {
        let until = *stopping.borrow_and_update();
        let passed = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => future::pending().await,
            }
        };
        tokio::select! {
            () = passed => return,
            moved = stopping.changed() => if moved.is_err() { return },
        }
    }
}

/// Largest head of a request, and of what hyper reads ahead, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// How long an idle connection is still listened to at the end: a hook that has arrived, but was not read yet, would
/// else be lost with its connection.
const LAST_CALL: Duration = Duration::from_millis(50);

/// Serves a connection to its end.
///
/// `head_timeout` bounds a head and the pause between two requests. Without it a silent client keeps its place for
/// ever; hyper's timer bounds both.
pub(super) async fn serve(
    stream: TcpStream,
    worker: Arc<Worker>,
    head_timeout: Duration,
    mut stopping: Stopping,
) {
    // An answer is one small write; waiting for more to send with it would cost up to 40 ms.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let service = service_fn(|request| {
        let worker = Arc::clone(&worker);
        async move { Ok::<_, Infallible>(gateway::answer(&worker, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(MAX_HEAD)
        // Head and body in one `send`: cheaper for the kernel than two pieces, for answers this small.
        .writev(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let told_to_stop = async { drop(stopping.wait_for(Option::is_some).await) };
    let last_call = async {
        told_to_stop.await;
        sleep(LAST_CALL).await;
    };
    let result = tokio::select! {
        biased;
        result = connection.as_mut() => result,
        () = last_call => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        // The caller's side of the wire. Whatever was a hook has its own event; what could not be read has only this.
        // The error's text holds no byte of it.
        let unparsed = unparsed(&error);
        if let Some(fault) = unparsed {
            worker.metrics().request_unparsed(fault);
        }
        let fault = unparsed.map(Unparsed::as_str);
        tracing::debug!(fault, %error, "connection ended");
    }
}

/// Whether the connection ended with a request that the HTTP layer could not read, and refused by itself; not with a
/// hang-up or a time-out.
fn unparsed(error: &hyper::Error) -> Option<Unparsed> {
    if error.is_parse_version_h2() {
        Some(Unparsed::Http2)
    } else if error.is_parse_too_large() {
        Some(Unparsed::TooLarge)
    } else {
        error.is_parse().then_some(Unparsed::Malformed)
    }
}

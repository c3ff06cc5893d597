//! The accept loop.

use std::{io, iter, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::select_all};
use tokio::{
    net::TcpListener,
    sync::{
        Semaphore,
        mpsc::{Permit, Sender, error::TrySendError},
    },
    time::sleep,
};

use super::{
    listener::{BACKLOG, Queue},
    worker::{Accepted, Worker},
};

/// Accepts and hands over to the workers in turn, passing over those that have no room, until `shutdown` completes;
/// then sees to what has connected by that time and closes the listening socket.
pub(super) async fn accept(
    listener: std::net::TcpListener,
    queue: Queue,
    workers: &[Worker],
    most: usize,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
    let mut pending = None;
    tokio::select! {
        // What has not been accepted when the end comes is a matter of the queue's rule.
        biased;
        () = shutdown => {}
        failed = accept_for_ever(&listener, workers, &places, &mut pending) => return failed,
    }
    let listener = listener.into_std()?;
    let waiting = || {
        pending.take().or_else(|| match queue {
            Queue::Take => accept_at_once(&listener, &places),
            Queue::Leave => None,
        })
    };
    hand_over_the_rest(waiting, &workers.iter().map(Worker::accepted))
}

/// For their clients these are connected, and their hooks may be on the way; closing the socket would reset them. But
/// nothing is waited for, and no more is taken than may have waited: where no worker has room, or clients connect as fast
/// as they are taken, the end would never come.
fn hand_over_the_rest<'w, T: 'w>(
    waiting: impl FnMut() -> Option<T>,
    workers: &(impl Iterator<Item = &'w Sender<T>> + Clone),
) -> io::Result<()> {
    for accepted in iter::from_fn(waiting).take(BACKLOG) {
        let Some(room) = room(workers.clone()).now_or_never() else { break };
        room?.send(accepted);
    }
    Ok(())
}

/// What is accepted stands in `pending` until a worker has it, so that it outlives this future.
async fn accept_for_ever(
    listener: &TcpListener,
    workers: &[Worker],
    places: &Arc<Semaphore>,
    pending: &mut Option<Accepted>,
) -> io::Result<()> {
    let mut backoff = Backoff::default();
    for turn in (0..workers.len()).cycle() {
        // Without a place the connection stays in the kernel's queue, where it costs nothing.
        let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
        let stream = loop {
            match listener.accept().await.and_then(|(stream, _)| stream.into_std()) {
                Ok(stream) => break stream,
                Err(error) => backoff.wait(&error).await,
            }
        };
        backoff = Backoff::default();
        *pending = Some((stream, place));
        let in_turn = workers[turn..].iter().chain(&workers[..turn]).map(Worker::accepted);
        let room = room(in_turn).await?;
        if let Some(accepted) = pending.take() {
            room.send(accepted);
        }
    }
    Err(io::Error::other("there is no worker"))
}

fn accept_at_once(listener: &std::net::TcpListener, places: &Arc<Semaphore>) -> Option<Accepted> {
    let place = Arc::clone(places).try_acquire_owned().ok()?;
    let (stream, _) = listener.accept().ok()?;
    stream.set_nonblocking(true).ok()?;
    Some((stream, place))
}

/// Room at the first of these workers that has some. Only if none has it waits, and then for all of them, so that one
/// worker that is stuck holds up nobody but those it has already.
async fn room<'w, T: 'w>(workers: impl Iterator<Item = &'w Sender<T>> + Clone) -> io::Result<Permit<'w, T>> {
    let ended = || io::Error::other("a worker has ended");
    for worker in workers.clone() {
        match worker.try_reserve() {
            Ok(room) => return Ok(room),
            Err(TrySendError::Full(())) => {}
            Err(TrySendError::Closed(())) => return Err(ended()),
        }
    }
    let (room, ..) = select_all(workers.map(|worker| Box::pin(worker.reserve()))).await;
    room.map_err(|_closed| ended())
}

/// Waits longer and longer while accepting fails, which it does at once and again when descriptors have run out.
struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(Duration::from_millis(5))
    }
}

impl Backoff {
    async fn wait(&mut self, error: &io::Error) {
        const LONGEST: Duration = Duration::from_secs(1);
        // A client that hung up in the queue says nothing about the next one.
        if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
            return;
        }
        tracing::warn!(%error, retry_after_ms = self.0.as_millis(), "cannot accept connections");
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use std::{future::ready, net::TcpStream};

    use tokio::{
        sync::mpsc::{Receiver, channel},
        time::timeout,
    };

    use super::*;

    /// Two workers with room for one connection each.
    fn two() -> ([Sender<u8>; 2], [Receiver<u8>; 2]) {
        let ((first, one), (second, two)) = (channel(1), channel(1));
        ([first, second], [one, two])
    }

    #[tokio::test(start_paused = true)]
    async fn a_stuck_worker_is_passed_over() {
        let (workers, [_stuck, mut works]) = two();
        for connection in 0..10 {
            let room = timeout(Duration::from_secs(1), room(workers.iter())).await;
            room.expect("the other worker has room").unwrap().send(connection);
            // The first worker never takes what it has.
            if connection > 0 {
                assert_eq!(works.recv().await, Some(connection));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn with_every_worker_full_the_first_to_have_room_again_is_taken() {
        let (workers, [_stuck, mut works]) = two();
        for connection in 0..2 {
            room(workers.iter()).await.unwrap().send(connection);
        }
        let mut waiting = Box::pin(room(workers.iter()));
        assert!(timeout(Duration::from_mins(1), &mut waiting).await.is_err(), "nobody has room");
        assert_eq!(works.recv().await, Some(1));
        waiting.await.unwrap().send(2);
        assert_eq!(works.recv().await, Some(2));
    }

    #[test]
    fn at_the_end_no_more_is_taken_than_may_have_waited_and_nothing_is_waited_for() {
        for (room_for, taken) in [(3, 3), (2 * BACKLOG, BACKLOG)] {
            let (worker, mut works) = channel(room_for);
            hand_over_the_rest(|| Some(0_u8), &[&worker].into_iter()).unwrap();
            let count = iter::from_fn(|| works.try_recv().ok()).count();
            assert_eq!(count, taken, "clients that connect for ever, and room for {room_for}");
        }
    }

    #[tokio::test]
    async fn what_waits_at_the_end_is_taken_from_a_socket_of_its_own_and_left_on_a_passed_one() {
        for (queue, taken) in [(Queue::Take, 3), (Queue::Leave, 0)] {
            let listener = super::super::bind(([127, 0, 0, 1], 0).into()).unwrap();
            let (successor, address) = (listener.try_clone().unwrap(), listener.local_addr().unwrap());
            let clients: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
            let (worker, mut works) = Worker::without_a_thread();
            accept(listener, queue, &[worker], 10, ready(())).await.unwrap();
            let count = iter::from_fn(|| works.try_recv().ok()).count();
            let left = iter::from_fn(|| successor.accept().ok()).count();
            assert_eq!((count, left), (taken, clients.len() - taken), "{queue:?}");
        }
    }

    #[tokio::test]
    async fn an_ended_worker_ends_the_loop() {
        let (workers, [_first, second]) = two();
        drop(second);
        room(workers.iter()).await.unwrap().send(0);
        assert!(room(workers.iter()).await.is_err());
    }
}

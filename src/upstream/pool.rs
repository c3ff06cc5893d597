//! Idle connections, and the exchange that uses them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use super::{
    Answer, Buffer, Defect, Detail, Target, Timer, Until, WireFailure, connect,
    exchange::{self, Exchanged},
};
use crate::{
    flow::Reason,
    tls::{Condition, Stream},
};

/// The connections of one worker to one API. Its connections are bound to the runtime that made them, so it must not
/// be used from another.
#[derive(Debug)]
pub struct Pool {
    target: Arc<Target>,
    /// In the order in which they became idle. Locked only to put one in or take some out.
    idle: Mutex<VecDeque<Idle>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

/// The connection of an exchange that came to an answer, if it can be used again; closed when this is dropped.
#[derive(Debug, Default)]
pub struct Held(Option<Connection>);

struct Connection {
    stream: Stream,
    buffer: Buffer,
    timer: Timer,
    born: Instant,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("born", &self.born).finish_non_exhaustive()
    }
}

impl Pool {
    /// An empty one.
    pub fn new(target: Arc<Target>) -> Self {
        Self { target, idle: Mutex::default() }
    }

    /// Sends `request`, which is head and body of a POST, and reads the answer; on an idle connection if one is as it
    /// was left, else on a new one. Nothing is sent twice. Dropping the future closes the connection.
    pub async fn exchange(&self, request: &[u8], until: Until) -> Result<Answer, WireFailure> {
        let (answer, held) = self.exchange_and_hold(request, Instant::now(), until, false).await?;
        self.release(held, Instant::now());
        Ok(answer)
    }

    /// The same, but the connection is kept only if it is [released](Self::release): its framing was in order, and
    /// whether the answer makes sense is known only to whoever reads it. An API that has lost its place in the
    /// conversation must not speak to the next user. A `fresh` one does not go over a connection that was used before.
    /// It begins `now`.
    pub async fn exchange_and_hold(
        &self,
        request: &[u8],
        now: Instant,
        until: Until,
        fresh: bool,
    ) -> Result<(Answer, Held), WireFailure> {
        if until.earliest() <= now {
            let reason = if until.is_deadline() { Reason::Deadline } else { Reason::ConnectTimeout };
            return Err(WireFailure::before_sending(reason, Detail::Elapsed));
        }
        let idle = if fresh { None } else { self.take(now).await };
        let (mut connection, reused) = match idle {
            Some(connection) => (connection, true),
            // Boxed: its state is large, and few exchanges need it.
            None => (Box::pin(self.connect(until)).await?, false),
        };
        let Connection { stream, buffer, timer, .. } = &mut connection;
        let max_answer = self.target.max_answer;
        let mut result = exchange::run(stream, buffer, timer, request, max_answer, until, reused).await;
        if let Err(failure) = &mut result {
            failure.certificate_pending = stream.certificate_is_pending();
        }
        let stray = match &result {
            Ok(exchanged) => exchanged.surplus,
            Err(failure) => failure.detail == Detail::Answer(Defect::Stray),
        };
        if stray {
            self.target.trust.lose();
        }
        let Exchanged { answer, keep, surplus } = result?;
        // Elsewhere what follows is left over; behind these two it is the body that they must not have.
        if surplus && matches!(answer.status, 204 | 304) {
            return Err(WireFailure::after_answer(Defect::BodyWhereNone, &answer));
        }
        Ok((answer, Held(keep.then_some(connection))))
    }

    /// Keeps the connection of an exchange, which ended `now`, for the next one.
    pub fn release(&self, held: Held, now: Instant) {
        if let Some(connection) = held.0 {
            self.put(connection, now);
        }
    }

    /// Closes what idled for too long. [`Self::exchange`] never uses such a connection, but in a quiet hour nobody
    /// else would close it: call this from the worker's tick.
    pub fn sweep(&self) {
        let now = Instant::now();
        let mut idle = self.lock();
        let over = idle.iter().take_while(|entry| self.is_over(entry, now)).count();
        let closed: Vec<Idle> = idle.drain(..over).collect();
        // Closing is work for the kernel, which needs no lock.
        drop(idle);
        drop(closed);
    }

    /// How many connections are idle, those that idled for too long included.
    #[cfg(test)]
    fn idle(&self) -> usize {
        self.lock().len()
    }

    async fn connect(&self, until: Until) -> Result<Connection, WireFailure> {
        let stream = connect::connect(&self.target, until).await?;
        Ok(Connection { stream, buffer: Buffer::new(), timer: Timer::default(), born: Instant::now() })
    }

    /// The connection that idled for the shortest time of those that are as they were left; so with less traffic the
    /// others come to their end. What is found otherwise is closed: a byte that nobody asked for must not become the
    /// answer to somebody's request. What is on its way at the very moment of reuse no check can see (RFC 9112
    /// section 9.5).
    async fn take(&self, now: Instant) -> Option<Connection> {
        loop {
            let mut entry = self.pop()?;
            if self.is_over(&entry, now) {
                continue;
            }
            match entry.connection.stream.condition().await {
                Condition::Quiet => return Some(entry.connection),
                Condition::Speaks => self.target.trust.lose(),
                Condition::Over => {}
            }
        }
    }

    fn put(&self, mut connection: Connection, since: Instant) {
        connection.buffer.reset();
        if self.target.max_idle == 0 || self.target.trust.is_lost(since) || self.is_retired(&connection) {
            return;
        }
        let mut idle = self.lock();
        let full = idle.len() >= self.target.max_idle;
        let closed = if full { idle.pop_front() } else { None };
        idle.push_back(Idle { connection, since });
        drop(idle);
        drop(closed);
    }

    fn pop(&self) -> Option<Idle> {
        self.lock().pop_back()
    }

    fn is_over(&self, entry: &Idle, now: Instant) -> bool {
        self.target.trust.is_lost(now)
            || self.is_retired(&entry.connection)
            || now.saturating_duration_since(entry.since) >= self.target.idle_timeout
            || now.saturating_duration_since(entry.connection.born) >= self.target.max_age
    }

    /// Whether it was made with a certificate that is no longer the one to show.
    fn is_retired(&self, connection: &Connection) -> bool {
        self.target.tls.as_ref().is_some_and(|tls| !tls.is_current(&connection.stream))
    }

    /// A panic elsewhere leaves the queue whole: every change to it is one call.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

//! A stream that does as it is told.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use crate::upstream::{
    Buffer, Timer, Until, WireFailure,
    exchange::{Exchanged, run},
};

pub(super) const REQUEST: &[u8] =
    b"POST /approvals HTTP/1.1\r\nHost: api.example\r\nContent-Length: 2\r\n\r\n{}";

/// The `max_answer` of these tests.
pub(super) const MAX_ANSWER: usize = 32;

/// What comes after the last piece.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Then {
    /// Nothing, and the connection stays open.
    Silence,
    /// The end of the stream.
    End,
    /// An error.
    Error(io::ErrorKind),
}

/// Answers in pieces once the whole request has come, unless told otherwise.
pub(super) struct Script {
    pieces: VecDeque<Vec<u8>>,
    then: Then,
    pub(super) received: Vec<u8>,
    /// The answer comes first, and only then the request is taken.
    pub(super) unasked: bool,
    /// The stream counts as one that carried an earlier exchange.
    pub(super) reused: bool,
    /// What happens to writes.
    pub(super) write_error: Option<io::ErrorKind>,
    /// Every other read is not ready, as between two packets.
    pause: bool,
}

impl Script {
    pub(super) fn new(pieces: impl IntoIterator<Item = Vec<u8>>, then: Then) -> Self {
        let pieces = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        Self {
            pieces,
            then,
            received: Vec::new(),
            unasked: false,
            reused: false,
            write_error: None,
            pause: false,
        }
    }

    /// Runs one exchange that may last for a minute. The stream counts as kept only if nothing was left in it.
    pub(super) async fn run(&mut self) -> Result<Exchanged, WireFailure> {
        let end = Instant::now() + Duration::from_mins(1);
        let until = Until { attempt: end, deadline: end + Duration::from_secs(1) };
        let mut exchanged =
            run(self, &mut Buffer::new(), &mut Timer::default(), REQUEST, MAX_ANSWER, until, self.reused)
                .await?;
        exchanged.keep &= self.pieces.is_empty();
        Ok(exchanged)
    }
}

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.unasked && self.received.len() < REQUEST.len() && self.write_error.is_none() {
            return Poll::Pending;
        }
        self.pause = !self.pause;
        if self.pause {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(mut piece) = self.pieces.pop_front() else {
            return match self.then {
                Then::Silence => Poll::Pending,
                Then::End => Poll::Ready(Ok(())),
                Then::Error(kind) => Poll::Ready(Err(kind.into())),
            };
        };
        let rest = piece.split_off(piece.len().min(buf.remaining()));
        buf.put_slice(&piece);
        if !rest.is_empty() {
            self.pieces.push_front(rest);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(kind) = self.write_error {
            return Poll::Ready(Err(kind.into()));
        }
        if self.unasked && !self.pieces.is_empty() {
            return Poll::Pending;
        }
        // Half of it at a time, so that the rest must be offered again.
        let count = buf.len().div_ceil(2);
        self.received.extend_from_slice(&buf[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

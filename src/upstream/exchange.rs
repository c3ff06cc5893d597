//! One request and its answer over a byte stream.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::unconstrained,
};

use super::{
    Answer, Buffer, Defect, Detail, SystemFault, Timer, Until, WireFailure, failure::of_tls, reader::Reader,
};
use crate::{flow::Reason, tls::Fault};

/// What [`run`] brings back.
#[derive(Debug, PartialEq, Eq)]
pub struct Exchanged {
    /// The answer.
    pub answer: Answer,
    /// Whether the stream may carry another exchange: the answer ended exactly where its framing says, began after
    /// the whole request was sent, and did not announce the close of the connection.
    pub keep: bool,
    /// Whether bytes that belong to no request had followed by then.
    pub surplus: bool,
}

/// Sends `request`, which is head and body of an HTTP/1.1 request other than HEAD or CONNECT, and reads its answer,
/// with a body of at most `max_answer` bytes, through `buffer`.
///
/// Reading begins at once, so an answer that comes before the request is out (a 413, say) is seen, and a peer that
/// answers before it reads on cannot block both sides. Where the stream is `reused`, which is to say that it carried an
/// earlier exchange, such an answer may as well be a second one to the earlier request, and is a failure. After a
/// failure, or when the future is dropped, the stream must not be used again. Ends at the earlier of `until` at the
/// latest.
pub async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    io: &mut S,
    buffer: &mut Buffer,
    timer: &mut Timer,
    request: &[u8],
    max_answer: usize,
    until: Until,
    reused: bool,
) -> Result<Exchanged, WireFailure> {
    buffer.reset();
    let mut exchange = Exchange {
        io,
        buffer,
        sending: Sending::new(request),
        reader: Reader::new(max_answer),
        early: false,
        reused,
    };
    // Outside the task's budget: where the peer's bytes use that up at every turn, the timer would never see its end.
    let mut timer = unconstrained(timer.at(until.earliest()));
    let end = poll_fn(|cx| {
        let end = exchange.poll(cx);
        if end.is_pending() {
            ready!(Pin::new(&mut timer).poll(cx));
            return Poll::Ready(Err(Trouble::Elapsed));
        }
        end
    })
    .await;
    match end {
        Ok(()) => Ok(exchange.into_exchanged()),
        Err(trouble) => Err(exchange.into_failure(trouble, until)),
    }
}

struct Exchange<'a, S> {
    io: &'a mut S,
    buffer: &'a mut Buffer,
    sending: Sending<'a>,
    reader: Reader,
    early: bool,
    reused: bool,
}

/// What ends an exchange without an answer.
enum Trouble {
    Elapsed,
    Closed,
    Io(io::Error),
    Defect(Defect),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Exchange<'_, S> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        self.sending.poll(self.io, cx);
        loop {
            let count = ready!(self.buffer.poll_fill(self.io, cx)).map_err(Trouble::Io)?;
            if count == 0 {
                let complete = self.reader.ends_with_stream();
                return Poll::Ready(if complete { Ok(()) } else { Err(Trouble::Closed) });
            }
            self.early |= !self.sending.is_done();
            if self.early && self.reused {
                return Poll::Ready(Err(Trouble::Defect(Defect::Stray)));
            }
            if self.reader.advance(self.buffer).map_err(Trouble::Defect)? {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn into_exchanged(self) -> Exchanged {
        let surplus = !self.buffer.unread().is_empty();
        let (head, body) = self.reader.into_parts();
        let keep = head.keep_alive && !surplus && !self.early;
        let answer = Answer {
            status: head.status,
            content_encoding: head.content_encoding,
            retry_after: head.retry_after,
            body,
            reused: self.reused,
        };
        Exchanged { answer, keep, surplus }
    }

    fn into_failure(self, trouble: Trouble, until: Until) -> WireFailure {
        let begun = self.reader.has_begun(self.buffer);
        let broken = if begun { Reason::CutOff } else { Reason::Reset };
        let (reason, detail) = match trouble {
            Trouble::Defect(defect) => (defect.reason(), Detail::Answer(defect)),
            Trouble::Elapsed => (elapsed(begun, until), Detail::Elapsed),
            // The write's error says more than the end that it led to.
            Trouble::Closed => (broken, self.sending.failed.map_or(Detail::Closed, Detail::Io)),
            // How TLS reports a close that was not announced (RFC 8446 section 6.1): anyone may have cut it there.
            Trouble::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => (broken, Detail::Closed),
            Trouble::Io(error) => match Fault::of(&error) {
                Some(fault) if begun => (Reason::Tls, Detail::Tls(fault)),
                Some(fault) => of_tls(fault),
                None => (broken, Detail::Io(SystemFault::of(&error))),
            },
        };
        // What was known before the stream ended is the better reason.
        let known = self.reader.known_defect();
        let (reason, detail) =
            known.map_or((reason, detail), |defect| (defect.reason(), Detail::Answer(defect)));
        let defect = matches!(detail, Detail::Answer(_));
        WireFailure {
            reason,
            sent: self.sending.touched,
            reused: self.reused,
            certificate_pending: false,
            partial: self.reader.into_partial(self.buffer, defect),
            detail,
        }
    }
}

fn elapsed(begun: bool, until: Until) -> Reason {
    match (until.is_deadline(), begun) {
        (true, _) => Reason::Deadline,
        (false, true) => Reason::BodyTimeout,
        (false, false) => Reason::FirstByteTimeout,
    }
}

/// The request on its way out. An error here ends only the sending: the API may have answered before it closed, and
/// the reading finds out.
struct Sending<'a> {
    rest: &'a [u8],
    flushed: bool,
    /// Whether a byte may have left. A failed write counts: below TLS a part of it may have.
    touched: bool,
    failed: Option<SystemFault>,
}

impl<'a> Sending<'a> {
    fn new(request: &'a [u8]) -> Self {
        Self { rest: request, flushed: false, touched: false, failed: None }
    }

    fn is_done(&self) -> bool {
        self.flushed
    }

    fn poll<S: AsyncWrite + Unpin>(&mut self, io: &mut S, cx: &mut Context<'_>) {
        if self.flushed || self.failed.is_some() {
            return;
        }
        if let Poll::Ready(Err(error)) = self.poll_send(io, cx) {
            self.failed = Some(SystemFault::of(&error));
        }
    }

    fn poll_send<S: AsyncWrite + Unpin>(&mut self, io: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            let written = ready!(Pin::new(&mut *io).poll_write(cx, self.rest));
            self.touched = true;
            match written? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.rest = &self.rest[count..],
            }
        }
        // TLS keeps what the socket does not take.
        ready!(Pin::new(io).poll_flush(cx))?;
        self.flushed = true;
        Poll::Ready(Ok(()))
    }
}

#[cfg(any(test, fuzzing))]
pub mod law;
#[cfg(test)]
mod tests;

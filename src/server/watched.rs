//! A connection's stream and the bodies that come over it, which tell how far it is.

use std::{
    fmt,
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::progress::Progress;

/// Most that is read before there is an HTTP state to read it, in bytes: the whole of most hooks.
const FIRST_READ: usize = 2048;

/// A stream that tells when bytes have come and when all have left.
pub(super) struct Watched<S> {
    stream: S,
    /// What was read and comes before the rest of the stream; with nothing in it, the end of the stream was read.
    early: Option<Bytes>,
    progress: Arc<Progress>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, progress: Arc<Progress>) -> Self {
        Self { stream, early: None, progress }
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    /// Gives back what was read of it, to be read again.
    pub(super) fn unread(&mut self, bytes: Bytes) {
        self.early = (!bytes.is_empty()).then_some(bytes);
    }
}

impl<S: fmt::Debug> fmt::Debug for Watched<S> {
    /// Without what was read: credentials and claims.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl<S: AsyncRead + Unpin> Watched<S> {
    /// Waits until there is something to be read, or the end; it is still there to be read then.
    pub(super) async fn speaks(&mut self) {
        poll_fn(|cx| self.poll_speaks(cx)).await;
    }

    fn poll_speaks(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.early.is_none() {
            let mut bytes = [MaybeUninit::uninit(); FIRST_READ];
            let mut buffer = ReadBuf::uninit(&mut bytes);
            // A broken stream has ended: between two requests the HTTP library does the same for both.
            let _ended = ready!(Pin::new(&mut *self).poll_read(cx, &mut buffer));
            self.early = Some(Bytes::copy_from_slice(buffer.filled()));
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(early) = &mut self.early {
            let now = early.len().min(buffer.remaining());
            buffer.put_slice(&early.split_to(now));
            if now > 0 && early.is_empty() {
                self.early = None;
            }
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.progress.heard();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.progress.writes();
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    /// The HTTP library flushes once its own buffer is empty, so that an answer has left when this is done.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.progress.written();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.progress.closing();
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A body that tells when nobody reads it any more.
#[derive(Debug)]
pub(super) struct WatchedBody<B> {
    body: B,
    ended: bool,
    progress: Arc<Progress>,
}

impl<B: Body> WatchedBody<B> {
    pub(super) fn new(body: B, progress: Arc<Progress>) -> Self {
        progress.body_began();
        let ended = body.is_end_stream();
        Self { body, ended, progress }
    }
}

impl<B> Drop for WatchedBody<B> {
    fn drop(&mut self) {
        self.progress.body_ended(self.ended);
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for WatchedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.ended = frame.is_none() || self.body.is_end_stream();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

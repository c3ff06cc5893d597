//! A connection, plain or encrypted.

use std::{
    future::poll_fn,
    io::{self, Read as _},
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    task::unconstrained,
};
use tokio_rustls::TlsStream;

use super::{Fault, asked::Asked};

/// A connection, to an API or from a caller.
#[derive(Debug)]
pub enum Stream {
    /// Without TLS.
    Plain(TcpStream),
    /// With TLS. Boxed: its state is over a kilobyte, and the pool moves connections around.
    Tls(Box<Encrypted>),
}

/// A connection with TLS.
#[derive(Debug)]
pub struct Encrypted {
    tls: TlsStream<TcpStream>,
    /// Which of the client's identities made it.
    identity: usize,
    asked: Asked,
    /// A byte of data has come.
    settled: bool,
    /// What ended the session, while data that came before it is still to be read.
    ended: Option<io::Error>,
}

/// What an idle connection shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Neither a byte nor an end: it is as it was left.
    Quiet,
    /// A byte that nobody asked for.
    Speaks,
    /// Its end, or something of TLS that may be one.
    Over,
}

impl Stream {
    /// What an idle connection shows. After anything but [`Condition::Quiet`] it must not be used again.
    ///
    /// It is the kernel that is asked, with one system call: the runtime learns of what has come only when it next
    /// turns to its driver, which a busy worker may not have done since. Records of TLS that carry no data, such as
    /// the session tickets that a server sends after the handshake (RFC 8446 section 4.6.1), are taken in first and
    /// do not count, if the runtime knows of them.
    pub async fn condition(&mut self) -> Condition {
        let inside = match self {
            Self::Plain(_) => Condition::Quiet,
            Self::Tls(encrypted) => take_in(encrypted).await,
        };
        if inside == Condition::Quiet { self.condition_in_kernel() } else { inside }
    }

    /// Whether the peer asked for a certificate in the handshake and has sent no data since: under TLS 1.3 it may still
    /// refuse what it was shown.
    pub fn certificate_is_pending(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(encrypted) => encrypted.asked != Asked::No && !encrypted.settled,
        }
    }

    fn condition_in_kernel(&self) -> Condition {
        let mut byte = [MaybeUninit::uninit(); 1];
        match (SockRef::from(self.tcp()).peek(&mut byte), self) {
            (Err(error), _) if error.kind() == io::ErrorKind::WouldBlock => Condition::Quiet,
            (Ok(1..), Self::Plain(_)) => Condition::Speaks,
            // Under TLS the bytes may be anything.
            (Ok(_) | Err(_), _) => Condition::Over,
        }
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(encrypted) => encrypted.tls.get_ref().0,
        }
    }
}

impl Encrypted {
    pub(super) fn new(tls: impl Into<TlsStream<TcpStream>>, identity: usize, asked: Asked) -> Self {
        Self { tls: tls.into(), identity, asked, settled: false, ended: None }
    }

    /// Whether it resumed a session.
    #[cfg(test)]
    pub(super) fn handshake_kind(&self) -> Option<rustls::HandshakeKind> {
        self.tls.get_ref().1.handshake_kind()
    }

    pub(super) fn identity(&self) -> usize {
        self.identity
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = match self.ended.take() {
            Some(error) => Err(error),
            None => ready!(Pin::new(&mut self.tls).poll_read(cx, buf)),
        };
        if let Err(error) = read {
            // The library tells an alert before the data that came with it, and an answer must not be lost by that.
            self.take_decrypted(buf);
            if buf.filled().len() == before {
                return Poll::Ready(Err(Fault::complete(error, self.asked, self.settled)));
            }
            self.ended = Some(error);
        }
        self.settled |= buf.filled().len() > before;
        Poll::Ready(Ok(()))
    }

    fn take_decrypted(&mut self, buf: &mut ReadBuf<'_>) {
        // What both sides share has no reader.
        let mut reader = match &mut self.tls {
            TlsStream::Client(tls) => tls.get_mut().1.reader(),
            TlsStream::Server(tls) => tls.get_mut().1.reader(),
        };
        // An error means that there is nothing left.
        if let Ok(count) = reader.read(buf.initialize_unfilled()) {
            buf.advance(count);
        }
    }
}

/// What TLS shows, having taken in what the runtime knows to have come.
async fn take_in(encrypted: &mut Encrypted) -> Condition {
    // The task's budget is set aside: with none left, nothing would be taken in, and a ticket cost the connection.
    unconstrained(poll_fn(|_| {
        let mut byte = [MaybeUninit::uninit(); 1];
        let mut byte = ReadBuf::uninit(&mut byte);
        let mut context = Context::from_waker(Waker::noop());
        let read = encrypted.poll_read(&mut context, &mut byte);
        Poll::Ready(match read {
            Poll::Pending => Condition::Quiet,
            Poll::Ready(Ok(())) if !byte.filled().is_empty() => Condition::Speaks,
            Poll::Ready(_) => Condition::Over,
        })
    }))
    .await
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(encrypted) => encrypted.poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(encrypted) => Pin::new(&mut encrypted.tls).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(encrypted) => Pin::new(&mut encrypted.tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(encrypted) => Pin::new(&mut encrypted.tls).poll_shutdown(cx),
        }
    }
}

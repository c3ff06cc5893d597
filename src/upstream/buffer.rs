//! The bytes that have arrived and are not yet used.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, ReadBuf};

/// First size, and the size an idle connection keeps: an ordinary answer in one read.
const KEPT: usize = 4 * 1024;

/// A read buffer that is kept with its connection from one exchange to the next.
#[derive(Default)]
pub struct Buffer {
    /// Initialised throughout, so that a read needs no clearing.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// An empty one; it takes memory at the first read.
    pub fn new() -> Self {
        Self::default()
    }

    /// What has arrived and is not yet used.
    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Marks the first `count` unread bytes as used.
    pub(super) fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.end - self.start, "consumed more than there is");
        self.start += count;
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// One read from `io`, behind the unread bytes: how many came, 0 at the end of the stream. Whoever uses the bytes
    /// bounds how many may stay unread, and so how large this becomes.
    pub(super) fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.make_room();
        let mut free = ReadBuf::new(&mut self.bytes[self.end..]);
        ready!(Pin::new(io).poll_read(cx, &mut free))?;
        let count = free.filled().len();
        self.end += count;
        Poll::Ready(Ok(count))
    }

    /// Forgets what is unread and gives back what a large answer took.
    pub(super) fn reset(&mut self) {
        self.start = 0;
        self.end = 0;
        if self.bytes.len() > KEPT {
            self.bytes.truncate(KEPT);
            self.bytes.shrink_to_fit();
        }
    }

    fn make_room(&mut self) {
        if self.end < self.bytes.len() {
            return;
        }
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        } else {
            let doubled = (self.bytes.len() * 2).max(KEPT);
            self.bytes.resize(doubled, 0);
        }
    }
}

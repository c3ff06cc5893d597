//! Connections to a web API: connect, one HTTP/1.1 exchange at a time, idle connections, what went wrong on the wire.
//!
//! - [`Pool`]: what the rest of the program calls: one request in, one [`Answer`] or [`WireFailure`] out.
//! - [`exchange`]: one request and its answer over any byte stream, without a pool; for tests and fuzzing too.
//! - [`WireFailure`]: the reason, whether the API may have seen the request, and what arrived of an answer.
//!
//! The HTTP client is claimgate's own and runs in the task of its caller, so that three things are plain facts: whether
//! a byte of the request may have left, whether a byte belongs to the answer, and that dropping the future ends the
//! exchange. What comes from the API is judged as strictly as a server judges a client (RFC 9112): where two readers
//! could see two different answers there is none.
//!
//! Inside: `head` and `chunked` know the grammar, `reader` puts an answer together from pieces, `buffer` holds the
//! bytes between them; none of the four does I/O. `exchange` moves the bytes, `resolve` finds addresses, `connect` makes
//! connections, `pool` keeps them.

mod buffer;
mod chunked;
mod connect;
pub mod exchange;
mod failure;
mod head;
mod pool;
mod reader;
mod resolve;
mod retry_after;
mod timer;
mod trust;

use std::{fmt, time::Duration};

use tokio::time::Instant;

pub use buffer::Buffer;
pub use failure::{Defect, Detail, Partial, SystemFault, WireFailure};
pub use pool::{Held, Pool};
pub use resolve::Lookups;
pub use retry_after::RetryAfter;
pub use timer::Timer;
pub use trust::Trust;

use crate::tls::ClientTls;

/// How long a connection may idle and still be used again, unless more is known about the API. Well under the
/// keep-alive of common servers (5 s and more), because a server that closes at the very moment of reuse costs a call
/// that cannot safely be repeated.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a connection may be used at all, so that a move of the API's name in DNS is followed within that time
/// (and the few seconds for which its addresses are kept).
pub const MAX_AGE: Duration = Duration::from_mins(1);

/// Where an API is and how it may be reached. One for each connector: connections are never shared between two, so
/// none is ever used under another one's trust or credentials.
#[derive(Debug)]
pub struct Target {
    /// DNS name, or IP address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The lookups of `host`.
    pub lookups: Lookups,
    /// Whether it is believed to answer in turn.
    pub trust: Trust,
    /// TLS, if the API has it.
    pub tls: Option<ClientTls>,
    /// Longest time for DNS, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Largest body of an answer, in bytes, decoded.
    pub max_answer: usize,
    /// Idle connections to keep, for each pool.
    pub max_idle: usize,
    /// See [`IDLE_TIMEOUT`].
    pub idle_timeout: Duration,
    /// See [`MAX_AGE`].
    pub max_age: Duration,
}

/// When an exchange ends at the latest; the earlier of the two ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Until {
    /// End of this call. The reason is then that of the stage the call was in.
    pub attempt: Instant,
    /// End of the hook. The reason is then [`crate::flow::Reason::Deadline`], also where both are the same instant.
    pub deadline: Instant,
}

impl Until {
    /// The earlier of the two.
    pub fn earliest(self) -> Instant {
        self.attempt.min(self.deadline)
    }

    /// Whether it is the hook, not only the call, that ends at [`Self::earliest`].
    pub fn is_deadline(self) -> bool {
        self.deadline <= self.attempt
    }
}

/// A complete answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status, 200 to 999. RFC 9110 section 15 has no meaning for 600 and above.
    pub status: u16,
    /// Whether the body is encoded: any `Content-Encoding` but `identity`.
    pub content_encoding: bool,
    /// When it asks to be called again.
    pub retry_after: Option<RetryAfter>,
    /// The body, without its framing.
    pub body: Vec<u8>,
    /// Whether the connection had carried an earlier exchange.
    pub reused: bool,
}

impl fmt::Debug for Answer {
    /// Without the body, for it holds claims.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("content_encoding", &self.content_encoding)
            .field("retry_after", &self.retry_after)
            .field("body_length", &self.body.len())
            .field("reused", &self.reused)
            .finish()
    }
}

//! The limit of open files, of which each connection takes one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a process needs beside its connections: ports, log, metrics, runtimes.
const BESIDE: u64 = 64;

/// Raises the soft limit to the hard one, which is the administrator's, and says so if that is not enough for
/// `max_connections` and as many calls at a time: without a descriptor a call fails and a caller waits.
pub(super) fn raise(max_connections: usize, calls_at_a_time: usize) {
    let needed = (max_connections + calls_at_a_time) as u64 + BESIDE;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    // `None` is no limit.
    let limit = if raised.is_ok() { maximum } else { current };
    if let Some(limit) = limit.filter(|limit| *limit < needed) {
        tracing::warn!(
            limit,
            needed,
            "the limit of open files is too low for listen.max_connections and the connectors' max_in_flight: raise it \
             (ulimit -n, LimitNOFILE=) or lower them"
        );
    }
}

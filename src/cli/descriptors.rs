//! The limit of open files, of which each connection takes one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a process needs beside its connections: ports, log, metrics.
const BESIDE: usize = 64;

/// What the runtime of a worker needs.
const FOR_A_WORKER: usize = 8;

/// Raises the soft limit to the hard one, which is the administrator's, and says so if that is not enough for
/// `max_connections` callers and `max_calls` calls at a time: without a descriptor a call fails and a caller waits. Each
/// worker may keep as many idle connections to APIs as there may be calls.
pub(super) fn raise(max_connections: usize, max_calls: usize, workers: usize) {
    let needed = (max_connections + workers * (max_calls + FOR_A_WORKER) + BESIDE) as u64;
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

//! What the diagnostic log hears of failed calls: the detail that the reason leaves out, such as a TLS alert.

use std::num::NonZeroU32;

use crate::{
    config::{Name, Per, RateLimit},
    limits::Rate,
    upstream::WireFailure,
};

/// Enough to see what is wrong, and not a line for each hook while an API is down: those stand in the access events.
const HEARD: RateLimit =
    RateLimit { count: NonZeroU32::MIN, per: Per::Second, burst: NonZeroU32::new(5).unwrap() };

/// Reports the failed calls of one API.
#[derive(Debug)]
pub(super) struct Reporter {
    connector: Name,
    heard: Rate,
}

impl Reporter {
    pub(super) fn new(connector: Name) -> Self {
        Self { connector, heard: Rate::new(HEARD) }
    }

    pub(super) fn report(&self, failure: &WireFailure) {
        if self.heard.take().is_ok() {
            tracing::warn!(
                connector = self.connector.as_str(),
                reason = failure.reason.as_str(),
                detail = %failure.detail,
                hint = failure.hint(),
                sent = failure.sent,
                reused = failure.reused,
                "a call failed"
            );
        }
    }
}

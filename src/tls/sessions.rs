//! Sessions that clients may resume.
//!
//! They are kept here and not in tickets that clients hold: then they end with the configuration that they belong to, no
//! key exists that could decrypt recorded TLS 1.2 traffic later, and one of TLS 1.3 is resumed once. What strangers can
//! do by connecting often is to push sessions out, which costs the next client a whole handshake.

use std::{fmt, sync::Arc, time::Duration};

use rustls::server::{ServerSessionMemoryCache, StoresServerSessions};
use tokio::time::Instant;

/// Most sessions; one has the client's certificates in it, so some kilobytes at most.
pub(super) const MOST: usize = 1024;

/// How long a session may be resumed. RFC 5246 appendix F.1.4 suggests at most a day; an identity provider that was idle
/// for an hour can afford a whole handshake.
pub(super) const LIFETIME: Duration = Duration::from_hours(1);

/// A bounded store of sessions, each with its age.
pub(super) struct Sessions {
    cache: Arc<ServerSessionMemoryCache>,
    began: Instant,
}

impl Sessions {
    pub(super) fn new() -> Self {
        Self { cache: ServerSessionMemoryCache::new(MOST), began: Instant::now() }
    }

    /// The session without its time, unless that has passed.
    fn fresh(&self, stored: &[u8]) -> Option<Vec<u8>> {
        let (stored_at, session) = stored.split_first_chunk()?;
        let stored_at = self.began + Duration::from_millis(u64::from_be_bytes(*stored_at));
        (stored_at.elapsed() < LIFETIME).then(|| session.to_vec())
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, session: Vec<u8>) -> bool {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut stored = now.to_be_bytes().to_vec();
        stored.extend(session);
        self.cache.put(key, stored)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.fresh(&self.cache.get(key)?)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.fresh(&self.cache.take(key)?)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions")
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_session_is_kept_for_its_time_and_no_longer() {
        let sessions = Sessions::new();
        advance(Duration::from_secs(5)).await;
        for key in [b"get", b"one"] {
            sessions.put(key.to_vec(), b"session".to_vec());
        }
        assert_eq!(sessions.take(b"one").as_deref(), Some(&b"session"[..]));
        assert_eq!(sessions.take(b"one"), None, "resumed once");
        sessions.put(b"one".to_vec(), b"session".to_vec());
        let moment = Duration::from_millis(1);
        advance(LIFETIME.saturating_sub(moment)).await;
        assert_eq!(sessions.get(b"get").as_deref(), Some(&b"session"[..]));
        advance(moment).await;
        assert_eq!((sessions.get(b"get"), sessions.take(b"one")), (None, None));
    }

    #[test]
    fn strangers_cannot_fill_the_memory() {
        let sessions = Sessions::new();
        let keys = || (0..4 * MOST).map(|number| number.to_be_bytes().to_vec());
        for key in keys() {
            assert!(sessions.put(key, b"session".to_vec()));
        }
        let kept = keys().filter(|key| sessions.get(key).is_some()).count();
        assert!((1..=MOST).contains(&kept), "{kept}");
    }
}

//! Whether the API asked for a client certificate, and what it was shown.

use std::{cell::Cell, fmt, sync::Arc};

use rustls::{SignatureScheme, client::ResolvesClientCert, sign::CertifiedKey};

/// What came of an API's request for a client certificate in one handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// It did not ask. A resumed session stands on the certificate of its first handshake, and asks no more.
    No,
    /// There was none to show.
    NothingToShow,
    /// It takes no signature that the key can make.
    NothingFits,
    /// It was shown the certificate.
    Shown,
}

tokio::task_local! {
    /// Of the handshake that is going on in this task: the library has no other way to say which one asked.
    static ASKED: Cell<Asked>;
}

/// Runs a handshake, and says what it was asked for.
pub(super) async fn during<H: Future>(handshake: H) -> (H::Output, Asked) {
    let watched = async {
        let output = handshake.await;
        (output, ASKED.with(Cell::get))
    };
    ASKED.scope(Cell::new(Asked::No), watched).await
}

/// Shows the same certificate to whoever asks, or none.
pub(super) struct Shows(pub(super) Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Shows {
    /// The authorities that an API names are hints, and often incomplete: they decide nothing.
    fn resolve(&self, _hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        let shown = self.0.as_ref().filter(fits);
        let asked = match (&self.0, shown) {
            (None, _) => Asked::NothingToShow,
            (Some(_), None) => Asked::NothingFits,
            (Some(_), Some(_)) => Asked::Shown,
        };
        let noted = ASKED.try_with(|of_this| of_this.set(asked));
        debug_assert!(noted.is_ok(), "a handshake outside of `during`");
        shown.cloned()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

impl fmt::Debug for Shows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shows")
    }
}

//! The addresses of an API's name.
//!
//! The system's resolver holds a thread until it knows, however long that is, and whether or not anybody still waits.
//! So there is one lookup at a time for each API, whichever worker asked first: everybody who needs the addresses
//! meanwhile waits for that one, and a name that hangs holds one thread.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{net::lookup_host, sync::watch, time::Instant};

use super::{Detail, connect::of_system};
use crate::flow::Reason;

/// How long addresses are used without asking again. A burst of new connections is one lookup, and beside
/// [`super::MAX_AGE`] the time is short, so a move of the name is hardly followed later.
const KEPT: Duration = Duration::from_secs(5);

/// The latest lookup of a name, running or ended. One for each [`super::Target`], shared by the workers.
#[derive(Debug, Default)]
pub struct Lookups(Mutex<Option<watch::Receiver<Option<Ended>>>>);

type Found = Result<Arc<[SocketAddr]>, (Reason, Detail)>;

#[derive(Clone, Debug)]
struct Ended {
    found: Found,
    at: Instant,
}

impl Lookups {
    /// The addresses of `host`, which is a DNS name or an IP address without brackets, in the resolver's order. Bound it
    /// in time: when the future is dropped, the lookup goes on for others. A failure is told to those who waited for it
    /// and is not kept.
    pub(super) async fn addresses(&self, host: &str, port: u16) -> Found {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(Arc::new([SocketAddr::new(address, port)]));
        }
        let host = host.to_owned();
        self.shared(|| look_up(host, port)).await
    }

    async fn shared<F>(&self, start: impl FnOnce() -> F) -> Found
    where
        F: Future<Output = Found> + Send + 'static,
    {
        let mut lookup = self.current_or(start);
        match lookup.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Ended { found, .. })) => found.clone(),
            // Its task is gone: a panic, or the end of the worker that ran it.
            _ => Err((Reason::Dns, Detail::Resolver("the lookup was abandoned".to_owned()))),
        }
    }

    /// The latest lookup if it still runs or its addresses are fresh, else a new one. It runs in a task of its own and
    /// ends by its own time, not by that of whoever waits.
    fn current_or<F>(&self, start: impl FnOnce() -> F) -> watch::Receiver<Option<Ended>>
    where
        F: Future<Output = Found> + Send + 'static,
    {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lookup) = latest.as_ref().filter(|lookup| is_of_use(lookup)) {
            return lookup.clone();
        }
        let (result, lookup) = watch::channel(None);
        let looking_up = start();
        tokio::spawn(async move {
            let found = looking_up.await;
            result.send_replace(Some(Ended { found, at: Instant::now() }));
        });
        *latest = Some(lookup.clone());
        lookup
    }
}

fn is_of_use(lookup: &watch::Receiver<Option<Ended>>) -> bool {
    // Asked first: a task that ends has sent before.
    let gone = lookup.has_changed().is_err();
    match &*lookup.borrow() {
        None => !gone,
        Some(Ended { found, at }) => found.is_ok() && at.elapsed() < KEPT,
    }
}

async fn look_up(host: String, port: u16) -> Found {
    match lookup_host((host, port)).await {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) => {
            let (reason, detail) = of_system(&error, Reason::Dns);
            // The resolver has no codes of the system's, only texts.
            let told_by_resolver = error.raw_os_error().is_none();
            Err((reason, if told_by_resolver { Detail::Resolver(error.to_string()) } else { detail }))
        }
    }
}

#[cfg(test)]
mod tests;

//! What one worker has for itself, beside the configuration in force.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, PoisonError, RwLock},
};

use super::snapshot::{Hook, Snapshot};
use crate::{
    config::Listen,
    connector::Connector,
    telemetry::{AccessLog, Metrics},
    tls::{HandshakeFailure, ServerTls},
};

/// One worker. Outlives every configuration.
#[derive(Debug)]
pub struct Worker {
    /// Locked to look and to swap, never over an await.
    current: RwLock<Arc<Current>>,
    log: Arc<AccessLog>,
    metrics: Metrics,
}

/// The configuration in force as one worker has it. A hook keeps the one that it began with.
#[derive(Debug)]
pub struct Current {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) log: Arc<AccessLog>,
    connectors: Vec<Arc<Connector>>,
}

impl Worker {
    /// A worker with no connections yet.
    pub fn new(snapshot: Arc<Snapshot>, log: AccessLog) -> Self {
        let log = Arc::new(log);
        let metrics = snapshot.metrics.clone();
        let current = Current::new(snapshot, Arc::clone(&log), None);
        Self { current: RwLock::new(Arc::new(current)), log, metrics }
    }

    /// The configuration in force.
    pub fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The metrics of the process.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// TLS for a new connection, if the hook port speaks it.
    pub fn tls(&self) -> Option<ServerTls> {
        self.current().snapshot.tls.clone()
    }

    /// Counts a TLS handshake that failed.
    pub fn handshake_failed(&self, reason: HandshakeFailure) {
        self.metrics.handshake_failed(reason.as_str());
    }

    /// Puts another configuration in force: for every hook that begins from now on. Connections to APIs are kept where
    /// both would make the same; the others are closed as the last hook that uses them ends.
    pub fn put_in_force(&self, snapshot: Arc<Snapshot>) {
        let before = self.current();
        let current = Arc::new(Current::new(snapshot, Arc::clone(&self.log), Some(&before)));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
    }

    /// Hands log lines over at every tick, for ever.
    pub async fn keep_log(&self) -> Infallible {
        self.log.flush_at_every_tick().await
    }

    /// What is done now and then for all workers together, and on none of them: forgets hooks whose window
    /// has passed, and users whose burst is whole again.
    pub fn upkeep_for_all(&self) {
        let snapshot = Arc::clone(&self.current().snapshot);
        snapshot.duplicates.upkeep();
        snapshot.forget_users();
    }

    /// Completes when no call runs on whose caller has hung up, in the whole process.
    pub async fn calls_ended(&self) {
        let duplicates = Arc::clone(&self.current().snapshot.duplicates);
        duplicates.none_runs_on().await;
    }

    /// What a worker does now and then, and last of all: closes connections that idled too long, hands log lines over.
    pub fn upkeep(&self) {
        self.current().connectors.iter().for_each(|connector| connector.sweep());
        self.log.flush();
    }
}

impl Current {
    fn new(snapshot: Arc<Snapshot>, log: Arc<AccessLog>, before: Option<&Self>) -> Self {
        let before: HashMap<_, _> = before
            .into_iter()
            .flat_map(|before| &before.connectors)
            .map(|connector| (connector.name(), &**connector))
            .collect();
        let connectors = snapshot
            .apis
            .iter()
            .map(|api| Arc::new(Connector::succeeding(Arc::clone(api), before.get(api.name()).copied())));
        Self { connectors: connectors.collect(), snapshot, log }
    }

    /// What is configured of the hook port.
    pub fn listen(&self) -> &Listen {
        &self.snapshot.listen
    }

    pub(super) fn connector(&self, hook: &Hook) -> &Arc<Connector> {
        &self.connectors[hook.connector]
    }
}

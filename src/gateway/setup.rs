//! Putting the parts of a configuration to work, and all that can be wrong with them then.

use std::{fmt, sync::Arc};

use crate::{
    config::{self, ListenTls, Name},
    connector::Api,
    limits::RetryBudget,
    telemetry::{Certificate, CertificateRole, Metrics},
    tls::{ClientTrust, RootsError, ServerTls, ServerTlsError, TlsSetupError, Validity},
};

/// A checked configuration cannot be put to work: every part of it that cannot, and why.
#[derive(Debug, Default, thiserror::Error)]
pub struct SetupError(Vec<Fault>);

#[derive(Debug)]
enum Fault {
    Listener(ServerTlsError),
    Caller(Name, RootsError),
    Connector(Name, TlsSetupError),
}

/// Most faults that are told.
const MOST: usize = 100;

impl SetupError {
    /// Fine, unless something was reported.
    pub(super) fn none(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for SetupError {
    /// One line for each of the first faults, and how many more there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.0.iter().take(MOST).enumerate() {
            let line_end = if number > 0 { "\n" } else { "" };
            match fault {
                Fault::Listener(error) => write!(f, "{line_end}listen.tls: {error}"),
                Fault::Caller(caller, error) => {
                    write!(f, "{line_end}caller `{caller}`: certificate: {error}")
                }
                Fault::Connector(connector, error) => write!(f, "{line_end}connector `{connector}`: {error}"),
            }?;
        }
        match self.0.len().checked_sub(MOST) {
            Some(more @ 1..) => write!(f, "\n… and {more} more"),
            _ => Ok(()),
        }
    }
}

/// What the caller's certificates come to, in their order.
pub(super) fn trusts(caller: &config::Caller, faults: &mut SetupError) -> Vec<ClientTrust> {
    let mut trusts = Vec::new();
    for certificate in &caller.certificate {
        match ClientTrust::of_caller(certificate) {
            Ok(trust) => trusts.push(trust),
            Err(error) => faults.0.push(Fault::Caller(caller.name.clone(), error)),
        }
    }
    trusts
}

pub(super) fn api(
    connector: config::Connector,
    metrics: &Metrics,
    retry_budget: &Arc<RetryBudget>,
    before: Option<&Arc<Api>>,
    faults: &mut SetupError,
) -> Option<Arc<Api>> {
    let name = connector.name.clone();
    Api::succeeding(connector, metrics, retry_budget, before)
        .map_err(|error| faults.0.push(Fault::Connector(name, error)))
        .ok()
}

pub(super) fn listener(
    tls: ListenTls,
    callers: impl Iterator<Item = ClientTrust>,
    faults: &mut SetupError,
) -> Option<ServerTls> {
    let tls = ServerTls::new(tls, callers);
    tls.map_err(|errors| faults.0.extend(errors.into_iter().map(Fault::Listener))).ok()
}

/// The certificates that claimgate shows. Of several for one API the one that ends last is worth a warning.
pub(super) fn certificates(listener: Option<&ServerTls>, apis: &[Arc<Api>]) -> Vec<Certificate> {
    let listener = listener.map(|tls| {
        let Validity { not_before, not_after } = tls.validity();
        Certificate { role: CertificateRole::Listener, name: "listen.tls".to_owned(), not_before, not_after }
    });
    let of_apis = apis.iter().filter_map(|api| {
        let not_before = api.certificates().map(|validity| validity.not_before).min()?;
        let not_after = api.certificates().map(|validity| validity.not_after).max()?;
        let name = api.name().to_owned();
        Some(Certificate { role: CertificateRole::Connector, name, not_before, not_after })
    });
    listener.into_iter().chain(of_apis).collect()
}

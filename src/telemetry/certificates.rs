//! When the certificates end that claimgate shows to others: a metric, and a warning in time.

use std::time::{Duration, SystemTime};

use super::Metrics;

/// A certificate of claimgate's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// To whom it is shown.
    pub role: CertificateRole,
    /// What it is called in the configuration.
    pub name: String,
    /// Its first moment.
    pub not_before: SystemTime,
    /// Its last moment.
    pub not_after: SystemTime,
}

/// To whom a certificate is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateRole {
    /// To the callers.
    Listener,
    /// To an API.
    Connector,
}

impl CertificateRole {
    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::Connector => "connector",
        }
    }
}

/// So long before its end a certificate is worth a warning: time enough to order one.
const SOON: Duration = Duration::from_hours(30 * 24);

impl Certificate {
    /// What to say if it has not begun, has ended or ends soon.
    pub fn warning(&self, now: SystemTime) -> Option<String> {
        const DAY: u64 = 24 * 60 * 60;
        let Self { name, .. } = self;
        if now < self.not_before {
            return Some(format!("the certificate of {name} has not begun; nobody who verifies it connects"));
        }
        match self.not_after.duration_since(now) {
            Err(_) => Some(format!("the certificate of {name} has ended; nobody who verifies it connects")),
            Ok(left) if left < SOON => {
                Some(format!("the certificate of {name} ends in {} days", left.as_secs() / DAY))
            }
            Ok(_) => None,
        }
    }
}

impl Metrics {
    /// Shows when a certificate ends, and warns in the diagnostics if that is soon.
    pub fn watch(&self, certificate: &Certificate, now: SystemTime) {
        let Certificate { role, name, not_after, .. } = certificate;
        let seconds = not_after.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        self.certificate_not_after(role.as_str(), name, seconds);
        if let Some(warning) = certificate.warning(now) {
            tracing::warn!(role = role.as_str(), name, "{warning}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_announced_thirty_days_before_and_shown_from_the_start() {
        let day = |days: u64| SystemTime::UNIX_EPOCH + Duration::from_hours(24 * days);
        let certificate = Certificate {
            role: CertificateRole::Listener,
            name: "listen.tls".into(),
            not_before: day(0),
            not_after: day(100),
        };
        let second = Duration::from_secs(1);
        for (now, said) in [
            (day(0) - second, Some("has not begun")),
            (day(0), None),
            (day(70), None),
            (day(70) + second, Some("ends in 29 days")),
            (day(99), Some("ends in 1 days")),
            (day(100), Some("ends in 0 days")),
            (day(100) + second, Some("has ended")),
        ] {
            let warning = certificate.warning(now);
            assert_eq!(warning.is_some(), said.is_some(), "{warning:?}");
            assert!(said.is_none_or(|said| warning.unwrap().contains(said)), "{said:?}");
        }
        let metrics = Metrics::new();
        metrics.watch(&certificate, day(0));
        let sample =
            "certificate_not_after_timestamp_seconds{name=\"listen.tls\",role=\"listener\"} 8640000\n";
        let page = String::from_utf8(metrics.encode()).unwrap();
        assert!(page.contains(sample), "{page}");
    }
}

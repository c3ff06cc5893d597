//! What went wrong in TLS.

use std::{fmt, io};

use rustls::{AlertDescription, CertificateError, Error};

use super::asked::Asked;

/// An error of the TLS protocol: an alert, a certificate that does not verify, a broken record. Its text names
/// certificates and alerts, never bytes that were carried inside.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    error: Box<Error>,
    asked: Asked,
    /// A byte of data had come on the connection, so that its handshake was over for both sides.
    settled: bool,
}

impl Fault {
    /// The TLS error inside an I/O error, if that is what it was.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<Self>().cloned()
    }

    /// Puts into an error of the TLS library what else is known of the connection.
    pub(super) fn complete(error: io::Error, asked: Asked, settled: bool) -> io::Error {
        match rustls_error(&error) {
            Some(inner) => {
                io::Error::new(error.kind(), Self { error: Box::new(inner.clone()), asked, settled })
            }
            None => error,
        }
    }

    /// Whether the API refused claimgate's certificate, or that there was none. It says so with an alert: under TLS 1.2
    /// inside of the handshake, under TLS 1.3 after claimgate's part of it is over (RFC 8446 section 4.4.2.4), which is
    /// when the answer is waited for.
    pub fn refuses_client_certificate(&self) -> bool {
        self.refusal().is_some()
    }

    /// What an operator can do, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self.refusal() {
            Some(alert) => Some(self.hint_on_refusal(alert)),
            None => hint_on(&self.error),
        }
    }

    /// The alert with which the API refused claimgate's certificate.
    fn refusal(&self) -> Option<AlertDescription> {
        let Error::AlertReceived(alert) = *self.error else { return None };
        let refuses = match alert {
            // What a server can say of a client's certificate alone (RFC 8446 section 6.2).
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied => true,
            // How a server of TLS 1.2 refuses a client without a certificate (RFC 5246 section 7.4.6). It means
            // versions or ciphers where the server has not got as far as asking for one.
            AlertDescription::HandshakeFailure => self.asked != Asked::No && !self.settled,
            // A signature that the server could not verify: of the handshake, or where an authority of the same name but
            // with another key issued the certificate.
            AlertDescription::DecryptError => self.asked == Asked::Shown && !self.settled,
            _ => false,
        };
        refuses.then_some(alert)
    }

    fn hint_on_refusal(&self, alert: AlertDescription) -> &'static str {
        match (self.asked, alert) {
            (Asked::NothingToShow, _) => {
                "it wants a client certificate, and the connector has none: write authentication.certificate"
            }
            (Asked::NothingFits, _) => {
                "it takes no signature of the client certificate's kind of key: use one of a kind that it takes, such as RSA or ECDSA with P-256"
            }
            (_, AlertDescription::CertificateExpired) => {
                "the client certificate has ended or not begun: put a valid one beside it in authentication.certificate"
            }
            (_, AlertDescription::CertificateRevoked) => {
                "the client certificate was revoked: put a new one into authentication.certificate"
            }
            (_, AlertDescription::UnknownCA) => {
                "the API does not trust who issued the client certificate: put the certificates between the two behind it in its file, or have the API trust its authority"
            }
            (_, AlertDescription::DecryptError) => {
                "the API could not verify a signature: the authority that it trusts may have the name of the one that issued the client certificate, and another key"
            }
            (_, AlertDescription::UnsupportedCertificate) => {
                "the client certificate is not of a kind that the API takes: is it one for clients (extended key usage)?"
            }
            _ => "ask the API's own log why it does not take this client certificate",
        }
    }
}

/// What to do about anything but a refusal of claimgate's certificate.
fn hint_on(error: &Error) -> Option<&'static str> {
    let hint = match error {
        Error::InvalidCertificate(error) => hint_on_certificate(error),
        Error::AlertReceived(AlertDescription::ProtocolVersion) | Error::PeerIncompatible(_) => {
            "the API and claimgate have no version of TLS in common, or no cipher: claimgate speaks 1.2 and 1.3; see min_tls"
        }
        Error::AlertReceived(AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity) => {
            "the API found no version or cipher that it takes: claimgate speaks 1.2 and 1.3 with the usual ciphers; see the API's own log"
        }
        Error::AlertReceived(AlertDescription::UnrecognisedName) => {
            "the API knows no such name: see the host of endpoint_url, and server_name"
        }
        Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            "the API speaks no HTTP/1.1 there: claimgate speaks nothing else"
        }
        Error::InvalidMessage(_) => {
            "what answers there may speak no TLS at all: check scheme and port of endpoint_url"
        }
        _ => return None,
    };
    Some(hint)
}

/// What to do about the API's certificate.
fn hint_on_certificate(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the API's certificate has to be renewed, unless this machine's clock is wrong"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the API's certificate begins later, unless this machine's clock is wrong"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "call the API by a name of its certificate, as the host of endpoint_url, or state that name as server_name"
        }
        CertificateError::UnknownIssuer => {
            "`roots` must have the authority of the API's certificate, and the API must send the certificates between the two"
        }
        _ => {
            "the API needs a certificate for servers, with its name as a subject alternative name, from an authority in `roots`"
        }
    }
}

/// The one place that looks into an I/O error: the library's stream has no other way to hand over its own.
pub(super) fn rustls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(alert) = self.refusal() else { return fmt::Display::fmt(&self.error, f) };
        let what = match self.asked {
            Asked::NothingToShow | Asked::NothingFits => "the API got no client certificate and refused that",
            Asked::No | Asked::Shown => "the API refused the client certificate",
        };
        write!(f, "{what}: alert {}", name_of(alert))
    }
}

impl std::error::Error for Fault {}

/// As RFC 8446 section 6 and RFC 5246 section 7.2 write it.
fn name_of(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::CertificateRequired => "certificate_required",
        AlertDescription::BadCertificate => "bad_certificate",
        AlertDescription::UnsupportedCertificate => "unsupported_certificate",
        AlertDescription::CertificateRevoked => "certificate_revoked",
        AlertDescription::CertificateExpired => "certificate_expired",
        AlertDescription::CertificateUnknown => "certificate_unknown",
        AlertDescription::UnknownCA => "unknown_ca",
        AlertDescription::AccessDenied => "access_denied",
        AlertDescription::HandshakeFailure => "handshake_failure",
        AlertDescription::DecryptError => "decrypt_error",
        _ => "of another kind",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Asked; 4] = [Asked::No, Asked::NothingToShow, Asked::NothingFits, Asked::Shown];

    fn fault(error: Error, asked: Asked, settled: bool) -> Fault {
        let error = io::Error::new(io::ErrorKind::InvalidData, error);
        Fault::of(&Fault::complete(error, asked, settled)).unwrap()
    }

    #[test]
    fn an_alert_about_a_certificate_is_a_refusal_of_ours_and_names_itself() {
        let alerts = [
            (116, "certificate_required"),
            (42, "bad_certificate"),
            (43, "unsupported_certificate"),
            (44, "certificate_revoked"),
            (45, "certificate_expired"),
            (46, "certificate_unknown"),
            (48, "unknown_ca"),
            (49, "access_denied"),
        ];
        for (number, name) in alerts {
            for (asked, settled) in ALL.into_iter().flat_map(|asked| [(asked, false), (asked, true)]) {
                let fault = fault(Error::AlertReceived(AlertDescription::from(number)), asked, settled);
                assert!(fault.refuses_client_certificate(), "{fault:?}");
                let text = fault.to_string();
                assert!(
                    text.ends_with(&format!(": alert {name}")) && text.contains("client certificate"),
                    "{text}"
                );
                assert!(fault.hint().unwrap().contains("client certificate"), "{fault:?}");
            }
        }
    }

    #[test]
    fn a_handshake_failure_is_one_only_behind_a_request_for_a_certificate() {
        let failure = || Error::AlertReceived(AlertDescription::HandshakeFailure);
        for asked in ALL {
            let fresh = fault(failure(), asked, false);
            assert_eq!(fresh.refuses_client_certificate(), asked != Asked::No);
            assert!(fresh.hint().is_some());
            assert!(!fault(failure(), asked, true).refuses_client_certificate());
        }
        assert!(
            fault(failure(), Asked::NothingToShow, false).to_string().ends_with(": alert handshake_failure")
        );
    }

    #[test]
    fn a_signature_that_does_not_verify_is_one_only_of_a_certificate_that_was_shown() {
        let failure = || Error::AlertReceived(AlertDescription::DecryptError);
        for asked in ALL {
            assert_eq!(fault(failure(), asked, false).refuses_client_certificate(), asked == Asked::Shown);
            assert!(!fault(failure(), asked, true).refuses_client_certificate());
        }
        assert!(fault(failure(), Asked::Shown, false).to_string().ends_with(": alert decrypt_error"));
    }

    #[test]
    fn no_other_alert_and_no_refusal_of_the_apis_certificate_is_one() {
        let others = (0..=255_u8).filter(|number| !matches!(number, 40 | 42..=46 | 48 | 49 | 51 | 116));
        let alerts = others.map(|number| Error::AlertReceived(AlertDescription::from(number)));
        let ours = [
            Error::InvalidCertificate(CertificateError::UnknownIssuer),
            Error::InvalidCertificate(CertificateError::Expired),
            Error::InvalidCertificate(CertificateError::NotValidForName),
            Error::NoCertificatesPresented,
            Error::DecryptError,
        ];
        for error in alerts.chain(ours) {
            let fault = fault(error, Asked::Shown, false);
            assert!(!fault.refuses_client_certificate(), "{fault:?}");
            assert!(!fault.to_string().contains("client certificate"), "{fault}");
        }
    }

    #[test]
    fn other_errors_stay_what_they_are() {
        let error = Fault::complete(io::ErrorKind::ConnectionReset.into(), Asked::Shown, false);
        assert_eq!((Fault::of(&error), error.kind()), (None, io::ErrorKind::ConnectionReset));
    }
}

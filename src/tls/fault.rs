//! What went wrong in TLS.

use std::{fmt, io};

/// An error of the TLS protocol: an alert, a certificate that does not verify, a broken record. Its text names
/// certificates and alerts, never bytes that were carried inside.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault(Box<rustls::Error>);

impl Fault {
    /// The TLS error inside an I/O error, if that is what it was. This is the one place that looks: the stream below
    /// has no other way to hand over rustls' own error.
    pub fn of(error: &io::Error) -> Option<Self> {
        let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
        Some(Self(Box::new(inner.clone())))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

//! Which clients may connect: what the handshake asks, and what is asked again for each hook.

use std::{
    num::NonZeroU32,
    time::{Duration, SystemTime},
};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};

use super::{
    ClientTrust,
    peer::{Distrust, Peer},
};

/// Why a connection may not be used any more. Before it was made, the handshake would have refused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inadmissible {
    /// It has no client certificate, and now it needs one.
    NoCertificate,
    /// Its certificate is not yet valid, or no longer.
    Expired,
    /// Nothing trusts its certificate any more.
    Untrusted,
}

/// Which clients may connect.
#[derive(Debug)]
pub(super) struct Clients {
    trusts: Vec<ClientTrust>,
    required: bool,
    algorithms: WebPkiSupportedAlgorithms,
    heard: DefaultDirectRateLimiter,
}

/// Refused certificates that the diagnostic log hears of at once, and then one a second: enough to find a thumbprint that
/// is not configured, and not a line for each attempt of a stranger. All are counted.
const HEARD_AT_ONCE: NonZeroU32 = NonZeroU32::new(5).unwrap();

impl Clients {
    pub(super) fn new(trusts: Vec<ClientTrust>, required: bool) -> Self {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        let heard = RateLimiter::direct(Quota::per_second(NonZeroU32::MIN).allow_burst(HEARD_AT_ONCE));
        Self { trusts, required, algorithms, heard }
    }

    pub(super) fn trusts(&self) -> &[ClientTrust] {
        &self.trusts
    }

    /// Whether a connection of this client may still be used.
    pub(super) fn admit(&self, peer: Option<&Peer>, now: SystemTime) -> Result<(), Inadmissible> {
        match peer {
            Some(peer) => self.judge(peer, now).map_err(|distrust| match distrust {
                Distrust::Time => Inadmissible::Expired,
                Distrust::Other | Distrust::Chain(_) | Distrust::Name => Inadmissible::Untrusted,
            }),
            None if self.required => Err(Inadmissible::NoCertificate),
            None => Ok(()),
        }
    }

    /// The reason that came closest, where nothing trusts it.
    fn judge(&self, peer: &Peer, now: SystemTime) -> Result<(), Distrust> {
        let closeness = |distrust: &Distrust| match distrust {
            Distrust::Other => 0,
            Distrust::Chain(_) => 1,
            Distrust::Name => 2,
            Distrust::Time => 3,
        };
        let mut closest = Distrust::Other;
        for trust in &self.trusts {
            match peer.judge(trust, now) {
                Ok(()) => return Ok(()),
                Err(distrust) if closeness(&distrust) > closeness(&closest) => closest = distrust,
                Err(_) => {}
            }
        }
        Err(closest)
    }
}

impl ClientCertVerifier for Clients {
    /// A client is asked for a certificate only where one could be trusted.
    fn offer_client_auth(&self) -> bool {
        !self.trusts.is_empty()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    /// None: a client that goes by them would keep back a certificate that is trusted by its thumbprint (RFC 8446 section
    /// 4.2.4), and they would tell strangers whom claimgate trusts.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let mut chain = vec![end_entity.clone()];
        chain.extend_from_slice(intermediates);
        let peer = Peer::read(&chain).ok_or(CertificateError::BadEncoding)?;
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs());
        let Err(distrust) = self.judge(&peer, now) else { return Ok(ClientCertVerified::assertion()) };
        if self.heard.check().is_ok() {
            tracing::info!(thumbprint = %peer.thumbprint(), why = %distrust, "a client certificate was refused");
        }
        Err(match distrust {
            Distrust::Time if now < peer.validity().not_before => CertificateError::NotValidYet.into(),
            Distrust::Time => CertificateError::Expired.into(),
            Distrust::Other => CertificateError::UnknownIssuer.into(),
            Distrust::Chain(error) => error,
            Distrust::Name => CertificateError::NotValidForName.into(),
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

//! How certificates are told apart: by thumbprint, or by name.

use std::fmt;

use aws_lc_rs::digest;

use super::{
    endpoint,
    problem::{Wrong, quoted},
};

/// SHA-256 of a certificate in DER: what OpenSSL calls its SHA-256 fingerprint. Public, as the certificate is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Thumbprint([u8; digest::SHA256_OUTPUT_LEN]);

impl Thumbprint {
    /// Of this certificate.
    pub fn of(der: &[u8]) -> Self {
        let digest = digest::digest(&digest::SHA256, der);
        Self(digest.as_ref().try_into().expect("SHA-256 has a fixed length"))
    }

    /// 64 hexadecimal digits in any letter case, colons ignored.
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        const HEX: fn(u8) -> Option<u8> = |digit| char::from(digit).to_digit(16)?.try_into().ok();
        const SHA1_DIGITS: usize = 40;
        let digits: Option<Vec<u8>> = text.bytes().filter(|byte| *byte != b':').map(HEX).collect();
        let bytes = digits.as_ref().and_then(|digits| {
            let (pairs, rest) = digits.as_chunks::<2>();
            let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
            <[u8; digest::SHA256_OUTPUT_LEN]>::try_from(bytes).ok().filter(|_| rest.is_empty())
        });
        bytes.map(Self).ok_or_else(|| {
            let wrong = Wrong::new(format!("{} is not a SHA-256 thumbprint", quoted(text)));
            if digits.is_some_and(|digits| digits.len() == SHA1_DIGITS) {
                wrong.help("this has the length of SHA-1, which Microsoft's pages show; `openssl x509 -in FILE -noout -fingerprint -sha256` says the right one")
            } else {
                wrong.help("64 hexadecimal digits, with or without colons: `openssl x509 -in FILE -noout -fingerprint -sha256` says it")
            }
        })
    }
}

impl fmt::Display for Thumbprint {
    /// Lower-case, without colons.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A name in a certificate's list of DNS names (`subjectAltName`, RFC 5280 section 4.2.1.6), in lower case.
///
/// A wildcard is no name: whoever has a certificate for `*.contoso.com` is not thereby one certain host of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsName(String);

impl DnsName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        if endpoint::is_dns_name(text) {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        Err(Wrong::new(format!("{} is not a DNS name", quoted(text)))
            .help("write one of the certificate's DNS names in full, such as b2c.contoso.com; a wildcard names nobody"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_thumbprint_is_read_in_any_letter_case_with_colons_or_without() {
        let empty = Thumbprint::of(b"");
        assert_eq!(empty.to_string(), DIGITS);
        let pairs: Vec<_> =
            DIGITS.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect();
        let colons = pairs.join(":");
        for text in [DIGITS, &DIGITS.to_uppercase(), &colons, &colons.to_uppercase(), &format!(":{DIGITS}:")]
        {
            assert_eq!(Thumbprint::parse(text).ok(), Some(empty), "{text}");
        }
        let sha1 = &DIGITS[..40];
        for (text, help) in [
            (sha1, "length of SHA-1"),
            ("", "64 hexadecimal"),
            (&DIGITS[1..], "64 hexadecimal"),
            (&format!("{DIGITS}0"), "64 hexadecimal"),
            (&format!("{DIGITS}00"), "64 hexadecimal"),
            (&DIGITS.replace('e', "g"), "64 hexadecimal"),
            (&format!("SHA256 Fingerprint={DIGITS}"), "64 hexadecimal"),
        ] {
            let wrong = Thumbprint::parse(text).unwrap_err();
            assert!(wrong.help.is_some_and(|said| said.into_text().contains(help)), "{text}");
        }
    }

    #[test]
    fn a_name_is_one_host() {
        assert_eq!(DnsName::parse("B2C.Contoso.com").ok(), Some(DnsName("b2c.contoso.com".into())));
        for text in ["", "*.contoso.com", "contoso.com.", "10.0.0.1", "a b", "b2c@contoso.com", "https://b2c"]
        {
            assert!(DnsName::parse(text).is_err(), "{text}");
        }
    }
}

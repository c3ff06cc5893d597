//! What a scanner finds.

use super::{
    super::support::{certificates::Kind, peers::without_sslscan},
    *,
};

#[test]
fn sslscan_finds_nothing_old_and_nothing_weak() {
    if without_sslscan() {
        return;
    }
    let api = api();
    for kind in [Kind::Ecdsa, Kind::Rsa] {
        let certificates = Certificates::new();
        let listen = Certificates::listen(&certificates.server(kind), "");
        let gateway = gateway(&api, &listen, "");
        let mut scan = Command::new("sslscan");
        scan.args(["--no-colour", "--show-ciphers", "--sni-name=localhost", &gateway.address().to_string()]);
        let said = stdout_of(&mut scan);
        let lines: Vec<String> =
            said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        for finding in [
            "SSLv2 disabled",
            "SSLv3 disabled",
            "TLSv1.0 disabled",
            "TLSv1.1 disabled",
            "TLSv1.2 enabled",
            "TLSv1.3 enabled",
            "Session renegotiation not supported",
            "TLSv1.3 not vulnerable to heartbleed",
            "TLSv1.2 not vulnerable to heartbleed",
        ] {
            assert!(lines.iter().any(|line| line == finding), "{finding}\n{said}");
        }
        let signed = match kind {
            Kind::Ecdsa => "ECDSA",
            Kind::Rsa => "RSA",
        };
        let mut spoken: Vec<(&str, &str)> = Vec::new();
        for line in &lines {
            let words: Vec<&str> = line.split(' ').collect();
            if let ["Preferred" | "Accepted", version, _, "bits", suite, ..] = words[..] {
                spoken.push((version, suite));
            }
        }
        spoken.sort_unstable();
        let suites = ["AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"]
            .map(|suite| format!("ECDHE-{signed}-{suite}"));
        let mut expected: Vec<(&str, &str)> =
            suites.iter().map(|suite| ("TLSv1.2", suite.as_str())).collect();
        expected.extend([
            ("TLSv1.3", "TLS_AES_128_GCM_SHA256"),
            ("TLSv1.3", "TLS_AES_256_GCM_SHA384"),
            ("TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256"),
        ]);
        assert_eq!(spoken, expected, "{said}");
    }
}

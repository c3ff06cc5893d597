//! Client certificates: who is let in, who is not, and what is seen of it.

use super::{
    super::support::{
        certificates::Kind,
        peers::{without_curl, without_openssl},
    },
    *,
};

const VERSIONS: [[&str; 3]; 2] = [["--tlsv1.2", "--tls-max", "1.2"], ["--tlsv1.3", "--tls-max", "1.3"]];

#[test]
fn a_caller_is_known_by_its_certificate_and_two_thumbprints_serve_a_rotation() {
    if without_curl() || without_openssl() {
        return;
    }
    let (api, certificates) = (api(), Certificates::new());
    let old = certificates.self_signed("old.example", Kind::Rsa, 2020, 4000);
    let new = certificates.self_signed("new.example", Kind::Ecdsa, 2020, 4000);
    let issued = certificates.client("b2c.example");
    // As OpenSSL writes it, and as people copy it.
    let (first, second) = (thumbprint(&old), thumbprint(&new).replace(':', "").to_lowercase());
    let caller = format!(
        "certificate: [{{ thumbprint: \"{first}\" }}, {{ thumbprint: \"{second}\" }}, {{ ca: {}, name: b2c.example }}]",
        certificates.ca().display()
    );
    let listen = Certificates::listen(&certificates.server(Kind::Ecdsa), ", client: required");
    let gateway = gateway(&api, &listen, &caller);
    let mut count = 0;
    for version in VERSIONS {
        for (files, label) in [(&old, "certificate"), (&new, "certificate#2"), (&issued, "certificate#3")] {
            let mut call = hook(&gateway, &certificates, &version);
            assert_eq!(
                stdout_of(call.args(showing(files))),
                format!("{CONTINUE} 200"),
                "{version:?} {label}"
            );
            count += 1;
            let event = &gateway.wait_for_events(count)[count - 1];
            assert_eq!((event["caller"].as_str(), event["credential"].as_str()), (Some(CALLER), Some(label)));
        }
    }
    for label in ["certificate", "certificate#2", "certificate#3"] {
        let uses = format!("claimgate_credential_uses_total{{caller=\"{CALLER}\",credential=\"{label}\"}}");
        gateway.wait_for_metric(&uses, 2.0);
    }
}

#[test]
fn a_certificate_that_nothing_trusts_ends_the_handshake_and_is_counted_and_named() {
    if without_curl() || without_openssl() {
        return;
    }
    let (api, certificates) = (api(), Certificates::new());
    let stranger = certificates.self_signed("stranger.example", Kind::Ecdsa, 2020, 4000);
    let ended = certificates.self_signed("ended.example", Kind::Ecdsa, 2020, 2021);
    let elsewhere = Certificates::new();
    let other = elsewhere.client("b2c.example");
    let wrong_name = certificates.client("other.example");
    let good = certificates.client("b2c.example");
    let caller = format!(
        "certificate: [{{ thumbprint: \"{}\" }}, {{ ca: {}, name: b2c.example }}]",
        thumbprint(&ended),
        certificates.ca().display()
    );
    for (client, required) in [("optional", false), ("required", true)] {
        let listen = Certificates::listen(&certificates.server(Kind::Ecdsa), &format!(", client: {client}"));
        let mut gateway = gateway(&api, &listen, &caller);
        let mut refused = 0;
        for version in VERSIONS {
            for files in [&stranger, &ended, &other, &wrong_name] {
                // Basic credentials do not help: a client that shows a certificate means it.
                let mut call = hook(&gateway, &certificates, &["-u", &basic()]);
                let output = call.args(version).args(showing(files)).output().unwrap();
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                // The second is what curl makes of the alert `certificate_expired`.
                let heard =
                    ["alert", "SSL certificate verification failed"].iter().any(|word| said.contains(word));
                assert!(!output.status.success() && heard, "{version:?} {said}");
                refused += 1;
            }
            let mut call = hook(&gateway, &certificates, &["-u", &basic()]);
            assert_eq!(call.args(version).output().unwrap().status.success(), !required);
            let mut call = hook(&gateway, &certificates, &version);
            assert_eq!(stdout_of(call.args(showing(&good))), format!("{CONTINUE} 200"));
        }
        failed_handshakes(&gateway, "certificate_refused", f64::from(refused));
        failed_handshakes(&gateway, "no_certificate", if required { 2.0 } else { 0.0 });
        gateway.terminate();
        let log = gateway.stderr_text();
        for files in [&stranger, &ended, &wrong_name] {
            let thumbprint = thumbprint(files).replace(':', "").to_lowercase();
            assert!(log.contains(&thumbprint), "{thumbprint}: {log}");
        }
        assert!(!log.contains("stranger.example") && !log.contains("BEGIN"), "{log}");
    }
}

#[test]
fn strangers_cannot_fill_the_log_with_certificates() {
    if without_curl() || without_openssl() {
        return;
    }
    let (api, certificates) = (api(), Certificates::new());
    let stranger = certificates.self_signed("stranger.example", Kind::Ecdsa, 2020, 4000);
    let listen = format!(", client_ca: {}", certificates.ca().display());
    let mut gateway = gateway(&api, &Certificates::listen(&certificates.server(Kind::Ecdsa), &listen), "");
    let (attempts, began) = (12, tokio::time::Instant::now());
    for _ in 0..attempts {
        let mut call = hook(&gateway, &certificates, &showing(&stranger));
        assert!(!call.output().unwrap().status.success());
    }
    failed_handshakes(&gateway, "certificate_refused", f64::from(attempts));
    let most = 5 + usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
    gateway.terminate();
    let lines = gateway.stderr_text().matches("a client certificate was refused").count();
    assert!((5..=most).contains(&lines), "{lines} lines, and {most} may be");
}

#[test]
fn a_trusted_certificate_of_nobody_in_the_flow_is_a_401_like_any_other() {
    if without_curl() || without_openssl() {
        return;
    }
    let (api, certificates) = (api(), Certificates::new());
    let (caller, probe) = (certificates.client("b2c.example"), certificates.client("probe.example"));
    let listen = Certificates::listen(
        &certificates.server(Kind::Ecdsa),
        &format!(", client_ca: {}, client_names: probe.example", certificates.ca().display()),
    );
    let gateway =
        gateway(&api, &listen, &format!("certificate: {{ thumbprint: \"{}\" }}", thumbprint(&caller)));
    let wrong = format!("{CALLER}:wrong");
    let rows: [(&[&str], &str, &str); 4] = [
        (&["-u", &basic()], "200", ""),
        (&[], "401", "certificate_mismatch"),
        (&["-u", &wrong], "401", "credential_mismatch"),
        (&["-u", &basic()], "200", ""),
    ];
    for (number, (arguments, status, failure)) in (1..).zip(rows) {
        let mut call = hook(&gateway, &certificates, arguments);
        let said = stdout_of(call.args(showing(&probe)));
        assert!(said.ends_with(status), "{said}");
        let event = &gateway.wait_for_events(number)[number - 1];
        assert_eq!(event["credential_failure"].as_str().unwrap_or_default(), failure);
    }
    gateway.wait_for_metric("claimgate_caller_failures_total{reason=\"certificate_mismatch\"}", 1.0);
    // Beside a wrong password of Basic the certificate of the caller is enough.
    let mut call = hook(&gateway, &certificates, &["-u", &wrong]);
    assert_eq!(stdout_of(call.args(showing(&caller))), format!("{CONTINUE} 200"));
}

#[test]
fn a_resumed_session_is_the_same_client_without_its_certificate() {
    if without_openssl() {
        return;
    }
    let (api, certificates) = (api(), Certificates::new());
    let client = certificates.self_signed("b2c.example", Kind::Ecdsa, 2020, 4000);
    let listen = Certificates::listen(&certificates.server(Kind::Ecdsa), ", client: required");
    let gateway =
        gateway(&api, &listen, &format!("certificate: {{ thumbprint: \"{}\" }}", thumbprint(&client)));
    let request = format!(
        "POST /flows/{FLOW}/{STEP} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{HOOK}",
        HOOK.len()
    );
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let session = text(&client.certificate.with_extension("session"));
    let (certificate, key) = (text(&client.certificate), text(&client.key));
    let mut count = 0;
    for (version, shown) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        for (arguments, kind) in [
            (&["-cert", &certificate, "-key", &key, "-sess_out", &session][..], "New"),
            (&["-sess_in", &session], "Reused"),
        ] {
            let arguments = [&[version, "-ign_eof"], arguments].concat();
            let said = s_client(&gateway, &certificates, &arguments, &request);
            assert!(
                said.contains(&format!("{kind}, {shown}, Cipher is")) && said.contains(CONTINUE),
                "{said}"
            );
            count += 1;
            assert_eq!(gateway.wait_for_events(count)[count - 1]["credential"], "certificate");
        }
    }
}

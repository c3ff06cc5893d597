//! Versions, cipher suites, protocols; handshakes that come to nothing; the certificate's end.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Stdio,
    time::Duration,
};

use super::{
    super::support::{
        certificates::Kind,
        client::LIMIT,
        peers::{without_curl, without_openssl},
        wait_until,
    },
    *,
};

/// What an endpoint for Azure AD B2C must have at least one of, in the words of OpenSSL (Microsoft: "TLS and cipher suite
/// requirements - Azure AD B2C"). The list has four with CBC beside these, which nobody should offer any more.
const SUITES: [(Kind, &str); 4] = [
    (Kind::Ecdsa, "ECDHE-ECDSA-AES128-GCM-SHA256"),
    (Kind::Ecdsa, "ECDHE-ECDSA-AES256-GCM-SHA384"),
    (Kind::Rsa, "ECDHE-RSA-AES128-GCM-SHA256"),
    (Kind::Rsa, "ECDHE-RSA-AES256-GCM-SHA384"),
];

#[test]
fn every_modern_suite_of_azure_ad_b2c_is_spoken_and_tls_1_3() {
    if without_openssl() {
        return;
    }
    let api = api();
    for kind in [Kind::Ecdsa, Kind::Rsa] {
        let certificates = Certificates::new();
        let listen = Certificates::listen(&certificates.server(kind), "");
        let gateway = gateway(&api, &listen, "");
        let of_kind = SUITES
            .iter()
            .filter(|(of, _)| matches!((of, kind), (Kind::Ecdsa, Kind::Ecdsa) | (Kind::Rsa, Kind::Rsa)));
        for (_, suite) in of_kind {
            let said = s_client(&gateway, &certificates, &["-tls1_2", "-cipher", suite], "");
            assert!(said.contains(&format!("New, TLSv1.2, Cipher is {suite}")), "{said}");
            assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
            assert!(
                said.contains("Secure Renegotiation IS supported") && said.contains("Compression: NONE"),
                "{said}"
            );
        }
        let said = s_client(&gateway, &certificates, &["-tls1_3"], "");
        assert!(
            said.contains("New, TLSv1.3, Cipher is TLS_") && said.contains("Verify return code: 0 (ok)"),
            "{said}"
        );
        assert!(said.contains("No client certificate CA names sent"), "{said}");
    }
}

#[test]
fn older_versions_and_weaker_suites_are_refused() {
    if without_openssl() {
        return;
    }
    let (api, certificates) = (api(), Certificates::new());
    let listen = Certificates::listen(&certificates.server(Kind::Rsa), "");
    let gateway = gateway(&api, &listen, "");
    let attempts = [
        (&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"][..], "alert handshake failure"),
        (&["-tls1", "-cipher", "ALL:@SECLEVEL=0"], "alert handshake failure"),
        (&["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA256"], "alert handshake failure"),
        (&["-tls1_2", "-cipher", "AES128-GCM-SHA256"], "alert handshake failure"),
        (&["-tls1_2", "-alpn", "h2"], "alert no application protocol"),
        (&["-tls1_3", "-alpn", "h2"], "alert no application protocol"),
    ];
    for (arguments, alert) in attempts {
        let said = s_client(&gateway, &certificates, arguments, "");
        assert!(
            said.contains(alert) && said.contains("no peer certificate available"),
            "{arguments:?}: {said}"
        );
    }
    failed_handshakes(&gateway, "protocol", 6.0);
    for offered in ["http/1.1", "h2,http/1.1"] {
        let said = s_client(&gateway, &certificates, &["-alpn", offered], "");
        assert!(said.contains("ALPN protocol: http/1.1"), "{said}");
    }
}

/// A client hello of TLS 1.2 (RFC 5246 section 7.4.1.2) that would like everything compressed.
fn hello_with_compression() -> Vec<u8> {
    let extensions: &[u8] = &[
        0, 10, 0, 4, 0, 2, 0, 23, // the group secp256r1
        0, 11, 0, 2, 1, 0, // uncompressed points
        0, 13, 0, 4, 0, 2, 4, 3, // ECDSA with SHA-256
    ];
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    // No session; TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256; DEFLATE, or else none.
    hello.extend([0, 0, 2, 0xc0, 0x2b, 2, 1, 0, 0]);
    let length = |bytes: &[u8]| u8::try_from(bytes.len()).expect("it is short");
    hello.push(length(extensions));
    hello.extend(extensions);
    let mut message = vec![1, 0, 0, length(&hello)];
    message.extend(hello);
    [&[22, 3, 1, 0, length(&message)], &message[..]].concat()
}

#[test]
fn compression_is_never_agreed_on() {
    let (api, certificates) = (api(), Certificates::new());
    let gateway = gateway(&api, &Certificates::listen(&certificates.server(Kind::Ecdsa), ""), "");
    let mut tcp = TcpStream::connect(gateway.address()).unwrap();
    tcp.set_read_timeout(Some(LIMIT)).unwrap();
    tcp.write_all(&hello_with_compression()).unwrap();
    // Record, message, version and random.
    let mut head = [0; 5 + 4 + 2 + 32 + 1];
    tcp.read_exact(&mut head).unwrap();
    assert_eq!((head[0], head[5]), (22, 2), "a server hello: {head:?}");
    let mut rest = vec![0; usize::from(head[43]) + 3];
    tcp.read_exact(&mut rest).unwrap();
    assert_eq!(rest[rest.len() - 3..], [0xc0, 0x2b, 0], "the suite, and no compression");
}

#[test]
fn a_hook_is_answered_over_tls_on_one_kept_connection() {
    if without_curl() {
        return;
    }
    let (api, certificates) = (api(), Certificates::new());
    let listen = Certificates::listen(&certificates.server(Kind::Ecdsa), "");
    let gateway = gateway(&api, &listen, "");
    let url = format!("https://localhost:{}/flows/{FLOW}/{STEP}", gateway.address().port());
    let mut call = hook(&gateway, &certificates, &["-u", &basic()]);
    let said = stdout_of(call.args(["-w", " %{num_connects}\n"]).arg(&url));
    assert_eq!(said, format!("{CONTINUE} 1\n{CONTINUE} 0\n"));
    let events = gateway.wait_for_events(2);
    assert!(events.iter().all(|event| event["credential"] == "basic"), "{events:?}");
}

#[test]
fn a_handshake_that_stalls_costs_its_place_and_its_time_and_nobody_else() {
    if without_curl() {
        return;
    }
    let (api, certificates) = (api(), Certificates::new());
    let listen = Certificates::listen(&certificates.server(Kind::Ecdsa), "");
    let listen = format!("{listen}\nhandshake_timeout: 2s\nmax_connections: 4");
    let gateway = gateway(&api, &listen, "");
    let stalled: Vec<_> = (0..3).map(|_| TcpStream::connect(gateway.address()).unwrap()).collect();
    // One place is left, and what stalls stands in nobody's way.
    for _ in 0..2 {
        let said = stdout_of(&mut hook(&gateway, &certificates, &["-u", &basic()]));
        assert_eq!(said, format!("{CONTINUE} 200"));
    }
    for mut silent in stalled {
        silent.set_read_timeout(Some(LIMIT)).unwrap();
        assert!(matches!(silent.read(&mut [0]), Ok(0)), "it is closed");
    }
    failed_handshakes(&gateway, "timeout", 3.0);
    // Their places are free again.
    let _more: Vec<_> = (0..3).map(|_| TcpStream::connect(gateway.address()).unwrap()).collect();
    let said = stdout_of(&mut hook(&gateway, &certificates, &["-u", &basic()]));
    assert_eq!(said, format!("{CONTINUE} 200"));
}

#[test]
fn a_client_without_tls_is_turned_away_and_nothing_of_it_is_logged() {
    let certificates = Certificates::new();
    let listen = Certificates::listen(&certificates.server(Kind::Ecdsa), "");
    let api = api();
    let config = ConfigText::new(&api.url("/api")).listen(&listen).text();
    let mut gateway = Gateway::start_with_arguments(&config, &["--log-level", "trace"]);
    let mut plain = TcpStream::connect(gateway.address()).unwrap();
    // More than is read before it is clear that this is no TLS: left unread, it would make a reset of the close, and a client
    // on another system may lose the alert to that.
    let body = "x".repeat(40_000);
    write!(plain, "POST /flows/f/s?code=m4rked HTTP/1.1\r\nHost: a\r\n\r\n{body}").unwrap();
    plain.set_read_timeout(Some(LIMIT)).unwrap();
    let mut heard = Vec::new();
    plain.read_to_end(&mut heard).expect("a close and no reset");
    // An alert (21) of TLS, and no HTTP.
    assert_eq!(heard.first(), Some(&21), "{heard:?}");
    failed_handshakes(&gateway, "protocol", 1.0);
    gateway.terminate();
    let said = gateway.stderr_text();
    assert!(said.contains("a TLS handshake failed") && !said.contains("m4rked"), "{said}");
    assert_eq!(gateway.stdout_text(), "", "it was no request");
}

#[test]
fn the_end_waits_for_no_client_that_is_silent() {
    if without_openssl() {
        return;
    }
    let (api, certificates) = (api(), Certificates::new());
    let listen = Certificates::listen(&certificates.server(Kind::Ecdsa), "");
    let config = ConfigText::new(&api.url("/api")).listen(&format!("{listen}\nhandshake_timeout: 500ms"));
    let mut gateway = Gateway::start(&config.top("shutdown: { grace: 1h }").text());
    // One that is idle after its handshake, and one that never begins it.
    let mut idle = Command::new("openssl");
    idle.args(["s_client", "-quiet", "-connect", &gateway.address().to_string()]);
    let log = tempfile::tempfile().expect("a temporary file can be made");
    let output = log.try_clone().expect("a file can be shared");
    let mut idle = idle.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(output).spawn().unwrap();
    // What it says of the certificate comes in the midst of the handshake.
    wait_until("the handshake", || log.metadata().is_ok_and(|log| log.len() > 0));
    let silent = TcpStream::connect(gateway.address()).unwrap();
    let status = gateway.terminate();
    assert!(status.success() && gateway.stderr_text().contains("every hook was answered"));
    // Its connection ended, which is what it waits for.
    assert!(idle.wait().is_ok());
    drop(silent);
}

#[test]
fn the_end_of_the_certificate_is_a_metric_and_a_warning() {
    let (api, certificates) = (api(), Certificates::new());
    let day = Duration::from_hours(24);
    for (left, warned) in [(365 * day, false), (10 * day, true)] {
        let files = certificates.server_for(Kind::Ecdsa, left);
        let listen = Certificates::listen(&files, "");
        let gateway = gateway(&api, &listen, "");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let sample =
            r#"claimgate_certificate_not_after_timestamp_seconds{role="listener",name="listen.tls"}"#;
        let rest = gateway.metric(sample) - now.as_secs_f64();
        assert!((rest - left.as_secs_f64()).abs() < 600.0, "{rest} s of {left:?}");
        let said = || gateway.stderr_text().contains("the certificate of listen.tls ends in 9 days");
        if warned {
            wait_until("the warning", said);
        }
        assert_eq!(said(), warned, "{}", gateway.stderr_text());
    }
}

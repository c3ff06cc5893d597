//! Client certificates towards real servers: what openssl and nginx say to a good one, and how they refuse the others.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::support::{
    CALLER, CONNECTOR, ClientAuthority, ConfigText, FLOW, Gateway, PASSWORD, Parts, claimgate,
    openssl::OpensslServer,
    peers::{Nginx, without_nginx, without_openssl},
};

const STEP: &str = "postAttributeCollection";
const CONTINUE: &str = r#"{"version":"1.0.0","action":"Continue"}"#;
const HOOK: &str = r#"{"email":"jane@fabrikam.com"}"#;

/// What a connector shows, one way each to be taken or refused.
const CLIENTS: [&str; 5] = ["good", "none", "unknown", "expired", "unfit"];

/// A connector and a user flow for each of [`CLIENTS`], named after it.
fn config(url: &str, roots: &str, known: &ClientAuthority, unknown: &ClientAuthority) -> Parts {
    let shown = [
        Some(known.valid("good")),
        None,
        Some(unknown.valid("stranger")),
        Some(known.expired("late")),
        Some(known.of_ed25519("unfit")),
    ];
    CLIENTS.into_iter().zip(shown).fold(Parts::new(), |parts, (client, shown)| {
        let authentication =
            shown.map_or_else(|| "none".to_owned(), |shown| format!("{{ certificate: {shown} }}"));
        let yaml = format!("authentication: {authentication}\nroots: {{ file: {roots} }}");
        parts.connector(client, url, &yaml).whole_flow(client, client, "")
    })
}

/// The access event of one hook of this flow.
fn call(gateway: &Gateway, flow: &str, id: &str) -> Value {
    let client = gateway.client();
    client.post_hook(flow, STEP, HOOK).basic(CALLER, PASSWORD).header("X-Request-ID", id).send();
    gateway.event(id)
}

/// What the diagnostic log says of the failed calls of this connector.
fn told(gateway: &Gateway, connector: &str) -> String {
    let said = gateway.stderr_text();
    let of_this = format!("\"connector\":\"{connector}\"");
    let lines = said.lines().filter(|line| line.contains("a call failed") && line.contains(&of_this));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn openssl_takes_a_good_certificate_and_its_refusal_of_any_other_is_told_as_one() {
    if without_openssl() {
        return;
    }
    let (known, unknown) = (ClientAuthority::of("Known"), ClientAuthority::of("Unknown"));
    let ca = known.ca().display().to_string();
    for (version, missing) in [("-tls1_3", "certificate_required"), ("-tls1_2", "handshake_failure")] {
        let verify = ["-CAfile", &ca, "-Verify", "1", "-verify_return_error"];
        let arguments = [&[version, "-client_sigalgs", "ECDSA+SHA256"], &verify[..]].concat();
        let server = OpensslServer::start(&arguments, CONTINUE);
        let config = config(&server.url("/api"), &server.ca().display().to_string(), &known, &unknown);
        let mut gateway = Gateway::start(&config.text());
        let refused = [
            ("none", missing),
            ("unknown", "unknown_ca"),
            ("expired", "certificate_expired"),
            ("unfit", missing),
        ];
        for round in ["first", "again"] {
            for (client, _) in refused {
                let event = call(&gateway, client, &format!("{client}-{round}"));
                let seen = [&event["reason"], &event["blame"], &event["outcome"]].map(Value::as_str);
                let expected = [Some("credentials_refused"), Some("configuration"), Some("fallback")];
                assert_eq!(seen, expected, "{version} {client}: {event}");
            }
        }
        let event = call(&gateway, "good", "good");
        assert_eq!((&event["outcome"], &event["upstream_status"]), (&json!("api"), &json!(200)), "{event}");
        gateway.terminate();
        for (client, alert) in refused {
            let told = told(&gateway, client);
            assert_eq!(told.matches(&format!("alert {alert}\"")).count(), 2, "{version} {client}: {told}");
            assert_eq!(told.matches("\"hint\":").count(), 2, "{told}");
        }
        let late = gateway.stderr_text();
        assert_eq!(late.matches("no client certificate is valid now").count(), 1, "{late}");
    }
}

#[test]
fn nginx_takes_a_good_certificate_and_answers_400_to_any_other() {
    if without_nginx() {
        return;
    }
    let (known, unknown) = (ClientAuthority::of("Known"), ClientAuthority::of("Unknown"));
    for version in ["TLSv1.3", "TLSv1.2"] {
        let nginx = Nginx::start(&format!(
            "ssl_protocols {version}; ssl_client_certificate {}; ssl_verify_client on;\n\
             location / {{ default_type application/json; return 200 '{CONTINUE}'; }}",
            known.ca().display()
        ));
        let config =
            config(&nginx.url("localhost", "/api"), &nginx.ca().display().to_string(), &known, &unknown);
        let gateway = Gateway::start(&config.text());
        for (client, id) in CLIENTS.into_iter().flat_map(|client| [(client, "1"), (client, "2")]) {
            let event = call(&gateway, client, &format!("{client}-{id}"));
            let seen = [&event["outcome"], &event["upstream_status"], &event["reason"]];
            let expected = match client {
                // It takes every kind of key.
                "good" | "unfit" => [json!("api"), json!(200), Value::Null],
                // Its page is HTML, and says "No required SSL certificate was sent" or "The SSL certificate error".
                _ => [json!("fallback"), json!(400), json!("contract_not_json")],
            };
            assert_eq!(seen, expected.each_ref(), "{version} {client}: {event}");
        }
    }
}

#[test]
fn the_next_certificate_takes_over_at_the_second_in_which_it_begins() {
    if without_nginx() {
        return;
    }
    let known = ClientAuthority::of("Known");
    let body = r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":"$ssl_client_s_dn"}"#;
    let nginx = Nginx::start(&format!(
        "ssl_client_certificate {}; ssl_verify_client on;\n\
         location / {{ default_type application/json; return 200 '{body}'; }}",
        known.ca().display()
    ));
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    let begins = UNIX_EPOCH + Duration::from_secs(since_1970.as_secs() + 5);
    let (old, next) = (known.valid("old"), known.beginning("next", begins));
    let config = ConfigText::new(&nginx.url("localhost", "/api"))
        .authentication(&format!("{{ certificate: [{next}, {old}] }}"))
        .connector(&format!("roots: {{ file: {} }}", nginx.ca().display()));
    // One worker, so one pool: but for a long pause, each call finds the connection of the one before.
    let gateway = Gateway::start_with_arguments(&config.text(), &["--workers", "1"]);
    let client = gateway.client();
    let mut calls = 0;
    loop {
        calls += 1;
        let id = format!("call-{calls}");
        let before = SystemTime::now();
        let request = client.post_hook(FLOW, STEP, HOOK).basic(CALLER, PASSWORD);
        let shown = request.header("X-Request-ID", &id).send().json()["userMessage"].clone();
        let after = SystemTime::now();
        assert!(shown == "CN=next" || (shown == "CN=old" && before < begins), "{shown}");
        assert!(shown == "CN=old" || after >= begins, "{shown}");
        let reused = gateway.event(&id)["reused"] == true;
        if shown == "CN=next" {
            assert!(!reused, "over a connection that had shown the old one");
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_name_asked_for_and_verified_is_server_name_and_nothing_older_than_min_tls_is_spoken() {
    if without_nginx() {
        return;
    }
    let body = r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":"$ssl_server_name $host $ssl_protocol"}"#;
    let cases = [
        ("TLSv1.2 TLSv1.3", "localhost", "1.2", Ok("localhost 127.0.0.1 TLSv1.3")),
        ("TLSv1.2", "localhost", "1.2", Ok("localhost 127.0.0.1 TLSv1.2")),
        ("TLSv1.3", "localhost", "1.3", Ok("localhost 127.0.0.1 TLSv1.3")),
        ("TLSv1.2", "localhost", "1.3", Err("see min_tls")),
        ("TLSv1.2 TLSv1.3", "other.example", "1.2", Err("state that name as server_name")),
    ];
    for (protocols, name, min_tls, expected) in cases {
        let nginx = Nginx::start(&format!(
            "ssl_protocols {protocols}; location / {{ default_type application/json; return 200 '{body}'; }}"
        ));
        let yaml =
            format!("roots: {{ file: {} }}\nserver_name: {name}\nmin_tls: {min_tls}", nginx.ca().display());
        let config = ConfigText::new(&nginx.url("127.0.0.1", "/api")).connector(&yaml);
        let mut gateway = Gateway::start(&config.text());
        let response = gateway.client().post_hook(FLOW, STEP, HOOK).basic(CALLER, PASSWORD).send();
        let event = gateway.wait_for_events(1).remove(0);
        gateway.terminate();
        match expected {
            Ok(message) => assert_eq!(response.json()["userMessage"], message, "{event}"),
            Err(hint) => {
                assert_eq!(event["reason"], "tls", "{event}");
                assert!(told(&gateway, CONNECTOR).contains(hint), "{}", gateway.stderr_text());
            }
        }
    }
}

#[test]
fn explain_shows_the_refusal_and_what_to_do() {
    if without_openssl() {
        return;
    }
    let known = ClientAuthority::of("Known");
    let ca = known.ca().display().to_string();
    for version in ["-tls1_3", "-tls1_2"] {
        let server = OpensslServer::start(
            &[version, "-CAfile", &ca, "-Verify", "1", "-verify_return_error"],
            CONTINUE,
        );
        let roots = format!("roots: {{ file: {} }}", server.ca().display());
        let config = ConfigText::new(&server.url("/api")).connector(&roots).text();
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let path = |name: &str| directory.path().join(name).display().to_string();
        std::fs::write(path("c.yaml"), config).expect("a file can be written");
        std::fs::write(path("hook.json"), HOOK).expect("a file can be written");
        let output = claimgate(["explain", "--call", "--config", &path("c.yaml"), "--flow", FLOW])
            .args(["--step", STEP, &path("hook.json")])
            .output()
            .expect("the program can be started");
        let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("UTF-8"));
        assert_eq!(output.status.code(), Some(3), "{out}\n{err}");
        assert!(out.contains("on_failure, because of credentials_refused"), "{out}");
        assert!(
            out.contains("refused the client certificate: check the connector's authentication"),
            "{out}"
        );
        assert!(err.contains("the API got no client certificate and refused that: alert "), "{err}");
        assert!(err.contains("write authentication.certificate"), "{err}");
    }
}

#[test]
fn check_says_what_is_wrong_with_a_certificate_and_needs_none_without_secrets() {
    let known = ClientAuthority::of("Known");
    let [one, other] = ["one", "other"].map(|name| known.valid(name));
    let (certificate, _) = one.split_once(", key").expect("an entry has a key");
    let (_, key) = other.split_once(", key").expect("an entry has a key");
    let rows = [
        (one.clone(), true, "fine"),
        (format!("[{one}, {other}]"), true, "fine"),
        (format!("{certificate}, key{key}"), true, "does not belong to the certificate in"),
        ("{ certificate: no.pem, key: no.key }".to_owned(), true, "the file "),
        ("{ certificate: no.pem, key: no.key }".to_owned(), false, "fine"),
    ];
    for (entry, with_secrets, expected) in rows {
        let config = ConfigText::new("https://api.example/check")
            .authentication(&format!("{{ certificate: {entry} }}"));
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let path = directory.path().join("c.yaml");
        std::fs::write(&path, config.text()).expect("a file can be written");
        let mut command = claimgate(["check", "--config", &path.display().to_string()]);
        let command = if with_secrets { &mut command } else { command.arg("--without-secrets") };
        let output = command.output().expect("the program can be started");
        let said =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("UTF-8")).concat();
        let is_fine = expected == "fine";
        assert_eq!(output.status.code(), Some(i32::from(!is_fine)), "{entry}: {said}");
        assert!(is_fine || said.contains(expected), "{entry}: {said}");
        let named = format!("connector `{CONNECTOR}`: certificate: ");
        assert!(is_fine || said.contains("cannot be read") || said.contains(&named), "{said}");
    }
}

//! The gateway among real programs: nginx as an API behind TLS, curl as the caller.

use std::process::Command;

use serde_json::{Value, json};

use super::support::{
    CALLER, CONNECTOR, ConfigText, FLOW, Gateway, PASSWORD, Play, ScriptedApi,
    peers::{Nginx, curl, stdout_of, without_curl, without_nginx},
};

const STEP: &str = "postAttributeCollection";
const CONTINUE: &str = r#"{"version":"1.0.0","action":"Continue"}"#;
const BLOCK: &str = r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":"Please try again later."}"#;
const HOOK: &str = r#"{"email":"jane@fabrikam.com","displayName":"Jane","city":"Seattle"}"#;

/// An nginx that hands everything on to this address, over connections that it keeps.
fn in_front_of(address: std::net::SocketAddr) -> Nginx {
    Nginx::start(&format!(
        "location / {{ proxy_pass http://{address}; proxy_http_version 1.1; proxy_set_header Connection ''; \
         proxy_set_header Host $http_host; }}"
    ))
}

/// `roots` for the nginx's own authority.
fn roots(nginx: &Nginx) -> String {
    format!("roots: {{ file: {} }}", nginx.ca().display())
}

#[test]
fn an_api_behind_nginx_with_tls_is_called_over_one_kept_connection() {
    if without_nginx() {
        return;
    }
    let api = ScriptedApi::start(Play::continue_());
    let nginx = in_front_of(api.address());
    let config =
        ConfigText::new(&nginx.url("localhost", "/api")).send(&["displayName"]).connector(&roots(&nginx));
    let gateway = Gateway::start(&config.text());
    let client = gateway.client();
    let mut connection = client.connect();
    for _ in 0..3 {
        let response = client.post_hook(FLOW, STEP, HOOK).basic(CALLER, PASSWORD).send_on(&mut connection);
        assert_eq!((response.status, response.text()), (200, CONTINUE));
    }
    let reused: Vec<_> = gateway.wait_for_events(3).iter().map(|event| event["reused"].clone()).collect();
    assert_eq!(reused, [json!(false), json!(true), json!(true)]);
    let requests = nginx.requests();
    let (connections, on_connection): (Vec<_>, Vec<_>) = requests.iter().copied().unzip();
    assert_eq!(on_connection, [1, 2, 3]);
    assert!(connections.iter().all(|connection| *connection == connections[0]), "{connections:?}");
    let seen = &api.requests()[0];
    assert_eq!(seen.target, "/api");
    assert_eq!(seen.header("host"), nginx.url("localhost", "").strip_prefix("https://"));
    assert_eq!(seen.json(), json!({ "email": "jane@fabrikam.com", "displayName": "Jane" }));
}

#[test]
fn a_certificate_that_proves_nothing_is_a_failure_of_tls() {
    if without_nginx() {
        return;
    }
    let nginx =
        Nginx::start(&format!("location / {{ default_type application/json; return 200 '{CONTINUE}'; }}"));
    let cases = [
        ("an authority that is not in Mozilla's list", "localhost", "roots: webpki".to_owned(), "tls"),
        ("a certificate for another name", "127.0.0.1", roots(&nginx), "tls"),
        ("the right authority and name", "localhost", roots(&nginx), "none"),
    ];
    for (case, host, roots, reason) in cases {
        let config = ConfigText::new(&nginx.url(host, "/api")).connector(&roots);
        let gateway = Gateway::start(&config.text());
        let response = gateway.client().post_hook(FLOW, STEP, HOOK).basic(CALLER, PASSWORD).send();
        let answer = if reason == "none" { CONTINUE } else { BLOCK };
        assert_eq!((response.status, response.text()), (200, answer), "{case}");
        let event = &gateway.wait_for_events(1)[0];
        assert_eq!(event.get("reason").and_then(Value::as_str).unwrap_or("none"), reason, "{case}");
        gateway.wait_for_metric(
            &format!("claimgate_upstream_requests_total{{connector=\"approvals\",reason=\"{reason}\"}}"),
            1.0,
        );
    }
    assert_eq!(nginx.requests().len(), 1, "a request left only where the certificate was right");
}

#[test]
fn the_diagnostic_log_says_why_tls_failed_as_the_hint_promises() {
    if without_nginx() {
        return;
    }
    let nginx = Nginx::start("");
    for (host, roots, why) in [
        ("localhost", "roots: webpki".to_owned(), "UnknownIssuer"),
        ("127.0.0.1", roots(&nginx), "not valid for name"),
    ] {
        let config = ConfigText::new(&nginx.url(host, "/api")).connector(&roots);
        let mut gateway = Gateway::start(&config.text());
        gateway.client().post_hook(FLOW, STEP, HOOK).basic(CALLER, PASSWORD).send();
        let hint = gateway.wait_for_events(1)[0]["hint"].to_string();
        assert!(hint.contains("see the diagnostic log"), "{hint}");
        gateway.terminate();
        let said = gateway.stderr_text();
        let line =
            said.lines().find(|line| line.contains("a call failed")).unwrap_or_else(|| panic!("{said}"));
        assert!(line.contains("\"tls\"") && line.contains(CONNECTOR) && line.contains(why), "{line}");
    }
}

#[test]
fn curl_calls_twice_over_one_connection() {
    if without_curl() {
        return;
    }
    let api = ScriptedApi::start(Play::continue_());
    let gateway = Gateway::start(&ConfigText::new(&api.url("/api")).text());
    let url = url(&gateway);
    let mut call = hook(&["--data", HOOK, "-w", " %{http_code} %{num_connects}\n"]);
    assert_eq!(stdout_of(call.args([&url, &url])), format!("{CONTINUE} 200 1\n{CONTINUE} 200 0\n"));
}

#[test]
fn a_body_that_is_too_large_is_told_so_and_nobody_hangs() {
    if without_curl() {
        return;
    }
    let api = ScriptedApi::start(Play::continue_());
    let gateway = Gateway::start(&ConfigText::new(&api.url("/api")).text());
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let file = directory.path().join("large.json");
    std::fs::write(&file, large_hook()).expect("a file can be written");
    let data = format!("@{}", file.display());
    // curl sends `Expect: 100-continue` by itself from 1 MiB on, and the body unasked after a second.
    let cases: [&[&str]; 3] =
        [&[], &["-H", "Expect:"], &["-H", "Expect:", "-H", "Transfer-Encoding: chunked"]];
    for arguments in cases {
        let mut call =
            hook(&["--data-binary", &data, "-o", "/dev/null", "-w", "%{http_code} %{size_upload}"]);
        let said = stdout_of(call.args(arguments).arg(url(&gateway)));
        let (status, uploaded) = said.split_once(' ').expect("two numbers were asked for");
        assert_eq!(status, "413", "{arguments:?}");
        if arguments.is_empty() {
            assert_eq!(uploaded, "0", "a caller that asks first sends nothing");
        }
    }
    assert_eq!(api.requests().len(), 0);
}

#[test]
fn a_caller_that_asks_first_is_told_to_go_on() {
    if without_curl() {
        return;
    }
    let api = ScriptedApi::start(Play::continue_());
    let gateway = Gateway::start(&ConfigText::new(&api.url("/api")).listen("max_body: 2MiB").text());
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let file = directory.path().join("large.json");
    std::fs::write(&file, large_hook()).expect("a file can be written");
    let mut call =
        hook(&["--data-binary", &format!("@{}", file.display()), "-w", " %{http_code} %{time_total}"]);
    let said =
        stdout_of(call.args(["-H", "Expect: 100-continue", "--expect100-timeout", "9"]).arg(url(&gateway)));
    let seconds = said.strip_prefix(&format!("{CONTINUE} 200 ")).expect("the hook is answered");
    assert!(seconds.parse::<f64>().expect("curl writes a number") < 9.0, "{seconds} s: it waited in vain");
}

/// Over 1 MiB.
fn large_hook() -> String {
    json!({ "email": "jane@fabrikam.com", "jobTitle": "x".repeat(1_100_000) }).to_string()
}

fn hook(arguments: &[&str]) -> Command {
    let mut command = curl();
    command
        .args(["-u", &format!("{CALLER}:{PASSWORD}"), "-H", "Content-Type: application/json"])
        .args(arguments);
    command
}

fn path() -> String {
    format!("/flows/{FLOW}/{STEP}")
}

fn url(gateway: &Gateway) -> String {
    format!("http://{}{}", gateway.address(), path())
}

//! TLS on the hook port, met by the programs that its users have: OpenSSL, curl and sslscan.

mod clients;
mod handshakes;
mod reload;
mod rest;
mod scan;

use std::{path::Path, process::Command};

use super::support::{
    CALLER, ConfigText, FLOW, Gateway, PASSWORD, Play, ScriptedApi,
    certificates::{Certificates, Files},
    peers::{curl, stdout_of},
};

const STEP: &str = "postAttributeCollection";
const CONTINUE: &str = r#"{"version":"1.0.0","action":"Continue"}"#;
const HOOK: &str = r#"{"email":"jane@fabrikam.com"}"#;

/// A gateway with this `listen.tls` and this caller beside its Basic credentials.
fn gateway(api: &ScriptedApi, listen: &str, caller: &str) -> Gateway {
    Gateway::start(&ConfigText::new(&api.url("/api")).listen(listen).caller(caller).text())
}

/// curl with a hook for this gateway.
fn hook(gateway: &Gateway, certificates: &Certificates, arguments: &[&str]) -> Command {
    let mut command = curl();
    let port = gateway.address().port();
    command
        .arg("--cacert")
        .arg(certificates.ca())
        .args(["--data", HOOK, "-H", "Content-Type: application/json", "-w", " %{http_code}"])
        .args(arguments)
        .arg(format!("https://localhost:{port}/flows/{FLOW}/{STEP}"));
    command
}

fn basic() -> String {
    format!("{CALLER}:{PASSWORD}")
}

/// The arguments with which curl shows this certificate.
fn showing(files: &Files) -> [&str; 4] {
    let text = |path| Path::to_str(path).expect("the path is UTF-8");
    ["--cert", text(&files.certificate), "--key", text(&files.key)]
}

/// `openssl s_client` towards this gateway, and what it said, whether it got through or not.
fn s_client(gateway: &Gateway, certificates: &Certificates, arguments: &[&str], input: &str) -> String {
    use std::{io::Write as _, process::Stdio};
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-connect", &gateway.address().to_string(), "-servername", "localhost"])
        .args(["-verify_return_error", "-verify_hostname", "localhost", "-CAfile"])
        .arg(certificates.ca())
        .args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("openssl can be started");
    // One that has given up does not read.
    let _ = child.stdin.take().expect("it is a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("openssl ends");
    [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
}

/// The SHA-256 thumbprint of a certificate, as OpenSSL says it.
fn thumbprint(files: &Files) -> String {
    let mut command = Command::new("openssl");
    command.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(&files.certificate);
    let said = stdout_of(&mut command);
    said.trim().split_once('=').expect("openssl names the digest").1.to_owned()
}

fn api() -> ScriptedApi {
    ScriptedApi::start(Play::continue_())
}

fn failed_handshakes(gateway: &Gateway, reason: &str, count: f64) {
    gateway.wait_for_metric(&format!("claimgate_tls_handshakes_failed_total{{reason=\"{reason}\"}}"), count);
}

//! `listen.tls` and the client certificates of callers: what goes together, which files are read, and what is said.

use super::*;

const ONE: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const TWO: &str =
    "BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:B0:03:61:A3:96:17:7A:9C:B4:10:FF:61:F2:00:15:AD";

/// A directory with a configuration and the files that it may name.
struct Directory(tempfile::TempDir);

impl Directory {
    fn new() -> Self {
        let directory = Self(tempfile::tempdir().unwrap());
        for name in ["hooks.pem", "hooks.key", "clients.pem"] {
            fs::write(directory.0.path().join(name), format!("what stands in {name}")).unwrap();
        }
        directory
    }

    /// [`GOOD`] with this `listen.tls`, more keys of `listen`, and more of the caller.
    fn load(&self, address: &str, listen: &str, caller: &str, secrets: Secrets) -> Outcome {
        let text = good("address: 127.0.0.1:8080", &format!("address: {address}\n  {listen}"))
            .replace("    basic:", &format!("    {caller}\n    basic:"));
        let path = self.0.path().join("claimgate.yaml");
        fs::write(&path, text).unwrap();
        load(&path, secrets).unwrap()
    }

    fn pem(&self, name: &str) -> Pem {
        let contents = Secret::new(format!("what stands in {name}").into_bytes());
        Pem { path: self.0.path().join(name), contents }
    }
}

#[test]
fn what_is_written_is_read_with_its_files() {
    let directory = Directory::new();
    let listen = format!(
        "tls: {{ certificate: hooks.pem, key: hooks.key, client: required, client_thumbprints: '{ONE}', \
         client_ca: clients.pem, client_names: [A.Example, b.example] }}\n  handshake_timeout: 1m"
    );
    let caller =
        format!("certificate: [{{ thumbprint: \"{TWO}\" }}, {{ ca: clients.pem, name: C.example }}]");
    let outcome = directory.load("0.0.0.0:443", &listen, &caller, Secrets::Load);
    assert_eq!(outcome.report.to_string(), "");
    let config = outcome.config.unwrap();
    assert_eq!(config.listen.handshake_timeout, Duration::from_mins(1));
    let tls = config.listen.tls.unwrap();
    assert_eq!((tls.certificate, tls.key), (directory.pem("hooks.pem"), directory.pem("hooks.key")));
    assert_eq!(
        (tls.client, tls.client_ca),
        (ClientCertificate::Required, Some(directory.pem("clients.pem")))
    );
    assert_eq!(tls.client_thumbprints, [Thumbprint::of(b"")]);
    assert_eq!(tls.client_names.iter().map(DnsName::as_str).collect::<Vec<_>>(), ["a.example", "b.example"]);
    let name = DnsName::parse("c.example").unwrap();
    let issued = CallerCertificate::Issued { ca: directory.pem("clients.pem"), name };
    let abc = CallerCertificate::Thumbprint(Thumbprint::of(b"abc"));
    assert_eq!(config.callers[0].certificate, [abc, issued]);
    let names: Vec<_> = outcome.files.paths().filter_map(Path::file_name).collect();
    assert_eq!(names, ["claimgate.yaml", "hooks.pem", "hooks.key", "clients.pem", "clients.pem"]);
}

#[test]
fn what_does_not_go_together_is_a_problem() {
    let directory = Directory::new();
    let tls = |more: &str| format!("tls: {{ certificate: hooks.pem, key: hooks.key{more} }}");
    let thumbprint = format!("certificate: {{ thumbprint: '{ONE}' }}");
    let rows: &[(&str, &str, &str)] = &[
        (&tls(""), "", ""),
        (&tls(", client: optional"), "", ""),
        (&tls(", client: required"), &thumbprint, ""),
        (&tls(&format!(", client: required, client_thumbprints: '{ONE}'")), "", ""),
        (&tls(", client: required, client_ca: clients.pem"), "", ""),
        (&tls(", client: required"), "", "nobody could connect"),
        (&tls(", client_names: a.example"), "", "`client_names` has no effect"),
        (&tls(", client_thumbprints: []"), "", "the list is empty"),
        ("plain_text: refused", &thumbprint, "the hook port has none"),
        ("tls: { certificate: no.pem, key: no.key, client_ca: no-ca.pem }", "", "no.pem` cannot be read"),
        ("tls: { certificate: no.pem, key: no.key, client_ca: no-ca.pem }", "", "no.key` cannot be read"),
        ("tls: { certificate: no.pem, key: no.key, client_ca: no-ca.pem }", "", "no-ca.pem` cannot be read"),
        ("tls: { certificate: empty.pem, key: hooks.key }", "", "empty.pem` is empty"),
    ];
    fs::write(directory.0.path().join("empty.pem"), "").unwrap();
    for (listen, caller, expected) in rows {
        let Outcome { config, report, .. } = directory.load("127.0.0.1:0", listen, caller, Secrets::Load);
        let found = report.problems().iter().any(|problem| problem.message.contains(expected));
        assert!(expected.is_empty() || found, "{listen} must say {expected}:\n{report}");
        assert_eq!(
            (config.is_some(), report.problems().is_empty()),
            (expected.is_empty(), expected.is_empty()),
            "{report}"
        );
    }
}

#[test]
fn with_tls_any_address_will_do_and_plain_text_has_no_effect() {
    let directory = Directory::new();
    let tls = "tls: { certificate: hooks.pem, key: hooks.key }";
    let said = |address: &str, listen: &str| {
        let report = directory.load(address, listen, "", Secrets::Load).report;
        report
            .problems()
            .iter()
            .map(|problem| (problem.severity, problem.message.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(said("0.0.0.0:443", tls), []);
    assert_eq!(said("0.0.0.0:443", &format!("{tls}\n  plain_text: refused")), []);
    for address in ["0.0.0.0:443", "127.0.0.1:443"] {
        let [(Severity::Warning, message)] = &said(address, &format!("{tls}\n  plain_text: allowed"))[..]
        else {
            panic!("one warning");
        };
        assert!(message.contains("`plain_text` has no effect"), "{message}");
    }
}

#[test]
fn without_secrets_no_key_is_read_and_files_may_be_elsewhere() {
    let directory = Directory::new();
    let listen = "tls: { certificate: no.pem, key: no.key, client_ca: no-ca.pem, client: required }";
    let caller = "certificate: { ca: no-ca.pem, name: a.example }";
    let Outcome { config, report, files } = directory.load("0.0.0.0:443", listen, caller, Secrets::Skip);
    assert_eq!((report.errors(), report.warnings()), (0, 3), "{report}");
    assert!(!files.paths().any(|path| path.ends_with("no.key")), "{files:?}");
    let config = config.unwrap();
    assert_eq!((config.listen.tls, config.callers[0].certificate.len()), (None, 1));
    // What is there is read, and what is wrong is said.
    let listen = "tls: { certificate: hooks.pem, key: no.key, client: always }";
    let report = directory.load("0.0.0.0:443", listen, "", Secrets::Skip).report;
    assert_eq!((report.errors(), report.warnings()), (1, 0), "{report}");
}

#[test]
fn a_key_in_place_of_its_file_is_never_shown() {
    let directory = Directory::new();
    // How every key in DER begins in Base64, as one line.
    let der = format!("MHcCAQEEI{}", "MARKED".repeat(12));
    for key in [
        "-----BEGIN PRIVATE KEY-----MARKED",
        "\"-----BEGIN PRIVATE KEY-----\\nMARKED\"",
        "\"MAR\\nKED\"",
        &der,
    ] {
        let listen = format!("tls: {{ certificate: hooks.pem, key: {key} }}");
        for secrets in [Secrets::Load, Secrets::Skip] {
            let outcome = directory.load("127.0.0.1:0", &listen, "", secrets);
            let shown = format!("{}{outcome:?}", outcome.report);
            assert!(shown.contains("no path of a file") && !shown.contains("MAR"), "{shown}");
        }
    }
}

#[test]
fn two_callers_of_one_flow_share_no_certificate() {
    let directory = Directory::new();
    let listen = "tls: { certificate: hooks.pem, key: hooks.key }";
    fs::write(directory.0.path().join("same.pem"), "what stands in clients.pem").unwrap();
    let one = format!("{{ thumbprint: '{ONE}' }}");
    for (first, second, shared) in [
        (&*one, &*one, true),
        (&one, &format!("{{ thumbprint: '{TWO}' }}"), false),
        ("{ ca: clients.pem, name: a.example }", "{ ca: same.pem, name: A.example }", true),
        ("{ ca: clients.pem, name: a.example }", "{ ca: clients.pem, name: b.example }", false),
        ("{ ca: clients.pem, name: a.example }", "{ ca: hooks.pem, name: a.example }", false),
        ("{ ca: clients.pem, name: a.example }", &one, false),
    ] {
        let text = good("127.0.0.1:8080", &format!("127.0.0.1:8080\n  {listen}"))
            .replace(
                "  entra:\n",
                &format!("  other:\n    certificate: {first}\n  entra:\n    certificate: {second}\n"),
            )
            .replace("[entra]", "[other, entra]");
        let path = directory.0.path().join("claimgate.yaml");
        fs::write(&path, text).unwrap();
        let report = load(&path, Secrets::Load).unwrap().report;
        assert_eq!(report.errors(), usize::from(shared), "{first} {second}\n{report}");
    }
}

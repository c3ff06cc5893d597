//! One row a rule: what is replaced in the good file, what is said, and where.

use super::*;

/// Part of [`GOOD`], its replacement, part of the message, `line:column`. A message that begins with `w:` is a warning.
pub(super) type Row = (&'static str, &'static str, &'static str, &'static str);

const LISTEN: &str = "127.0.0.1:8080";
const PASSWORD: &str = "{ env: CARGO_PKG_NAME }";
const BASIC: &str = "basic: { username: entra, password: { env: CARGO_PKG_NAME } }";
const URL: &str = "https://api.example/check";
const AUTH: &str = "authentication: none";
const CALLERS: &str = "callers: [entra]";
const ON_FAILURE: &str = "{ block: Try later. }";
const STEP: &str = "postAttributeCollection";

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    // Shape of the file.
    (AUTH, "authentication: none\n    authentication: none", "`authentication` stands here twice", "10:5"),
    (AUTH, "authentication: none\n    ? [a]\n    : b", "a key must be a text", "10:7"),
    (AUTH, "authentication: none\n    timout: 2s", "unknown key `timout`", "10:5"),
    (AUTH, "authentication: none\n    cache: on", "unknown key `cache`", "10:5"),
    (AUTH, "authentication: none\n    timeout:", "the value is missing", "10:5"),
    (AUTH, "authentication: none\n    timeout: [2s]", "a list cannot stand here", "10:14"),
    (AUTH, "authentication: none\n    timeout: { a: b }", "a map cannot stand here", "10:14"),
    ("[displayName]", "displayName", "a text cannot stand here", "10:21"),
    (BASIC, "basic: entra", "a text cannot stand here", "5:12"),
    ("  entra:\n", "  en/tra:\n", "this cannot be a name", "4:3"),
    ("  entra:\n", "  entra: { code: { env: CARGO_PKG_NAME } }\n  entra:\n", "`entra` stands here twice", "5:3"),
    ("authentication: none\n", "\n", "`authentication` is missing", "7:3"),
    ("    claims_to_receive: []\n", "", "`claims_to_receive` is missing", "7:3"),
    (GOOD, "", "the file is empty", "1:1"),
    (GOOD, "[]", "a list cannot stand here", "1:1"),
    (GOOD, "a: [", "unclosed bracket", "1:4"),
    (GOOD, "{}", "`user_flows` is missing", "1:1"),
    // Units.
    (LISTEN, "127.0.0.1:8080\n  head_timeout: 10", "`10` has no unit", "3:17"),
    (LISTEN, "127.0.0.1:8080\n  head_timeout: 10 s", "`10 s` is not a duration", "3:17"),
    (LISTEN, "127.0.0.1:8080\n  head_timeout: 0s", "`0s` is out of range", "3:17"),
    (LISTEN, "127.0.0.1:8080\n  max_body: 17MiB", "`17MiB` is out of range", "3:13"),
    (LISTEN, "127.0.0.1:8080\n  max_body: 64KB", "`64KB` is not a size", "3:13"),
    (LISTEN, "127.0.0.1:8080\n  max_in_flight: 1_000", "`1_000` is not a whole number", "3:18"),
    (LISTEN, "127.0.0.1:8080\n  max_in_flight: 0", "`0` is out of range", "3:18"),
    (AUTH, "authentication: none\n    strict: yes", "`yes` is neither `true` nor `false`", "10:13"),
    (AUTH, "authentication: none\n    rate_limit: { rate: 5, burst: 1 }", "`5` has no unit", "10:25"),
    (AUTH, "authentication: none\n    rate_limit: { rate: 5/s }", "`burst` is missing", "10:5"),
    (AUTH, "authentication: none\n    missing_action: carry_on", "`carry_on` is not possible here", "10:21"),
    (AUTH, "authentication: none\n    display_name: ' '", "cannot be shown to a person", "10:19"),
    (AUTH, "authentication: none\n    default_message: \"\\e\"", "cannot be shown to a person", "10:22"),
    // Ports.
    (LISTEN, "localhost:8080", "`localhost:8080` is not an IP address", "2:12"),
    (LISTEN, "0.0.0.0:8080", "this address is not loopback", "2:12"),
    (LISTEN, "0.0.0.0:8080\n  plain_text: allowed", "w:reach this port unencrypted", "2:3"),
    (LISTEN, "127.0.0.1:8080\nadmin:\n  address: 127.0.0.1:8080", "the hook port on the same", "4:12"),
    (LISTEN, "127.0.0.1:9090", "the hook port on the same", "2:12"),
    (LISTEN, "127.0.0.1:8080\nadmin:\n  address: 0.0.0.0:9090", "w:the admin port asks for no credential", "4:3"),
    // TLS on the hook port; more of it in the tests of `tls`.
    (LISTEN, "127.0.0.1:8080\n  handshake_timeout: 99ms", "`99ms` is out of range", "3:22"),
    (LISTEN, "127.0.0.1:8080\n  tls: on", "a text cannot stand here", "3:8"),
    (LISTEN, "127.0.0.1:8080\n  tls: { key: a }", "`certificate` is missing", "3:3"),
    (BASIC, "certificate: { thumbprint: ab }", "`ab` is not a SHA-256 thumbprint", "5:32"),
    (BASIC, "certificate: {}", "no certificate is stated", "5:5"),
    (BASIC, "certificate: { ca: a.pem }", "without `name` every certificate", "5:5"),
    (BASIC, "certificate: { name: a.example }", "without `ca` anybody", "5:5"),
    (BASIC, "certificate: { ca: a.pem, name: '*.example' }", "`*.example` is not a DNS name", "5:37"),
    (BASIC, "certificate: { ca: /does/not/exist, name: a.example }", "cannot be read", "5:24"),
    (BASIC, "certificate: { thumbprint: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 }", "comes with TLS, and the hook port has none", "5:5"),
    // Secrets and callers.
    (PASSWORD, "plain", "w:a secret stands here as plain text", "5:31"),
    (PASSWORD, "\"\"", "the secret is empty", "5:41"),
    (PASSWORD, "{ env: CLAIMGATE_NOT_SET }", "`CLAIMGATE_NOT_SET` is not set", "5:48"),
    (PASSWORD, "{ env: not-a-name }", "cannot be the name of an environment variable", "5:48"),
    (PASSWORD, "{ file: /does/not/exist }", "cannot be read", "5:49"),
    (PASSWORD, "{ file: / }", "cannot be read", "5:49"),
    (PASSWORD, "{ file: a, env: B }", "there are two sources", "5:31"),
    (PASSWORD, "{}", "there is no source", "5:31"),
    (PASSWORD, "\"a\\nb\"", "the secret has a control character", "5:41"),
    ("username: entra", "username: 'en:tra'", "a user name has no colon", "5:24"),
    (BASIC, "rate_limit: { rate: 1/s, burst: 1 }", "a caller needs a credential", "4:3"),
    (BASIC, "basic: []", "the list is empty", "5:12"),
    (BASIC, "header: { name: authorization, value: { env: CARGO_PKG_NAME } }", "`authorization` has a meaning", "5:21"),
    (BASIC, "header: { name: Content-Md5, value: { env: CARGO_PKG_NAME } }", "`content-md5` has a meaning", "5:21"),
    (BASIC, "header: { name: X Key, value: { env: CARGO_PKG_NAME } }", "this is not a header's name", "5:21"),
    (BASIC, "header: { name: X-Key, value: ' a' }", "a header's value is visible ASCII", "5:35"),
    ("user_flows:\n", "user_flows:\n  idle: { callers: [entra] }\n", "a user flow needs at least one step", "13:3"),
    ("  entra:\n", "  idle: { code: { env: CARGO_PKG_NAME } }\n  entra:\n", "w:no user flow names caller `idle`", "4:3"),
    // Connectors.
    (URL, "api.example", "not an absolute http or https URL", "8:19"),
    (URL, "https://u:p@api.example", "the URL has user info", "8:19"),
    (URL, "https://api.example/#a", "the URL has a fragment", "8:19"),
    (URL, "https://api.example/é", "a character that a URL cannot have", "8:19"),
    (URL, "https://api.example:0/", "the URL has no valid port", "8:19"),
    (URL, "http://api.example/", "this URL is not https", "8:19"),
    (URL, "http://api.example/\n    plain_text: allowed", "w:travel to this API unencrypted", "8:5"),
    (URL, "https://api.example/\n    plain_text: allowed", "w:`plain_text` has no effect", "9:5"),
    (URL, "https://api.example/?a=b", "w:a query often holds a key", "8:5"),
    (URL, "http://localhost/\n    roots: webpki", "`roots` has no effect", "9:5"),
    (AUTH, "authentication: non", "this is no kind of authentication", "9:21"),
    (AUTH, "authentication: {}", "no authentication is stated", "9:5"),
    (AUTH, "authentication: { certificate: { certificate: none.pem, key: none.key } }", "`none.pem` cannot be read", "9:51"),
    (AUTH, "authentication: { certificate: { certificate: Cargo.toml, key: none.key } }", "none.key` cannot be read", "9:68"),
    (AUTH, "authentication: { certificate: { certificate: Cargo.toml, key: Cargo.toml }, basic: { username: a, password: { env: CARGO_PKG_NAME } } }", "`basic` and `certificate` cannot stand together", "9:23"),
    (AUTH, "authentication: { certificate: { certificate: '-----BEGIN CERTIFICATE-----', key: Cargo.toml } }", "this is no path of a file", "9:51"),
    (AUTH, "authentication: none\n    min_tls: 1.1", "`1.1` is not possible here", "10:14"),
    (AUTH, "authentication: none\n    server_name: 127.0.0.1", "`127.0.0.1` is not a DNS name", "10:18"),
    (AUTH, "authentication: none\n    server_name: api.example:443", "`api.example:443` is not a DNS name", "10:18"),
    (URL, "http://localhost/\n    server_name: api.example", "`server_name` has no effect", "9:5"),
    (URL, "http://localhost/\n    min_tls: 1.2", "`min_tls` has no effect", "9:5"),
    (AUTH, "authentication: none\n    roots: webpkg", "`webpkg` is not possible here", "10:12"),
    (AUTH, "authentication: none\n    timeout: 500ms\n    connect_timeout: 1s", "connect_timeout (1s) is longer than timeout (500ms)", "11:22"),
    (AUTH, "authentication: none\n    timeout: 5s", "timeout (5s) of connector `check` is longer than answer_within (4s) of user flow `sign-up`", "10:14"),
    (AUTH, "authentication: none\n    wait: 4s", "wait (4s) of connector `check` is not shorter than answer_within (4s)", "10:11"),
    (CALLERS, "callers: [entra]\n    answer_within: 1s", "timeout (2s) of connector `check` is longer than answer_within (1s)", "17:18"),
    (AUTH, "authentication: none\n    strict: true\n    missing_action: continue", "has no effect with `strict: true`", "11:21"),
    ("[displayName]", "[displayName, displayName]", "`displayName` stands here twice", "10:35"),
    ("[displayName]", "[Action]", "`Action`: this key belongs", "10:22"),
    ("[displayName]", "[[a]]", "a list cannot stand here", "10:22"),
    ("[displayName]", "[null]", "the value is missing", "10:22"),
    // User flows.
    (CALLERS, "callers: [entrance]", "there is no caller `entrance`", "14:15"),
    (CALLERS, "callers: [entra, entra]", "`entra` stands here twice", "14:22"),
    (CALLERS, "callers: []", "nobody could call this user flow", "14:14"),
    ("connector: check", "connector: chek", "there is no connector `chek`", "16:18"),
    (STEP, "PostAttributeCollection", "unknown key `PostAttributeCollection`", "15:5"),
    (STEP, "PreTokenApplicationClaims", "unknown key `PreTokenApplicationClaims`", "15:5"),
    (ON_FAILURE, "block", "`block` needs a message", "17:19"),
    (ON_FAILURE, "nothing", "`nothing` is not possible here", "17:19"),
    (ON_FAILURE, "{}", "no answer is stated", "17:7"),
    (ON_FAILURE, "{ block: a, validation_error: b }", "only one answer is possible", "17:7"),
    (ON_FAILURE, "{ block: '' }", "cannot be shown to a person", "17:28"),
    (ON_FAILURE, "continue", "w:a user signs up unchecked", "17:7"),
];

#[test]
fn every_rule_says_what_is_wrong_and_where() {
    for (from, to, message, place) in ROWS {
        let text = good(from, to);
        let Outcome { config, report, .. } = read("claimgate.yaml", &text, Secrets::Load);
        let (severity, message) = match message.strip_prefix("w:") {
            Some(message) => (Severity::Warning, message),
            None => (Severity::Error, *message),
        };
        let found = report.problems().iter().find(|problem| problem.message.contains(message));
        let found = found.unwrap_or_else(|| panic!("{to:?} must say {message:?}:\n{report}"));
        assert_eq!(format!("{}:{}", found.place.line, found.place.column), *place, "{to:?}\n{report}");
        assert_eq!(found.severity, severity, "{report}");
        assert_eq!(config.is_some(), report.errors() == 0, "{report}");
        if severity == Severity::Warning {
            assert!(config.is_some(), "a warning alone leaves a configuration:\n{report}");
        }
    }
}

#[test]
fn help_names_what_was_meant() {
    for (from, to, help) in [
        (AUTH, "authentication: none\n    timout: 2s", "did you mean `timeout`?"),
        (AUTH, "Authentication: none", "did you mean `authentication`?"),
        (AUTH, "authentication: none\n    displayName: x", "did you mean `display_name`?"),
        (AUTH, "authentication: none\n    roots: webpkg", "did you mean `webpki`?"),
        (
            AUTH,
            "authentication: none\n    timeout: 2",
            "write an integer and ms, s, m or h, such as 500ms or 2s",
        ),
        (AUTH, "authentication: none\n    timeout: 2h", "1ms to 1h"),
        (
            LISTEN,
            "127.0.0.1:8080\n  metrics: x",
            "keys here: address, plain_text, tls, handshake_timeout, max_connections, max_body, first_byte_timeout, head_timeout, body_timeout, write_timeout, idle_timeout, max_age, max_in_flight, unauthenticated_limit",
        ),
        (LISTEN, "localhost:81", "write 127.0.0.1:81"),
        (STEP, "PostAttributeCollection", "did you mean `postAttributeCollection`?"),
        (STEP, "PreTokenApplicationClaims", "did you mean `preTokenIssuance`?"),
        (CALLERS, "callers: [Entra]", "did you mean `entra`?"),
        (CALLERS, "callers: [okta]", "there is: entra"),
        ("connector: check", "connector: cehck", "did you mean `check`?"),
        (ON_FAILURE, "validation-error", "write { validation_error: MESSAGE }"),
        (ON_FAILURE, "Continue", "did you mean `continue`?"),
    ] {
        let report = read("claimgate.yaml", &good(from, to), Secrets::Load).report;
        let helps: Vec<_> = report.problems().iter().filter_map(|problem| problem.help.as_deref()).collect();
        assert!(helps.contains(&help), "{to:?} must help with {help:?}:\n{report}");
    }
}

#[test]
fn a_step_takes_only_what_the_identity_provider_takes_there() {
    use crate::flow::Step;
    for step in Step::ALL {
        for (answer, allowed) in [
            ("{ block: Later. }", step != Step::PreTokenIssuance),
            ("{ validation_error: Later. }", step == Step::PostAttributeCollection),
            ("continue", true),
            ("error", true),
        ] {
            let text = good(STEP, step.as_str()).replace(ON_FAILURE, answer);
            let report = read("c.yaml", &text, Secrets::Load).report;
            assert_eq!(report.errors(), usize::from(!allowed), "{step} {answer}\n{report}");
            let warned = usize::from(answer == "continue" && step != Step::PreTokenIssuance);
            assert_eq!(report.warnings(), warned, "{step} {answer}\n{report}");
            assert!(report.problems().iter().all(|problem| problem.place.line == 17), "{report}");
        }
    }
}

#[test]
fn two_callers_of_one_flow_share_no_credential() {
    let secret = "{ env: CARGO_PKG_NAME }";
    for (first, second, shared) in [
        ("basic: { username: u, password: S }", "basic: { username: u, password: S }", true),
        ("basic: { username: u, password: S }", "basic: { username: v, password: S }", false),
        ("code: S", "code: [T, S]", true),
        ("code: S", "code: T", false),
        ("header: { name: X-Key, value: S }", "header: { name: x-key, value: S }", true),
        ("header: { name: X-Key, value: S }", "header: { name: X-Key2, value: S }", false),
        ("code: S", "header: { name: X-Key, value: S }", false),
    ] {
        let both = format!("  a: {{ {first} }}\n  b: {{ {second} }}\n")
            .replace('S', secret)
            .replace('T', "{ env: CARGO_PKG_VERSION }");
        let text =
            good("  entra:\n    basic: { username: entra, password: { env: CARGO_PKG_NAME } }\n", &both);
        let together = text.replace("[entra]", "[a, b]");
        let report = read("c.yaml", &together, Secrets::Load).report;
        assert_eq!(report.errors(), usize::from(shared), "{first} {second}\n{report}");
        assert_eq!(read("c.yaml", &together, Secrets::Skip).report.errors(), 0);
        let apart = text.replace(
            "[entra]",
            "[a]\n    preTokenIssuance: { connector: check, on_failure: error }\n  other:\n    callers: [b]",
        );
        assert_eq!(read("c.yaml", &apart, Secrets::Load).report.errors(), 0);
    }
}

#[test]
fn a_fault_that_two_hooks_find_is_reported_once() {
    let text = good(AUTH, "authentication: none\n    timeout: 5s").replace(
        ON_FAILURE,
        "{ block: Try later. }\n    preTokenIssuance: { connector: check, on_failure: error }",
    );
    assert_eq!(read("c.yaml", &text, Secrets::Load).report.errors(), 1);
    let other = "  other: { callers: [entra], preTokenIssuance: { connector: check, on_failure: error } }\n";
    assert_eq!(read("c.yaml", &format!("{text}{other}"), Secrets::Load).report.errors(), 2);
}

#[test]
fn one_broken_file_is_reported_as_a_whole() {
    let text = "\
listen: { adress: 0.0.0.0:8080, max_body: 64 }
callers:
  entra: { basic: { username: entra, passwort: hunter2 }, rate_limit: { rate: 500, burst: many } }
  okta:
connectors:
  check-approval-status:
    endpoint_url: http://approvals.contoso.com/api?code=hunter2
    authentication: { code: hunter2 }
    claims_to_send: [displayName, status, displayName]
    timout: 2s
    timeout: 6s
    max_answer: 1GiB
user_flows:
  sign-up:
    callers:
      - entra
      - entrra
    postFederationSignUp: { connector: check-approval-status, on_failure: error }
    preTokenIssuance: { connector: check-aproval-status, on_failure: { block: No. } }
";
    insta::assert_snapshot!(read("claimgate.yaml", text, Secrets::Load).report);
}

#[test]
fn a_hundred_problems_are_told_errors_first_and_the_others_counted() {
    let report = |errors: usize, warnings: usize| {
        let unknown: Vec<_> = (0..errors).map(|number| format!("unknown{number}: 1\n")).collect();
        let codes = match warnings {
            0 => String::new(),
            _ => format!("code: [{}]\n    ", vec!["secret"; warnings].join(", ")),
        };
        let text = good("basic: { username", &format!("{codes}basic: {{ username"));
        let report = read("claimgate.yaml", &(text + &unknown.concat()), Secrets::Load).report;
        let text = report.to_string();
        let told =
            ["error: ", "warning: "].map(|word| text.lines().filter(|line| line.starts_with(word)).count());
        (told, report.summary(), text.lines().find(|line| line.starts_with('…')).map(str::to_owned))
    };
    let rows = [
        ((60, 40), [60, 40], "60 errors, 40 warnings", None),
        ((60, 41), [60, 40], "60 errors, 41 warnings", Some("… and 1 more warning")),
        ((101, 0), [100, 0], "101 errors", Some("… and 1 more error")),
        ((0, 300), [0, 100], "fine, with 300 warnings", Some("… and 200 more warnings")),
        ((300, 40), [100, 0], "300 errors, 40 warnings", Some("… and 200 more errors, 40 more warnings")),
    ];
    for ((errors, warnings), told, summary, more) in rows {
        assert_eq!(report(errors, warnings), (told, summary.to_owned(), more.map(str::to_owned)));
    }
}

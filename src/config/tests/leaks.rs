//! No secret is ever shown: not in a report, not in `Debug`, whatever mistake stands beside it.

use super::*;

const MARK: &str = "hunter2";

/// Places where people put a secret, right and wrong. `S` is the secret.
const SECRETS: &[(&str, &str)] = &[
    ("{ env: CARGO_PKG_NAME } }", "S }"),
    ("{ env: CARGO_PKG_NAME } }", "\"S\" }"),
    ("{ env: CARGO_PKG_NAME } }", "\"S\\n\" }"),
    ("{ env: CARGO_PKG_NAME } }", "[S] }"),
    ("{ env: CARGO_PKG_NAME } }", "{ S } }"),
    ("{ env: CARGO_PKG_NAME } }", "{ S: S } }"),
    ("{ env: CARGO_PKG_NAME } }", "{ env: S } }"),
    ("{ env: CARGO_PKG_NAME } }", "{ value: S } }"),
    ("{ env: CARGO_PKG_NAME } }", "{ fil: S } }"),
    ("{ env: CARGO_PKG_NAME } }", "!S x }"),
    ("{ env: CARGO_PKG_NAME } }", "*S }"),
    ("{ env: CARGO_PKG_NAME } }", "S, S }"),
    ("{ env: CARGO_PKG_NAME } }", "S, passwort: S, pwd: S, username: a:b }"),
    ("password: { env: CARGO_PKG_NAME } }", "passwort: S }"),
    ("password: { env: CARGO_PKG_NAME } }", "S }"),
    ("password: { env: CARGO_PKG_NAME } }", "secret: S }"),
    ("password: { env: CARGO_PKG_NAME } }", "password: a, password: S } # S"),
    ("basic: { username: entra, password: { env: CARGO_PKG_NAME } }", "basic: S"),
    ("basic: { username: entra, password: { env: CARGO_PKG_NAME } }", "basic: [S, [S], { S: S }]"),
    ("basic: { username: entra, password: { env: CARGO_PKG_NAME } }", "basik: S"),
    ("basic: { username: entra, password: { env: CARGO_PKG_NAME } }", "token: S"),
    ("basic: { username: entra, password: { env: CARGO_PKG_NAME } }", "code: S"),
    (
        "basic: { username: entra, password: { env: CARGO_PKG_NAME } }",
        "code: |\n      S\n      S\n    rate_limit: 5",
    ),
    ("basic: { username: entra, password: { env: CARGO_PKG_NAME } }", "code: [S, S]\n    cod: S"),
    ("basic: { username: entra, password: { env: CARGO_PKG_NAME } }", "header: { name: Host, value: S }"),
    (
        "basic: { username: entra, password: { env: CARGO_PKG_NAME } }",
        "header: { name: X-A, value: 'S ', vlue: S }",
    ),
    (
        "basic: { username: entra, password: { env: CARGO_PKG_NAME } }",
        "code: &s S\n    header: { name: X-A, value: *s }",
    ),
    ("authentication: none", "authentication: S"),
    ("authentication: none", "authentication: [S]"),
    ("authentication: none", "authentication: { code: S, basic: S }"),
    ("authentication: none", "authentication: { basic: { username: a, password: S }, S }"),
    (
        "authentication: none",
        "authentication: { certificate: { certificate: x, key: \"-----BEGIN PRIVATE KEY-----\\nS\" } }",
    ),
    (
        "authentication: none",
        "authentication: { certificate: { certificate: \"-----BEGIN PRIVATE KEY-----\\nS\", key: x } }",
    ),
    (
        "authentication: none",
        "authentication: { certificate: { certificate: MC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAS, key: x } }",
    ),
    ("authentication: none", "authentication: none\n    password: S"),
    ("authentication: none", "authentication: none\n    autentication: { code: S }"),
    ("authentication: none", "authentication: none # S"),
    ("https://api.example/check", "https://api.example/check?code=S"),
    ("https://api.example/check", "https://api.example/check?key=S&x= y"),
    ("https://api.example/check", "https://u:S@api.example/check"),
    ("https://api.example/check", "api.example?code=S"),
    ("https://api.example/check", "[https://api.example/check?code=S]"),
    ("endpoint_url: https://api.example/check", "endpont_url: https://api.example/check?code=S"),
    ("endpoint_url: https://api.example/check", "url: https://api.example/check?code=S"),
];

/// Mistakes beside a secret; each is a problem of its own.
const MISTAKES: &[(&str, &str)] = &[
    ("    claims_to_receive: []\n", "    claims_to_receive: []\n    timout: 2s\n"),
    ("127.0.0.1:8080", "0.0.0.0:8080"),
    ("claims_to_receive: []", "claims_to_receive: {}"),
    ("callers: [entra]", "callers: [other]"),
    ("  entra:\n", "  other: { code: hunter2 }\n  entra:\n"),
    ("[displayName]", "[displayName"),
    ("  sign-up:\n", "\t sign-up:\n"),
    ("on_failure: { block: Try later. }", "on_failure: error\n---\n"),
];

#[test]
fn a_secret_beside_any_mistake_is_never_shown() {
    for (secret_from, secret_to) in SECRETS {
        let with_secret = good(secret_from, &secret_to.replace('S', MARK));
        assert!(with_secret.contains(MARK));
        let mut texts = vec![with_secret.clone()];
        texts.extend(MISTAKES.iter().map(|(from, to)| with_secret.replace(from, to)));
        for text in texts {
            for secrets in [Secrets::Load, Secrets::Skip] {
                let outcome = read("claimgate.yaml", &text, secrets);
                let shown = format!("{}{outcome:?}{:?}", outcome.report, outcome.report.problems());
                assert!(!shown.contains("hunter"), "{text}\n{}", outcome.report);
            }
        }
    }
}

#[test]
fn a_secret_that_was_read_is_not_in_debug() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("secret"), MARK).unwrap();
    let path = directory.path().join("claimgate.yaml");
    let text = GOOD
        .replace("{ env: CARGO_PKG_NAME }", "{ file: secret }")
        .replace("authentication: none", "authentication: { code: { file: secret } }");
    fs::write(&path, text).unwrap();
    let config = load(&path, Secrets::Load).unwrap().config.unwrap();
    assert_eq!(config.connectors[0].code.as_ref().unwrap().expose(), MARK.as_bytes());
    assert!(!format!("{config:?}{config:#?}").contains(MARK));
}

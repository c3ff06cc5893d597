//! The rules, one row each; the samples; the defaults; and that no secret is ever shown.

use std::{fs, num::NonZeroU32, path::Path, time::Duration};

use crate::flow::{Selection, claims::ClaimName};

use super::*;

mod arbitrary;
mod large;
mod leaks;
mod rules;
mod schema;
mod tls;
mod valid;

/// A small valid file. A row of a table is this file with one part replaced.
const GOOD: &str = "\
listen:
  address: 127.0.0.1:8080
callers:
  entra:
    basic: { username: entra, password: { env: CARGO_PKG_NAME } }
connectors:
  check:
    endpoint_url: https://api.example/check
    authentication: none
    claims_to_send: [displayName]
    claims_to_receive: []
user_flows:
  sign-up:
    callers: [entra]
    postAttributeCollection:
      connector: check
      on_failure: { block: Try later. }
";

#[test]
fn a_breaker_has_the_numbers_that_are_written_and_its_own_for_the_others() {
    let breaker = |written: &str| {
        let text = good("claims_to_send", &format!("breaker: {written}\n    claims_to_send"));
        let Outcome { config, report, .. } = read("claimgate.yaml", &text, Secrets::Load);
        config.map(|config| config.connectors[0].breaker).ok_or_else(|| report.to_string())
    };
    let usual = breaker("on").unwrap().unwrap();
    assert_eq!(breaker("{}").unwrap(), Some(usual));
    assert_eq!(breaker("off").unwrap(), None);
    let own = Breaker { failures: 100, probes: 1, ..usual };
    assert_eq!(breaker("{ failures: 100%, probes: 1 }").unwrap(), Some(own));
    for (written, told) in [
        ("true", "`true` is not possible here"),
        ("{ failures: 50 }", "`50` has no unit"),
        ("{ failures: 101% }", "1% to 100%"),
        ("{ failures: 5s }", "`5s` is not a share"),
        ("{ open: 5s }", "open_for"),
        ("[]", "a list cannot stand here"),
    ] {
        let report = breaker(written).unwrap_err();
        assert!(report.contains(told), "{written}: {report}");
    }
}

#[test]
fn only_a_sign_up_has_a_duplicate_window_unless_one_is_written() {
    let window = |step: &str, written: &str| {
        let text = good("postAttributeCollection", step)
            .replace("on_failure: { block: Try later. }", &format!("on_failure: error\n      {written}"));
        let config = read("claimgate.yaml", &text, Secrets::Load).config.unwrap();
        config.user_flows[0].hooks[0].duplicate_window
    };
    assert_eq!(window("postFederationSignup", ""), Some(Duration::from_secs(10)));
    assert_eq!(window("preTokenIssuance", ""), None);
    assert_eq!(window("preTokenIssuance", "duplicate_window: 1m"), Some(Duration::from_mins(1)));
    assert_eq!(window("postAttributeCollection", "duplicate_window: 0s"), None);
}

fn good(from: &str, to: &str) -> String {
    assert_eq!(GOOD.matches(from).count(), 1, "{from:?} must stand once in the good file");
    GOOD.replace(from, to)
}

fn config(text: &str) -> Config {
    let Outcome { config, report, .. } = read("claimgate.yaml", text, Secrets::Load);
    config.unwrap_or_else(|| panic!("{report}"))
}

fn claim(name: &str) -> ClaimName {
    ClaimName::parse(name).unwrap()
}

#[test]
fn what_is_not_written_has_its_default() {
    let Outcome { config, report, .. } = read("claimgate.yaml", GOOD, Secrets::Load);
    assert_eq!(report.to_string(), "");
    let config = config.unwrap();
    let seconds = Duration::from_secs;
    let expected = Listen {
        address: ([127, 0, 0, 1], 8080).into(),
        plain_text: false,
        tls: None,
        handshake_timeout: seconds(5),
        max_connections: 4096,
        max_body: 64 * 1024,
        first_byte_timeout: seconds(5),
        head_timeout: seconds(10),
        body_timeout: seconds(5),
        write_timeout: seconds(10),
        idle_timeout: seconds(120),
        max_age: seconds(600),
        max_in_flight: 1024,
        unauthenticated_limit: RateLimit {
            count: NonZeroU32::new(20).unwrap(),
            per: Per::Second,
            burst: NonZeroU32::new(100).unwrap(),
        },
    };
    assert_eq!(config.listen, expected);
    assert_eq!(config.admin.address.to_string(), "127.0.0.1:9090");
    assert_eq!(config.shutdown, Shutdown { drain_delay: Duration::ZERO, grace: seconds(10) });
    let [connector] = &config.connectors[..] else { panic!("one connector") };
    assert_eq!(connector.display_name, "check");
    assert_eq!(
        (connector.timeout, connector.connect_timeout),
        (Duration::from_secs(2), Duration::from_secs(1))
    );
    assert_eq!((connector.max_answer, connector.max_in_flight), (64 * 1024, 64));
    assert_eq!((connector.wait, &connector.roots), (Duration::from_millis(50), &Roots::Webpki));
    let breaker =
        Breaker { window: seconds(10), least_calls: 20, failures: 50, open_for: seconds(5), probes: 3 };
    assert_eq!((connector.idempotent, connector.breaker), (false, Some(breaker)));
    assert_eq!((connector.strict, connector.missing_action), (false, MissingAction::Fail));
    assert_eq!((connector.rate_limit, config.callers[0].rate_limit), (None, None));
    assert!(!connector.default_message.is_empty());
    assert_eq!(connector.claims_to_send, Selection::to_send(&[claim("displayName")], true));
    assert_eq!(config.user_flows[0].answer_within, Duration::from_secs(4));
    let hook = &config.user_flows[0].hooks[0];
    assert_eq!((hook.duplicate_window, hook.rate_limit_per_user), (Some(seconds(10)), None));
}

#[test]
fn what_is_written_is_taken() {
    let text = GOOD
        .replace(
            "127.0.0.1:8080",
            "'[::1]:81'\n  max_connections: 1\n  max_body: 1MiB\n  first_byte_timeout: 2ms\n  head_timeout: 1m\n  body_timeout: 7ms\n  write_timeout: 8ms\n  idle_timeout: 9ms\n  max_age: 24h\n  max_in_flight: 2\nadmin:\n  address: 127.0.0.2:81\nshutdown:\n  drain_delay: 5m\n  grace: 1h",
        )
        .replace(
            "authentication: none\n",
            "display_name: Ask\n    authentication: { code: { env: CARGO_PKG_NAME } }\n    send_ui_locales: false\n    timeout: 900ms\n    max_answer: 2B\n    rate_limit: { rate: 5/m, burst: 6 }\n    max_in_flight: 3\n    wait: 4ms\n    strict: true\n    default_message: 1.10\n",
        )
        .replace("{ block: Try later. }", "{ validation_error: \"0x10\" }")
        .replace("    callers: [entra]", "    callers: [entra]\n    answer_within: 18s");
    let config = config(&text);
    let (listen, connector, flow) = (&config.listen, &config.connectors[0], &config.user_flows[0]);
    assert_eq!((listen.max_connections, listen.max_body, listen.max_in_flight), (1, 1024 * 1024, 2));
    let millis = Duration::from_millis;
    assert_eq!(
        (listen.first_byte_timeout, listen.head_timeout, listen.body_timeout),
        (millis(2), Duration::from_mins(1), millis(7))
    );
    assert_eq!(
        (listen.write_timeout, listen.idle_timeout, listen.max_age),
        (millis(8), millis(9), Duration::from_hours(24))
    );
    assert_eq!(config.admin.address.to_string(), "127.0.0.2:81");
    let ending = Shutdown { drain_delay: Duration::from_mins(5), grace: Duration::from_hours(1) };
    assert_eq!(config.shutdown, ending);
    assert_eq!((connector.display_name.as_str(), connector.default_message.as_str()), ("Ask", "1.10"));
    assert_eq!(connector.code.as_ref().map(Secret::expose), Some(b"claimgate".as_slice()));
    assert_eq!(connector.claims_to_send, Selection::to_send(&[claim("displayName")], false));
    // Not written, so it follows the shorter timeout.
    assert_eq!(
        (connector.timeout, connector.connect_timeout),
        (Duration::from_millis(900), connector.timeout)
    );
    let rate = connector.rate_limit.unwrap();
    assert_eq!((rate.count.get(), rate.per, rate.burst.get()), (5, Per::Minute, 6));
    assert_eq!((connector.max_answer, connector.max_in_flight, connector.strict), (2, 3, true));
    assert_eq!(connector.wait, Duration::from_millis(4));
    assert_eq!(flow.answer_within, Duration::from_secs(18));
    assert_eq!(flow.hooks[0].on_failure, crate::flow::OnFailure::ValidationError("0x10".into()));
}

#[test]
fn every_sample_loads_and_the_reference_mentions_every_key() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut loaded = 0;
    for file in fs::read_dir(&directory).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let Outcome { config, report, .. } = load(&path, Secrets::Skip).unwrap();
            assert!(config.is_some() && report.errors() == 0, "{report}");
            loaded += 1;
        }
    }
    assert!(loaded >= 2);
    let reference = fs::read_to_string(directory.join("claimgate.yaml")).unwrap();
    for section in keys::ALL {
        for key in section.keys {
            assert!(reference.contains(&format!("{}:", key.name)), "{}.{}", section.name, key.name);
            let keys::Presence::Default(value) = key.presence else { continue };
            if section.name != "admin" && key.name != "plain_text" {
                assert!(reference.contains(&format!("{}: {value}", key.name)), "{}: {value}", key.name);
            }
        }
    }
}

#[test]
fn every_declared_key_is_read() {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/claimgate.yaml")).unwrap();
    let root = tree::parse(&text).ok().unwrap();
    let mut cx = Context::new(&text, Path::new(""), Secrets::Skip, Files::default());
    assert!(lower(&mut cx, &Entry::root(&root)).is_some());
    let declared =
        keys::ALL.iter().flat_map(|section| section.keys.iter().map(|key| (section.name, key.name)));
    // An undeclared key cannot be asked for: `Fields::key` would have panicked.
    assert_eq!(cx.asked, declared.collect());
}

#[test]
fn names_of_sections_are_unique() {
    let names: std::collections::BTreeSet<_> = keys::ALL.iter().map(|section| section.name).collect();
    assert_eq!(names.len(), keys::ALL.len());
}

#[test]
fn a_secret_file_loses_exactly_one_newline() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("claimgate.yaml");
    fs::write(&path, good("{ env: CARGO_PKG_NAME }", "{ file: secret }")).unwrap();
    for (contents, expected) in [
        ("abc", Ok("abc")),
        ("abc\n", Ok("abc")),
        ("abc\r\n", Ok("abc")),
        (" abc ", Ok(" abc ")),
        ("abc\n\n", Err("control character")),
        ("abc\r", Err("control character")),
        ("", Err("is empty")),
        ("\n", Err("is empty")),
        ("\r\n", Err("is empty")),
    ] {
        fs::write(directory.path().join("secret"), contents).unwrap();
        let Outcome { config, report, .. } = load(&path, Secrets::Load).unwrap();
        match expected {
            Ok(secret) => {
                assert_eq!(config.unwrap().callers[0].basic[0].password.expose(), secret.as_bytes());
            }
            Err(part) => {
                assert_eq!((report.errors(), report.problems().len()), (1, 1), "{report}");
                assert!(report.problems()[0].message.contains(part), "{report}");
                assert_eq!(report.problems()[0].place.line, 5);
                assert!(!report.to_string().contains("abc"));
            }
        }
    }
    fs::remove_file(directory.path().join("secret")).unwrap();
    let Outcome { config, report, .. } = load(&path, Secrets::Load).unwrap();
    assert!(config.is_none() && report.problems()[0].message.contains("cannot be read"), "{report}");
    let skipped = load(&path, Secrets::Skip).unwrap();
    assert_eq!(skipped.report.problems().len(), 0);
    assert_eq!(skipped.config.unwrap().callers[0].basic[0].password.expose(), Secret::MASK.as_bytes());
}

#[test]
fn a_file_of_roots_must_be_there_and_hold_something() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("claimgate.yaml");
    fs::write(&path, good("authentication: none", "authentication: none\n    roots: { file: roots.pem }"))
        .unwrap();
    let message = |secrets| {
        load(&path, secrets).unwrap().report.problems().first().map(|p| (p.severity, p.message.clone()))
    };
    assert!(
        message(Secrets::Load)
            .is_some_and(|(severity, text)| severity == Severity::Error && text.contains("cannot be read"))
    );
    assert!(
        message(Secrets::Skip)
            .is_some_and(|(severity, text)| severity == Severity::Warning && text.contains("not exist"))
    );
    let roots =
        |secrets| load(&path, secrets).unwrap().config.map(|config| config.connectors[0].roots.clone());
    assert_eq!(roots(Secrets::Skip), Some(Roots::Webpki), "something to be put to work with");
    fs::write(directory.path().join("roots.pem"), "").unwrap();
    for secrets in [Secrets::Load, Secrets::Skip] {
        assert!(message(secrets).is_some_and(|(_, text)| text.contains("no certificate")));
        assert_eq!(roots(secrets), None);
    }
    fs::write(directory.path().join("roots.pem"), "read when TLS is set up").unwrap();
    for secrets in [Secrets::Load, Secrets::Skip] {
        assert_eq!(message(secrets), None);
        let contents = Secret::new(b"read when TLS is set up".to_vec());
        let path = directory.path().join("roots.pem");
        assert_eq!(roots(secrets), Some(Roots::File(Pem { path, contents })));
    }
}

#[test]
fn a_file_that_gives_no_text_is_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("claimgate.yaml");
    assert!(matches!(load(&path, Secrets::Load), Err(ReadError::Io(_))));
    fs::write(&path, b"a: \xff").unwrap();
    assert!(matches!(load(&path, Secrets::Load), Err(ReadError::NotUtf8)));
    let limit = usize::try_from(MAX_FILE).unwrap();
    fs::write(&path, "#".repeat(limit + 1)).unwrap();
    assert!(matches!(load(&path, Secrets::Load), Err(ReadError::TooLarge)));
    fs::write(&path, "#".repeat(limit)).unwrap();
    assert!(load(&path, Secrets::Load).is_ok());
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_change_nothing() {
    let text = format!("\u{feff}{}", GOOD.replace('\n', "\r\n"));
    assert_eq!(format!("{:?}", config(&text)), format!("{:?}", config(GOOD)));
    let broken = read("c.yaml", &text.replace("connector: check", "conector: check"), Secrets::Load).report;
    let places: Vec<_> =
        broken.problems().iter().map(|problem| (problem.place.line, problem.place.column)).collect();
    assert_eq!(places, [(15, 5), (16, 7)], "{broken}");
}

#[test]
fn anchors_and_merge_keys_are_read_through() {
    let text = good("    claims_to_send: [displayName]\n", "    claims_to_send: &claims [displayName]\n")
        .replace("claims_to_receive: []", "claims_to_receive: *claims");
    let received = &config(&text).connectors[0].claims_to_receive;
    assert_eq!(*received, Selection::to_receive(&[claim("displayName")]));
}

#[test]
fn every_file_that_was_read_is_remembered_and_so_is_one_that_could_not_be() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let text = good("{ env: CARGO_PKG_NAME }", "{ file: password }")
        .replace("authentication: none", "authentication: none\n    roots: { file: roots.pem }");
    fs::write(at("claimgate.yaml"), text).unwrap();
    fs::write(at("password"), "one").unwrap();
    let files = || load(&at("claimgate.yaml"), Secrets::Load).unwrap().files;
    let seen = files();
    assert_eq!(seen.paths().collect::<Vec<_>>(), [at("claimgate.yaml"), at("password"), at("roots.pem")]);
    for name in ["claimgate.yaml", "password", "roots.pem"] {
        let before = fs::read(at(name)).ok();
        fs::write(at(name), "other").unwrap();
        assert_ne!(seen.now(), seen, "{name}");
        before.map_or_else(|| fs::remove_file(at(name)), |before| fs::write(at(name), before)).unwrap();
    }
    assert_eq!(files(), seen);
}

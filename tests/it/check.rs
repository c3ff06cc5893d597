//! What `check` finds, and that `serve` finds the same.

use std::time::Duration;

use super::{
    commands::{TWO_FAULTS, directory, good, run},
    support::{
        CONNECTOR, ConfigText, FLOW, PASSWORD,
        certificates::{Certificates, Files, Kind},
    },
};

#[test]
fn check_says_fine_or_every_problem_or_that_it_cannot_read() {
    let fine = directory(&good());
    std::fs::write(fine.path().join("password"), "pw\n").unwrap();
    assert_eq!(run(&fine, &["check", "--config", "c.yaml"]), (0, "c.yaml: fine\n".to_owned(), String::new()));

    let warned = directory(&ConfigText::new("https://approvals.contoso.com/api").text());
    let (status, said, details) = run(&warned, &["check", "-c", "c.yaml"]);
    assert_eq!((status, said.as_str()), (0, "c.yaml: fine, with 1 warning\n"));
    assert!(
        details.starts_with("warning: ") && details.contains("--> c.yaml:7:31  callers.entra.basic.password"),
        "{details}"
    );
    assert!(!details.contains(PASSWORD));

    let broken = directory(&ConfigText::new("http://approvals.contoso.com/").connector(TWO_FAULTS).text());
    let (status, said, details) = run(&broken, &["check", "--config", "c.yaml"]);
    assert_eq!((status, said.as_str()), (1, "c.yaml: 3 errors, 1 warning\n"));
    for part in [
        "connectors.approvals.timeout",
        "connectors.approvals.max_in_flite",
        "did you mean `max_in_flight`?",
        "connectors.approvals.endpoint_url",
    ] {
        assert!(details.contains(part), "{part} in {details}");
    }
    assert_eq!(details.matches("error: ").count(), 3, "{details}");

    let syntax = directory("listen: [\n");
    let (status, said, details) = run(&syntax, &["check", "--config", "c.yaml"]);
    assert_eq!((status, said.as_str()), (1, "c.yaml: 1 error\n"));
    assert!(details.contains("--> c.yaml:"), "{details}");

    for (name, bytes) in [("missing.yaml", None), (".", None), ("latin.yaml", Some(b"\xff".as_slice()))] {
        if let Some(bytes) = bytes {
            std::fs::write(fine.path().join(name), bytes).unwrap();
        }
        let (status, said, details) = run(&fine, &["check", "--config", name]);
        assert_eq!((status, said.as_str()), (2, ""), "{name}");
        assert!(details.starts_with(&format!("error: {name} ")) && details.lines().count() == 1, "{details}");
    }
}

#[test]
fn check_and_serve_tell_a_hundred_problems_and_count_the_others() {
    let unknown: Vec<_> = (0..5_000).map(|number| format!("unknown{number}: 1\n")).collect();
    let broken =
        directory(&(ConfigText::new("https://approvals.contoso.com/api").text() + &unknown.concat()));
    let summary = "c.yaml: 5000 errors, 1 warning\n";
    for (command, summary_beside) in [("check", ""), ("serve", summary)] {
        let (status, said, details) = run(&broken, &[command, "--config", "c.yaml"]);
        assert_eq!(status, 1, "{command}");
        assert_eq!(said + summary_beside, summary, "{command}");
        assert_eq!(details.matches("error: ").count(), 100, "{command}: {details}");
        let end = format!("\n\n… and 4900 more errors, 1 more warning\n\n{summary_beside}");
        assert!(details.ends_with(&end), "{command}: {details}");
    }
}

#[test]
fn check_takes_thousands_of_connectors_and_user_flows() {
    let text = good();
    let (head, rest) = text.split_once("connectors:\n").expect("it has connectors");
    let (connector, flow) = rest.split_once("user_flows:\n").expect("it has user flows");
    let each = |text: &str, number: usize| {
        text.replace(&format!("{CONNECTOR}:"), &format!("{CONNECTOR}{number}:"))
            .replace(&format!("connector: {CONNECTOR}"), &format!("connector: {CONNECTOR}{number}"))
            .replace(&format!("{FLOW}:"), &format!("{FLOW}{number}:"))
    };
    let many = |text: &str| (0..5_000).map(|number| each(text, number)).collect::<Vec<_>>().concat();
    let directory = directory(&format!("{head}connectors:\n{}user_flows:\n{}", many(connector), many(flow)));
    std::fs::write(directory.path().join("password"), "pw\n").unwrap();
    let fine = (0, "c.yaml: fine\n".to_owned(), String::new());
    assert_eq!(run(&directory, &["check", "--config", "c.yaml"]), fine);
}

#[test]
fn check_without_secrets_needs_none_and_with_them_misses_each() {
    let text =
        good().replace("authentication: none", "authentication: { code: { env: CLAIMGATE_TEST_UNSET } }");
    let directory = directory(&text);
    let (status, _, details) = run(&directory, &["check", "--config", "c.yaml"]);
    assert_eq!(status, 1);
    assert!(
        details.contains("callers.entra.basic.password") && details.contains("CLAIMGATE_TEST_UNSET"),
        "{details}"
    );
    let fine = (0, "c.yaml: fine\n".to_owned(), String::new());
    assert_eq!(run(&directory, &["check", "--without-secrets", "--config", "c.yaml"]), fine);
}

#[test]
fn tls_of_the_hook_port_that_is_of_no_use_is_found_by_check_and_by_serve_in_the_same_words() {
    let certificates = Certificates::new();
    let (server, other) = (certificates.server(Kind::Ecdsa), certificates.client("b2c.example"));
    let mixed = Files { certificate: server.certificate.clone(), key: other.key };
    let listen = Certificates::listen(&mixed, &format!(", client_ca: {}", server.key.display()));
    let caller = format!("certificate: {{ ca: {}, name: b2c.example }}", server.key.display());
    let text = ConfigText::new("https://approvals.contoso.com/").listen(&listen).caller(&caller).text();
    let broken = directory(&text);
    let key = server.key.display();
    for command in [&["check"][..], &["serve", "--log-format", "text"]] {
        let (status, _, details) = run(&broken, &[command, &["--config", "c.yaml"]].concat());
        assert_eq!(status, 1, "{command:?}: {details}");
        for fault in [
            format!("caller `entra`: certificate: {key} holds no certificate"),
            format!("listen.tls: client_ca: {key} holds no certificate"),
            "listen.tls: the private key in ".to_owned(),
        ] {
            assert!(details.contains(&fault), "{fault} in {details}");
        }
        assert!(!details.contains("PRIVATE KEY"), "{details}");
    }
    let soon = certificates.server_for(Kind::Ecdsa, Duration::from_hours(24 * 3));
    let text = ConfigText::new("https://approvals.contoso.com/").listen(&Certificates::listen(&soon, ""));
    let (status, _, details) = run(&directory(&text.text()), &["check", "--config", "c.yaml"]);
    assert!(
        status == 0 && details.contains("warning: the certificate of listen.tls ends in 2 days"),
        "{details}"
    );
}

#[test]
fn roots_that_are_of_no_use_are_found_by_check_and_by_serve_in_the_same_words() {
    let good_pem = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap().cert.pem();
    let text =
        ConfigText::new("https://approvals.contoso.com/").connector("roots: { file: roots.pem }").text();
    let directory = directory(&text);
    let roots = directory.path().join("roots.pem");
    let block = |inner: &str| format!("-----BEGIN CERTIFICATE-----\n{inner}\n-----END CERTIFICATE-----\n");
    for (pem, why) in [
        ("s3cret".to_owned(), "roots.pem holds no certificate"),
        (block("!!!"), "roots.pem is no well-formed PEM file"),
        (format!("{good_pem}{}", block("AAAA")), "roots: certificate 2 in "),
    ] {
        std::fs::write(&roots, pem).unwrap();
        let mut told = Vec::new();
        for command in [&["check"][..], &["check", "--without-secrets"], &["serve", "--log-format", "text"]] {
            let (status, said, details) = run(&directory, &[command, &["--config", "c.yaml"]].concat());
            assert_eq!(status, 1, "{command:?}: {details}");
            assert_eq!(said == "c.yaml: cannot be put to work\n", command[0] == "check", "{said}");
            let last = details.lines().last().unwrap();
            let at = last.find("connector `approvals`: roots: ").unwrap_or_else(|| panic!("{details}"));
            assert!(last[at..].contains(why), "{last}");
            told.push(last[at..].to_owned());
        }
        assert!(told.iter().all(|words| *words == told[0]), "{told:#?}");
    }
    std::fs::write(&roots, good_pem).unwrap();
    assert_eq!(run(&directory, &["check", "--config", "c.yaml"]).0, 0);
    std::fs::remove_file(&roots).unwrap();
    assert_eq!(run(&directory, &["check", "--config", "c.yaml"]).0, 1);
    assert_eq!(run(&directory, &["check", "--config", "c.yaml", "--without-secrets"]).0, 0);
}

#[test]
fn of_what_cannot_be_put_to_work_a_hundred_faults_are_told_and_the_others_counted() {
    let text =
        ConfigText::new("https://approvals.contoso.com/").connector("roots: { file: roots.pem }").text();
    let (head, rest) = text.split_once("connectors:\n").expect("it has connectors");
    let (connector, flow) = rest.split_once("user_flows:\n").expect("it has user flows");
    let others: String = (0..102)
        .map(|number| connector.replace(&format!("{CONNECTOR}:"), &format!("{CONNECTOR}{number}:")))
        .collect();
    let directory = directory(&format!("{head}connectors:\n{connector}{others}user_flows:\n{flow}"));
    std::fs::write(directory.path().join("roots.pem"), "nothing").unwrap();
    let (status, _, details) = run(&directory, &["check", "--config", "c.yaml"]);
    let told = details.matches(": roots: ").count();
    assert_eq!((status, told, details.lines().last()), (1, 100, Some("… and 3 more")), "{details}");
}

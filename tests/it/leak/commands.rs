//! What the commands print: secrets never; claims where `explain` says so, and nowhere else.

use std::{fs, process::Command};

use tempfile::TempDir;

use super::marks::{HIDDEN, SHOWN, assert_hidden, find, sent};
use crate::support::{FLOW, Parts, Play, STEPS, ScriptedApi, claimgate};

/// A configuration with marks in all of its secrets, as a file beside one of them.
struct Files(TempDir);

impl Files {
    fn with(config: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let files = Self(directory);
        files.write("c.yaml", config);
        files.write("secret", sent(HIDDEN));
        files
    }

    fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        fs::write(self.0.path().join(name), contents).expect("a file can be written");
    }

    /// Exit status, standard output and standard error.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command: Command = claimgate(arguments);
        let output = command.current_dir(&self.0).env("MARKED", sent(HIDDEN)).output();
        let output = output.expect("the program can be started");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let status = output.status.code().expect("it exits");
        (status, text(&output.stdout), text(&output.stderr))
    }
}

fn config(url: &str) -> String {
    let mark = sent(HIDDEN);
    let caller = format!(
        "basic: [{{ username: known, password: {{ file: secret }} }}, {{ username: other, password: {mark} }}]\n\
         code: {{ env: MARKED }}\nheader: {{ name: X-Key, value: {mark} }}"
    );
    let keys = "authentication: { basic: { username: api, password: { file: secret } } }\n\
                claims_to_send: [city]\nclaims_to_receive: [city]";
    let parts = Parts::new()
        .caller("known", &caller)
        .connector("c", &format!("{url}?{mark}={mark}"), keys)
        .connector("coded", url, "authentication: { code: { env: MARKED } }")
        .whole_flow(FLOW, "c", "callers: [known]")
        .whole_flow("Coded", "coded", "callers: [known]");
    parts.text()
}

#[test]
fn explain_shows_claims_that_leave_and_answers_as_they_came_and_no_secret() {
    let answer = format!("{{\"action\":\"Continue\",\"city\":\"{0}\",\"surname\":\"{0}\"}}", sent(SHOWN));
    let played = answer.clone();
    let api = ScriptedApi::answering(move |_| Play::json(200, &played));
    let files = Files::with(&config(&api.url("/api")));
    let (shown, hidden) = (sent(SHOWN), sent(HIDDEN));
    files.write(
        "hook",
        format!("{{\"city\":\"{shown}\",\"jobTitle\":\"{hidden}\",\"surname\":[{{\"a\":\"{hidden}\"}}]}}"),
    );
    files.write("broken", format!("{{\"city\":\"{hidden}\",\"city\":\"{hidden}\"}}"));
    files.write("answer", &answer);
    let modes: [&[&str]; 4] =
        [&[], &["--answer", "answer"], &["--answer", "answer", "--status", "500"], &["--call"]];
    for (mode, form) in modes.into_iter().flat_map(|mode| [(mode, &[][..]), (mode, &["--json"])]) {
        for (flow, hook) in [(FLOW, "hook"), ("Coded", "hook"), (FLOW, "broken")] {
            let usual = ["explain", "--config", "c.yaml", "--flow", flow, "--step", STEPS[1], hook];
            let (exit, out, err) = files.run(&[&usual, form, mode].concat());
            let what = format!("{flow} {hook} {mode:?} {form:?}: {exit}\n{out}\n{err}");
            assert_hidden(&err, &what);
            assert_eq!(find(&out, HIDDEN), None, "{what}");
            let claims = out.lines().filter(|line| find(line, SHOWN).is_some()).count();
            match (hook, flow, mode) {
                ("broken", ..) => assert_eq!((exit, out.as_str()), (1, ""), "{what}"),
                // The body of the request, if the claim is selected; without an answer there is nothing else.
                (_, _, []) => assert_eq!((exit, claims), (0, usize::from(flow == FLOW)), "{what}"),
                _ => assert!(matches!(exit, 0 | 3) && claims > 0, "{what}"),
            }
        }
    }
}

#[test]
fn check_and_serve_show_no_secret_whatever_is_wrong_beside_it() {
    let usual = config("http://127.0.0.1:1/api");
    let mark = sent(HIDDEN);
    let binary = [sent(HIDDEN).as_bytes(), b"\n\xff\0\n"].concat();
    // What is replaced, by what, what the secret's file holds, and whether that is fine.
    let secret = mark.as_bytes();
    let mistakes: [(&str, &str, &[u8], bool); 14] = [
        ("", "", secret, true),
        ("authentication: { basic", &format!("authentication: {{ code: {mark}, basic"), secret, true),
        ("", "", &binary, false),
        ("", "", b"", false),
        ("code: { env: MARKED }\n", &format!("code: {{ env: {mark} }}\n"), secret, false),
        ("code: { env: MARKED }\n", &format!("code: {{ {mark} }}\n"), secret, false),
        ("code: { env: MARKED }\n", &format!("coed: {mark}\n"), secret, false),
        (
            "code: { env: MARKED }\n",
            &format!("code: [{mark}, [{mark}], {{ {mark}: {mark} }}]\n"),
            secret,
            false,
        ),
        ("name: X-Key", "name: Cookie", secret, false),
        ("username: other", "usrname: other", secret, false),
        ("http://127.0.0.1:1/api?", &format!("http://{HIDDEN}:{HIDDEN}@127.0.0.1:1/api?"), secret, false),
        ("http://127.0.0.1:1/api?", "ftp://127.0.0.1:1/api?", secret, false),
        ("callers: [known]", "callers: [unknown]", secret, false),
        ("claims_to_send: [city]", "claims_to_send: [city", secret, false),
    ];
    for (from, to, secret, fine) in mistakes {
        let text = if from.is_empty() { usual.clone() } else { usual.replacen(from, to, 1) };
        assert!(from.is_empty() || text != usual, "{from:?} stands there");
        let files = Files::with(&text);
        files.write("secret", secret);
        for command in [&["check"][..], &["check", "--without-secrets"], &["serve"]] {
            // It would serve for ever.
            if fine && command == ["serve"] {
                continue;
            }
            let (exit, out, err) = files.run(&[command, &["--config", "c.yaml"]].concat());
            let fine = fine || (from.is_empty() && command.len() > 1);
            assert_eq!(exit, i32::from(!fine), "{command:?} {to}: {err}");
            assert_hidden(&out, to);
            assert_hidden(&err, to);
        }
    }
}

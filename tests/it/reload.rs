//! A new configuration while running: in force for the next hook, or refused with the one before it going on.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::Instant;

use super::support::{
    CALLER, Client, ConfigText, FLOW, Gateway, Play, STEPS, ScriptedApi, claimgate, soak, wait_until,
};

const BODY: &str = r#"{"email":"jane@fabrikam.com"}"#;
pub(super) const IN_FORCE: &str = "a new configuration is in force";
pub(super) const REFUSED: &str = "the changed configuration is refused";
const SUCCESSFUL: &str = "claimgate_config_last_reload_successful";

/// A directory as Kubernetes mounts it: the files are links into `..data`, which is a link to the directory of the moment.
struct Mount {
    directory: TempDir,
    swaps: usize,
}

impl Mount {
    fn new(files: &[(&str, &str)]) -> Self {
        let mut mount =
            Self { directory: tempfile::tempdir().expect("a temporary directory can be made"), swaps: 0 };
        mount.swap(files);
        for (name, _) in files {
            symlink(Path::new("..data").join(name), mount.path(name))
                .expect("a temporary directory can be changed");
        }
        mount
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// All files at once, by renaming a link over the one before; the directory of before is removed.
    fn swap(&mut self, files: &[(&str, &str)]) {
        let before = self.path(&format!("..{}", self.swaps));
        self.swaps += 1;
        let name = format!("..{}", self.swaps);
        fs::create_dir(self.path(&name)).expect("a temporary directory can be changed");
        for (file, contents) in files {
            fs::write(self.path(&name).join(file), contents).expect("a temporary directory can be changed");
        }
        symlink(&name, self.path("..data_tmp")).expect("a temporary directory can be changed");
        fs::rename(self.path("..data_tmp"), self.path("..data"))
            .expect("a temporary directory can be changed");
        let _none_at_first = fs::remove_dir_all(before);
    }
}

fn serve(config: &Path) -> Gateway {
    Gateway::from_command(claimgate(["serve".as_ref(), "--config".as_ref(), config.as_os_str()]))
}

/// The only secret is in a file beside the configuration; it is tried again and again until it is in force.
fn with_password_file(api: &ScriptedApi) -> String {
    let patient = "unauthenticated_limit: { rate: 10000/s, burst: 10000 }";
    let text = ConfigText::new(&api.url("/")).listen(patient).text();
    let from = "password: s3cret";
    assert!(text.contains(from), "{text}");
    text.replace(from, "password: { file: password }")
}

fn status(client: Client, password: &str) -> u16 {
    client.post_hook(FLOW, STEPS[1], BODY).basic(CALLER, password).send().status
}

fn said(gateway: &Gateway, text: &str) -> usize {
    gateway.stderr_text().matches(text).count()
}

/// Sends SIGHUP and waits until it has come to something.
pub(super) fn reload(gateway: &Gateway, outcome: &str) {
    let before = said(gateway, outcome);
    gateway.signal("HUP");
    wait_until(outcome, || said(gateway, outcome) > before);
}

#[test]
fn a_secret_is_rotated_without_a_signal_behind_kubernetes_links_again_and_again() {
    let api = ScriptedApi::start(Play::continue_());
    let config = with_password_file(&api);
    let mut mount = Mount::new(&[("claimgate.yaml", &config), ("password", "one")]);
    let gateway = serve(&mount.path("claimgate.yaml"));
    let client = gateway.client();
    let mut kept = client.connect();
    let on_kept = |connection: &mut _, password: &str| {
        client.post_hook(FLOW, STEPS[1], BODY).basic(CALLER, password).send_on(connection).status
    };
    assert_eq!((on_kept(&mut kept, "one"), on_kept(&mut kept, "two")), (200, 401));
    for (password, before) in [("two", "one"), ("three", "two"), ("four", "three")] {
        mount.swap(&[("claimgate.yaml", &config), ("password", password)]);
        wait_until("the new password is in force", || on_kept(&mut kept, password) == 200);
        assert_eq!(on_kept(&mut kept, before), 401, "{before} is withdrawn, on an open connection too");
        assert_eq!(status(client, password), 200);
    }
    assert_eq!(said(&gateway, IN_FORCE), 3, "{}", gateway.stderr_text());
}

#[test]
fn what_is_refused_leaves_the_configuration_before_it_in_force_and_is_said_once() {
    let api = ScriptedApi::start(Play::continue_());
    let mut gateway = Gateway::start(&ConfigText::new(&api.url("/")).text());
    let client = gateway.client();
    let good = fs::read_to_string(gateway.config()).unwrap();
    let started = gateway.metric("claimgate_config_last_reload_success_timestamp_seconds");
    assert!(started > 1.7e9, "{started}");

    let unreadable = good.replace("password: s3cret", "password: { file: missing }");
    let unusable =
        good.replace("authentication: none", "authentication: none\n    roots: { file: ../nothing }");
    let large = good.replace("password: s3cret", "password: { file: large }");
    fs::write(gateway.config().with_file_name("large"), "x".repeat(70_000)).unwrap();
    let rows: [(&str, Option<&str>, &str); 6] = [
        ("a secret that is too large", Some(&large), "larger than"),
        ("unknown key", Some(&good.replace("max_", "mex_").replace("callers:", "collers:")), "collers"),
        ("no YAML", Some("listen: [\n"), "line"),
        ("a secret that is not there", Some(&unreadable), "cannot be read"),
        ("roots that are not there", Some(&unusable), "roots"),
        ("vanished", None, "No such file"),
    ];
    for (what, text, expected) in rows {
        match text {
            Some(text) => fs::write(gateway.config(), text).unwrap(),
            None => fs::remove_file(gateway.config()).unwrap(),
        }
        let before = gateway.stderr_text().len();
        reload(&gateway, REFUSED);
        let text = gateway.stderr_text()[before..].to_owned();
        assert!(text.contains(expected), "{what}: {text}");
        gateway.wait_for_metric(SUCCESSFUL, 0.0);
        assert_eq!(status(client, "s3cret"), 200, "{what}");
    }
    let unknown: Vec<_> = (0..5_000).map(|number| format!("unknown{number}: 1\n")).collect();
    fs::write(gateway.config(), good.clone() + &unknown.concat()).unwrap();
    let before = gateway.stderr_text().len();
    reload(&gateway, REFUSED);
    let text = gateway.stderr_text()[before..].to_owned();
    assert_eq!(text.matches("unknown key").count(), 100, "the first ones are told");
    assert!(text.contains("4900 more errors") && text.contains("5000 errors"), "{text}");

    // More looks at the same thing say nothing more.
    let refusals = said(&gateway, REFUSED);
    thread::sleep(Duration::from_secs(5));
    assert_eq!(said(&gateway, REFUSED), refusals);

    fs::write(gateway.config(), good.replace("s3cret", "other")).unwrap();
    reload(&gateway, IN_FORCE);
    gateway.wait_for_metric(SUCCESSFUL, 1.0);
    assert!(gateway.metric("claimgate_config_last_reload_success_timestamp_seconds") >= started);
    assert_eq!((status(client, "s3cret"), status(client, "other")), (401, 200));
    assert!(gateway.terminate().success());
    assert!(!gateway.stderr_text().contains("s3cret"), "a password is never said");
}

#[test]
fn a_signal_as_early_as_can_be_is_a_reload_and_not_the_end() {
    let api = ScriptedApi::start(Play::continue_());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("claimgate.yaml");
    // Long enough to be read that a signal comes before the end of it.
    let many = (0..2000).fold(String::new(), |text, number| {
        text + &format!("  spare-{number}: {{ basic: {{ username: u{number}, password: p }} }}\n")
    });
    let text =
        ConfigText::new(&api.url("/")).text().replacen("connectors:\n", &format!("{many}connectors:\n"), 1);
    fs::write(&file, text).unwrap();
    // The shell becomes the program; its child signals it as soon as it catches the signal (bit 0 of the mask).
    let script = r#"(for _ in $(seq 20000); do
        if grep -q '^SigCgt:.*[13579bdf]$' /proc/$$/status && grep -q claimgate /proc/$$/comm; then
            kill -HUP $$; exit
        fi
    done) & exec "$0" serve --config "$1""#;
    let mut command = std::process::Command::new("sh");
    command.args([
        "-c".as_ref(),
        script.as_ref(),
        env!("CARGO_BIN_EXE_claimgate").as_ref(),
        file.as_os_str(),
    ]);
    let gateway = Gateway::from_command(command);
    wait_until("it reloads", || said(&gateway, "the configuration is the one in force") == 1);
    assert_eq!(status(gateway.client(), "s3cret"), 200);
}

#[test]
fn what_only_a_new_process_can_follow_is_refused_by_its_name() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = Gateway::start(&ConfigText::new(&api.url("/")).text());
    let good = fs::read_to_string(gateway.config()).unwrap();
    let text = good
        .replacen(
            "address: 127.0.0.1:0",
            "address: 127.0.0.1:1\n  plain_text: allowed\n  max_connections: 7",
            1,
        )
        .replace("s3cret", "other");
    fs::write(gateway.config(), text).unwrap();
    reload(&gateway, REFUSED);
    let said = gateway.stderr_text();
    let expected =
        "listen.address, listen.plain_text, listen.max_connections cannot change while running; restart";
    assert!(said.contains(expected), "{said}");
    assert_eq!(status(gateway.client(), "other"), 401, "nothing of it is taken");
}

#[test]
fn a_spent_rate_and_open_connections_are_carried_over_where_their_settings_are_the_same() {
    let api = ScriptedApi::start(Play::continue_());
    let other = ScriptedApi::start(Play::continue_());
    let limited = |api: &ScriptedApi, password: &str, burst: u32, timeout: &str| {
        let text = ConfigText::new(&api.url("/"))
            .caller(&format!("rate_limit: {{ rate: 1/m, burst: {burst} }}"))
            .connector(&format!("timeout: {timeout}"))
            .text();
        text.replace("s3cret", password)
    };
    let gateway = Gateway::start(&limited(&api, "one", 2, "2s"));
    let client = gateway.client();
    let apply = |text: String| {
        fs::write(gateway.config(), text).unwrap();
        reload(&gateway, IN_FORCE);
    };
    // One connection is one worker, and each worker has connections of its own.
    let mut kept = client.connect();
    let mut status = |password: &str| {
        client.post_hook(FLOW, STEPS[1], BODY).basic(CALLER, password).send_on(&mut kept).status
    };
    let begin = Instant::now();
    assert_eq!(status("one"), 200);
    // The password and the connector's timeout change; the rate and the way to the API do not.
    apply(limited(&api, "two", 2, "3s"));
    assert_eq!(status("two"), 200);
    // After longer it would have been too old.
    if begin.elapsed() < Duration::from_secs(2) {
        assert_eq!(api.connections(), 1, "the connection to the API was kept");
    }
    assert_eq!(status("two"), 429, "what was spent before the change is spent");
    // Another burst is another limit, and another API another way.
    apply(limited(&other, "two", 3, "3s"));
    assert_eq!(status("two"), 200);
    assert_eq!((api.requests().len(), other.requests().len()), (2, 1));
    wait_until("the connection to the first API is closed", || api.open_connections() == 0);
}

#[test]
fn a_hook_ends_under_the_configuration_that_it_began_with() {
    let api = ScriptedApi::start(Play::block("from the first").after(Duration::from_millis(1500)));
    let other = ScriptedApi::start(Play::block("from the second"));
    let gateway = Gateway::start(&ConfigText::new(&api.url("/")).text());
    let client = gateway.client();
    let mut in_flight = client.connect();
    in_flight.write(&client.post_hook(FLOW, STEPS[1], BODY).basic(CALLER, "s3cret").to_bytes());
    wait_until("the hook is at the API", || api.requests().len() == 1);
    fs::write(gateway.config(), ConfigText::new(&other.url("/")).text()).unwrap();
    reload(&gateway, IN_FORCE);
    let response = client.post_hook(FLOW, STEPS[1], BODY).basic(CALLER, "s3cret").send();
    assert!(response.text().contains("from the second"), "{}", response.text());
    let response = in_flight.response("POST");
    assert!(response.text().contains("from the first"), "{}", response.text());
}

/// Hooks on kept connections, as fast as they are answered; each that is not answered with Continue is an error.
#[test]
fn no_hook_is_lost_or_answered_wrongly_while_the_configuration_changes_all_the_time() {
    let length = soak();
    let api = ScriptedApi::start(Play::continue_());
    let text = |timeout: u64| {
        ConfigText::new(&api.url("/"))
            .connector(&format!("timeout: {timeout}ms\nconnect_timeout: {timeout}ms"))
            .text()
    };
    let gateway = Gateway::start(&text(2000));
    let client = gateway.client();
    let over = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let over = Arc::clone(&over);
            thread::spawn(move || {
                let (mut connection, mut count) = (client.connect(), 0_u64);
                while !over.load(Ordering::Relaxed) {
                    let hook = client.post_hook(FLOW, STEPS[1], BODY).basic(CALLER, "s3cret");
                    let response = hook.send_on(&mut connection);
                    assert_eq!(response.json()["action"], "Continue", "{}", response.text());
                    assert_eq!(response.header("connection"), None);
                    count += 1;
                }
                count
            })
        })
        .collect();
    let begin = Instant::now();
    let mut reloads = 0;
    while begin.elapsed() < length {
        fs::write(gateway.config(), text(2001 + reloads % 100)).unwrap();
        reload(&gateway, IN_FORCE);
        reloads += 1;
    }
    over.store(true, Ordering::Relaxed);
    let hooks: u64 = load.into_iter().map(|thread| thread.join().expect("no hook failed")).sum();
    assert!(reloads > 2 && hooks > 20, "{hooks} hooks over {reloads} reloads");
    println!("{hooks} hooks over {reloads} reloads");
}

//! When a change is taken, and when it is not.

use std::fs;

use tempfile::TempDir;

use super::*;

const CONFIG: &str = r#"
listen: { address: "127.0.0.1:0" }
callers:
  entra: { basic: { username: entra, password: { file: password } } }
connectors:
  api:
    endpoint_url: http://127.0.0.1:1/
    authentication: none
    claims_to_send: []
    claims_to_receive: []
user_flows:
  F:
    callers: [entra]
    postFederationSignup: { connector: api, on_failure: { block: "later" } }
"#;

/// Of a configuration with the password `one`.
fn reloader() -> (TempDir, Reloader) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("claimgate.yaml");
    fs::write(&path, CONFIG).unwrap();
    write(&directory, "one");
    let Outcome { config, files, .. } = config::load(&path, Secrets::Load).unwrap();
    let (config, metrics) = (config.unwrap(), Metrics::new());
    let snapshot = Arc::new(Snapshot::new(config.clone(), metrics.clone()).unwrap());
    (directory, Reloader::new(path, config, files, snapshot, Vec::new(), metrics))
}

fn write(directory: &TempDir, password: &str) {
    fs::write(directory.path().join("password"), password).unwrap();
}

fn password(reloader: &Reloader) -> &[u8] {
    reloader.running.callers[0].basic[0].password.expose()
}

#[test]
fn a_change_is_taken_when_two_looks_in_a_row_agree() {
    let (directory, mut reloader) = reloader();
    reloader.look();
    assert_eq!(password(&reloader), b"one");
    // Written in pieces: each look sees something else.
    for piece in ["t", "tw", "two"] {
        write(&directory, piece);
        reloader.look();
        assert_eq!(password(&reloader), b"one");
    }
    reloader.look();
    assert_eq!(password(&reloader), b"two");
    // What is taken back before the second look was never there.
    write(&directory, "three");
    reloader.look();
    write(&directory, "two");
    reloader.look();
    write(&directory, "three");
    reloader.look();
    assert_eq!(password(&reloader), b"two");
}

#[test]
fn a_refused_change_is_tried_once_and_a_mended_one_again() {
    let (directory, mut reloader) = reloader();
    let looks = |reloader: &mut Reloader| {
        for _ in 0..2 {
            reloader.look();
        }
    };
    fs::remove_file(directory.path().join("password")).unwrap();
    looks(&mut reloader);
    let tried = reloader.seen.clone();
    assert_eq!(tried.now(), tried, "the state that was refused is the one that is known");
    looks(&mut reloader);
    assert_eq!((password(&reloader), &reloader.seen), (&b"one"[..], &tried));
    write(&directory, "two");
    looks(&mut reloader);
    assert_eq!(password(&reloader), b"two");
}

#[tokio::test(start_paused = true)]
async fn certificates_are_looked_at_once_a_day() {
    let (directory, mut reloader) = reloader();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    fs::write(directory.path().join("hooks.pem"), certificate.pem() + &key.serialize_pem()).unwrap();
    let tls = CONFIG.replacen(" }", ", tls: { certificate: hooks.pem, key: hooks.pem } }", 1);
    fs::write(&reloader.path, tls).unwrap();
    let Outcome { config, files, .. } = config::load(&reloader.path, Secrets::Load).unwrap();
    (reloader.running, reloader.seen) = (config.unwrap(), files);
    let metrics = reloader.metrics.clone();
    let snapshot = Snapshot::new(reloader.running.clone(), metrics.clone()).unwrap();
    reloader.snapshot = Arc::new(snapshot);
    let shown = || String::from_utf8(metrics.encode()).unwrap().contains("role=\"listener\"");
    assert!(shown());
    // So that it shows again only if somebody looks.
    metrics.forget_unless(&|label, _| label != "role");
    let watching = reloader.watch(signal(SignalKind::hangup()).unwrap());
    tokio::pin!(watching);
    for (hours, expected) in [(23, false), (2, true)] {
        tokio::select! {
            () = &mut watching => unreachable!("it never ends"),
            () = sleep(Duration::from_hours(hours)) => {}
        }
        assert_eq!(shown(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_signal_takes_what_has_settled_at_once_and_files_that_do_not_settle_never() {
    let (directory, mut reloader) = reloader();
    write(&directory, "two");
    reloader.told().await;
    assert_eq!(password(&reloader), b"two");

    let restless = async {
        for number in 0.. {
            write(&directory, &format!("number {number}"));
            sleep(SETTLING.0 / 2).await;
        }
    };
    tokio::select! {
        () = restless => unreachable!("it never ends"),
        () = reloader.told() => {}
    }
    assert_eq!(password(&reloader), b"two");
}

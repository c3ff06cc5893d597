//! A connection with TLS that has been idle for a while: what comes then is answered like anything else.

use std::{
    io::Write as _,
    process::Stdio,
    thread::{self, sleep},
    time::Duration,
};

use super::{
    super::support::{certificates::Kind, peers::without_openssl},
    *,
};

/// Longer than a connection is idle before its HTTP state is taken down.
const PAUSE: Duration = Duration::from_millis(1300);

/// What OpenSSL hears when it sends these pieces with a pause between them, on one connection.
fn heard(gateway: &Gateway, version: &str, pieces: &[&[u8]]) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", version, "-connect", &gateway.address().to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("openssl can be started");
    let mut input = child.stdin.take().expect("it is a pipe");
    for piece in pieces {
        input.write_all(piece).and_then(|()| input.flush()).expect("openssl takes it");
        sleep(PAUSE);
    }
    // The last answer ends the connection.
    let output = child.wait_with_output().expect("openssl ends");
    String::from_utf8(output.stdout).expect("answers are text")
}

#[test]
fn requests_split_at_the_moment_of_rest_are_answered_once_each_and_in_order() {
    if without_openssl() {
        return;
    }
    let (api, certificates) = (api(), Certificates::new());
    let gateway = gateway(&api, &Certificates::listen(&certificates.server(Kind::Ecdsa), ""), "");
    let client = gateway.client();
    let hook = |id: &str| {
        let hook = client.post_hook(FLOW, STEP, HOOK).basic(CALLER, PASSWORD).header("X-Request-ID", id);
        if id == "3" { hook.header("Connection", "close") } else { hook }.to_bytes()
    };
    let [first, second, third] = ["1", "2", "3"].map(hook);
    // In the request line, in a header, at the end of the head, in the body; before its first byte and after its last.
    let end_of_head = second.len() - HOOK.len();
    let splits = [0, 1, 20, end_of_head - 3, end_of_head, end_of_head + 5, second.len()];
    thread::scope(|scope| {
        for version in ["-tls1_2", "-tls1_3"] {
            for split in splits {
                let (gateway, first, third) = (&gateway, &first[..], &third[..]);
                let (begin, rest) = second.split_at(split);
                scope.spawn(move || {
                    // Once with what it was before it, once by itself.
                    for pieces in [
                        vec![[first, begin].concat(), [rest, third].concat()],
                        vec![first.to_vec(), begin.to_vec(), rest.to_vec(), third.to_vec()],
                    ] {
                        let pieces: Vec<_> = pieces.iter().map(Vec::as_slice).collect();
                        let said = heard(gateway, version, &pieces);
                        let ids: Vec<_> =
                            said.lines().filter_map(|line| line.strip_prefix("x-request-id: ")).collect();
                        let answers = (said.matches(" 200 OK").count(), said.matches(CONTINUE).count());
                        assert_eq!(
                            (ids, answers),
                            (vec!["1", "2", "3"], (3, 3)),
                            "{version} {split}: {said}"
                        );
                    }
                });
            }
        }
    });
}

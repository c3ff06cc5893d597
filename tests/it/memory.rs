//! What a hook holds while it waits for its API.

use std::{fs, time::Duration};

use super::support::{CALLER, ConfigText, FLOW, Gateway, PASSWORD, Play, STEPS, ScriptedApi, wait_until};

const HOOKS: usize = 64;

/// In KiB.
fn resident(gateway: &Gateway) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.pid())).expect("the gateway runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok());
    number.expect("a running process has a resident size")
}

/// A message of many small claims is several times as large once it is read.
#[test]
fn a_waiting_hook_holds_what_it_sends_and_not_what_it_has_read() {
    let api = ScriptedApi::start(Play::continue_().after(Duration::from_secs(4)));
    let text = ConfigText::new(&api.url("/"))
        .send(&["city"])
        .connector("timeout: 9s")
        .flow("answer_within: 10s")
        .text();
    let gateway = Gateway::start_with_arguments(&text, &["--workers", "1"]);
    let claims: Vec<_> = (0..5_500).map(|claim| format!("\"{claim:x}\":{}", claim % 10)).collect();
    let body = format!(r#"{{"email":"jane@fabrikam.com",{}}}"#, claims.join(","));
    let hook = gateway.client().post_hook(FLOW, STEPS[1], &body).basic(CALLER, PASSWORD).to_bytes();
    let before = resident(&gateway);
    let mut waiting: Vec<_> = (0..HOOKS).map(|_| gateway.client().connect()).collect();
    for connection in &mut waiting {
        connection.write(&hook);
    }
    wait_until("all of them are asked", || api.requests().len() == HOOKS);
    let each = resident(&gateway).saturating_sub(before) / HOOKS;
    println!("a body of {} bytes: {each} KiB for each hook that waits", body.len());
    assert!(each < 200, "{each} KiB for a hook of {} bytes", body.len());
    for connection in &mut waiting {
        assert_eq!(connection.response("POST").status, 200);
    }
}

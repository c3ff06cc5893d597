//! What a hook holds while it waits for its API, and a connection while it waits for a hook.

use std::{fs, thread, time::Duration};

use super::support::{
    CALLER, ConfigText, FLOW, Gateway, PASSWORD, Play, STEPS, ScriptedApi, client::Connection, wait_until,
};

const HOOKS: usize = 64;
/// So many send each hook, where it is the same.
const ALIKE: usize = 8;

/// In KiB.
fn resident(gateway: &Gateway) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.pid())).expect("the gateway runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok());
    number.expect("a running process has a resident size")
}

/// The system's `malloc` would have begun one by now.
#[test]
fn nothing_lies_in_the_heap_of_the_systems_allocator() {
    let api = ScriptedApi::start(Play::continue_());
    let gateway = Gateway::start(&ConfigText::new(&api.url("/")).text());
    let maps = fs::read_to_string(format!("/proc/{}/maps", gateway.pid())).expect("the gateway runs");
    assert!(maps.contains("[stack]") && !maps.contains("[heap]"), "{maps}");
}

/// What each of many such hooks makes the gateway grow by, in KiB, with this `duplicate_window`; `are_waiting` says when
/// all of them wait.
fn held_by_each(window: &str, are_waiting: impl Fn(&Gateway, &ScriptedApi) -> bool) -> usize {
    let api = ScriptedApi::start(Play::continue_().after(Duration::from_secs(4)));
    let text = ConfigText::new(&api.url("/"))
        .send(&["city"])
        .connector("timeout: 9s")
        .flow("answer_within: 10s")
        .text()
        .replace("duplicate_window: 0s", &format!("duplicate_window: {window}"));
    let gateway = Gateway::start_with_arguments(&text, &["--workers", "1"]);
    let claims: Vec<_> = (0..5_500).map(|claim| format!("\"{claim:x}\":{}", claim % 10)).collect();
    let body = |user: usize| format!(r#"{{"email":"{user:02}@fabrikam.com",{}}}"#, claims.join(","));
    let hook =
        |user| gateway.client().post_hook(FLOW, STEPS[1], &body(user)).basic(CALLER, PASSWORD).to_bytes();
    let hooks: Vec<_> = (0..HOOKS / ALIKE).map(hook).collect();
    let before = resident(&gateway);
    let mut waiting: Vec<_> = (0..HOOKS).map(|_| gateway.client().connect()).collect();
    for (connection, hook) in waiting.iter_mut().zip(hooks.iter().cycle()) {
        connection.write(hook);
    }
    wait_until("all of them wait", || are_waiting(&gateway, &api));
    thread::sleep(Duration::from_secs(1));
    let each = resident(&gateway).saturating_sub(before) / HOOKS;
    println!("a body of {} bytes: {each} KiB for each hook that waits", body(0).len());
    for connection in &mut waiting {
        assert_eq!(connection.response("POST").status, 200);
    }
    each
}

/// A message of many small claims is several times as large once it is read.
#[test]
fn a_waiting_hook_holds_what_it_sends_and_not_what_it_has_read() {
    let each = held_by_each("0s", |_, api| api.requests().len() == HOOKS);
    assert!(each < 200, "{each} KiB");
}

#[test]
fn nor_does_one_that_waits_for_the_answer_to_an_earlier_one() {
    // The gauge counts a hook before its body is read, which takes less than what is waited beside.
    let each = held_by_each("10s", |gateway, api| {
        let bodies = f64::from(u32::try_from(HOOKS).expect("it is small"));
        api.requests().len() == HOOKS / ALIKE
            && (gateway.metric("claimgate_in_flight_hooks") - bodies).abs() < 0.5
    });
    assert!(each < 200, "{each} KiB");
}

/// What each of so many connections makes the gateway grow by, in KiB, once it is at rest.
fn each_grows_by(gateway: &Gateway, kept: &mut Vec<Connection>, after: impl Fn(&mut Connection)) -> usize {
    const CONNECTIONS: usize = 400;
    let before = resident(gateway);
    for _ in 0..CONNECTIONS {
        let mut connection = gateway.client().connect();
        after(&mut connection);
        kept.push(connection);
    }
    // A second of being idle, and time to spare.
    thread::sleep(Duration::from_secs(3));
    resident(gateway).saturating_sub(before) / CONNECTIONS
}

/// The allocator may keep what is given back to it. So the second half is looked at, which must find its room there.
#[test]
fn a_connection_at_rest_gives_back_what_its_hook_needed() {
    let api = ScriptedApi::start(Play::continue_());
    let text = ConfigText::new(&api.url("/")).listen("first_byte_timeout: 1m").text();
    let gateway = Gateway::start_with_arguments(&text, &["--workers", "1"]);
    let mut kept = Vec::new();
    let hook = |connection: &mut Connection| {
        let hook = gateway.client().post_hook(FLOW, STEPS[1], r#"{"email":"jane@fabrikam.com"}"#);
        assert_eq!(hook.basic(CALLER, PASSWORD).send_on(connection).status, 200);
    };
    let silent = each_grows_by(&gateway, &mut kept, |_| {});
    let halves = [(); 2].map(|()| each_grows_by(&gateway, &mut kept, hook));
    println!("KiB for each connection: {silent} silent, {halves:?} after a hook");
    assert!(silent <= 10 && halves[1] <= 10, "{silent} KiB silent, {halves:?} KiB after a hook");
    kept.iter_mut().for_each(hook);
}

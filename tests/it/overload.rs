//! Several times more hooks than the gateway has room for: those inside are answered in time as ever, the others are
//! refused at once, and nothing grows.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::Command,
    time::Duration,
};

use tokio::time::Instant;

use super::support::{
    CALLER, ConfigText, FLOW, Gateway, PASSWORD, STEPS,
    flood::{Round, SlowApi, flood},
    gateway::written,
    soak, wait_until,
};

/// `listen.max_in_flight`, and so many clients that none of their hooks is refused.
const ROOM: usize = 32;
/// What the API takes for a call. So there is room for 800 hooks a second.
const CALL: Duration = Duration::from_millis(40);
const CLIENTS: usize = 16 * ROOM;
/// Each round is measured for so long.
const ROUND: Duration = Duration::from_millis(700);

#[test]
fn a_flood_is_shed_without_hurting_the_hooks_already_accepted() {
    let api = SlowApi::start(CALL);
    let text = ConfigText::new(&api.url())
        .listen(&format!("max_in_flight: {ROOM}"))
        .connector("timeout: 900ms")
        .flow("answer_within: 1s")
        .text();
    let directory = written(&text);
    let gateway = start(directory.path());
    let watched = Watched { gateway: &gateway, api: &api };
    let sockets = watched.sockets();
    let hook = gateway.client().post_hook(FLOW, STEPS[1], r#"{"email":"jane@fabrikam.com"}"#);
    let hook = hook.basic(CALLER, PASSWORD).to_bytes();
    let run = |clients| watched.cost_of(|| flood(gateway.address(), &hook, clients, ROUND, is_refusal));

    let end = Instant::now() + soak();
    let mut turns: Vec<[Cost; 2]> = Vec::new();
    let mut all = [0_u32, 0];
    // Goodput of both kinds of round is compared within a turn; on a machine that others use too, one good turn of a few
    // says that it is not the flood that takes the others.
    while turns.len() < 3 || Instant::now() < end || (kept(&turns) < 0.8 && turns.len() < 6) {
        let turn = [ROOM, CLIENTS].map(&run);
        for (cost, clients) in turn.iter().zip([ROOM, CLIENTS]) {
            println!("{clients} clients: {}", cost.text());
            assert_eq!(cost.round.wrong, Vec::<String>::new());
            all[0] += cost.round.accepted_in_all;
            all[1] += cost.round.refused_in_all;
        }
        let [quiet, flooded] = &turn;
        // So nobody still holds a place from the flood before.
        assert_eq!(quiet.round.refused_in_all, 0, "there is room for all of them");
        assert!(flooded.round.refused > flooded.round.accepted, "it is a flood");
        turns.push(turn);
    }
    let [quiet, flooded] = [0, 1].map(|kind| turns.iter().map(|turn| turn[kind].cpu).sum::<f64>());
    let count = |of: fn(&[Cost; 2]) -> u32| f64::from(turns.iter().map(of).sum::<u32>());
    let hook_cpu = quiet / count(|turn| turn[0].round.accepted);
    let refusal_cpu =
        (flooded - hook_cpu * count(|turn| turn[1].round.accepted)) / count(|turn| turn[1].round.refused);
    let all_kept = count(|turn| turn[1].round.accepted) / count(|turn| turn[0].round.accepted);
    println!(
        "{:.2} of the goodput is kept, {:.2} in the best turn; a refusal takes {:.2} of a hook; {} hooks, {} refused",
        all_kept,
        kept(&turns),
        refusal_cpu / hook_cpu,
        all[0],
        all[1]
    );
    assert!(kept(&turns) >= 0.8, "goodput under the flood, as a part of what it is without");
    assert!(refusal_cpu < hook_cpu, "{refusal_cpu} {hook_cpu}");
    assert!(api.most_at_a_time() <= ROOM, "{}", api.most_at_a_time());
    // The first half may still find out how much memory so many connections need.
    let [warm, last] = [turns.len() / 2, turns.len() - 1].map(|turn| turns[turn][1].resident);
    assert!(last <= warm + warm / 4, "resident: {warm} and then {last} KiB");

    nothing_is_left(&watched, sockets);
    everything_is_accounted_for(&gateway, all);
    drop(gateway);
    let events = fs::File::open(directory.path().join(EVENTS)).expect("the events were written");
    assert_eq!(
        BufReader::new(events).lines().count().to_string(),
        (all[0] + all[1]).to_string(),
        "one event for each"
    );
}

const EVENTS: &str = "events.log";

/// With the access events in a file: so many lines are nothing to hold in memory.
fn start(directory: &Path) -> Gateway {
    let mut command = Command::new("sh");
    command.current_dir(directory).args([
        OsStr::new("-c"),
        OsStr::new(r#"exec "$0" serve --workers 2 --config claimgate.yaml > events.log"#),
        OsStr::new(env!("CARGO_BIN_EXE_claimgate")),
    ]);
    Gateway::from_command(command)
}

fn is_refusal(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.starts_with("HTTP/1.1 503 Service Unavailable\r\n")
        && text.contains("\r\nretry-after: 1\r\n")
        && text.contains("\r\ncontent-type: application/problem+json\r\n")
        && !text.contains("\r\nconnection: ")
        && text.contains(r#""reason":"overloaded""#)
}

/// The part of its goodput that the gateway keeps under the flood, in the best turn.
fn kept(turns: &[[Cost; 2]]) -> f64 {
    let kept = turns.iter().map(|[quiet, flooded]| flooded.round.goodput() / quiet.round.goodput());
    kept.fold(0.0, f64::max)
}

/// Nothing is in flight, and every connection is closed: those of callers, and as idle ones those to the API.
fn nothing_is_left(watched: &Watched<'_>, sockets: usize) {
    watched.gateway.wait_for_metric("claimgate_in_flight_hooks", 0.0);
    wait_until("there are as few sockets as at the start", || watched.sockets() <= sockets);
    wait_until("the API has seen them close", || watched.api.connections() == 0);
}

fn everything_is_accounted_for(gateway: &Gateway, [accepted, refused]: [u32; 2]) {
    let hook = format!("user_flow=\"{FLOW}\",step=\"{}\"", STEPS[1]);
    let sample = |name: &str, more: &str| gateway.metric(&format!("claimgate_{name}{{{hook}{more}}}"));
    let as_count = |value: f64| format!("{value:.0}");
    for (labels, count) in [
        (",decision=\"Continue\",outcome=\"api\"", accepted),
        (",decision=\"error\",outcome=\"refused\"", refused),
    ] {
        assert_eq!(as_count(sample("requests_total", labels)), count.to_string(), "{labels}");
    }
    let in_time = sample("request_duration_seconds_bucket", ",le=\"1\"");
    assert_eq!(as_count(in_time), (accepted + refused).to_string(), "all within answer_within");
    assert_eq!(as_count(gateway.metric("claimgate_log_lines_dropped_total")), "0");
    assert_eq!(
        as_count(gateway.metric("claimgate_rate_limited_total{limit=\"in_flight\"}")),
        refused.to_string()
    );
}

struct Watched<'a> {
    gateway: &'a Gateway,
    api: &'a SlowApi,
}

/// A round and what the gateway took for it.
struct Cost {
    round: Round,
    /// Of the gateway, in seconds, as exact as the kernel counts it.
    cpu: f64,
    api_cpu: Duration,
    /// In KiB.
    resident: usize,
}

impl Watched<'_> {
    fn cost_of(&self, run: impl Fn() -> Round) -> Cost {
        let before = (self.cpu(), self.api.cpu());
        let round = run();
        let cost = Cost {
            round,
            cpu: self.cpu() - before.0,
            api_cpu: self.api.cpu().saturating_sub(before.1),
            resident: self.resident(),
        };
        self.gateway.wait_for_metric("claimgate_in_flight_hooks", 0.0);
        cost
    }

    fn cpu(&self) -> f64 {
        let text = self.proc("stat");
        let fields = text.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
        let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        // A tick is 1/100 s wherever Linux runs (proc_pid_stat(5), sysconf(_SC_CLK_TCK)).
        Duration::from_millis(10 * ticks).as_secs_f64()
    }

    fn resident(&self) -> usize {
        let text = self.proc("status");
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok());
        number.expect("a running process has a resident size")
    }

    fn sockets(&self) -> usize {
        let files =
            fs::read_dir(format!("/proc/{}/fd", self.gateway.pid())).expect("its files can be listed");
        let names = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
        names.filter(|name| name.to_string_lossy().starts_with("socket:")).count()
    }

    fn proc(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.gateway.pid())).expect("the gateway runs")
    }
}

impl Cost {
    fn text(&self) -> String {
        format!(
            "{:.0} hooks/s answered, {:.0} refused; seconds of the processor: gateway {:.2}, clients {:.2}, API {:.2}; \
             resident {} KiB",
            self.round.goodput(),
            self.round.refusals(),
            self.cpu,
            self.round.cpu.as_secs_f64(),
            self.api_cpu.as_secs_f64(),
            self.resident
        )
    }
}

//! A steady load of all kinds for a long time, during which nothing may grow.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::{
    api::Api,
    body::{Bytes, Shape},
    gateway::{CALLER, Gateway, Setup},
    hooks::{Connection, answer, api, api_that_answers, block_on, is_last, request},
    instructions::{Line, float},
    plot::{Axis, Plot},
    report::{Goal, Part, Table},
};

/// Below this the second half is too short to say anything: what is remembered for 10 s has not yet been forgotten once.
pub(crate) const LEAST: Duration = Duration::from_secs(40);
/// Between two samples.
const STEP: Duration = Duration::from_secs(1);
/// An answer that takes longer than the `answer_within` of 4 s, with room for a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// Users in turn. Each sends other claims each time.
const USERS: u64 = 5_000;

/// What one of the clients does, again and again: name, how many do so, and the pause between.
const CLIENTS: [(Kind, usize, Duration); 6] = [
    (Kind::Kept, 32, Duration::from_millis(100)),
    (Kind::Fresh, 4, Duration::from_millis(100)),
    (Kind::Aborted, 2, Duration::from_millis(100)),
    (Kind::HungUp, 2, Duration::from_millis(100)),
    (Kind::Stranger, 1, Duration::from_millis(200)),
    (Kind::Again, 2, Duration::from_millis(100)),
];

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    /// Hooks over a kept connection.
    Kept,
    /// A connection for each hook.
    Fresh,
    /// Ends in the middle of a body.
    Aborted,
    /// Sends a hook and does not wait for the answer.
    HungUp,
    /// Has a wrong credential.
    Stranger,
    /// Sends each hook three times, over a connection each.
    Again,
}

/// What is looked at: name, unit, by how much it may drift over the second half whatever its size. A busy moment makes
/// more connections to APIs, which are kept for seconds; a leak makes more than that in minutes, and leaves it behind.
const GAUGES: [(&str, &str, f64); 6] = [
    ("resident memory", "MiB", 1.0),
    ("file descriptors", "", 16.0),
    ("threads", "", 0.5),
    ("connections", "", 16.0),
    ("hooks in flight", "", 16.0),
    ("connections and descriptors left afterwards", "", 0.0),
];
/// And by how much in percent of its mean.
const DRIFT: f64 = 3.0;

/// Runs for so long; whether all stayed flat.
pub(crate) fn run(duration: Duration) -> (Part, bool) {
    let apis = ["continue", "block", "validation"].map(api_that_answers);
    // Nobody answers where the last one listens no longer.
    let gone = api().address();
    let addresses = apis.iter().map(Api::address).chain([gone]).collect();
    let setup = Setup {
        connectors: 4,
        connector: "    rate_limit: { rate: 2000/s, burst: 200 }\n".to_owned(),
        ..Setup::new(gone)
    };
    let gateway = Gateway::start(&Setup { apis: addresses, ..setup }, 2);
    let load = Load {
        gateway: &gateway,
        end: Instant::now() + duration,
        sent: Cell::default(),
        seen: RefCell::default(),
    };
    let before = gateway.descriptors();
    let samples = block_on(async {
        let clients = CLIENTS.iter().flat_map(|(kind, count, pause)| vec![(*kind, *pause); *count]);
        let clients =
            join_all(clients.enumerate().map(|(number, (kind, pause))| load.client(number, kind, pause)));
        let ((), samples) = tokio::join!(async { drop(clients.await) }, load.samples());
        samples
    });
    let left = left(&gateway, before);
    judge(duration, &samples, left, &load.seen.borrow())
}

/// What stayed open after the load, once the time-outs of kept connections to APIs have passed: descriptors more than at
/// the start, connections, hooks in flight.
fn left(gateway: &Gateway, before: usize) -> f64 {
    let now = || {
        float(gateway.descriptors().saturating_sub(before))
            + gateway.metric("claimgate_connections")
            + gateway.metric("claimgate_in_flight_hooks")
    };
    let patience = Instant::now() + Duration::from_mins(2);
    loop {
        // Asked at once, it may still hold the connection over which it was asked before.
        std::thread::sleep(STEP);
        let left = now();
        if left <= 0.0 || Instant::now() > patience {
            return left;
        }
    }
}

struct Load<'g> {
    gateway: &'g Gateway,
    end: Instant,
    sent: Cell<u64>,
    /// How often each kind of client saw each answer.
    seen: RefCell<BTreeMap<(Kind, String), u64>>,
}

impl Load<'_> {
    async fn client(&self, number: usize, kind: Kind, pause: Duration) {
        sleep(pause * u32::try_from(number % 16).expect("it is small") / 16).await;
        let mut ticks = interval(pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut kept = None;
        while Instant::now() < self.end {
            ticks.tick().await;
            let done = timeout(PATIENCE, self.act(kind, &mut kept)).await;
            let said = done.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
            let said = said.unwrap_or_else(|error| error.kind().to_string());
            *self.seen.borrow_mut().entry((kind, said)).or_default() += 1;
        }
    }

    /// Does once what this kind does, and says what came of it.
    async fn act(&self, kind: Kind, kept: &mut Option<Connection>) -> std::io::Result<String> {
        let address = self.gateway.address;
        let hook = self.hook(if kind == Kind::Stranger { "wrong" } else { CALLER.1 });
        let open = || Connection::open(address);
        match kind {
            Kind::Kept => {
                let mut connection = match kept.take() {
                    Some(connection) => connection,
                    None => open().await?,
                };
                let said = connection.exchange(&hook).await?;
                let (said, last) = (answer(said), is_last(said));
                if !last {
                    *kept = Some(connection);
                }
                Ok(said)
            }
            Kind::Fresh | Kind::Stranger => Ok(answer(open().await?.exchange(&hook).await?)),
            Kind::Aborted => {
                open().await?.write(&hook[..hook.len() - 20]).await?;
                Ok("sent in part".to_owned())
            }
            Kind::HungUp => {
                open().await?.write(&hook).await?;
                Ok("sent".to_owned())
            }
            Kind::Again => {
                let mut said = Vec::new();
                for _ in 0..3 {
                    said.push(answer(open().await?.exchange(&hook).await?));
                }
                said.dedup();
                Ok(said.join(", then "))
            }
        }
    }

    /// The next hook: flows, users and sizes in turn, so that no two are the same.
    fn hook(&self, password: &str) -> Vec<u8> {
        let number = self.sent.replace(self.sent.get() + 1);
        let turn = |of: u64| usize::try_from(number % of).expect("it is small");
        let shape = Shape { claims: 8 + turn(93), bytes: Bytes::OfValues(1 + turn(211)) };
        // The last flow's API is down: one hook in 16 goes there.
        let flow = if turn(16) == 15 { 3 } else { turn(3) };
        let body = shape.body(number % USERS);
        let body = format!(r#"{{"number":"{number}",{}"#, &body[1..]);
        request(&Setup::flow(flow), &body, password)
    }

    /// Looks at the gauges in turn, to the end.
    async fn samples(&self) -> Vec<(f64, [f64; 5])> {
        let begun = Instant::now();
        let mut ticks = interval(STEP);
        let mut samples = Vec::new();
        while Instant::now() + STEP < self.end {
            ticks.tick().await;
            let gateway = self.gateway;
            samples.push((
                begun.elapsed().as_secs_f64(),
                [
                    f64::from(gateway.status("VmRSS")) / 1024.0,
                    float(gateway.descriptors()),
                    f64::from(gateway.status("Threads")),
                    gateway.metric("claimgate_connections"),
                    gateway.metric("claimgate_in_flight_hooks"),
                ],
            ));
        }
        samples
    }
}

/// Whether this is what such a client should see.
fn is_right(kind: Kind, said: &str) -> bool {
    match kind {
        Kind::Kept | Kind::Fresh | Kind::Again => {
            ["Continue", "ShowBlockPage", "ValidationError"].contains(&said)
        }
        Kind::Stranger => said == "401",
        Kind::Aborted => said == "sent in part",
        Kind::HungUp => said == "sent",
    }
}

fn judge(
    duration: Duration,
    samples: &[(f64, [f64; 5])],
    left: f64,
    seen: &BTreeMap<(Kind, String), u64>,
) -> (Part, bool) {
    let half = &samples[samples.len() / 2..];
    let of = |gauge: usize| -> Vec<(f64, f64)> { half.iter().map(|(at, all)| (*at, all[gauge])).collect() };
    let lasted = half.last().map_or(0.0, |(at, _)| *at) - half.first().map_or(0.0, |(at, _)| *at);
    let mut goals = Vec::new();
    let mut rows = Vec::new();
    for (gauge, (name, unit, least)) in GAUGES.iter().enumerate().take(5) {
        let points = of(gauge);
        let values = || points.iter().map(|(_, value)| *value);
        let mean = values().sum::<f64>() / float(points.len());
        let drift = Line::through(&points).slope * lasted;
        let [low, high] = [values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max)];
        let allowed = least.max(mean * DRIFT / 100.0);
        let what = format!("{name}: drift over the second half");
        goals.push(Goal::at_most(&what, drift, (allowed * 100.0).round() / 100.0, unit));
        let number = |value: f64| format!("{value:.1}");
        rows.push(vec![
            (*name).to_owned(),
            number(samples[0].1[gauge]),
            number(low),
            number(mean),
            number(high),
        ]);
    }
    goals.push(Goal::at_most(GAUGES[5].0, left, GAUGES[5].2, ""));
    let wrong: u64 =
        seen.iter().filter(|((kind, said), _)| !is_right(*kind, said)).map(|(_, count)| count).sum();
    goals.push(Goal::at_most(
        "clients that saw anything but what they should",
        float(usize::try_from(wrong).unwrap_or(usize::MAX)),
        0.0,
        "",
    ));
    let flat = goals.iter().all(Goal::is_met);
    let seen: Vec<_> = seen.iter().map(|((kind, said), count)| format!("{kind:?} {said}: {count}")).collect();
    let minutes = |gauge: usize| {
        let usual = of(gauge).iter().map(|(_, value)| value).sum::<f64>() / float(half.len());
        samples.iter().map(|(at, all)| (at / 60.0, all[gauge] / usual.max(1.0))).collect()
    };
    let part = Part {
        goals,
        notes: vec![
            format!("{} s; in the table the second half, beside the first sample.", duration.as_secs()),
            format!("What the clients saw: {}.", seen.join("; ")),
        ],
        table: Table::new(&["", "at first", "least", "mean", "most"], rows),
        plot: Some(Plot {
            title: "Over time, beside the mean of the second half".to_owned(),
            x: Axis { name: "time (min)".to_owned(), logarithmic: false },
            y: "times the mean of the second half".to_owned(),
            series: (0..4).map(|gauge| (GAUGES[gauge].0.to_owned(), minutes(gauge))).collect(),
        }),
    };
    (part, flat)
}

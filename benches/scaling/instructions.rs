//! What a hook costs, in instructions, by what there is more of.

use crate::{
    body::{Bytes, Shape},
    callgrind::{Load, PerHook, instructions},
    gateway::Setup,
    hooks::{Hooks, api},
    plot::{Axis, Plot},
    report::{Goal, Part, Table, grouped},
};

/// Hooks in flight together, where there are connections enough: within what a connector lets through at a time.
const AT_A_TIME: usize = 32;
/// At least so many hooks are counted.
const COUNTED: usize = 2_048;
/// User flows that hooks go to in turn, where there are so many.
const FLOWS: usize = 10;

/// What the plots show upwards.
const WORKERS: &str = "thousand instructions of the worker, per hook";

/// Open connections, over which hooks go in turn.
pub(crate) fn connections() -> Part {
    let api = api();
    // Opening them takes long under callgrind, and none may end meanwhile.
    let listen = ", idle_timeout: 15m, max_age: 30m";
    let setup = Setup { listen: listen.to_owned(), ..Setup::new(api.address()) };
    let counts = [1, 16, 64, 256, 1024, 4096];
    let measured = counts.map(|connections| {
        let each = COUNTED.div_ceil(connections);
        let hooks = Hooks::new(Shape::SIGN_UP, 1);
        let load = Load { hooks, connections, warm: each / 4, each, at_a_time: AT_A_TIME.min(connections) };
        (connections, instructions(&setup, &load))
    });
    let worst = spread(&measured.map(|(_, cost)| cost.worker)[2..]);
    part(
        "connections",
        "open connections",
        &measured,
        Goal::at_most("from 64 to 4,096 connections within 20 %", worst, 20.0, "%"),
    )
}

/// Connectors and as many user flows; hooks go to some of them in turn.
pub(crate) fn connectors() -> Part {
    let api = api();
    let measured = [1, 10, 100, 1000, 5000].map(|connectors| {
        let setup = Setup { connectors, ..Setup::new(api.address()) };
        let hooks = Hooks::new(Shape::SIGN_UP, connectors).with_stride(connectors.div_ceil(FLOWS));
        (connectors, instructions(&setup, &Load::over_kept(hooks)))
    });
    let worst = spread(&measured.map(|(_, cost)| cost.worker));
    part(
        "connectors",
        "connectors and user flows",
        &measured,
        Goal::at_most("from 1 to 5,000 within 3 %", worst, 3.0, "%"),
    )
}

/// Claims in a body, each with a value of 20 bytes.
pub(crate) fn claims() -> Part {
    let measured = [4, 24, 100, 400].map(|claims| {
        let shape = Shape { claims, bytes: Bytes::OfValues(20) };
        (claims, shape, of_shape(shape, ""))
    });
    let points = measured.map(|(claims, _, cost)| (float(claims), f64::from(cost.worker)));
    let line = Line::through(&points);
    let goal = Goal::at_most("linear: no point further from the line", line.furthest(&points), 10.0, "%");
    let rows = measured.map(|(claims, shape, cost)| {
        [claims.to_string(), shape.body(0).len().to_string(), grouped(cost.worker), grouped(cost.all)].into()
    });
    Part {
        goals: vec![goal],
        notes: vec![format!(
            "The line of least squares: {} instructions, and {:.0} for each claim.",
            grouped(line.whole(0.0)),
            line.slope
        )],
        table: Table::new(&["claims", "bytes", "instructions of the worker", "of all threads"], rows.into()),
        plot: Some(plot("claims", "claims in a body", &points, false)),
    }
}

/// Bytes of a body of 24 claims, up to near the default of `max_body`; remembered, and not.
pub(crate) fn bodies() -> Part {
    let measured = [1, 4, 16, 32, 48, 63].map(|kibibytes| {
        let shape = Shape { claims: 24, bytes: Bytes::Whole(kibibytes * 1024) };
        (kibibytes, [", duplicate_window: 0s", ""].map(|hook| of_shape(shape, hook).worker))
    });
    let points = |kind: usize| measured.map(|(kibibytes, costs)| (float(kibibytes), f64::from(costs[kind])));
    let [forgotten, remembered] = [points(0), points(1)].map(|points| Line::through(&points));
    let furthest = remembered.furthest(&points(1));
    let rows = measured.map(|(kibibytes, [forgotten, remembered])| {
        [kibibytes.to_string(), grouped(remembered), grouped(forgotten)].into()
    });
    let title = "Instructions per hook, by bytes".to_owned();
    let thousands = |kind: usize| points(kind).map(|(x, y)| (x, y / 1000.0)).into();
    Part {
        goals: vec![Goal::at_most("linear: no point further from the line", furthest, 10.0, "%")],
        notes: vec![format!(
            "The line of least squares: {} instructions, and {:.2} for each byte; with `duplicate_window: 0s` {:.2}. The \
             difference is the hash under which a hook is remembered.",
            grouped(remembered.whole(0.0)),
            remembered.slope / 1024.0,
            forgotten.slope / 1024.0
        )],
        table: Table::new(&["KiB", "instructions of the worker", "with `duplicate_window: 0s`"], rows.into()),
        plot: Some(Plot {
            title,
            x: Axis { name: "size of a body (KiB)".to_owned(), logarithmic: false },
            y: WORKERS.to_owned(),
            series: vec![
                ("remembered".to_owned(), thousands(1)),
                ("duplicate_window: 0s".to_owned(), thousands(0)),
            ],
        }),
    }
}

fn of_shape(shape: Shape, hook: &'static str) -> PerHook {
    let api = api();
    instructions(&Setup { hook, ..Setup::new(api.address()) }, &Load::over_kept(Hooks::new(shape, 1)))
}

impl Load {
    /// An ordinary load over 16 kept connections.
    fn over_kept(hooks: Hooks) -> Self {
        let connections = 16;
        let each = COUNTED / connections;
        Self { hooks, connections, warm: each / 4, each, at_a_time: connections }
    }
}

/// A table of points with one goal.
fn part(name: &str, what: &str, measured: &[(usize, PerHook)], goal: Goal) -> Part {
    let points: Vec<_> = measured.iter().map(|(x, cost)| (float(*x), f64::from(cost.worker))).collect();
    let rows = measured.iter().map(|(x, cost)| vec![x.to_string(), grouped(cost.worker), grouped(cost.all)]);
    Part {
        goals: vec![goal],
        notes: Vec::new(),
        table: Table::new(&[what, "instructions of the worker", "of all threads"], rows.collect()),
        plot: Some(plot(name, what, &points, true)),
    }
}

fn plot(name: &str, what: &str, points: &[(f64, f64)], logarithmic: bool) -> Plot {
    let thousands = points.iter().map(|(x, y)| (*x, y / 1000.0)).collect();
    Plot {
        title: format!("Instructions per hook, by {name}"),
        x: Axis { name: what.to_owned(), logarithmic },
        y: WORKERS.to_owned(),
        series: vec![("hook".to_owned(), thousands)],
    }
}

/// How far the largest lies above the smallest, in percent.
fn spread(costs: &[u32]) -> f64 {
    let least = f64::from(costs.iter().copied().min().expect("something was measured"));
    let most = f64::from(costs.iter().copied().max().expect("something was measured"));
    (most / least - 1.0) * 100.0
}

/// A small number as it is.
pub(crate) fn float(number: usize) -> f64 {
    f64::from(u32::try_from(number).expect("it is small"))
}

/// A line of least squares.
pub(crate) struct Line {
    begin: f64,
    pub(crate) slope: f64,
}

impl Line {
    pub(crate) fn through(points: &[(f64, f64)]) -> Self {
        let count = float(points.len());
        let [x, y] = [points.iter().map(|(x, _)| x).sum::<f64>(), points.iter().map(|(_, y)| y).sum::<f64>()];
        let [x, y] = [x / count, y / count];
        let along: f64 = points.iter().map(|(px, py)| (px - x) * (py - y)).sum();
        let across: f64 = points.iter().map(|(px, _)| (px - x) * (px - x)).sum();
        let slope = along / across;
        Self { begin: y - slope * x, slope }
    }

    /// The line's height at `x`.
    pub(crate) fn at(&self, x: f64) -> f64 {
        self.begin + self.slope * x
    }

    /// The same as a whole number, for people.
    fn whole(&self, x: f64) -> u32 {
        format!("{:.0}", self.at(x)).parse().unwrap_or(0)
    }

    /// How far from the line a point lies at most, in percent of the line's height.
    fn furthest(&self, points: &[(f64, f64)]) -> f64 {
        points.iter().map(|(x, y)| (y / self.at(*x) - 1.0).abs() * 100.0).fold(0.0, f64::max)
    }
}

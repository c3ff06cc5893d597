//! Resident memory, and what an idle kept connection takes of it.

use std::time::Duration;

use rustls::version::TLS13;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::sleep,
};

use crate::{
    body::Shape,
    gateway::{Gateway, Setup, folder, program},
    handshakes::{Certificate, LISTEN_TLS, connect},
    hooks::{Connection, Hooks, api, block_on},
    instructions::{Line, float},
    plot::{Axis, Plot},
    report::{Goal, Part, Table, grouped},
};

const COUNTS: [usize; 6] = [1, 256, 1024, 2048, 3072, 4096];
/// What is remembered of a hook is forgotten a second or two after its `duplicate_window` of 10 s.
const FORGOTTEN: Duration = Duration::from_secs(13);
/// None may end while others are opened.
const KEPT: &str = ", idle_timeout: 15m, max_age: 30m";

pub(crate) fn measure() -> Part {
    let idle = Gateway::start(&Setup::new(api().address()), 2).status("VmRSS");
    let plain = plain();
    let tls = tls();
    let series = |resident: &[u32]| -> Vec<(f64, f64)> {
        COUNTS.iter().zip(resident).map(|(count, kib)| (float(*count), f64::from(*kib))).collect()
    };
    let [of_plain, of_tls] = [&plain, &tls].map(|resident| Line::through(&series(resident)).slope);
    let mebibytes = |resident: &[u32]| series(resident).iter().map(|(x, kib)| (*x, kib / 1024.0)).collect();
    let rows = COUNTS.iter().zip(plain.iter().zip(&tls));
    let rows = rows.map(|(count, (plain, tls))| vec![count.to_string(), grouped(*plain), grouped(*tls)]);
    Part {
        goals: vec![
            Goal::at_most("resident after the start", f64::from(idle) / 1024.0, 15.0, "MiB"),
            Goal::at_most("for each idle kept connection", of_plain, 10.0, "KiB"),
        ],
        notes: vec![format!(
            "The slopes of the lines of least squares: {of_plain:.1} KiB for each connection, {of_tls:.1} KiB under TLS 1.3."
        )],
        table: Table::new(&["idle connections", "resident, KiB", "resident under TLS, KiB"], rows.collect()),
        plot: Some(Plot {
            title: "Resident memory, by idle kept connections".to_owned(),
            x: Axis { name: "idle kept connections".to_owned(), logarithmic: false },
            y: "resident (MiB)".to_owned(),
            series: vec![("plain".to_owned(), mebibytes(&plain)), ("TLS 1.3".to_owned(), mebibytes(&tls))],
        }),
    }
}

fn plain() -> Vec<u32> {
    let api = api();
    let gateway = Gateway::start(&Setup { listen: KEPT.to_owned(), ..Setup::new(api.address()) }, 2);
    let open = async || Connection::open(gateway.address).await.expect("there is room for the connection");
    grown(&gateway, open)
}

fn tls() -> Vec<u32> {
    let api = api();
    let directory = folder();
    let client = Certificate::write(directory.path()).client(&TLS13, false);
    let setup = Setup { listen: format!("{KEPT}{LISTEN_TLS}"), ..Setup::new(api.address()) };
    let gateway = Gateway::start_in(directory, &setup, 2, std::process::Command::new(program()));
    grown(&gateway, async || Connection::over(connect(&client, gateway.address).await))
}

/// Resident memory in KiB with so many connections, each of which has done a hook and is idle.
fn grown<S: AsyncRead + AsyncWrite + Unpin>(
    gateway: &Gateway,
    open: impl AsyncFn() -> Connection<S>,
) -> Vec<u32> {
    let hooks = Hooks::new(Shape::SIGN_UP, 1);
    let mut connections = Vec::new();
    block_on(async {
        let mut resident = Vec::new();
        for count in COUNTS {
            while connections.len() < count {
                let mut connection = open().await;
                connection.continues(&hooks.next()).await;
                connections.push(connection);
            }
            sleep(FORGOTTEN).await;
            resident.push(gateway.status("VmRSS"));
        }
        resident
    })
}

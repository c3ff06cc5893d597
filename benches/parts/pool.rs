//! An exchange with an API: one that is on the same thread, over the loopback, and whose work is in every line.
//!
//! - `claimgate/kept`: takes a connection that is idle and as it was left, sends, reads, puts it back.
//! - `claimgate/new`: the same by a pool that keeps none, as a client that connects for each request.
//! - `wire`: the same bytes over one socket, without deadlines and without a look at them. What `kept` takes beyond it is
//!   the pool's and the exchange's own.

use std::{sync::Arc, time::Duration};

use claimgate::upstream::{Answer, IDLE_TIMEOUT, Lookups, MAX_AGE, Pool, Target, Trust, Until};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime,
    time::Instant,
};

use crate::{
    Criterion,
    hook::{CONTINUE, SIGN_UP},
    wire::{Api, message, read_message},
};

const USUAL: Duration = Duration::from_secs(2);
/// A port that a connection had is not free again for a while, and with few left it takes long to find one.
const SHORT: Duration = Duration::from_millis(300);

pub(crate) fn measure(criterion: &mut Criterion) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the system has sockets to spare");
    let api = runtime.block_on(Api::start(CONTINUE));
    let request = message("POST /api/check HTTP/1.1\r\nHost: api.contoso.com", SIGN_UP);
    let mut group = criterion.benchmark_group("pool");
    let mut stream = runtime.block_on(TcpStream::connect(("127.0.0.1", api.port))).expect("it listens");
    let mut read = runtime.block_on(async {
        stream.write_all(&request).await.expect("the API reads");
        read_message(&mut stream).await
    });
    assert!(read.ends_with(CONTINUE.as_bytes()));
    group.bench_function("wire", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                stream.write_all(&request).await.expect("the API reads");
                stream.read_exact(&mut read).await.expect("the API answers")
            })
        });
    });
    for (name, max_idle, measured_for) in [("kept", 8, USUAL), ("new", 0, SHORT)] {
        let pool = Pool::new(Arc::new(target(api.port, max_idle)));
        let exchange = || runtime.block_on(pool.exchange(&request, soon())).expect("the API answers");
        let before = api.seen().connections;
        for turn in 0..3 {
            let reused = max_idle > 0 && turn > 0;
            assert_eq!(exchange(), answer(reused), "{name}");
        }
        assert_eq!(api.seen().connections - before, if max_idle > 0 { 1 } else { 3 });
        group.measurement_time(measured_for).warm_up_time(measured_for / 4);
        group.bench_function(format!("claimgate/{name}"), |bencher| bencher.iter(exchange));
    }
    group.finish();
}

fn target(port: u16, max_idle: usize) -> Target {
    Target {
        host: "127.0.0.1".to_owned(),
        port,
        lookups: Lookups::default(),
        trust: Trust::default(),
        tls: None,
        connect_timeout: Duration::from_secs(1),
        max_answer: 64 * 1024,
        max_idle,
        idle_timeout: IDLE_TIMEOUT,
        max_age: MAX_AGE,
    }
}

fn soon() -> Until {
    let end = Instant::now() + Duration::from_secs(4);
    Until { attempt: end, deadline: end }
}

fn answer(reused: bool) -> Answer {
    Answer { status: 200, content_encoding: false, retry_after: None, body: CONTINUE.into(), reused }
}

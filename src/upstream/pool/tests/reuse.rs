//! Which connections carry another exchange.

use std::{
    io::{Read as _, Write as _},
    net,
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::{
    io::AsyncReadExt,
    sync::mpsc,
    time::{Instant, sleep},
};

use super::api::{Api, REQUEST, ok, read_request, soon, write};
use crate::upstream::{Answer, Defect, Detail, Pool, trust::DISTRUST};

/// Long enough for a packet on the loopback to be noticed.
const A_MOMENT: Duration = Duration::from_millis(50);

fn answer(body: &str, reused: bool) -> Answer {
    Answer { status: 200, content_encoding: false, retry_after: None, body: body.into(), reused }
}

#[tokio::test]
async fn a_connection_carries_one_exchange_after_the_other() {
    let api = Api::counting().await;
    let pool = Pool::new(Arc::new(api.target(None)));
    for turn in 0..5 {
        assert_eq!(pool.exchange(REQUEST, soon()).await, Ok(answer("0", turn > 0)));
        assert_eq!(pool.idle(), 1);
    }
    assert_eq!(api.accepted(), 1);
}

#[tokio::test]
async fn a_fresh_one_goes_over_no_connection_that_was_used_and_leaves_those_idle() {
    let api = Api::counting().await;
    let pool = Pool::new(Arc::new(api.target(None)));
    pool.exchange(REQUEST, soon()).await.unwrap();
    let (fresh, held) = pool.exchange_and_hold(REQUEST, Instant::now(), soon(), true).await.unwrap();
    assert_eq!(fresh, answer("1", false));
    pool.release(held, Instant::now());
    assert_eq!((api.accepted(), pool.idle()), (2, 2));
}

#[tokio::test]
async fn the_last_one_back_is_the_first_one_out_and_the_surplus_is_closed() {
    let api = Api::start(|number, mut tcp| async move {
        while read_request(&mut tcp).await {
            // The later connection answers later.
            sleep(A_MOMENT * u32::try_from(number).unwrap()).await;
            write(&mut tcp, &ok(&number.to_string())).await;
        }
    })
    .await;
    let mut target = api.target(None);
    target.max_idle = 2;
    let pool = Pool::new(Arc::new(target));
    let (a, b, c) = tokio::join!(
        pool.exchange(REQUEST, soon()),
        pool.exchange(REQUEST, soon()),
        pool.exchange(REQUEST, soon())
    );
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!((api.accepted(), pool.idle()), (3, 2));
    assert_eq!(pool.exchange(REQUEST, soon()).await, Ok(answer("2", true)));
    // The oldest, 0, was the one to go.
    let (a, b) = tokio::join!(pool.exchange(REQUEST, soon()), pool.exchange(REQUEST, soon()));
    assert_eq!((a, b), (Ok(answer("2", true)), Ok(answer("1", true))));
}

#[tokio::test]
async fn without_room_no_connection_is_kept() {
    let api = Api::counting().await;
    let mut target = api.target(None);
    target.max_idle = 0;
    let pool = Pool::new(Arc::new(target));
    for number in ["0", "1"] {
        assert_eq!(pool.exchange(REQUEST, soon()).await, Ok(answer(number, false)));
        assert_eq!(pool.idle(), 0);
    }
}

#[tokio::test]
async fn a_connection_that_idled_too_long_or_is_too_old_is_not_used() {
    for (idle_timeout, max_age) in [(20, 60_000), (60_000, 20)] {
        let api = Api::counting().await;
        let mut target = api.target(None);
        target.idle_timeout = Duration::from_millis(idle_timeout);
        target.max_age = Duration::from_millis(max_age);
        let pool = Pool::new(Arc::new(target));
        assert_eq!(pool.exchange(REQUEST, soon()).await, Ok(answer("0", false)));
        sleep(A_MOMENT).await;
        assert_eq!(pool.exchange(REQUEST, soon()).await, Ok(answer("1", false)));
    }
}

#[tokio::test]
async fn a_sweep_closes_what_idled_too_long_and_nothing_else() {
    let (closed, mut told) = mpsc::channel(1);
    let api = Api::start(move |_, mut tcp| {
        let closed = closed.clone();
        async move {
            read_request(&mut tcp).await;
            write(&mut tcp, &ok("x")).await;
            assert_eq!(tcp.read(&mut [0]).await.unwrap(), 0);
            closed.send(()).await.unwrap();
        }
    })
    .await;
    let mut target = api.target(None);
    target.idle_timeout = Duration::from_secs(1);
    let pool = Pool::new(Arc::new(target));
    pool.exchange(REQUEST, soon()).await.unwrap();
    pool.sweep();
    assert_eq!(pool.idle(), 1);
    sleep(Duration::from_millis(1010)).await;
    pool.sweep();
    assert_eq!(pool.idle(), 0);
    assert_eq!(told.recv().await, Some(()));
}

#[tokio::test]
async fn a_connection_that_the_api_closed_is_replaced() {
    let api = Api::start(|number, mut tcp| async move {
        read_request(&mut tcp).await;
        write(&mut tcp, &ok(&number.to_string())).await;
    })
    .await;
    let pool = Pool::new(Arc::new(api.target(None)));
    for number in ["0", "1", "2"] {
        assert_eq!(pool.exchange(REQUEST, soon()).await, Ok(answer(number, false)));
        sleep(A_MOMENT).await;
    }
}

#[tokio::test]
async fn a_stray_answer_never_becomes_the_next_one() {
    for pause in [Duration::ZERO, A_MOMENT / 2] {
        let (written, mut told) = mpsc::channel(1);
        let api = Api::start(move |number, mut tcp| {
            let written = written.clone();
            async move {
                while read_request(&mut tcp).await {
                    let number = number.to_string();
                    if pause.is_zero() {
                        write(&mut tcp, &(ok(&number) + &ok("stray"))).await;
                    } else {
                        write(&mut tcp, &ok(&number)).await;
                        sleep(pause).await;
                        write(&mut tcp, &ok("stray")).await;
                    }
                    written.send(()).await.unwrap();
                }
            }
        })
        .await;
        let pool = Pool::new(Arc::new(api.target(None)));
        for number in ["0", "1", "2"] {
            assert_eq!(pool.exchange(REQUEST, soon()).await, Ok(answer(number, false)), "after {pause:?}");
            told.recv().await.unwrap();
        }
    }
}

/// The API is on a thread of its own, and the runtime does not look at its sockets between the stray answer and the next
/// exchange, since the test's only task waits for that thread without yielding: so it is with a worker that is busy.
#[tokio::test]
async fn a_stray_answer_that_the_runtime_has_not_noticed_never_becomes_the_next_one() {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, order) = std::sync::mpsc::channel();
    let (done, told) = std::sync::mpsc::channel();
    let api = thread::spawn(move || {
        for number in 0..2 {
            let (mut tcp, _) = listener.accept().unwrap();
            tcp.read_exact(&mut [0; REQUEST.len()]).unwrap();
            tcp.write_all(ok(&number.to_string()).as_bytes()).unwrap();
            if order.recv().is_ok() {
                tcp.write_all(ok("stray").as_bytes()).unwrap();
                done.send(tcp).unwrap();
            }
        }
    });
    let mut target = Api::counting().await.target(None);
    target.port = port;
    let pool = Pool::new(Arc::new(target));
    assert_eq!(pool.exchange(REQUEST, soon()).await, Ok(answer("0", false)));
    assert_eq!(pool.idle(), 1);
    tell.send(()).unwrap();
    let _open = told.recv().unwrap();
    assert_eq!(pool.exchange(REQUEST, soon()).await, Ok(answer("1", false)));
    drop(tell);
    api.join().unwrap();
}

#[tokio::test]
async fn a_dropped_exchange_closes_its_connection() {
    let (ends, mut told) = mpsc::channel(2);
    let api = Api::start(move |_, mut tcp| {
        let ends = ends.clone();
        async move {
            assert!(read_request(&mut tcp).await);
            write(&mut tcp, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe").await;
            ends.send("half").await.unwrap();
            // A reset, if the rest of the answer was still unread.
            assert!(matches!(tcp.read(&mut [0]).await, Ok(0) | Err(_)));
            ends.send("closed").await.unwrap();
        }
    })
    .await;
    let pool = Pool::new(Arc::new(api.target(None)));
    tokio::select! {
        result = pool.exchange(REQUEST, soon()) => panic!("half an answer became {result:?}"),
        event = told.recv() => assert_eq!(event, Some("half")),
    }
    assert_eq!(told.recv().await, Some("closed"));
    assert_eq!(pool.idle(), 0);
}

#[test]
fn a_pool_and_its_exchanges_may_move_between_threads() {
    fn is_send_and_sync<T: Send + Sync>() {}
    fn is_send<T: Send>(_: &T) {}
    is_send_and_sync::<Pool>();
    let check = |pool: &Pool| is_send(&pool.exchange(REQUEST, soon()));
    let _ = check;
}

#[tokio::test]
async fn after_a_stray_byte_no_connection_is_used_again_for_a_while() {
    for surplus in [true, false] {
        let api = Api::start(move |number, mut tcp| async move {
            while read_request(&mut tcp).await {
                let stray = if number == 0 { ok("stray") } else { String::new() };
                if surplus {
                    write(&mut tcp, &(ok("x") + &stray)).await;
                } else {
                    write(&mut tcp, &ok("x")).await;
                    sleep(A_MOMENT / 2).await;
                    write(&mut tcp, &stray).await;
                }
            }
        })
        .await;
        let target = Arc::new(api.target(None));
        let (pool, of_another_worker) = (Pool::new(Arc::clone(&target)), Pool::new(target));
        for _ in 0..3 {
            assert_eq!(pool.exchange(REQUEST, soon()).await, Ok(answer("x", false)), "surplus: {surplus}");
            sleep(A_MOMENT).await;
        }
        for _ in 0..2 {
            assert_eq!(of_another_worker.exchange(REQUEST, soon()).await, Ok(answer("x", false)));
        }
        assert_eq!((pool.idle(), of_another_worker.idle()), (0, 0));
        tokio::time::pause();
        tokio::time::advance(DISTRUST).await;
        tokio::time::resume();
        assert_eq!(pool.exchange(REQUEST, soon()).await, Ok(answer("x", false)));
        assert_eq!(pool.exchange(REQUEST, soon()).await, Ok(answer("x", true)), "trusted again");
    }
}

#[tokio::test]
async fn what_follows_a_204_is_a_body_that_it_must_not_have() {
    let api = Api::start(|_, mut tcp| async move {
        while read_request(&mut tcp).await {
            write(&mut tcp, "HTTP/1.1 204 No Content\r\n\r\n{\"action\":\"ShowBlockPage\"}").await;
        }
    })
    .await;
    let pool = Pool::new(Arc::new(api.target(None)));
    let failure = pool.exchange(REQUEST, soon()).await.unwrap_err();
    assert_eq!(failure.detail, Detail::Answer(Defect::BodyWhereNone));
}

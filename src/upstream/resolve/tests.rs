//! How often the resolver is asked, and who hears of it.

use std::{
    future::pending,
    sync::atomic::{AtomicUsize, Ordering},
};

use tokio::{
    runtime,
    time::{advance, sleep, timeout},
};

use super::*;

const MOMENT: Duration = Duration::from_millis(10);

fn address(last: u8) -> Arc<[SocketAddr]> {
    Arc::new([SocketAddr::from(([192, 0, 2, last], 443))])
}

fn failure() -> (Reason, Detail) {
    (Reason::Dns, Detail::Resolver("no such name".to_owned()))
}

/// Counts the lookups; each takes `time` and finds an address with its number, or nothing.
#[derive(Default)]
struct Resolver {
    asked: AtomicUsize,
    time: Duration,
    fails: bool,
}

impl Resolver {
    fn look_up(&self) -> impl Future<Output = Found> + Send + 'static {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let (time, fails) = (self.time, self.fails);
        async move {
            sleep(time).await;
            if fails { Err(failure()) } else { Ok(address(u8::try_from(number).unwrap())) }
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_ask_at_the_same_time_share_one_lookup_and_its_end() {
    for fails in [false, true] {
        let (lookups, resolver) =
            (Lookups::default(), Resolver { time: MOMENT, fails, ..Resolver::default() });
        let ask = || lookups.shared(|| resolver.look_up());
        let (a, b, c) = tokio::join!(ask(), ask(), ask());
        let expected = if fails { Err(failure()) } else { Ok(address(0)) };
        assert_eq!((&a, &b, &c), (&expected, &expected, &expected));
        assert_eq!(resolver.asked(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_hangs_is_looked_up_once_however_many_give_up() {
    let lookups = Lookups::default();
    let resolver = Resolver { time: 10 * MOMENT, ..Resolver::default() };
    for _ in 0..9 {
        let given_up = timeout(MOMENT, lookups.shared(|| resolver.look_up())).await;
        assert!(given_up.is_err());
    }
    // What nobody waited for to its end serves whoever comes next.
    sleep(5 * MOMENT).await;
    assert_eq!(lookups.shared(|| resolver.look_up()).await, Ok(address(0)));
    assert_eq!(resolver.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn addresses_are_kept_for_some_seconds_and_failures_are_not() {
    let (lookups, resolver) = (Lookups::default(), Resolver::default());
    for (pause, number) in [(0, 0), (4_990, 0), (20, 1), (5_000, 2)] {
        advance(Duration::from_millis(pause)).await;
        assert_eq!(lookups.shared(|| resolver.look_up()).await, Ok(address(number)), "after {pause} ms");
    }
    let (lookups, resolver) = (Lookups::default(), Resolver { fails: true, ..Resolver::default() });
    for asked in 1..4 {
        assert_eq!(lookups.shared(|| resolver.look_up()).await, Err(failure()));
        assert_eq!(resolver.asked(), asked);
    }
}

#[tokio::test]
async fn a_lookup_that_ends_without_a_word_is_a_failure_and_hinders_no_other() {
    let (lookups, resolver) = (Lookups::default(), Resolver::default());
    // Its worker ends while others wait.
    let worker = runtime::Builder::new_current_thread().build().unwrap();
    let entered = worker.enter();
    let mut lookup = lookups.current_or(pending);
    drop(entered);
    let waiting = lookups.shared(|| resolver.look_up());
    let (found, ()) = tokio::join!(waiting, async { worker.shutdown_background() });
    assert_eq!(found.unwrap_err().0, Reason::Dns);
    assert!(lookup.changed().await.is_err());
    assert_eq!(resolver.asked(), 0);
    assert_eq!(lookups.shared(|| resolver.look_up()).await, Ok(address(0)));
}

#[tokio::test]
async fn an_address_is_not_looked_up() {
    let lookups = Lookups::default();
    for host in ["192.0.2.7", "2001:db8::7"] {
        let found = lookups.addresses(host, 443).await.unwrap();
        assert_eq!(*found, [SocketAddr::new(host.parse().unwrap(), 443)]);
    }
    assert!(lookups.0.lock().unwrap().is_none());
}

#[tokio::test]
async fn a_name_is_looked_up_with_the_system() {
    let found = Lookups::default().addresses("localhost", 443).await.unwrap();
    assert!(
        !found.is_empty() && found.iter().all(|address| address.ip().is_loopback() && address.port() == 443)
    );
}

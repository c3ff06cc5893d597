//! What each state does, by examples.

use super::{
    Availability::{Available, Neither, Unavailable},
    *,
};
use CircuitState::{Closed, HalfOpen, Open};

const MS: Duration = Duration::from_millis(1);
const SETTINGS: config::Breaker = config::Breaker {
    window: Duration::from_secs(10),
    least_calls: 4,
    failures: 50,
    open_for: Duration::from_secs(5),
    probes: 2,
};

/// A breaker, and a clock that is put forward by hand.
struct Trial {
    breaker: Breaker,
    now: Instant,
}

impl Trial {
    fn of(settings: config::Breaker) -> Self {
        let now = Instant::now();
        Self { breaker: Breaker::new(settings, now), now }
    }

    /// One that has just opened.
    fn opened(settings: config::Breaker) -> Self {
        let trial = Self::of(settings);
        for _ in 1..settings.least_calls {
            assert_eq!(trial.call(Unavailable), None);
        }
        let calls = u64::from(settings.least_calls);
        let opened = Turn::Opened { calls, unavailable: calls, open_for: settings.open_for };
        assert_eq!(trial.call(Unavailable), Some(opened));
        trial
    }

    /// One whose open time has just passed.
    fn due(settings: config::Breaker) -> Self {
        let mut trial = Self::opened(settings);
        trial.now += settings.open_for;
        trial
    }

    fn call(&self, availability: Availability) -> Option<Turn> {
        self.breaker.admit(self.now).unwrap().ended(availability, self.now)
    }

    fn refused(&self) -> Duration {
        self.breaker.admit(self.now).unwrap_err().retry_after
    }
}

#[test]
fn it_opens_at_the_share_of_enough_calls_and_not_before() {
    let rows: [(u32, u32, &[Availability], bool); 9] = [
        (4, 50, &[Unavailable, Unavailable, Unavailable], false),
        (4, 50, &[Unavailable, Unavailable, Available, Available], true),
        (4, 50, &[Available, Available, Unavailable, Unavailable], true),
        (4, 51, &[Available, Available, Unavailable, Unavailable], false),
        (4, 50, &[Unavailable, Unavailable, Unavailable, Neither, Neither], false),
        (4, 100, &[Unavailable, Unavailable, Unavailable, Unavailable], true),
        (4, 100, &[Unavailable, Unavailable, Unavailable, Available, Unavailable], false),
        (1, 1, &[Available, Unavailable], true),
        (1, 100, &[Unavailable], true),
    ];
    for (least_calls, failures, calls, opens) in rows {
        let trial = Trial::of(config::Breaker { least_calls, failures, ..SETTINGS });
        let (last, before) = calls.split_last().unwrap();
        for availability in before {
            assert_eq!(trial.call(*availability), None, "{failures} % of {calls:?}");
        }
        let turn = trial.call(*last);
        assert_eq!(matches!(turn, Some(Turn::Opened { .. })), opens, "{failures} % of {calls:?}: {turn:?}");
        assert_eq!(trial.breaker.state(), if opens { Open } else { Closed });
    }
}

#[test]
fn it_says_what_share_opened_it() {
    let trial = Trial::of(SETTINGS);
    for availability in [Available, Unavailable, Neither, Unavailable] {
        assert_eq!(trial.call(availability), None);
    }
    assert_eq!(
        trial.call(Unavailable),
        Some(Turn::Opened { calls: 4, unavailable: 3, open_for: SETTINGS.open_for })
    );
}

#[test]
fn a_call_counts_as_long_as_the_window_less_up_to_a_step() {
    for (after, opens) in [(8_999 * MS, true), (9_000 * MS, true), (9_999 * MS, true), (10_000 * MS, false)] {
        let mut trial = Trial::of(SETTINGS);
        for _ in 0..3 {
            assert_eq!(trial.call(Unavailable), None);
        }
        trial.now += after;
        assert_eq!(trial.call(Unavailable).is_some(), opens, "{after:?}");
    }
    let mut trial = Trial::of(SETTINGS);
    trial.now += 999 * MS;
    for _ in 0..3 {
        assert_eq!(trial.call(Unavailable), None);
    }
    trial.now += 9_001 * MS;
    assert_eq!(trial.call(Unavailable), None, "they were at the end of a step");
}

#[test]
fn open_it_refuses_and_says_when_the_next_probe_goes() {
    let mut trial = Trial::opened(SETTINGS);
    assert_eq!(trial.refused(), SETTINGS.open_for);
    trial.now += SETTINGS.open_for.saturating_sub(MS);
    assert_eq!(trial.refused(), MS);
    assert_eq!(trial.breaker.state(), Open);
    trial.now += MS;
    let _probe = trial.breaker.admit(trial.now).unwrap();
    assert_eq!(trial.breaker.state(), HalfOpen);
}

#[test]
fn half_open_so_many_probes_at_a_time_go_and_all_of_them_close_it() {
    let mut trial = Trial::due(SETTINGS);
    let [first, second] = [trial.breaker.admit(trial.now).unwrap(), trial.breaker.admit(trial.now).unwrap()];
    assert_eq!(trial.refused(), Duration::ZERO, "both places are taken");
    trial.now += MS;
    assert_eq!(first.ended(Available, trial.now), None);
    let third = trial.breaker.admit(trial.now).unwrap();
    assert_eq!(trial.refused(), Duration::ZERO);
    let after = SETTINGS.open_for + MS;
    assert_eq!(second.ended(Available, trial.now), Some(Turn::Closed { after }));
    assert_eq!(trial.breaker.state(), Closed);
    assert_eq!(third.ended(Unavailable, trial.now), None);
    for _ in 1..SETTINGS.least_calls {
        assert_eq!(trial.call(Unavailable), None, "neither what opened it counts nor the third probe");
    }
    assert!(trial.call(Unavailable).is_some());
}

#[test]
fn one_probe_that_fails_opens_it_anew_and_the_others_change_nothing() {
    let mut trial = Trial::due(SETTINGS);
    let [first, second] = [trial.breaker.admit(trial.now).unwrap(), trial.breaker.admit(trial.now).unwrap()];
    trial.now += MS;
    assert_eq!(first.ended(Unavailable, trial.now), None);
    assert_eq!((trial.breaker.state(), trial.refused()), (Open, SETTINGS.open_for));
    trial.now += MS;
    assert_eq!(second.ended(Unavailable, trial.now), None);
    assert_eq!(trial.refused(), SETTINGS.open_for.saturating_sub(MS), "it does not stay open for longer");
    trial.now += SETTINGS.open_for;
    assert_eq!(trial.call(Available), None);
    let after = 2 * SETTINGS.open_for + 2 * MS;
    assert_eq!(trial.call(Available), Some(Turn::Closed { after }), "since it opened first");
}

#[test]
fn a_probe_that_has_nothing_to_say_leaves_its_place() {
    let trial = Trial::due(config::Breaker { probes: 1, ..SETTINGS });
    for _ in 0..3 {
        drop(trial.breaker.admit(trial.now).unwrap());
        assert_eq!(trial.breaker.admit(trial.now).unwrap().ended(Neither, trial.now), None);
        assert_eq!(trial.breaker.state(), HalfOpen);
    }
    let panicking = || {
        let _probe = trial.breaker.admit(trial.now).unwrap();
        panic!("inside the call");
    };
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panicking)).is_err());
    let probe = trial.breaker.admit(trial.now).unwrap();
    assert!(matches!(probe.ended(Available, trial.now), Some(Turn::Closed { .. })));
}

#[test]
fn a_call_of_an_earlier_state_changes_nothing() {
    let mut trial = Trial::of(SETTINGS);
    let now = trial.now;
    let early: Vec<_> = (0..12).map(|_| trial.breaker.admit(now).unwrap()).collect();
    let mut early = early.into_iter();
    let mut next = |availability, now| early.next().unwrap().ended(availability, now);
    assert_eq!([(); 3].map(|()| next(Unavailable, now)), [None; 3]);
    assert!(next(Unavailable, now).is_some());
    trial.now += MS;
    assert_eq!([next(Unavailable, trial.now), next(Available, trial.now)], [None; 2]);
    assert_eq!(trial.refused(), SETTINGS.open_for.saturating_sub(MS));
    trial.now += SETTINGS.open_for;
    let probe = trial.breaker.admit(trial.now).unwrap();
    assert_eq!([next(Available, trial.now), next(Available, trial.now)], [None; 2]);
    assert_eq!(next(Unavailable, trial.now), None);
    assert_eq!(trial.breaker.state(), HalfOpen);
    assert_eq!(probe.ended(Available, trial.now), None);
    assert!(trial.call(Available).is_some());
    assert_eq!([(); 3].map(|()| next(Unavailable, trial.now)), [None; 3]);
    assert_eq!(trial.call(Unavailable), None, "the window is empty");
    assert_eq!(trial.breaker.state(), Closed);
}

#[test]
fn a_time_before_the_latest_counts_as_that() {
    let mut trial = Trial::opened(SETTINGS);
    let start = trial.now;
    trial.now += 2_000 * MS;
    assert_eq!(trial.refused(), 3_000 * MS);
    trial.now = start;
    assert_eq!(trial.refused(), 3_000 * MS);
    trial.now += SETTINGS.open_for;
    let [first, second] = [trial.breaker.admit(trial.now).unwrap(), trial.breaker.admit(start).unwrap()];
    assert_eq!(first.ended(Available, start), None);
    assert_eq!(second.ended(Available, start), Some(Turn::Closed { after: SETTINGS.open_for }));
    assert_eq!(trial.breaker.admit(start).unwrap().ended(Unavailable, start), None);
}

#[test]
fn any_settings_and_any_time_are_borne() {
    let nanosecond = Duration::from_nanos(1);
    for (window, open_for) in
        [(nanosecond, nanosecond), (Duration::ZERO, Duration::ZERO), (Duration::MAX, Duration::MAX)]
    {
        let mut trial = Trial::opened(config::Breaker { window, open_for, ..SETTINGS });
        for years in [0, 1, 1_000] {
            trial.now += Duration::from_hours(24 * 366 * years);
            if let Ok(pass) = trial.breaker.admit(trial.now) {
                pass.ended(Available, trial.now);
            }
        }
        assert_eq!(trial.breaker.state(), if open_for == Duration::MAX { Open } else { Closed });
    }
}

#[test]
fn a_reload_goes_on_with_the_same_settings_and_begins_anew_with_others() {
    let trial = Trial::opened(SETTINGS);
    let before = Arc::new(trial.breaker);
    let same = Breaker::succeeding(SETTINGS, Some(&before), trial.now);
    assert!(Arc::ptr_eq(&same, &before));
    for settings in [
        config::Breaker { window: 2 * SETTINGS.window, ..SETTINGS },
        config::Breaker { least_calls: 5, ..SETTINGS },
        config::Breaker { failures: 51, ..SETTINGS },
        config::Breaker { open_for: 2 * SETTINGS.open_for, ..SETTINGS },
        config::Breaker { probes: 3, ..SETTINGS },
    ] {
        assert_eq!(Breaker::succeeding(settings, Some(&before), trial.now).state(), Closed);
    }
    assert_eq!(Breaker::succeeding(SETTINGS, None, trial.now).state(), Closed);
}

#[test]
fn who_watches_is_told_the_state_and_then_each_change_until_told_no_more() {
    let mut trial = Trial::opened(SETTINGS);
    let seen = Arc::<Mutex<Vec<CircuitState>>>::default();
    let watcher = {
        let seen = Arc::clone(&seen);
        move |state| seen.lock().unwrap().push(state)
    };
    trial.breaker.watch(Some(Box::new(watcher)));
    assert_eq!(*seen.lock().unwrap(), [Open]);
    trial.refused();
    trial.now += SETTINGS.open_for;
    trial.call(Unavailable);
    trial.now += SETTINGS.open_for;
    trial.call(Neither);
    trial.call(Available);
    assert_eq!(*seen.lock().unwrap(), [Open, HalfOpen, Open, HalfOpen]);
    trial.call(Available);
    assert_eq!(*seen.lock().unwrap(), [Open, HalfOpen, Open, HalfOpen, Closed]);
    trial.breaker.watch(None);
    for _ in 0..SETTINGS.least_calls {
        trial.call(Unavailable);
    }
    assert_eq!((trial.breaker.state(), seen.lock().unwrap().len()), (Open, 5));
}

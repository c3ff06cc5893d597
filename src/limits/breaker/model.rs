//! The breaker beside a naive one that keeps a list of everything and counts anew each time.

use std::cell::Cell;

use proptest::{
    prelude::*,
    test_runner::{TestError, TestRunner},
};

use super::{circuit::STEPS, *};

/// What happens at a breaker. Places and shares say which of the open passes is meant.
#[derive(Clone, Debug)]
enum Command {
    Admit,
    End(prop::sample::Index, Availability),
    Drop(prop::sample::Index),
    Advance(Duration),
    /// The next call comes with a time that is so much too early.
    Late(Duration),
}

/// The naive one.
struct Model {
    settings: config::Breaker,
    latest: Instant,
    phase: Phase,
    /// The passes whose word counts: those let through since the last change.
    counting: Vec<usize>,
}

enum Phase {
    Closed { since: Instant, ended: Vec<(Instant, bool)> },
    Open { since: Instant, down_since: Instant },
    HalfOpen { available: u32, down_since: Instant },
}

impl Model {
    fn new(settings: config::Breaker, now: Instant) -> Self {
        let phase = Phase::Closed { since: now, ended: Vec::new() };
        Self { settings, latest: now, phase, counting: Vec::new() }
    }

    fn state(&self) -> CircuitState {
        match self.phase {
            Phase::Closed { .. } => CircuitState::Closed,
            Phase::Open { .. } => CircuitState::Open,
            Phase::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.counting.clear();
    }

    fn admit(&mut self, pass: usize, now: Instant) -> Result<(), Limited> {
        self.latest = self.latest.max(now);
        if let Phase::Open { since, down_since } = self.phase {
            let due = since + self.settings.open_for;
            if self.latest < due {
                return Err(Limited { retry_after: due - self.latest });
            }
            self.enter(Phase::HalfOpen { available: 0, down_since });
        }
        let full = self.counting.len() == self.settings.probes as usize;
        if full && matches!(self.phase, Phase::HalfOpen { .. }) {
            return Err(Limited { retry_after: Duration::ZERO });
        }
        self.counting.push(pass);
        Ok(())
    }

    fn end(&mut self, pass: usize, availability: Availability, now: Instant) -> Option<Turn> {
        if availability != Availability::Neither {
            self.latest = self.latest.max(now);
        }
        let place = self.counting.iter().position(|counting| *counting == pass)?;
        self.counting.remove(place);
        let unavailable = match availability {
            Availability::Neither => return None,
            Availability::Available => false,
            Availability::Unavailable => true,
        };
        let (now, settings) = (self.latest, self.settings);
        match &mut self.phase {
            Phase::Open { .. } => panic!("nothing is let through"),
            Phase::Closed { since, ended } => {
                ended.push((now, unavailable));
                let step = |time: Instant| (time - *since).as_nanos() / (settings.window / STEPS).as_nanos();
                let lately = ended.iter().filter(|(time, _)| step(now) - step(*time) < u128::from(STEPS));
                let count = |ended: usize| u32::try_from(ended).unwrap();
                let calls = count(lately.clone().count());
                let unavailable = count(lately.filter(|(_, unavailable)| *unavailable).count());
                let share = 100.0 * f64::from(unavailable) / f64::from(calls);
                let opens = calls >= settings.least_calls && share >= f64::from(settings.failures);
                opens.then(|| {
                    self.enter(Phase::Open { since: now, down_since: now });
                    Turn::Opened {
                        calls: calls.into(),
                        unavailable: unavailable.into(),
                        open_for: settings.open_for,
                    }
                })
            }
            &mut Phase::HalfOpen { down_since, .. } if unavailable => {
                self.enter(Phase::Open { since: now, down_since });
                None
            }
            Phase::HalfOpen { available, down_since } => {
                *available += 1;
                let (closes, after) = (*available == settings.probes, now - *down_since);
                closes.then(|| {
                    self.enter(Phase::Closed { since: now, ended: Vec::new() });
                    Turn::Closed { after }
                })
            }
        }
    }
}

/// How often each change was seen, so that the comparison cannot become one of nothing.
#[derive(Default)]
struct Seen {
    opened: Cell<u32>,
    reopened: Cell<u32>,
    closed: Cell<u32>,
    full: Cell<u32>,
    stale: Cell<u32>,
}

fn one_more(count: &Cell<u32>) {
    count.set(count.get() + 1);
}

fn compare(settings: config::Breaker, commands: &[Command], seen: &Seen) -> Result<(), TestCaseError> {
    let start = Instant::now();
    let (breaker, mut model) = (Breaker::new(settings, start), Model::new(settings, start));
    let heard = Arc::new(Mutex::new(Vec::new()));
    let watcher = Arc::clone(&heard);
    breaker.watch(Some(Box::new(move |state| watcher.lock().unwrap().push(state))));
    let mut states = vec![model.state()];
    let (mut time, mut late) = (Duration::ZERO, Duration::ZERO);
    let mut passes: Vec<(usize, Pass<'_>)> = Vec::new();
    for (number, command) in commands.iter().enumerate() {
        let now = start + time.saturating_sub(std::mem::take(&mut late));
        match command {
            Command::Advance(by) => time += *by,
            Command::Late(by) => late = *by,
            Command::Admit => {
                let admitted = breaker.admit(now);
                let expected = model.admit(number, now);
                prop_assert_eq!(admitted.as_ref().map(|_| ()), expected.as_ref().copied(), "{}", number);
                if matches!(expected, Err(Limited { retry_after: Duration::ZERO })) {
                    one_more(&seen.full);
                }
                passes.extend(admitted.ok().map(|pass| (number, pass)));
            }
            Command::End(_, _) | Command::Drop(_) if passes.is_empty() => {}
            Command::End(which, availability) => {
                let (pass, guard) = passes.swap_remove(which.index(passes.len()));
                if !model.counting.contains(&pass) {
                    one_more(&seen.stale);
                }
                let expected = model.end(pass, *availability, now);
                prop_assert_eq!(guard.ended(*availability, now), expected, "{}", number);
                match expected {
                    Some(Turn::Opened { .. }) => one_more(&seen.opened),
                    Some(Turn::Closed { .. }) => one_more(&seen.closed),
                    None => {}
                }
            }
            Command::Drop(which) => {
                let (pass, guard) = passes.swap_remove(which.index(passes.len()));
                drop(guard);
                model.end(pass, Availability::Neither, now);
            }
        }
        prop_assert_eq!(breaker.state(), model.state(), "{}", number);
        if let Some(last) = states.last().copied().filter(|last| *last != model.state()) {
            if (last, model.state()) == (CircuitState::HalfOpen, CircuitState::Open) {
                one_more(&seen.reopened);
            }
            states.push(model.state());
        }
    }
    prop_assert_eq!(&*heard.lock().unwrap(), &states);
    // Whatever happened: when the calls have ended and the time has passed, somebody is let through.
    drop(passes);
    let due = start + time + settings.open_for;
    prop_assert!(breaker.admit(due).is_ok());
    Ok(())
}

/// Small numbers, so that every change comes about often; times at the edges and beside them.
fn settings() -> impl Strategy<Value = config::Breaker> {
    let failures = prop_oneof![Just(1), Just(34), Just(50), Just(100), 1..=100_u32];
    (10..2_000_u64, 1..6_u32, failures, 1..1_500_u64, 1..4_u32).prop_map(
        |(window, least_calls, failures, open_for, probes)| config::Breaker {
            window: Duration::from_millis(window),
            least_calls,
            failures,
            open_for: Duration::from_millis(open_for),
            probes,
        },
    )
}

fn commands(settings: config::Breaker) -> impl Strategy<Value = Vec<Command>> {
    let config::Breaker { window, open_for, .. } = settings;
    let edges = [Duration::ZERO, window / STEPS, window / 2, window, open_for, open_for / 2];
    let beside = [-1, 0, 1_i64];
    let time = (prop::sample::select(edges.to_vec()), prop::sample::select(beside.to_vec())).prop_map(
        |(edge, beside)| {
            let nanosecond = Duration::from_nanos(1);
            match beside {
                -1 => edge.saturating_sub(nanosecond),
                0 => edge,
                _ => edge + nanosecond,
            }
        },
    );
    let availability = prop_oneof![
        4 => Just(Availability::Unavailable),
        3 => Just(Availability::Available),
        1 => Just(Availability::Neither),
    ];
    let command = prop_oneof![
        8 => Just(Command::Admit),
        7 => (any::<prop::sample::Index>(), availability).prop_map(|(which, how)| Command::End(which, how)),
        1 => any::<prop::sample::Index>().prop_map(Command::Drop),
        3 => time.clone().prop_map(Command::Advance),
        1 => time.prop_map(Command::Late),
    ];
    prop::collection::vec(command, 1..200)
}

#[test]
fn it_does_at_each_step_what_the_naive_one_does() {
    let both = settings().prop_flat_map(|settings| (Just(settings), commands(settings)));
    let seen = Seen::default();
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() });
    let result = runner.run(&both, |(settings, commands)| compare(settings, &commands, &seen));
    match result {
        Ok(()) => {}
        Err(TestError::Fail(why, (settings, commands))) => panic!("{why}\n{settings:?}\n{commands:#?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
    let cases = runner.config().cases;
    for (what, count) in [
        ("opened", &seen.opened),
        ("opened anew", &seen.reopened),
        ("closed", &seen.closed),
        ("was full", &seen.full),
        ("heard of a call of an earlier state", &seen.stale),
    ] {
        assert!(count.get() > cases / 4, "it {what} {} times in {cases} cases", count.get());
    }
}

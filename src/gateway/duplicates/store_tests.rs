//! The store beside a model that keeps a plain list, step by step.

use std::sync::LazyLock;

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

const WINDOW: Duration = Duration::from_secs(10);
const ROOMY: Bounds = Bounds { entries: 100, bytes: 100 * OVERHEAD };

/// Decisions are numbers here, and so are those who wait.
type Numbers = Store<u32, u32>;

static KEYS: LazyLock<Vec<IdempotencyKey>> =
    LazyLock::new(|| (0..=u8::MAX).map(|_| IdempotencyKey::fresh()).collect());

fn key(number: u8) -> IdempotencyKey {
    KEYS[usize::from(number)]
}

fn tag(number: u8) -> Tag {
    [number; 16].into()
}

const FAILED: End<u32> = End::Failed { refused: false };

/// It leads as the one before, of which no answer came.
fn again(number: u8) -> Sight<'static, u32, u32> {
    Sight::First { key: key(number), before: Some(Before::default()), gone: None }
}

fn first(number: u8) -> Sight<'static, u32, u32> {
    Sight::First { key: key(number), before: None, gone: None }
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_decision_is_given_again_until_its_window_has_passed() {
    let mut store = Numbers::new(ROOMY);
    assert_eq!(store.sight(tag(1), seconds(0), key(1)), first(1));
    assert_eq!(
        store.sight(tag(1), seconds(50), key(2)),
        Sight::InFlight { joined: &mut None, refused: false },
        "however long it takes"
    );
    assert_eq!(store.sight(tag(2), seconds(50), key(2)), first(2), "another one is another one");
    assert_eq!(store.end(&tag(1), seconds(60), WINDOW, End::Decided(7, 3)), None);
    assert_eq!(store.size(), (2, 2 * OVERHEAD + 3));
    for now in [seconds(60), Duration::new(69, 999_999_999)] {
        assert_eq!(store.expire(now), None);
        assert_eq!(store.sight(tag(1), now, key(3)), Sight::Decided(7));
    }
    let gone = Some(Gone(Some(7)));
    let again = Sight::First { key: key(4), before: None, gone };
    assert_eq!(
        store.sight(tag(1), seconds(70), key(4)),
        again,
        "with another key: it is not the same any more"
    );
    assert_eq!(store.size(), (2, 2 * OVERHEAD));
}

#[test]
fn after_a_failure_the_next_one_leads_with_the_same_key_within_the_window() {
    let mut store = Numbers::new(ROOMY);
    assert_eq!(store.sight(tag(1), seconds(0), key(1)), first(1));
    store.end(&tag(1), seconds(5), WINDOW, FAILED);
    assert_eq!(store.sight(tag(1), seconds(14), key(2)), again(1));
    assert_eq!(store.expire(seconds(15)), None, "the window of the first failure ended with the second call");
    store.end(&tag(1), seconds(16), WINDOW, FAILED);
    assert_eq!(store.sight(tag(1), seconds(25), key(3)), again(1));
    store.end(&tag(1), seconds(25), WINDOW, End::Unsent);
    assert_eq!(store.sight(tag(1), seconds(34), key(4)), again(1), "the API may have seen the ones before");

    assert_eq!(store.sight(tag(2), seconds(34), key(5)), first(5));
    store.end(&tag(2), seconds(34), WINDOW, End::Unsent);
    assert_eq!(store.size(), (1, OVERHEAD), "what the API cannot have seen needs no memory");
    assert_eq!(store.sight(tag(2), seconds(35), key(6)), first(6));
}

#[test]
fn that_a_user_was_refused_is_not_forgotten_over_failures_of_another_kind() {
    let mut store = Numbers::new(ROOMY);
    store.sight(tag(1), seconds(0), key(1));
    store.end(&tag(1), seconds(0), WINDOW, End::Failed { refused: true });
    let refused = || {
        let before = Some(Before { crowded_out: false, refused: true });
        Sight::First { key: key(1), before, gone: None }
    };
    assert_eq!(store.sight(tag(1), seconds(1), key(2)), refused());
    store.end(&tag(1), seconds(1), WINDOW, FAILED);
    assert_eq!(store.sight(tag(1), seconds(2), key(3)), refused());
    store.end(&tag(1), seconds(2), WINDOW, End::Unsent);
    assert_eq!(store.sight(tag(1), seconds(3), key(4)), refused());
    store.end(&tag(1), seconds(3), WINDOW, End::Decided(7, 1));
    assert_eq!(store.sight(tag(1), seconds(4), key(5)), Sight::Decided(7), "the API decided");
}

#[test]
fn those_who_wait_are_told_once() {
    let mut store = Numbers::new(ROOMY);
    store.sight(tag(1), seconds(0), key(1));
    let Sight::InFlight { joined, .. } = store.sight(tag(1), seconds(0), key(2)) else {
        panic!("it is in flight")
    };
    *joined = Some(42);
    assert_eq!(
        store.sight(tag(1), seconds(0), key(3)),
        Sight::InFlight { joined: &mut Some(42), refused: false }
    );
    assert_eq!(store.end(&tag(1), seconds(1), WINDOW, End::Decided(7, 1)), Some(42));
    assert_eq!(store.end(&tag(1), seconds(1), WINDOW, FAILED), None, "it has ended already");
    assert_eq!(store.sight(tag(1), seconds(1), key(4)), Sight::Decided(7));
}

#[test]
fn when_it_is_full_nothing_is_noted_and_nothing_is_lost() {
    let mut store = Numbers::new(Bounds { entries: 2, bytes: 2 * OVERHEAD + 10 });
    store.sight(tag(1), seconds(0), key(1));
    store.end(&tag(1), seconds(0), WINDOW, End::Decided(7, 8));
    store.sight(tag(2), seconds(1), key(2));
    assert_eq!(store.sight(tag(3), seconds(1), key(3)), Sight::Full);
    assert_eq!(store.sight(tag(1), seconds(1), key(4)), Sight::Decided(7));

    store.end(&tag(2), seconds(1), WINDOW, End::Decided(8, 3));
    let before = Some(Before { crowded_out: true, refused: false });
    let crowded_out = Sight::First { key: key(2), before, gone: None };
    assert_eq!(store.sight(tag(2), seconds(2), key(5)), crowded_out, "it has room for ten, not for eleven");
    store.end(&tag(2), seconds(2), WINDOW, End::Decided(8, 2));
    assert_eq!(store.sight(tag(2), seconds(2), key(5)), Sight::Decided(8));

    assert_eq!(store.sight(tag(3), seconds(10), key(3)), Sight::Full, "whose time is over may not have left");
    assert_eq!(store.expire(seconds(10)), Some(Gone(Some(7))));
    assert_eq!(store.expire(seconds(10)), None);
    assert_eq!(store.sight(tag(3), seconds(10), key(3)), first(3));
}

#[test]
fn bytes_can_be_what_it_is_full_of() {
    let mut store = Numbers::new(Bounds { entries: 100, bytes: 2 * OVERHEAD });
    store.sight(tag(1), seconds(0), key(1));
    store.end(&tag(1), seconds(0), WINDOW, End::Decided(7, 1));
    assert_eq!(store.sight(tag(2), seconds(0), key(2)), Sight::Full);
    assert_eq!(store.sight(tag(1), seconds(0), key(2)), Sight::Decided(7));
}

/// What it is full of first: hooks, or bytes.
const TIGHT: [Bounds; 2] =
    [Bounds { entries: 4, bytes: 100 * OVERHEAD }, Bounds { entries: 100, bytes: 4 * OVERHEAD + 10 }];

/// The same as a list, looked through from its beginning.
struct Model {
    bounds: Bounds,
    noted: Vec<Noted>,
    ended: u32,
}

struct Noted {
    hash: u8,
    key: IdempotencyKey,
    joined: Option<u32>,
    /// What the calls that the API may have seen came to.
    before: Option<Before>,
    /// Of its latest call, which is in flight as long as there is none.
    end: Option<Remembered>,
}

struct Remembered {
    decision: Option<(u32, usize)>,
    until: Duration,
    order: u32,
}

/// What a sight is, without what the store lends.
#[derive(Debug, PartialEq)]
enum Seen {
    First(IdempotencyKey, Option<Before>),
    InFlight(Option<u32>, bool),
    Decided(u32),
    Full,
}

impl Model {
    fn bytes(&self) -> usize {
        let bytes = |noted: &Noted| noted.end.as_ref()?.decision.map(|(_, bytes)| bytes);
        self.noted.iter().map(|noted| OVERHEAD + bytes(noted).unwrap_or(0)).sum()
    }

    fn sight(&mut self, hash: u8, now: Duration, fresh: IdempotencyKey) -> Seen {
        self.noted.retain(|noted| noted.hash != hash || noted.end.as_ref().is_none_or(|end| now < end.until));
        let full = self.noted.len() == self.bounds.entries || self.bytes() + OVERHEAD > self.bounds.bytes;
        let Some(noted) = self.noted.iter_mut().find(|noted| noted.hash == hash) else {
            if full {
                return Seen::Full;
            }
            self.noted.push(Noted { hash, key: fresh, joined: None, before: None, end: None });
            return Seen::First(fresh, None);
        };
        match noted.end.take() {
            None => Seen::InFlight(noted.joined, noted.before.is_some_and(|before| before.refused)),
            Some(Remembered { decision: None, .. }) => Seen::First(noted.key, noted.before),
            Some(end @ Remembered { decision: Some((decision, _)), .. }) => {
                noted.end = Some(end);
                Seen::Decided(decision)
            }
        }
    }

    fn join(&mut self, hash: u8) {
        let noted = self.noted.iter_mut().find(|noted| noted.hash == hash).unwrap();
        noted.joined = Some(noted.joined.unwrap_or(0) + 1);
    }

    fn end(&mut self, hash: u8, until: Duration, end: &End<u32>) -> Option<u32> {
        let room = self.bounds.bytes - self.bytes();
        let place = self.noted.iter().position(|noted| noted.hash == hash && noted.end.is_none())?;
        if matches!(end, End::Unsent) && self.noted[place].before.is_none() {
            return self.noted.remove(place).joined;
        }
        let decision = match end {
            End::Decided(decision, bytes) => Some((*decision, *bytes)),
            End::Failed { .. } | End::Unsent => None,
        };
        let kept = decision.filter(|(_, bytes)| *bytes <= room);
        let crowded_out = decision.is_some() && kept.is_none();
        self.ended += 1;
        let noted = &mut self.noted[place];
        let was_refused = noted.before.is_some_and(|before| before.refused);
        let refused = was_refused || matches!(end, End::Failed { refused: true });
        noted.before = Some(Before { crowded_out, refused });
        noted.end = Some(Remembered { decision: kept, until, order: self.ended });
        noted.joined.take()
    }

    fn expire(&mut self, now: Duration) -> Option<Gone<u32>> {
        let over = self.noted.iter().enumerate().filter_map(|(place, noted)| {
            let end = noted.end.as_ref().filter(|end| end.until <= now)?;
            Some((end.until, end.order, place))
        });
        let (.., place) = over.min()?;
        Some(Gone(self.noted.remove(place).end?.decision.map(|(decision, _)| decision)))
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A hook comes, and waits if one like it is in flight.
    Comes(u8),
    Decided(u8, usize, u64),
    Failed(u8, u64, bool),
    Unsent(u8),
    Passes(u64),
    Leaves,
}

fn step() -> impl Strategy<Value = Step> {
    let hash = || 0..6_u8;
    prop_oneof![
        6 => hash().prop_map(Step::Comes),
        4 => (hash(), 0..7_usize, 0..5_u64).prop_map(|(hash, bytes, window)| Step::Decided(hash, bytes, window)),
        2 => (hash(), 0..5_u64, any::<bool>()).prop_map(|(hash, window, refused)| Step::Failed(hash, window, refused)),
        1 => hash().prop_map(Step::Unsent),
        3 => (0..3_u64).prop_map(Step::Passes),
        2 => Just(Step::Leaves),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_a_list_does(bounds in select(&TIGHT), steps in vec(step(), 1..80)) {
        let (mut store, mut model) = (Numbers::new(bounds), Model { bounds, noted: Vec::new(), ended: 0 });
        let mut now = Duration::ZERO;
        for (number, step) in (0..).zip(steps) {
            let fresh = key(number);
            let mut ends = |hash: u8, window: u64, end: fn(u32, usize) -> End<u32>, bytes: usize| {
                let (window, decision) = (seconds(window), u32::from(number));
                let told = store.end(&tag(hash), now, window, end(decision, bytes));
                prop_assert_eq!(told, model.end(hash, now + window, &end(decision, bytes)));
                Ok(())
            };
            match step {
                Step::Decided(hash, bytes, window) => ends(hash, window, End::Decided, bytes)?,
                Step::Failed(hash, window, false) => ends(hash, window, |_, _| FAILED, 0)?,
                Step::Failed(hash, window, true) => {
                    ends(hash, window, |_, _| End::Failed { refused: true }, 0)?;
                }
                Step::Unsent(hash) => ends(hash, 0, |_, _| End::Unsent, 0)?,
                Step::Passes(time) => now += seconds(time),
                Step::Leaves => prop_assert_eq!(store.expire(now), model.expire(now)),
                Step::Comes(hash) => {
                    let seen = match store.sight(tag(hash), now, fresh) {
                        Sight::First { key, before, .. } => Seen::First(key, before),
                        Sight::Decided(decision) => Seen::Decided(decision),
                        Sight::Full => Seen::Full,
                        Sight::InFlight { joined, refused } => {
                            let before = *joined;
                            *joined = Some(before.unwrap_or(0) + 1);
                            Seen::InFlight(before, refused)
                        }
                    };
                    prop_assert_eq!(&seen, &model.sight(hash, now, fresh));
                    if let Seen::InFlight(..) = seen {
                        model.join(hash);
                    }
                }
            }
            prop_assert_eq!(store.size(), (model.noted.len(), model.bytes()));
            prop_assert!(store.entries.len() <= bounds.entries && store.bytes <= bounds.bytes);
        }
    }
}

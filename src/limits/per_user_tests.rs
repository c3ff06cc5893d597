use std::{num::NonZeroU32, time::Duration};

use governor::clock::FakeRelativeClock;
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{config::Per, telemetry::Metrics};

fn limit(count: u32, per: Per, burst: u32) -> RateLimit {
    RateLimit { count: NonZeroU32::new(count).unwrap(), per, burst: NonZeroU32::new(burst).unwrap() }
}

/// A room of one part for so many users, the time, and who found no room.
fn room_for(most: usize, limit: RateLimit) -> (PerUser<FakeRelativeClock>, FakeRelativeClock, Counter) {
    let (clock, unlimited) = (FakeRelativeClock::default(), Metrics::new().log_lines_dropped());
    (PerUser::with(limit, Room::new(1, most, unlimited.clone()), clock.clone()), clock, unlimited)
}

fn email(address: &str) -> User<'_> {
    User::Email(address.into())
}

fn identity(issuer: &'static str, id: &'static str) -> User<'static> {
    User::Identity { issuer: issuer.into(), issuer_assigned_id: id.into() }
}

#[test]
fn users_are_told_apart_by_all_that_names_them() {
    let users = [
        (identity("facebook.com", "1"), "entra"),
        (identity("facebook.com", "2"), "entra"),
        (identity("google.com", "1"), "entra"),
        (identity("facebook.com1", ""), "entra"),
        (email("facebook.com1"), "entra"),
        (email("jane@fabrikam.com"), "entra"),
        (email("jane@fabrikam.com"), "okta"),
        (email("jane@fabrikam.comokta"), ""),
    ];
    let (limiter, ..) = room_for(100, limit(1, Per::Minute, 1));
    for (user, caller) in &users {
        assert_eq!(limiter.take(user, caller), Ok(()), "{user:?} is a user of their own");
    }
    for (user, caller) in &users {
        assert!(limiter.take(user, caller).is_err(), "{user:?}");
    }
    // An identity is the same user whoever sends it.
    assert!(limiter.take(&users[0].0, "okta").is_err());
}

#[test]
fn a_user_is_told_when_the_next_hook_would_pass() {
    let (limiter, clock, _) = room_for(1, limit(2, Per::Minute, 1));
    assert_eq!(limiter.take(&email("a"), ""), Ok(()));
    clock.advance(Duration::from_secs(10));
    assert_eq!(limiter.take(&email("a"), ""), Err(Limited { retry_after: Duration::from_secs(20) }));
    clock.advance(Duration::from_secs(20));
    assert_eq!(limiter.take(&email("a"), ""), Ok(()));
}

#[test]
fn whoever_finds_no_room_passes_and_is_counted_until_somebody_is_forgotten() {
    let (limiter, clock, unlimited) = room_for(2, limit(60, Per::Minute, 1));
    for known in ["a", "b"] {
        assert_eq!(limiter.take(&email(known), ""), Ok(()));
    }
    for round in 1..=3 {
        assert_eq!(limiter.take(&email("c"), ""), Ok(()), "a stranger is not refused");
        assert!(limiter.take(&email("a"), "").is_err(), "those who are known are limited as ever");
        assert_eq!((unlimited.get(), limiter.upkeep()), (round, 0), "nobody is forgotten too early");
    }
    clock.advance(Duration::from_secs(2));
    assert_eq!(limiter.upkeep(), 2);
    assert!(limiter.limiter.is_empty());
    assert_eq!(limiter.take(&email("c"), ""), Ok(()));
    assert!(limiter.take(&email("c"), "").is_err());
    assert_eq!(unlimited.get(), 3);
}

#[test]
fn the_room_takes_no_more_users_than_it_says_and_gives_back_what_it_does_not_need() {
    let unlimited = Metrics::new().log_lines_dropped();
    let room = Room::new(PARTS, MOST_IN_PART, unlimited.clone());
    let hash = KeyedHash::new();
    let users = PerUser::MOST_USERS + PerUser::MOST_USERS / 10;
    for user in 0..users {
        let key = hash.of(&[&user.to_le_bytes()]);
        let passed: Result<_, Limited> = room.measure_and_replace(&key, |state| {
            assert_eq!(state, None);
            Ok(((), Nanos::new(7)))
        });
        assert_eq!(passed, Ok(()));
    }
    let known = room.len();
    assert!((PerUser::MOST_USERS * 97 / 100..=PerUser::MOST_USERS).contains(&known), "{known}");
    assert_eq!(unlimited.get(), (users - known) as u64);
    let places = || room.each_part().map(|part| part.capacity()).max().unwrap();
    room.retain_recent(Nanos::new(6));
    room.shrink_to_fit();
    assert_eq!((room.len(), places()), (known, MOST_IN_PART), "no part has grown beyond its table");
    room.retain_recent(Nanos::new(7));
    room.shrink_to_fit();
    assert_eq!((room.is_empty(), places()), (true, 0));
}

#[test]
fn a_reload_forgets_nobody_unless_the_limit_is_another() {
    let unlimited = || Metrics::new().log_lines_dropped();
    let before = Arc::new(PerUser::new(limit(1, Per::Minute, 1), unlimited()));
    before.take(&email("a"), "").unwrap();
    let same = PerUser::succeeding(limit(1, Per::Minute, 1), unlimited(), Some(&before));
    assert!(same.take(&email("a"), "").is_err());
    let other = PerUser::succeeding(limit(2, Per::Minute, 1), unlimited(), Some(&before));
    assert_eq!(other.take(&email("a"), ""), Ok(()));
}

/// A bucket of tokens, in the plainest way: what it holds, in nanoseconds of its rate.
struct Bucket {
    level: u128,
    at: u128,
}

impl Bucket {
    fn take(&mut self, now: u128, each: u128, burst: u128) -> Result<(), Limited> {
        self.level = (self.level + now - self.at).min(burst * each);
        self.at = now;
        let missing = u64::try_from(each.saturating_sub(self.level)).unwrap();
        if missing > 0 {
            return Err(Limited { retry_after: Duration::from_nanos(missing) });
        }
        self.level -= each;
        Ok(())
    }
}

#[derive(Clone, Debug)]
enum Act {
    Take(u8),
    Wait(u64),
    Upkeep,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (0..5_u8).prop_map(Act::Take),
        // In hundredths of the time that one token takes, so that edges are met.
        2 => prop_oneof![Just(100_u64), Just(99), Just(1), 0..500_u64].prop_map(Act::Wait),
        1 => Just(Act::Upkeep),
    ];
    vec(act, 0..80)
}

proptest! {
    #[test]
    fn each_user_has_a_bucket_of_their_own(
        (count, per, burst) in (1..100_u32, prop_oneof![Just(Per::Second), Just(Per::Minute)], 1..6_u32),
        acts in acts(),
    ) {
        let (limiter, clock, unlimited) = room_for(5, limit(count, per, burst));
        let period = match per {
            Per::Second => 1_000_000_000_u64,
            Per::Minute => 60_000_000_000,
        };
        let each = u128::from(period / u64::from(count));
        let full = u128::from(burst) * each;
        let mut buckets: HashMap<u8, Bucket> = HashMap::new();
        let mut now = 0_u128;
        for act in acts {
            match act {
                Act::Take(user) => {
                    let bucket = buckets.entry(user).or_insert(Bucket { level: full, at: now });
                    let expected = bucket.take(now, each, u128::from(burst));
                    prop_assert_eq!(limiter.take(&email(&user.to_string()), ""), expected);
                }
                Act::Wait(hundredths) => {
                    let time = u64::try_from(each).unwrap() / 100 * hundredths;
                    clock.advance(Duration::from_nanos(time));
                    now += u128::from(time);
                }
                Act::Upkeep => {
                    limiter.upkeep();
                    // Those who wait are remembered; those who do not for two tokens' time are not.
                    let known = limiter.limiter.len();
                    let level = |bucket: &Bucket| bucket.level + now - bucket.at;
                    let least = buckets.values().filter(|bucket| level(bucket) < full).count();
                    let most = buckets.values().filter(|bucket| level(bucket) < full + 2 * each).count();
                    prop_assert!((least..=most).contains(&known), "{} of {} to {}", known, least, most);
                }
            }
        }
        prop_assert_eq!(unlimited.get(), 0);
    }
}

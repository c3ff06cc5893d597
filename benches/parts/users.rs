//! The limit for each user: who the hook is about, and whether they have one left.
//!
//! - `claimgate`: the first identity of the members that were read anyway, hashed under the process's key, looked up in
//!   a room with a cap.
//! - `text`: the same with issuer and id as the key of a keyed limiter as it comes, which remembers who the users were
//!   and has no cap.

use std::{hint::black_box, num::NonZeroU32};

use claimgate::{
    config::{Per, RateLimit},
    flow::claims::{User, object, user},
    limits::PerUser,
    telemetry::Metrics,
};
use governor::{Quota, RateLimiter};

use crate::Criterion;

/// What comes before and behind the identity in an ordinary sign-up costs the same either way.
const SIGN_UP: &str = r#"{"email":"jane.doe@fabrikam.com","displayName":"Jane Doe","givenName":"Jane","surname":"Doe",
    "identities":[{"signInType":"federated","issuer":"facebook.com","issuerAssignedId":"10158320719384756"}],
    "streetAddress":"4567 Main Street, Building 12","city":"Redmond","state":"Washington","postalCode":"98052",
    "country":"United States","client_id":"93fd07aa-333c-409d-955d-96008fd08dd9","ui_locales":"en-US"}"#;

/// Never spent in a measurement.
const RATE: NonZeroU32 = NonZeroU32::MAX;
const CALLER: &str = "entra";

pub(crate) fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("users");
    let members = object::read(SIGN_UP).expect("it is a message");
    assert!(matches!(user(&members), Some(User::Identity { .. })));
    group.bench_function("claimgate/who", |bencher| bencher.iter(|| user(black_box(&members)).is_some()));
    for count in [1, 1_000, 100_000] {
        let ids: Vec<_> = (0..count).map(|number| format!("101583207193{number:05}")).collect();
        let metrics = Metrics::new();
        let limit = RateLimit { count: RATE, per: Per::Second, burst: RATE };
        let limiter = PerUser::new(limit, metrics.users_unlimited());
        let plain = RateLimiter::hashmap(Quota::per_second(RATE));
        for id in &ids {
            assert!(limiter.take(&identity(id), CALLER).is_ok() && plain.check_key(&text(id)).is_ok());
        }
        assert_eq!(metrics.users_unlimited().get(), 0, "there is room for all of them");
        let mut next = ids.iter().cycle();
        let mut each = || next.next().expect("a cycle has no end");
        group.bench_function(format!("claimgate/take, of {count}"), |bencher| {
            bencher.iter(|| limiter.take(&identity(each()), CALLER));
        });
        group.bench_function(format!("text/take, of {count}"), |bencher| {
            bencher.iter(|| plain.check_key(&text(each())));
        });
    }
    let limiter = PerUser::new(
        RateLimit { count: NonZeroU32::MIN, per: Per::Minute, burst: NonZeroU32::MIN },
        Metrics::new().users_unlimited(),
    );
    for number in 0..100_000 {
        assert!(limiter.take(&identity(&number.to_string()), CALLER).is_ok());
    }
    group.bench_function("claimgate/upkeep, of 100000", |bencher| bencher.iter(|| limiter.upkeep()));
    group.finish();
}

fn identity(id: &str) -> User<'_> {
    User::Identity { issuer: "facebook.com".into(), issuer_assigned_id: id.into() }
}

fn text(id: &str) -> (String, String) {
    ("facebook.com".to_owned(), id.to_owned())
}

//! The normalizer: from an API's answer to what the identity provider is told.
//!
//! - `claimgate`: reads the answer, holds it to the contract, repairs it, writes the documented form.
//! - `tree`: parses the answer into a `serde_json::Value`, looks at `action`, keeps the selected names, writes it again.

use std::{collections::HashSet, hint::black_box};

use claimgate::{
    config::{self, Connector, Secrets},
    connector::normalize::{Normalized, RawAnswer, normalize},
    dialect::api_connector,
};
use serde_json::Value;

use crate::{
    Criterion,
    hook::{CONTINUE, OF_CONTINUE, STEP},
};

const CONFIG: &str = "
listen: { address: 127.0.0.1:8080 }
callers:
  entra: { code: { env: CODE } }
connectors:
  check:
    endpoint_url: https://api.contoso.com/check
    authentication: none
    claims_to_send: []
    claims_to_receive: [displayName, city, country, extension_LoyaltyId, extension_ApprovalId]
user_flows:
  sign-up:
    callers: [entra]
    postAttributeCollection: { connector: check, on_failure: error }
";

const COMMENTED: &str = r#"// sample answer
{
    "Version": "1.0.0", /* our own */
    "action": "Allow",
    "displayName": "Jane Doe", // as the user wrote it
    "city": "Redmond",
    "country": "United States",
    "extension_LoyaltyId": "L-2718281828",
}"#;

/// A name, the HTTP status, the body, what it comes to, how many repairs it needs.
const ANSWERS: [(&str, u16, &str, &str, usize); 5] = [
    ("Continue with claims", 200, CONTINUE, "Continue", 0),
    (
        "block page",
        200,
        r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":"Your account is now waiting for approval."}"#,
        "ShowBlockPage",
        0,
    ),
    (
        "validation error",
        400,
        r#"{"version":"1.0.0","status":400,"action":"ValidationError","userMessage":"Please enter a valid postal code: five digits."}"#,
        "ValidationError",
        0,
    ),
    ("four repairs", 200, COMMENTED, "Continue", 4),
    (
        "refused",
        200,
        r#"{"version":"1.0.0","action":"Deny","userMessage":"Your account is now waiting for approval."}"#,
        "contract_unknown_action",
        0,
    ),
];

pub(crate) fn measure(criterion: &mut Criterion) {
    let connector = connector();
    // The envelope stays.
    let kept = ["version", "action"].into_iter().chain(OF_CONTINUE).collect();
    let mut group = criterion.benchmark_group("answers");
    for (name, status, body, expected, repairs) in ANSWERS {
        let normalized = normalized(&connector, status, body);
        let outcome = match &normalized.decision {
            Ok(decision) => decision.as_str(),
            Err(failure) => failure.reason.as_str(),
        };
        assert_eq!((outcome, normalized.repairs.iter().count()), (expected, repairs), "{name}");
        group.bench_function(format!("claimgate/{name}"), |bencher| {
            bencher.iter(|| claimgate(&connector, status, black_box(body)));
        });
    }
    let ours = claimgate(&connector, 200, CONTINUE).expect("a Continue is a decision");
    assert_eq!(object(&tree(CONTINUE.as_bytes(), &kept)), object(&ours), "both do the same");
    group.bench_function("tree/Continue with claims", |bencher| {
        bencher.iter(|| tree(black_box(CONTINUE.as_bytes()), &kept));
    });
    group.finish();
}

fn normalized(connector: &Connector, status: u16, body: &str) -> Normalized {
    normalize(connector, STEP, RawAnswer { status, encoded: false, body: body.as_bytes() })
}

/// The body for the identity provider, if the answer comes to a decision.
fn claimgate(connector: &Connector, status: u16, body: &str) -> Option<Vec<u8>> {
    let decision = normalized(connector, status, body).decision.ok()?;
    Some(api_connector::encode(&decision).body)
}

fn tree(body: &[u8], kept: &HashSet<&str>) -> Vec<u8> {
    let mut answer = object(body);
    assert_eq!(answer.get("action").and_then(Value::as_str), Some("Continue"));
    answer.retain(|name, _| kept.contains(name.as_str()));
    serde_json::to_vec(&answer).expect("a tree is written into memory, which does not fail")
}

fn object(text: &[u8]) -> serde_json::Map<String, Value> {
    serde_json::from_slice(text).expect("the text is an object")
}

fn connector() -> Connector {
    let outcome = config::read("bench.yaml", CONFIG, Secrets::Skip);
    let mut config = outcome.config.expect("the configuration is valid");
    config.connectors.remove(0)
}

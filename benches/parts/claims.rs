//! The claims filter: from a hook's body to the claims that leave.
//!
//! - `claimgate`: reads the body, holds it to every rule of a hook's body, copies the selected claims.
//! - `tree`: parses the body into a `serde_json::Value`, keeps the selected names, writes it again. It holds the body to
//!   fewer rules: two spellings of one claim pass, and a number may come out as another.

use std::{collections::HashSet, hint::black_box};

use claimgate::{dialect::api_connector, flow::Selection};
use criterion::{BenchmarkId, Throughput};
use serde_json::Value;

use crate::{
    Criterion,
    hook::{Hook, STEP},
};

pub(crate) fn measure(criterion: &mut Criterion) {
    let hooks = [
        Hook::generated(20, 500),
        Hook::sign_up(),
        Hook::generated(100, 2_800),
        Hook::generated(600, 17_700),
    ];
    let mut group = criterion.benchmark_group("claims");
    for hook in &hooks {
        let (body, selection) = (hook.text.as_bytes(), hook.selection());
        let names: HashSet<&str> = hook.selected.iter().map(String::as_str).collect();
        let sent = object(&claimgate(body, &selection));
        assert_eq!(
            (sent.len(), &sent),
            (hook.selected.len(), &object(&tree(body, &names))),
            "both do the same"
        );
        let size = format!("{} claims, {} bytes", hook.claims, body.len());
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(BenchmarkId::new("claimgate", &size), |bencher| {
            bencher.iter(|| claimgate(black_box(body), &selection));
        });
        group.bench_function(BenchmarkId::new("tree", &size), |bencher| {
            bencher.iter(|| tree(black_box(body), &names));
        });
    }
    group.finish();
}

fn claimgate(body: &[u8], selection: &Selection) -> Vec<u8> {
    let members = api_connector::decode(body, STEP).expect("the body keeps every rule");
    [b"{", selection.apply(&members, |_| {}).claims.members(), b"}"].concat()
}

fn tree(body: &[u8], names: &HashSet<&str>) -> Vec<u8> {
    let mut claims = object(body);
    claims.retain(|name, _| names.contains(name.as_str()));
    serde_json::to_vec(&claims).expect("a tree is written into memory, which does not fail")
}

fn object(text: &[u8]) -> serde_json::Map<String, Value> {
    serde_json::from_slice(text).expect("the text is an object")
}

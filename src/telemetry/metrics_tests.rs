use std::{collections::BTreeSet, time::Duration};

use super::*;
use crate::{
    flow::{ContractRule, Reason},
    telemetry::{Direction, METRIC_TABLE, MetricKind},
};

/// The names and labels of DESIGN's "Metrics" section, as far as they exist by now.
const DESIGN: [(&str, &str); 27] = [
    ("connections", ""),
    ("unparsed_requests_total", "fault"),
    ("requests_total", "user_flow,step,decision,outcome"),
    ("request_duration_seconds", "user_flow,step"),
    ("deadline_remaining_seconds", "user_flow,step"),
    ("upstream_requests_total", "connector,reason"),
    ("upstream_duration_seconds", "connector"),
    ("retries_total", "connector,cause"),
    ("retries_withheld_total", "connector,cause"),
    ("keep_alive_races_total", "connector"),
    ("circuit_state", "connector"),
    ("duplicates_total", "user_flow,step,action"),
    ("users_unlimited_total", ""),
    ("fallback_decisions_total", "user_flow,step,reason,decision"),
    ("tls_handshakes_failed_total", "reason"),
    ("caller_failures_total", "reason"),
    ("credential_uses_total", "caller,credential"),
    ("certificate_not_after_timestamp_seconds", "role,name"),
    ("claims_dropped_total", "connector,direction"),
    ("answer_repairs_total", "connector,repair"),
    ("rate_limited_total", "limit"),
    ("in_flight_hooks", ""),
    ("config_last_reload_successful", ""),
    ("config_last_reload_success_timestamp_seconds", ""),
    ("log_lines_dropped_total", ""),
    ("panics_total", ""),
    ("build_info", "version"),
];

fn page(metrics: &Metrics) -> String {
    String::from_utf8(metrics.encode()).unwrap()
}

/// The sample of exactly this series, or nothing if the page does not have it.
fn sample(metrics: &Metrics, series: &str) -> Option<u64> {
    let page = page(metrics);
    let line = page.lines().find(|line| line.rsplit_once(' ').is_some_and(|(name, _)| name == series))?;
    Some(line.rsplit_once(' ').unwrap().1.parse().unwrap())
}

fn event(decision: DecisionLabel, outcome: Outcome, reason: Option<Reason>) -> AccessEvent<'static> {
    AccessEvent { reason, ..AccessEvent::new(std::time::UNIX_EPOCH, decision, outcome) }
}

/// Metrics in which every family has at least one series.
fn everything_touched() -> Metrics {
    let metrics = Metrics::new();
    let hook = metrics.for_hook("signup", Step::PostFederationSignup);
    hook.record(&event(DecisionLabel::Error, Outcome::Fallback, Some(Reason::Dns)));
    hook.record(&event(DecisionLabel::Error, Outcome::Refused, Some(Reason::NotFound)));
    metrics.for_connector("api").answer_repaired("trailing_comma");
    metrics.for_caller_credential("entra", "basic").inc();
    metrics.handshake_failed("timeout");
    metrics.certificate_not_after("listener", "listen.tls", 1);
    metrics
}

#[test]
fn the_table_is_the_designs_list() {
    let table: Vec<_> = METRIC_TABLE
        .iter()
        .map(|row| (row.name.strip_prefix("claimgate_").unwrap(), row.labels.join(",")))
        .collect();
    let design: Vec<_> = DESIGN.iter().map(|&(name, labels)| (name, labels.to_owned())).collect();
    assert_eq!(table, design);
}

#[test]
fn the_page_shows_the_table_and_nothing_else() {
    let page = page(&everything_touched());
    let headers: BTreeSet<_> =
        page.lines().filter(|line| line.starts_with("# ") && !line.contains(" process_")).collect();
    let expected: Vec<String> = METRIC_TABLE
        .iter()
        .flat_map(|row| {
            [
                format!("# HELP {} {}", row.name, row.help),
                format!("# TYPE {} {}", row.name, row.kind.as_str()),
            ]
        })
        .collect();
    assert_eq!(headers, expected.iter().map(String::as_str).collect());
}

#[test]
fn every_series_has_exactly_the_labels_of_its_row() {
    let page = page(&everything_touched());
    for row in METRIC_TABLE {
        let suffix = if row.kind == MetricKind::Histogram { "_count" } else { "" };
        let name = format!("{}{suffix}", row.name);
        let mut seen = 0;
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let (series, _) = line.rsplit_once(' ').unwrap();
            let (found, labels) = series.split_once('{').unwrap_or((series, "}"));
            if found != name {
                continue;
            }
            seen += 1;
            let labels: BTreeSet<_> = labels
                .trim_end_matches('}')
                .split(',')
                .filter(|label| !label.is_empty())
                .map(|label| label.split_once('=').unwrap().0)
                .collect();
            assert_eq!(labels, row.labels.iter().copied().collect(), "{line}");
        }
        assert!(seen > 0, "{name} is not on the page");
    }
}

#[test]
fn the_process_stands_on_the_page() {
    let page = page(&Metrics::new());
    for name in ["process_open_fds", "process_resident_memory_bytes", "process_start_time_seconds"] {
        assert_eq!(page.contains(&format!("# TYPE {name} gauge")), cfg!(target_os = "linux"), "{name}");
    }
}

#[test]
fn buckets_have_edges_where_deadlines_live() {
    let metrics = Metrics::new();
    let _hook = metrics.for_hook("signup", Step::PreTokenIssuance);
    let page = page(&metrics);
    let edges: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("claimgate_request_duration_seconds_bucket"))
        .map(|line| line.split_once("le=\"").unwrap().1.split_once('"').unwrap().0)
        .collect();
    let expected = "0.001 0.0025 0.005 0.01 0.025 0.05 0.1 0.25 0.5 0.75 1 1.5 2 3 5 10 20 +Inf";
    assert_eq!(edges.join(" "), expected);
}

#[test]
fn what_alerts_look_at_exists_before_it_happens() {
    let metrics = Metrics::new();
    let _bound = (
        metrics.for_hook("signup", Step::PostFederationSignup),
        metrics.for_connector("api"),
        metrics.unrouted(),
    );
    for (decision, outcome) in POSSIBLE {
        let (decision, outcome) = (decision.as_str(), outcome.as_str());
        let series = format!(
            r#"claimgate_requests_total{{decision="{decision}",outcome="{outcome}",step="postFederationSignup",user_flow="signup"}}"#
        );
        assert_eq!(sample(&metrics, &series), Some(0), "{series}");
    }
    for series in [
        r#"claimgate_requests_total{decision="error",outcome="refused",step="",user_flow=""}"#,
        r#"claimgate_upstream_requests_total{connector="api",reason="none"}"#,
        r#"claimgate_claims_dropped_total{connector="api",direction="sent"}"#,
        r#"claimgate_claims_dropped_total{connector="api",direction="received"}"#,
        r#"claimgate_rate_limited_total{limit="connector_in_flight"}"#,
        r#"claimgate_unparsed_requests_total{fault="too_large"}"#,
        "claimgate_panics_total",
        "claimgate_log_lines_dropped_total",
        "claimgate_in_flight_hooks",
    ] {
        assert_eq!(sample(&metrics, series), Some(0), "{series}");
    }
    let build = format!(r#"claimgate_build_info{{version="{}"}}"#, env!("CARGO_PKG_VERSION"));
    assert_eq!(sample(&metrics, &build), Some(1));
}

#[test]
fn every_pair_of_decision_and_outcome_is_counted_as_itself() {
    for decision in DecisionLabel::ALL {
        for outcome in Outcome::ALL {
            let metrics = Metrics::new();
            metrics.for_hook("f", Step::PreTokenIssuance).record(&event(decision, outcome, None));
            let page = page(&metrics);
            let ones: Vec<_> = page
                .lines()
                .filter(|line| line.starts_with("claimgate_requests_total") && line.ends_with(" 1"))
                .collect();
            let (decision, outcome) = (decision.as_str(), outcome.as_str());
            let series = format!(
                r#"claimgate_requests_total{{decision="{decision}",outcome="{outcome}",step="preTokenIssuance",user_flow="f"}} 1"#
            );
            assert_eq!(ones, [series]);
        }
    }
}

#[test]
fn a_reason_is_counted_where_it_belongs() {
    use {DecisionLabel as D, Outcome as O};
    let empty_body = Reason::Contract(ContractRule::EmptyBody);
    let fallback = |reason: &str, decision: &str| {
        format!(
            r#"claimgate_fallback_decisions_total{{decision="{decision}",reason="{reason}",step="postAttributeCollection",user_flow="f"}}"#
        )
    };
    let caller = |reason: &str| format!(r#"claimgate_caller_failures_total{{reason="{reason}"}}"#);
    let limit = |limit: &str| format!(r#"claimgate_rate_limited_total{{limit="{limit}"}}"#);
    let cases = [
        (D::ShowBlockPage, O::Fallback, Reason::Dns, vec![fallback("dns", "ShowBlockPage")]),
        (D::Error, O::Fallback, empty_body, vec![fallback("contract_empty_body", "error")]),
        (D::Error, O::Refused, Reason::Unauthenticated, vec![caller("unauthenticated")]),
        (D::None, O::Abandoned, Reason::ClientGone, vec![caller("client_gone")]),
        (D::Error, O::Refused, Reason::CallerLimited, vec![limit("caller")]),
        (D::Error, O::Refused, Reason::Overloaded, vec![limit("in_flight")]),
        (
            D::Error,
            O::Fallback,
            Reason::ConnectorLimited,
            vec![limit("connector"), fallback("connector_limited", "error")],
        ),
        (
            D::Error,
            O::Fallback,
            Reason::InFlightFull,
            vec![limit("connector_in_flight"), fallback("in_flight_full", "error")],
        ),
    ];
    for (decision, outcome, reason, expected) in cases {
        let metrics = Metrics::new();
        metrics.for_hook("f", Step::PostAttributeCollection).record(&event(decision, outcome, Some(reason)));
        let page = page(&metrics);
        let families = ["claimgate_fallback", "claimgate_caller", "claimgate_rate"];
        let ones: BTreeSet<_> = page
            .lines()
            .filter(|line| families.iter().any(|family| line.starts_with(family)))
            .filter_map(|line| line.strip_suffix(" 1"))
            .collect();
        assert_eq!(ones, expected.iter().map(String::as_str).collect(), "{reason:?}");
    }
}

#[test]
fn durations_are_seconds_and_absent_ones_are_not_observed() {
    let metrics = Metrics::new();
    let hook = metrics.for_hook("f", Step::PreTokenIssuance);
    let labels = r#"{step="preTokenIssuance",user_flow="f"}"#;
    let timed = AccessEvent {
        total: Some(Duration::from_secs(2)),
        deadline_remaining: Some(Duration::from_secs(3)),
        ..event(DecisionLabel::Continue, Outcome::Api, None)
    };
    hook.record(&timed);
    hook.record(&event(DecisionLabel::None, Outcome::Abandoned, None));
    for (name, sum) in [("request_duration", 2), ("deadline_remaining", 3)] {
        assert_eq!(sample(&metrics, &format!("claimgate_{name}_seconds_count{labels}")), Some(1));
        assert_eq!(sample(&metrics, &format!("claimgate_{name}_seconds_sum{labels}")), Some(sum));
    }
}

#[test]
fn a_call_is_counted_by_its_reason() {
    let metrics = Metrics::new();
    let api = metrics.for_connector("api");
    api.call(Duration::from_secs(1), None);
    api.call(Duration::from_secs(2), Some(Reason::FirstByteTimeout));
    api.claims_dropped(Direction::Sent, 3);
    api.claims_dropped(Direction::Received, 2);
    let expected = [
        (r#"claimgate_upstream_requests_total{connector="api",reason="none"}"#, 1),
        (r#"claimgate_upstream_requests_total{connector="api",reason="first_byte_timeout"}"#, 1),
        (r#"claimgate_upstream_duration_seconds_sum{connector="api"}"#, 3),
        (r#"claimgate_claims_dropped_total{connector="api",direction="sent"}"#, 3),
        (r#"claimgate_claims_dropped_total{connector="api",direction="received"}"#, 2),
    ];
    for (series, value) in expected {
        assert_eq!(sample(&metrics, series), Some(value), "{series}");
    }
}

#[test]
fn a_hook_is_in_flight_until_its_guard_is_gone() {
    let metrics = Metrics::new();
    let first = metrics.enter_hook();
    let second = metrics.enter_hook();
    assert_eq!(sample(&metrics, "claimgate_in_flight_hooks"), Some(2));
    drop((first, second));
    assert_eq!(sample(&metrics, "claimgate_in_flight_hooks"), Some(0));
}

#[test]
fn binding_a_hook_again_goes_on_counting() {
    let metrics = Metrics::new();
    for _ in 0..2 {
        metrics.for_hook("f", Step::PreTokenIssuance).record(&event(
            DecisionLabel::Continue,
            Outcome::Api,
            None,
        ));
    }
    let series = r#"claimgate_requests_total{decision="Continue",outcome="api",step="preTokenIssuance",user_flow="f"}"#;
    assert_eq!(sample(&metrics, series), Some(2));
}

#[test]
fn what_is_named_no_longer_is_forgotten_in_every_metric_with_a_name_and_nothing_else_is() {
    let metrics = Metrics::new();
    for name in ["old", "new"] {
        let hook = metrics.for_hook(name, Step::PreTokenIssuance);
        hook.record(&event(DecisionLabel::Error, Outcome::Fallback, Some(Reason::Refused)));
        let connector = metrics.for_connector(name);
        connector.call(Duration::from_millis(1), Some(Reason::Refused));
        connector.answer_repaired("comments");
        metrics.for_caller_credential(name, "basic").inc();
    }
    let unrouted = metrics.unrouted();
    unrouted.record(&event(DecisionLabel::Error, Outcome::Refused, Some(Reason::NotFound)));
    let lines = |metrics: &Metrics| page(metrics).lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let before = lines(&metrics);
    metrics.forget_unless(&|label, value| {
        !matches!(label, "user_flow" | "connector" | "caller") || value != "old"
    });
    let gone: BTreeSet<_> = before.iter().filter(|line| line.contains("\"old\"")).cloned().collect();
    // The process' own metrics go on meanwhile.
    let of_claimgate = |line: &String| line.starts_with("claimgate_");
    let left: BTreeSet<_> = lines(&metrics).into_iter().filter(of_claimgate).collect();
    let expected: BTreeSet<_> = before.difference(&gone).filter(|line| of_claimgate(line)).cloned().collect();
    assert_eq!(left, expected);
    for row in METRIC_TABLE
        .iter()
        .filter(|row| row.labels.iter().any(|label| matches!(*label, "user_flow" | "connector" | "caller")))
    {
        assert!(
            gone.iter().any(|line| line.starts_with(row.name)),
            "{} had a sample with the old name",
            row.name
        );
    }
}

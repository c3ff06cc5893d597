//! Making metrics of the table's rows, and registering them.

use std::collections::HashMap;

use prometheus::{
    HistogramOpts, HistogramVec, IntGaugeVec, Opts, Registry,
    core::{Collector, Desc},
};

use super::{
    family::CounterFamily,
    metric_table::{BUCKETS, MetricRow},
};

const WELL_FORMED: &str = "the table's names and labels are well-formed and each row is used once";

pub(super) fn counters(registry: &Registry, row: &MetricRow) -> CounterFamily {
    let labels = row.labels.iter().map(|&label| label.to_owned()).collect();
    let desc = Desc::new(row.name.to_owned(), row.help.to_owned(), labels, HashMap::new());
    registered(registry, desc.map(CounterFamily::new))
}

pub(super) fn gauges(registry: &Registry, row: &MetricRow) -> IntGaugeVec {
    registered(registry, IntGaugeVec::new(Opts::new(row.name, row.help), row.labels))
}

pub(super) fn histograms(registry: &Registry, row: &MetricRow) -> HistogramVec {
    let opts = HistogramOpts::new(row.name, row.help).buckets(BUCKETS.to_vec());
    registered(registry, HistogramVec::new(opts, row.labels))
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, collector: prometheus::Result<C>) -> C {
    let collector = collector.expect(WELL_FORMED);
    registry.register(Box::new(collector.clone())).expect(WELL_FORMED);
    collector
}

/// `process_*`: the crate reads them from /proc, so they exist on Linux only.
pub(super) fn register_process(registry: &Registry) {
    #[cfg(target_os = "linux")]
    registry
        .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
        .expect("no other metric begins with process_");
    #[cfg(not(target_os = "linux"))]
    let _ = registry;
}

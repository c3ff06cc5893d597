//! Forgetting what is named no longer.
//!
//! Label values come from the configuration. Without this, a process whose configuration changes again and again would
//! show, and keep, the metrics of every hook, caller and connector that it ever had.

use std::collections::HashMap;

use prometheus::{
    core::{Collector as _, MetricVec, MetricVecBuilder},
    proto::MetricFamily,
};

use super::Metrics;

impl Metrics {
    /// Forgets every sample of which one label is not `named`: called with a label's name and its value.
    ///
    /// Who still holds one of its counters counts into nothing.
    pub fn forget_unless(&self, named: &dyn Fn(&str, &str) -> bool) {
        for counters in self.counters_with_names() {
            counters.forget_unless(named);
        }
        for gauges in self.gauges_with_names() {
            forget(gauges, named);
        }
        for histograms in self.histograms_with_names() {
            forget(histograms, named);
        }
    }
}

fn forget<T: MetricVecBuilder>(metrics: &MetricVec<T>, named: &dyn Fn(&str, &str) -> bool) {
    for metric in metrics.collect().iter().flat_map(MetricFamily::get_metric) {
        let labels = metric.get_label().iter().map(|label| (label.name(), label.value()));
        if labels.clone().any(|(name, value)| !named(name, value)) {
            // An error says that it has gone already.
            let _gone = metrics.remove(&labels.collect::<HashMap<_, _>>());
        }
    }
}

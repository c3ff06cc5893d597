//! Counters of one name, told apart by their labels.
//!
//! The crate's own `IntCounterVec` gives each of its counters a copy of the name, the help text and the label names, some
//! 800 bytes; here it is some 130. A connector and its user flow have about 24 of them.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use prometheus::{
    core::{Collector, Desc},
    proto::{self, LabelPair, Metric, MetricFamily, MetricType},
};

/// Ends each label value in a key. No value has it: they are names and words of closed lists.
const END: char = '\0';

/// A counter that is bound to its labels.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

/// Counters of one name. Cheap to clone: all clones count into the same counters.
#[derive(Clone)]
pub(super) struct CounterFamily(Arc<Inner>);

struct Inner {
    desc: Desc,
    /// By their label values in the order of the labels, each with [`END`] behind it.
    counters: RwLock<HashMap<Box<str>, Counter>>,
}

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.inc_by(1);
    }

    /// So many more.
    pub fn inc_by(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Where it stands.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl CounterFamily {
    pub(super) fn new(desc: Desc) -> Self {
        Self(Arc::new(Inner { desc, counters: RwLock::default() }))
    }

    /// The counter with these values, in the order of the labels.
    pub(super) fn with_label_values<const N: usize>(&self, values: [&str; N]) -> Counter {
        debug_assert_eq!(
            N,
            self.0.desc.variable_labels.len(),
            "{}: a value for each label",
            self.0.desc.fq_name
        );
        let mut key = String::with_capacity(values.iter().map(|value| value.len() + 1).sum());
        for value in values {
            key.push_str(value);
            key.push(END);
        }
        let known = self.0.counters.read().unwrap_or_else(PoisonError::into_inner).get(&*key).cloned();
        known.unwrap_or_else(|| {
            let mut counters = self.0.counters.write().unwrap_or_else(PoisonError::into_inner);
            counters.entry(key.into_boxed_str()).or_default().clone()
        })
    }

    /// Forgets every counter of which one label is not `named`.
    pub(super) fn forget_unless(&self, named: &dyn Fn(&str, &str) -> bool) {
        let mut counters = self.0.counters.write().unwrap_or_else(PoisonError::into_inner);
        counters.retain(|key, _| self.labels(key).all(|(name, value)| named(name, value)));
        counters.shrink_to_fit();
    }

    /// The labels of a counter, each with its value.
    fn labels<'k>(&'k self, key: &'k str) -> impl Iterator<Item = (&'k str, &'k str)> {
        let names = self.0.desc.variable_labels.iter().map(String::as_str);
        names.zip(key.split_terminator(END))
    }

    fn sample(&self, key: &str, counter: &Counter) -> Metric {
        let mut labels: Vec<LabelPair> = self
            .labels(key)
            .map(|(name, value)| {
                let mut label = LabelPair::default();
                label.set_name(name.to_owned());
                label.set_value(value.to_owned());
                label
            })
            .collect();
        // As the crate has them, so that the page does too.
        labels.sort_unstable_by(|one, other| one.name().cmp(other.name()));
        let mut value = proto::Counter::default();
        // A double counts one by one up to 2^53, which no counter of hooks comes to.
        #[expect(clippy::cast_precision_loss)]
        value.set_value(counter.get() as f64);
        let mut sample = Metric::from_label(labels);
        sample.set_counter(value);
        sample
    }
}

impl Collector for CounterFamily {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let counters = self.0.counters.read().unwrap_or_else(PoisonError::into_inner);
        let samples = counters.iter().map(|(key, counter)| self.sample(key, counter)).collect();
        drop(counters);
        let mut family = MetricFamily::default();
        family.set_name(self.0.desc.fq_name.clone());
        family.set_help(self.0.desc.help.clone());
        family.set_field_type(MetricType::COUNTER);
        family.set_metric(samples);
        vec![family]
    }
}

impl fmt::Debug for CounterFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CounterFamily").field("name", &self.0.desc.fq_name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_read_the_same_when_put_together_are_different_ones() {
        let labels = ["connector", "reason"].map(str::to_owned).to_vec();
        let desc = Desc::new("calls".to_owned(), "Calls.".to_owned(), labels, HashMap::new()).unwrap();
        let family = CounterFamily::new(desc);
        family.with_label_values(["api", "connect_timeout"]).inc_by(2);
        family.with_label_values(["apiconnect_", "timeout"]).inc();
        family.with_label_values(["api", "connect_timeout"]).inc();
        assert_eq!(family.with_label_values(["api", "connect_timeout"]).get(), 3);
        assert_eq!(family.with_label_values(["apiconnect_", "timeout"]).get(), 1);
        assert_eq!(family.with_label_values(["apiconnect_timeout", ""]).get(), 0);
        assert_eq!(family.collect()[0].get_metric().len(), 3);
    }
}

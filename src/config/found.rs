//! The problems as they are found: those that will be told, and how many there are in all.
//!
//! A file may have half a million of them. Of those that nobody will read only a digest is kept, so that what a file
//! costs does not depend on how wrong it is.

use std::{
    collections::{BTreeMap, HashSet},
    hash::{BuildHasher as _, RandomState},
};

use super::problem::{Excerpt, Help, Place, Problem, Severity};

/// Most problems that are told.
pub(super) const MOST: usize = 100;

/// All problems of a file.
#[derive(Default)]
pub(super) struct Found {
    errors: First,
    warnings: First,
}

/// Those of one severity.
#[derive(Default)]
struct First {
    /// The first [`MOST`] in the order of the file.
    kept: BTreeMap<Order, Rest>,
    /// One that is found twice is one: two hooks of one user flow that call the same connector find the same fault in it.
    seen: HashSet<(Place, u64)>,
    digests: RandomState,
}

/// Place, path and message: what makes two problems one, and where a problem stands among the others.
type Order = (Place, String, String);

/// What else is told of a problem.
type Rest = (Option<Help>, Option<Excerpt>);

impl Found {
    /// Adds a problem. What `rest` makes is asked for only if it may be told.
    pub(super) fn add(
        &mut self,
        severity: Severity,
        place: Place,
        path: String,
        message: String,
        rest: impl FnOnce() -> Rest,
    ) {
        let first = match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        first.add((place, path, message), rest);
    }

    /// How many make the configuration unusable.
    pub(super) fn errors(&self) -> usize {
        self.errors.seen.len()
    }

    /// How many do not.
    pub(super) fn warnings(&self) -> usize {
        self.warnings.seen.len()
    }

    /// At most [`MOST`], in the order of the file: the first errors, and warnings where there is room beside them.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let errors = self.errors.kept.into_iter().map(|told| (Severity::Error, told));
        let warnings = self.warnings.kept.into_iter().map(|told| (Severity::Warning, told));
        let mut told: Vec<_> = errors.chain(warnings).take(MOST).collect();
        told.sort_by(|(_, (one, _)), (_, (other, _))| one.cmp(other));
        let problem = |(severity, ((place, path, message), (help, excerpt))): (_, (Order, Rest))| {
            let help = help.map(Help::into_text);
            Problem { severity, place, path, message, help, excerpt }
        };
        told.into_iter().map(problem).collect()
    }
}

impl First {
    fn add(&mut self, order: Order, rest: impl FnOnce() -> Rest) {
        let (place, path, message) = &order;
        if !self.seen.insert((*place, self.digests.hash_one((path, message)))) {
            return;
        }
        let full = self.kept.len() == MOST;
        if full && self.kept.last_key_value().is_some_and(|(last, _)| *last < order) {
            return;
        }
        self.kept.insert(order, rest());
        if full {
            self.kept.pop_last();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Severity, line and column, message.
    type Fault = (bool, (u32, u32), usize);

    fn found(faults: &[Fault]) -> Found {
        let mut found = Found::default();
        for (is_error, (line, column), message) in faults {
            let severity = if *is_error { Severity::Error } else { Severity::Warning };
            let (line, column) = (*line, *column);
            found.add(severity, Place { line, column }, "path".into(), message.to_string(), || (None, None));
        }
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_first_errors_are_told_then_warnings_and_all_are_counted_once(
            faults in vec((any::<bool>(), (1..20_u32, 1..4_u32), 0..4_usize), 0..400),
        ) {
            let found = found(&faults);
            let all: std::collections::BTreeSet<Fault> = faults.into_iter().collect();
            let (errors, warnings): (Vec<_>, Vec<_>) = all.into_iter().partition(|(is_error, ..)| *is_error);
            prop_assert_eq!((found.errors(), found.warnings()), (errors.len(), warnings.len()));
            let mut expected: Vec<_> = errors.into_iter().chain(warnings).take(MOST).collect();
            expected.sort_by_key(|(is_error, place, message)| (*place, *message, !is_error));
            let told = found.into_problems().into_iter().map(|problem| {
                let Place { line, column } = problem.place;
                (problem.severity == Severity::Error, (line, column), problem.message.parse().unwrap())
            });
            prop_assert_eq!(told.collect::<Vec<Fault>>(), expected);
        }
    }

    #[test]
    fn what_is_told_of_a_problem_is_made_for_those_alone_that_may_be_told() {
        let mut found = Found::default();
        let mut made = 0;
        for line in 1..=1_000 {
            found.add(Severity::Error, Place { line, column: 1 }, String::new(), String::new(), || {
                made += 1;
                (None, None)
            });
        }
        assert_eq!((made, found.errors()), (MOST, 1_000));
    }
}

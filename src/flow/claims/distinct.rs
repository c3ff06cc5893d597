//! A list in which each claim stands once.

use std::collections::HashMap;

use super::{ClaimName, name::OwnedIdentity};

/// Names of claims in the order of their coming, no two of which name the same claim.
///
/// Adding one does not cost more where there are many.
#[derive(Debug, Default)]
pub struct DistinctClaims {
    names: Vec<ClaimName>,
    /// Where a claim stands, and where the first one stands that differs from it in the app alone.
    positions: HashMap<OwnedIdentity, usize>,
}

impl DistinctClaims {
    /// Adds a name, unless it names a claim that is already there: then it comes back with the first name of that claim.
    pub fn push(&mut self, name: ClaimName) -> Result<(), (ClaimName, &ClaimName)> {
        let claim = OwnedIdentity::of(name.as_str()).with_app_in_lower_case();
        let of_any_app = claim.clone().without_app();
        if let Some(position) = self.position(&claim, &of_any_app) {
            return Err((name, &self.names[position]));
        }
        for claim in [claim, of_any_app] {
            self.positions.entry(claim).or_insert(self.names.len());
        }
        self.names.push(name);
        Ok(())
    }

    /// The names.
    pub fn into_names(self) -> Vec<ClaimName> {
        self.names
    }

    /// Where the first name of the same claim stands.
    fn position(&self, claim: &OwnedIdentity, of_any_app: &OwnedIdentity) -> Option<usize> {
        let first = *self.positions.get(of_any_app)?;
        // A name without an app is the same claim as that of every app, so it would be alone here.
        let is_of_any_app = |name: &ClaimName| OwnedIdentity::of(name.as_str()).has_no_app();
        if claim.has_no_app() || is_of_any_app(&self.names[first]) {
            return Some(first);
        }
        self.positions.get(claim).copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::flow::claims::{generated, law::is_same_claim};

    proptest! {
        #![proptest_config(generated::cases())]

        #[test]
        fn a_name_is_refused_for_the_first_name_of_its_claim_and_else_taken(
            names in vec(generated::name(), 0..12),
        ) {
            let mut distinct = DistinctClaims::default();
            let mut listed: Vec<ClaimName> = Vec::new();
            for name in names.iter().filter_map(|name| ClaimName::parse(name).ok()) {
                let same = listed.iter().find(|other| is_same_claim(other.as_str(), name.as_str()));
                let expected = same.map_or(Ok(()), |same| Err((name.clone(), same)));
                prop_assert_eq!(distinct.push(name.clone()), expected, "{:?}", listed);
                if same.is_none() {
                    listed.push(name);
                }
            }
            prop_assert_eq!(distinct.into_names(), listed);
        }
    }
}

//! Names of claims that went no further.

use super::escape::loggable_name;

/// Room for as many names as are listed, where they are of usual length. Those of extensions, which say their app in 32
/// digits, may make the text grow.
const USUAL_LENGTH: usize = 768;

/// Names of claims that went no further: as many as an access event lists, and how many there were.
///
/// A name that came over the wire is listed only in a form that can hold no claim (`[A-Za-z0-9_]{1,80}`); the others
/// are counted.
#[derive(Clone, Debug, Default)]
pub struct ClaimNames {
    /// One text, not one for each name: these are written down once, as they stand here, and then dropped.
    listed: String,
    count: usize,
    total: usize,
}

impl ClaimNames {
    /// How many names are listed at most.
    pub const MOST: usize = 32;

    /// No names.
    pub const fn none() -> Self {
        Self { listed: String::new(), count: 0, total: 0 }
    }

    /// The names that may be written, in their order, as the items of a JSON array without its brackets and the quotes
    /// next to them.
    pub fn listed(&self) -> &str {
        &self.listed
    }

    /// One more.
    pub fn push(&mut self, name: &str) {
        self.total += 1;
        if self.count == Self::MOST || !loggable_name(name) {
            return;
        }
        if self.count == 0 {
            self.listed = String::with_capacity(USUAL_LENGTH);
        } else {
            // What may be listed needs no escaping.
            self.listed.push_str("\",\"");
        }
        self.listed.push_str(name);
        self.count += 1;
    }

    /// How many there are.
    pub fn total(&self) -> usize {
        self.total
    }

    /// How many there are beside those that are listed.
    pub fn unlisted(&self) -> usize {
        self.total - self.count
    }
}

#[cfg(test)]
impl<'n> FromIterator<&'n str> for ClaimNames {
    fn from_iter<I: IntoIterator<Item = &'n str>>(names: I) -> Self {
        let mut collected = Self::none();
        names.into_iter().for_each(|name| collected.push(name));
        collected
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::flow::claims::generated;

    /// The form that may be listed, said a second time.
    fn is_narrow(name: &str) -> bool {
        (1..=80).contains(&name.len())
            && name.chars().all(|c| c == '_' || matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9'))
    }

    proptest! {
        #![proptest_config(generated::cases())]

        #[test]
        fn the_first_names_in_the_narrow_form_are_listed_as_json_and_all_others_counted(
            names in vec(prop_oneof![generated::name(), "[a-z_0-9\"\\\\,]{1,3}", "[A-Z_]{78,82}"], 0..60),
        ) {
            let collected: ClaimNames = names.iter().map(String::as_str).collect();
            let expected: Vec<&String> = names.iter().filter(|name| is_narrow(name)).take(32).collect();
            // The general writer escapes whatever needs it: the same bytes say that nothing did.
            let array = serde_json::to_string(&expected).unwrap();
            let listed = collected.listed();
            let written = if listed.is_empty() { "[]".to_owned() } else { format!("[\"{listed}\"]") };
            prop_assert_eq!(written, array);
            prop_assert_eq!((collected.total(), collected.unlisted()), (names.len(), names.len() - expected.len()));
        }
    }
}

//! Names of claims that went no further.

use super::escape::loggable_name;

/// Names of claims that went no further: as many as an access event lists, and how many there were.
///
/// A name that came over the wire is listed only in a form that can hold no claim (`[A-Za-z0-9_]{1,80}`); the others
/// are counted.
#[derive(Clone, Debug, Default)]
pub struct ClaimNames {
    listed: Vec<String>,
    total: usize,
}

impl ClaimNames {
    /// How many names are listed at most.
    pub const MOST: usize = 32;

    /// No names.
    pub const fn none() -> Self {
        Self { listed: Vec::new(), total: 0 }
    }

    /// The names that may be written, in their order.
    pub fn listed(&self) -> impl ExactSizeIterator<Item = &str> {
        self.listed.iter().map(String::as_str)
    }

    /// How many there are beside those that are listed.
    pub fn unlisted(&self) -> usize {
        self.total - self.listed.len()
    }
}

impl<'n> FromIterator<&'n str> for ClaimNames {
    fn from_iter<I: IntoIterator<Item = &'n str>>(names: I) -> Self {
        let mut collected = Self::none();
        for name in names {
            collected.total += 1;
            if collected.listed.len() < Self::MOST && loggable_name(name) {
                collected.listed.push(name.to_owned());
            }
        }
        collected
    }
}

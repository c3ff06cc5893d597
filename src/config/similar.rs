//! "Did you mean": the nearest of a list of names.

use std::cell::OnceCell;

/// Most edits that are taken for a typing error.
const MOST_EDITS: usize = 3;

/// Names among which the nearest is looked for again and again.
#[derive(Debug)]
pub(super) struct Names {
    names: Vec<String>,
    /// Each name as it is compared; nothing until somebody asks.
    folded: OnceCell<Vec<Vec<char>>>,
}

impl Names {
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        Self { names: names.map(str::to_owned).collect(), folded: OnceCell::new() }
    }

    /// The names, in their order.
    pub(super) fn all(&self) -> &[String] {
        &self.names
    }

    /// The name that a typing error or another letter case turns into `text`.
    pub(super) fn nearest(&self, text: &str) -> Option<&str> {
        let folded = self.folded.get_or_init(|| self.names.iter().map(|name| folded(name)).collect());
        nearest_folded(&self::folded(text), folded.iter().zip(self.names.iter().map(String::as_str)))
    }
}

/// The candidate that a typing error or another letter case turns into `text`.
pub fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let candidates = candidates.into_iter().map(|candidate| (folded(candidate), candidate));
    nearest_folded(&folded(text), candidates)
}

/// The first of those with the fewest edits.
fn nearest_folded<'a>(
    typed: &[char],
    candidates: impl Iterator<Item = (impl AsRef<[char]>, &'a str)>,
) -> Option<&'a str> {
    let mut nearest = None;
    // A third of the letters wrong is a typing error; more is another word.
    let mut limit = Some((typed.len() / 3).clamp(1, MOST_EDITS));
    for (folded, candidate) in candidates {
        let Some(most) = limit else { break };
        if let Some(edits) = edits(typed, folded.as_ref(), most) {
            nearest = Some(candidate);
            // Another one must be nearer.
            limit = edits.checked_sub(1);
        }
    }
    nearest
}

/// Letters only, without case: `displayName`, `display_name` and `display-name` are one word to a typist.
fn folded(text: &str) -> Vec<char> {
    text.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).take(256).collect()
}

/// Edits between the two: insert, delete, replace, or swap of neighbours (optimal string alignment); nothing if they are
/// more than `most`, which is at most [`MOST_EDITS`].
///
/// Of the usual table it looks at the diagonals within `most` of the middle one alone: all others hold more.
fn edits(a: &[char], b: &[char], most: usize) -> Option<usize> {
    const DIAGONALS: usize = 2 * MOST_EDITS + 1;
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    let too_many = most + 1;
    let [mut above, mut two_above] = [[too_many; DIAGONALS]; 2];
    for i in 0..=a.len() {
        let mut row = [too_many; DIAGONALS];
        for diagonal in 0..=2 * most {
            let Some(j) = (i + diagonal).checked_sub(most).filter(|j| *j <= b.len()) else { continue };
            let mut cell = if i + j == 0 { 0 } else { too_many };
            if i > 0 && j > 0 {
                cell = cell.min(above[diagonal] + usize::from(a[i - 1] != b[j - 1]));
            }
            if i > 0 && diagonal < 2 * most {
                cell = cell.min(above[diagonal + 1] + 1);
            }
            if diagonal > 0 {
                cell = cell.min(row[diagonal - 1] + 1);
            }
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                cell = cell.min(two_above[diagonal] + 1);
            }
            row[diagonal] = cell;
        }
        // What follows is made of the two rows before it, and of no less.
        if row.iter().chain(&above).all(|edits| *edits > most) {
            return None;
        }
        [above, two_above] = [row, above];
    }
    Some(above[b.len() + most - a.len()]).filter(|edits| *edits <= most)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_typing_error_finds_its_word_and_another_word_does_not() {
        let names = ["timeout", "connect_timeout", "wait", "strict", "postFederationSignup"];
        for (typed, meant) in [
            ("timout", Some("timeout")),
            ("tiemout", Some("timeout")),
            ("Timeout", Some("timeout")),
            ("connectTimeout", Some("connect_timeout")),
            ("PostFederationSignUp", Some("postFederationSignup")),
            ("wiat", Some("wait")),
            ("retries", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, names), meant, "{typed}");
            assert_eq!(Names::new(names.into_iter()).nearest(typed), meant, "{typed}");
        }
    }

    #[test]
    fn of_the_nearest_names_it_is_the_first() {
        for (names, meant) in [
            (["check12", "check1", "check2", "check"], "check"),
            (["check12", "check1", "chekc", "chek"], "check1"),
        ] {
            assert_eq!(nearest("check", names), Some(meant));
        }
    }

    /// The whole table, as the textbooks have it.
    fn distance(a: &[char], b: &[char]) -> usize {
        let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
        for (i, row) in rows.iter_mut().enumerate() {
            row[0] = i;
        }
        rows[0] = (0..=b.len()).collect();
        for i in 1..=a.len() {
            for j in 1..=b.len() {
                let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut least = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    least = least.min(rows[i - 2][j - 2] + 1);
                }
                rows[i][j] = least;
            }
        }
        rows[a.len()][b.len()]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn edits_are_counted_as_by_the_whole_table(a in "[ab]{0,9}|[a-d]{0,9}", b in "[ab]{0,9}|[a-d]{0,9}") {
            let [a, b] = [a, b].map(|text| text.chars().collect::<Vec<_>>());
            let expected = distance(&a, &b);
            for most in 0..=MOST_EDITS {
                prop_assert_eq!(edits(&a, &b, most), Some(expected).filter(|edits| *edits <= most));
            }
        }
    }
}

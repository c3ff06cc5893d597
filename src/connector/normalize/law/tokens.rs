//! The tokens of a text that is JSON but for comments and commas, told apart in the plainest way.

/// What a text is made of.
pub(super) struct Tokens<'a> {
    all: Vec<&'a str>,
    /// There is a comment between them.
    pub(super) comments: bool,
}

/// Strings whole, each bracket, colon and comma, and the words between them.
pub(super) fn of(text: &str) -> Tokens<'_> {
    let mut tokens = Tokens { all: Vec::new(), comments: false };
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if let Some(length) = comment(rest) {
            tokens.comments = true;
            rest = rest[length..].trim_start();
            continue;
        }
        let length = match first {
            '"' => string(rest),
            '{' | '}' | '[' | ']' | ':' | ',' => 1,
            _ => word(rest),
        };
        tokens.all.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

impl<'a> Tokens<'a> {
    pub(super) fn all(&self) -> Vec<&'a str> {
        self.all.clone()
    }

    /// Without the commas between a value and a closing bracket.
    pub(super) fn without_trailing_commas(&self) -> Vec<&'a str> {
        let closes = |next: Option<&&str>| matches!(next, Some(&("}" | "]")));
        let is_value = |before: &str| !matches!(before, "{" | "[" | "," | ":");
        let mut kept: Vec<&str> = Vec::new();
        for (at, token) in self.all.iter().enumerate() {
            let trailing = *token == ","
                && closes(self.all.get(at + 1))
                && kept.last().is_some_and(|before| is_value(before));
            if !trailing {
                kept.push(token);
            }
        }
        kept
    }
}

fn comment(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find(['\n', '\r']).unwrap_or(rest.len()));
    }
    rest.strip_prefix("/*")?.find("*/").map(|end| end + 4)
}

/// Up to the first quote that an even number of backslashes stands before.
fn string(rest: &str) -> usize {
    let quotes = rest.match_indices('"').skip(1).map(|(at, _)| at);
    let backslashes = |at: usize| rest[..at].len() - rest[..at].trim_end_matches('\\').len();
    quotes.into_iter().find(|at| backslashes(*at) % 2 == 0).map_or(rest.len(), |at| at + 1)
}

fn word(rest: &str) -> usize {
    let ends = |(at, character): (usize, char)| {
        character.is_whitespace() || "{}[]:,\"".contains(character) || comment(&rest[at..]).is_some()
    };
    rest.char_indices().skip(1).find(|next| ends(*next)).map_or(rest.len(), |(at, _)| at)
}

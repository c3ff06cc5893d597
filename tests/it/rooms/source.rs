//! Rust sources as far as the order of the rooms needs them: the paths, names and texts of code that is not for tests.

/// A path that the code names, `use` groups taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CodePath {
    pub(super) line: usize,
    /// `crate::flow::{Reason, Step}` is `crate flow Reason` and `crate flow Step`.
    pub(super) segments: Vec<String>,
    /// How many modules written inside the file stand around it.
    pub(super) inside: usize,
    /// `as` follows.
    pub(super) renamed: bool,
}

/// A `#[cfg(test)] mod NAME;`: the file is for tests only.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TestModule {
    pub(super) name: String,
    /// What `#[path = "…"]` says.
    pub(super) path: Option<String>,
}

/// What a file holds beside its tests.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) paths: Vec<CodePath>,
    /// Every string literal and its line.
    pub(super) texts: Vec<(usize, String)>,
    pub(super) test_modules: Vec<TestModule>,
}

impl Source {
    pub(super) fn read(text: &str) -> Self {
        let tokens = tokens(text);
        let mut source = Self::default();
        let mut open = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            if starts_with(&tokens[at..], &["#", "[", "cfg", "(", "test", ")", "]"]) {
                at = source.skip_test_item(&tokens, at + 7);
                continue;
            }
            match &tokens[at].what {
                What::Text(text) => source.texts.push((tokens[at].line, text.clone())),
                What::Mark('{') => open.push(at >= 2 && tokens[at - 2].is("mod")),
                What::Mark('}') => _ = open.pop(),
                What::Word(_) if at == 0 || !tokens[at - 1].is("::") => {
                    let inside = open.iter().filter(|module| **module).count();
                    at = source.path(&tokens, at, &[], inside);
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        source
    }

    /// Takes the path that begins at `at`; returns where it ends.
    fn path(&mut self, tokens: &[Token], mut at: usize, prefix: &[String], inside: usize) -> usize {
        let line = tokens[at].line;
        let mut segments = prefix.to_vec();
        while let Some(token) = tokens.get(at) {
            match &token.what {
                What::Word(word) => segments.push(word.clone()),
                What::Mark('*') if !segments.is_empty() => segments.push("*".to_owned()),
                What::Mark('{') if !segments.is_empty() => return self.group(tokens, at, &segments, inside),
                _ => break,
            }
            at += 1;
            if !tokens.get(at).is_some_and(|token| token.is("::")) {
                break;
            }
            at += 1;
        }
        let renamed = tokens.get(at).is_some_and(|token| token.is("as"));
        self.paths.push(CodePath { line, segments, inside, renamed });
        at
    }

    /// Takes `{a, b::{c, d}, e as f}`.
    fn group(&mut self, tokens: &[Token], mut at: usize, prefix: &[String], inside: usize) -> usize {
        at += 1;
        while let Some(token) = tokens.get(at) {
            match token.what {
                What::Mark('}') => return at + 1,
                _ if token.is("as") => at += 2,
                What::Mark('{') => at = self.group(tokens, at, prefix, inside),
                What::Word(_) | What::Mark('*') => at = self.path(tokens, at, prefix, inside),
                _ => at += 1,
            }
        }
        at
    }

    /// Goes behind the item that follows `#[cfg(test)]`, or behind the field or statement.
    fn skip_test_item(&mut self, tokens: &[Token], start: usize) -> usize {
        let mut depth = 0_usize;
        let mut at = start;
        while let Some(token) = tokens.get(at) {
            match token.what {
                What::Mark('{' | '(' | '[') => depth += 1,
                What::Mark('}' | ')' | ']') if depth == 0 => break,
                What::Mark('}') if depth == 1 => {
                    at += 1;
                    break;
                }
                What::Mark('}' | ')' | ']') => depth -= 1,
                What::Mark(';' | ',') if depth == 0 => {
                    at += 1;
                    break;
                }
                _ => {}
            }
            at += 1;
        }
        let item = &tokens[start..at];
        if let [.., keyword, Token { what: What::Word(name), .. }, end] = item
            && keyword.is("mod")
            && end.is(";")
        {
            let path = item.iter().find_map(|token| match &token.what {
                What::Text(path) => Some(path.clone()),
                _ => None,
            });
            self.test_modules.push(TestModule { name: name.clone(), path });
        }
        at
    }
}

struct Token {
    line: usize,
    what: What,
}

enum What {
    Word(String),
    Text(String),
    PathSeparator,
    Mark(char),
}

impl Token {
    fn is(&self, text: &str) -> bool {
        match &self.what {
            What::Word(word) => word == text,
            What::Text(_) => false,
            What::PathSeparator => text == "::",
            What::Mark(mark) => text.chars().eq([*mark]),
        }
    }
}

fn starts_with(tokens: &[Token], texts: &[&str]) -> bool {
    tokens.len() >= texts.len() && tokens.iter().zip(texts).all(|(token, text)| token.is(text))
}

/// Words, string literals and marks; comments, lifetimes and characters are left out.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(next) = rest.chars().next() {
        let (length, what) = match next {
            _ if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), None),
            _ if rest.starts_with("/*") => (block_comment(rest), None),
            _ if rest.starts_with("::") => (2, Some(What::PathSeparator)),
            '"' => string(rest),
            '\'' => (character_or_lifetime(rest), None),
            _ if let Some((length, text)) = raw_string(rest) => (length, Some(What::Text(text))),
            _ if next.is_alphanumeric() || next == '_' => {
                let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                (length, Some(What::Word(rest[..length].to_owned())))
            }
            _ if next.is_whitespace() => (next.len_utf8(), None),
            _ => (next.len_utf8(), Some(What::Mark(next))),
        };
        tokens.extend(what.map(|what| Token { line, what }));
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    loop {
        match &rest.as_bytes()[at..] {
            [] => return at,
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
}

fn string(rest: &str) -> (usize, Option<What>) {
    let mut escaped = true;
    let end = rest.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    let end = end.expect("a string of a source that compiles ends");
    (end + 1, Some(What::Text(rest[1..end].to_owned())))
}

fn raw_string(rest: &str) -> Option<(usize, String)> {
    let opening = rest.strip_prefix('b').unwrap_or(rest).strip_prefix('r')?;
    let inner = opening.trim_start_matches('#');
    let hashes = opening.len() - inner.len();
    let inner = inner.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inner.find(&end)?;
    Some((rest.len() - inner.len() + length + end.len(), inner[..length].to_owned()))
}

/// `'a'`, `'\''`, `'static`.
fn character_or_lifetime(rest: &str) -> usize {
    let mut characters = rest.char_indices().skip(1);
    let (_, first) = characters.next().expect("something follows a quote");
    if first == '\\' {
        let after_escaped = &rest[3..];
        return 3 + after_escaped.find('\'').expect("a character ends") + 1;
    }
    match characters.next() {
        Some((at, '\'')) => at + 1,
        _ => 1,
    }
}

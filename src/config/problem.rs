//! What is wrong with a configuration, where, and what to do about it.
//!
//! No text here may hold a secret. So an excerpt is not a line of the file: it is the key at fault, with its value only
//! where the key is known to hold no secret (`keys::Kind::holds_secret`). Everything else of the line stays out,
//! whatever it may be.

use std::{borrow::Cow, fmt, rc::Rc};

use super::{found::Found, similar::Names};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration is not usable.
    Error,
    /// The configuration is usable, and somebody should know.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

/// One problem.
#[derive(Clone, Debug)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub place: Place,
    /// Which key, such as `connectors.check.timeout`; empty for the whole file.
    pub path: String,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it, in one line.
    pub help: Option<String>,
    pub(super) excerpt: Option<Excerpt>,
}

/// What is shown of the source; built so that it holds no secret.
#[derive(Clone, Debug)]
pub(super) struct Excerpt {
    /// What stands before `text`: the indentation, or `…` in place of anything else.
    pub(super) lead: String,
    pub(super) text: String,
    /// Characters of `text` before the fault, and of the fault.
    pub(super) mark: (usize, usize),
}

/// What is wrong with a file: the first hundred problems, and how many there are in all.
#[derive(Clone, Debug)]
pub struct Report {
    source_name: String,
    problems: Vec<Problem>,
    errors: usize,
    warnings: usize,
}

impl Report {
    pub(super) fn new(source_name: &str, found: Found) -> Self {
        let (errors, warnings) = (found.errors(), found.warnings());
        Self { source_name: source_name.to_owned(), problems: found.into_problems(), errors, warnings }
    }

    /// The problems in the order of the file, at most 100: the first errors, and warnings where there is room beside
    /// them.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many make the configuration unusable, also those that are not in [`Self::problems`].
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// How many do not, also those that are not in [`Self::problems`].
    pub fn warnings(&self) -> usize {
        self.warnings
    }

    /// How many are not in [`Self::problems`], in words; nothing if all are.
    pub fn more(&self) -> Option<String> {
        let told = |severity| self.problems.iter().filter(|problem| problem.severity == severity).count();
        let errors = self.errors - told(Severity::Error);
        let warnings = self.warnings - told(Severity::Warning);
        let more = [(errors, "more error"), (warnings, "more warning")];
        let more = more.into_iter().filter(|(count, _)| *count > 0).map(|(count, word)| counted(count, word));
        let more: Vec<_> = more.collect();
        (!more.is_empty()).then(|| more.join(", "))
    }

    /// The counts in words.
    pub fn summary(&self) -> String {
        match (self.errors, self.warnings) {
            (0, 0) => "fine".to_owned(),
            (0, warnings) => format!("fine, with {}", counted(warnings, "warning")),
            (errors, 0) => counted(errors, "error"),
            (errors, warnings) => format!("{}, {}", counted(errors, "error"), counted(warnings, "warning")),
        }
    }
}

fn counted(count: usize, word: &str) -> String {
    match count {
        1 => format!("1 {word}"),
        _ => format!("{count} {word}s"),
    }
}

impl fmt::Display for Report {
    /// The problems and how many more there are, a blank line after each; nothing if there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            let Place { line, column } = problem.place;
            let gutter = " ".repeat(line.to_string().len());
            writeln!(f, "{}: {}", problem.severity.as_str(), problem.message)?;
            write!(f, "{gutter}--> {}:{line}:{column}", self.source_name)?;
            if !problem.path.is_empty() {
                write!(f, "  {}", problem.path)?;
            }
            writeln!(f)?;
            if let Some(Excerpt { lead, text, mark: (before, marked) }) = &problem.excerpt {
                let blank = " ".repeat(lead.chars().count() + before);
                let carets = "^".repeat((*marked).max(1));
                writeln!(f, "{gutter} |\n{line} | {lead}{text}\n{gutter} | {blank}{carets}")?;
            }
            if let Some(help) = &problem.help {
                writeln!(f, "{gutter} = help: {help}")?;
            }
            writeln!(f)?;
        }
        if let Some(more) = self.more() {
            writeln!(f, "… and {more}\n")?;
        }
        Ok(())
    }
}

/// What a check found wrong, before it is known where.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) help: Option<Help>,
}

/// What to do about it.
#[derive(Debug)]
pub(super) enum Help {
    Text(String),
    /// To take the nearest to a text among many names, which is looked for where somebody will read it.
    Among(String, Rc<Names>),
}

impl Help {
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Among(typed, names) => names.nearest(&typed).map_or_else(
                || format!("there is: {}", names.all()[..names.all().len().min(10)].join(", ")),
                did_you_mean,
            ),
        }
    }
}

fn did_you_mean(meant: &str) -> String {
    format!("did you mean `{meant}`?")
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(Help::Text(help.into()));
        self
    }

    /// `help: did you mean …`, where there is something to mean.
    pub(super) fn help_or(mut self, meant: Option<&str>, otherwise: impl FnOnce() -> String) -> Self {
        self.help = Some(Help::Text(meant.map_or_else(otherwise, did_you_mean)));
        self
    }

    /// `help: did you mean …` with the nearest of these names, else `there is: …`.
    pub(super) fn help_among(mut self, typed: &str, names: &Rc<Names>) -> Self {
        self.help = Some(Help::Among(typed.to_owned(), Rc::clone(names)));
        self
    }
}

/// A text of the file in backquotes: on one line, cut to a readable length.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", one_line(text))
}

/// Without control characters, which could write over a terminal, and at most 60 characters.
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    const MOST: usize = 60;
    if text.chars().count() <= MOST && !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut line: String = text.chars().take(MOST).map(|c| if c.is_control() { '·' } else { c }).collect();
    if text.chars().count() > MOST {
        line.push('…');
    }
    Cow::Owned(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_text_is_one_short_line() {
        assert_eq!(quoted("2 s"), "`2 s`");
        assert_eq!(quoted("a\u{1b}[2J\nb"), "`a·[2J·b`");
        assert_eq!(quoted(&"é".repeat(61)), format!("`{}…`", "é".repeat(60)));
    }
}

//! What a hook came to, for people.

use std::fmt::Write as _;

use super::{Claim, Ending, Explained, Shown};

/// Room for the names of what is shown.
const LABEL: usize = 11;
const CONTINUE_UNLESS: &str =
    "it did answer, and that may have been a refusal: then an error, for a refusal never becomes Continue";
const NOTHING_SENT: &str =
    "\nNothing was sent. --call asks the API, --answer FILE reads a recorded answer.\n";

/// The whole explanation.
pub(super) fn write(explained: &Explained<'_>) -> String {
    let Explained { user_flow, step, connector, endpoint, .. } = explained;
    let mut out = Text(format!("{user_flow}, {step}: connector {connector} at {endpoint}\n"));
    out.claims("claims sent", explained, true);
    out.claims("claims not sent", explained, false);
    out.heading("request, secrets masked");
    out.block(&explained.request);
    if let Some(ending) = &explained.ending {
        out.ending(ending);
    } else {
        out.heading("if the API cannot be reached");
        out.shown(&explained.unreachable);
        if explained.may_continue {
            out.row("unless", CONTINUE_UNLESS);
        }
        out.0.push_str(NOTHING_SENT);
    }
    out.0
}

/// The text without what could steer a terminal or hide something: control characters and marks of writing direction
/// become escapes. Line ends stay.
pub(super) fn printable(text: &str) -> String {
    let steers = |character: char| {
        (character.is_control() && character != '\n')
            || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if steers(character) { out.extend(character.escape_unicode()) } else { out.push(character) }
    }
    out
}

struct Text(String);

impl Text {
    fn heading(&mut self, text: &str) {
        self.line(format_args!("\n{text}"));
    }

    fn row(&mut self, label: &str, text: &str) {
        self.line(format_args!("  {label:LABEL$}{}", printable(text)));
    }

    /// Bytes that were sent or received, indented.
    fn block(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
        for line in text.trim_end().split('\n') {
            let line = printable(line);
            self.line(format_args!("{}", format!("  {line}").trim_end()));
        }
    }

    fn claims(&mut self, heading: &str, explained: &Explained<'_>, sent: bool) {
        self.heading(heading);
        let claims = || explained.claims.iter().filter(|claim| claim.because.is_sent() == sent);
        let name = |claim: &Claim<'_>| printable(claim.name).replace('\n', "\\u{a}");
        let width = claims().map(|claim| name(claim).chars().count()).max().unwrap_or(0);
        for claim in claims() {
            self.line(format_args!("  {:width$}  {}", name(claim), claim.because.sentence()));
        }
        if claims().next().is_none() {
            self.line(format_args!("  none"));
        }
    }

    fn ending(&mut self, ending: &Ending) {
        match (ending.called, ending.took_ms) {
            (true, Some(took)) => self.heading(&format!("the API's answer, after {took} ms")),
            (true, None) => self.heading("the API was not called"),
            (false, _) => self.heading("recorded answer"),
        }
        match (&ending.answer, ending.status) {
            (Some((status, body)), _) => {
                let mut answer = format!("{status} ").into_bytes();
                answer.extend_from_slice(body);
                self.block(&answer);
            }
            (None, Some(status)) => self.line(format_args!("  {status}, and then no whole answer")),
            (None, None) => self.line(format_args!("  none")),
        }
        if !ending.repairs.is_empty() {
            self.heading("repairs");
            for repair in ending.repairs.iter() {
                self.line(format_args!("  {}: {}", repair.as_str(), repair.meaning()));
            }
        }
        if !ending.dropped.is_empty() {
            self.heading("claims not taken over: not listed in claims_to_receive");
            for name in &ending.dropped {
                self.line(format_args!("  {}", printable(name).replace('\n', "\\u{a}")));
            }
        }
        self.heading(&format!("decision: {}", ending.shown.decision));
        match ending.failure {
            None => self.row("made by", "the API"),
            Some(failure) => {
                let reason = failure.reason;
                self.row("made by", &format!("on_failure, because of {}", reason.as_str()));
                self.row("blame", reason.blame().as_str());
                self.row("hint", reason.hint());
                if failure.refusal {
                    self.row("refusal", "the answer may be one, so that on_failure: continue does not apply");
                }
            }
        }
        self.shown(&ending.shown);
    }

    fn shown(&mut self, shown: &Shown) {
        self.row("IdP gets", &format!("{} {}", shown.status, shown.body));
        self.row("user sees", &shown.user_sees);
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{text}").expect("a string takes every write");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_printed_steers_a_terminal() {
        let text = "caf\u{e9} \u{1f600} e\u{301}\n\"quoted\\\"";
        assert_eq!(printable(text), text);
        let hostile = "\u{1b}[2J\u{9b}1m\r\u{7f}\u{202e}\u{2066}\u{200f}\t\0";
        let shown = printable(hostile);
        assert!(shown.chars().all(|character| (' '..='~').contains(&character)), "{shown}");
    }
}

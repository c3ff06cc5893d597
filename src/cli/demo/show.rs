//! How the demo is printed: pleasant on a terminal, plain in a pipe.

use std::io::{self, Write};

use serde_json::{Map, Value};

use super::setting::{Setting, path};
use crate::flow::Step;

const BOLD: &str = "1";
const DIM: &str = "2";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const RED: &str = "31";
const CYAN: &str = "36";

/// Room for the names of what is shown.
const LABEL: usize = 16;
/// Where a list of names goes on in the next line.
const WIDTH: usize = 100;

/// One hook as it was seen from both sides.
pub(super) struct Seen<'a> {
    pub(super) step: Step,
    pub(super) claims_in: &'a [u8],
    /// What arrived at the API.
    pub(super) claims_sent: &'a [u8],
    pub(super) api_status: u16,
    pub(super) api_answer: &'a [u8],
    pub(super) status: u16,
    pub(super) answer: &'a [u8],
    pub(super) action: &'a str,
    pub(super) expected: &'a str,
}

/// Where the demo is printed.
pub(super) struct Show<W> {
    out: W,
    colours: bool,
}

impl<W: Write> Show<W> {
    pub(super) fn new(out: W, colours: bool) -> Self {
        Self { out, colours }
    }

    pub(super) fn opening(&mut self, setting: Setting) -> io::Result<()> {
        let title = self.paint(BOLD, "claimgate demo");
        writeln!(self.out, "{title}")?;
        writeln!(
            self.out,
            "claimgate listens on {}, a sample approval system stands behind it, and this program plays the\n\
             identity provider: at each hook it sends every attribute of the user that has a value.",
            setting.address
        )
    }

    pub(super) fn note(&mut self, text: &str) -> io::Result<()> {
        let text = self.paint(YELLOW, text);
        writeln!(self.out, "{text}")
    }

    pub(super) fn sign_up(&mut self, number: usize, title: &str) -> io::Result<()> {
        let title = self.paint(BOLD, &format!("{number}. {title}"));
        writeln!(self.out, "\n{title}")
    }

    pub(super) fn aside(&mut self, text: &str) -> io::Result<()> {
        let text = self.paint(DIM, text);
        writeln!(self.out, "\n   {text}")
    }

    pub(super) fn hook(&mut self, seen: &Seen<'_>) -> io::Result<()> {
        let (came, sent) = (object(seen.claims_in), object(seen.claims_sent));
        let dropped: Vec<_> = came.keys().filter(|name| !sent.contains_key(*name)).cloned().collect();
        let line = self.paint(CYAN, &format!("POST {}", path(seen.step)));
        writeln!(self.out, "\n   {line}")?;
        self.list("claims in", came.keys())?;
        self.list("claims sent", sent.keys())?;
        self.list("claims dropped", dropped.iter())?;
        self.row(
            "API answered",
            &format!("{} {}", seen.api_status, String::from_utf8_lossy(seen.api_answer)),
        )?;
        let colour = match seen.action {
            "Continue" => GREEN,
            "ShowBlockPage" | "ValidationError" => YELLOW,
            _ => RED,
        };
        let decision = self.paint(colour, seen.action);
        self.row("decision", &decision)?;
        self.row("IdP gets", &format!("{} {}", seen.status, String::from_utf8_lossy(seen.answer)))?;
        if seen.action != seen.expected {
            let expected = self.paint(RED, &format!("{} was expected", seen.expected));
            self.row("", &expected)?;
        }
        Ok(())
    }

    pub(super) fn verdict(&mut self, hooks: usize, as_expected: bool) -> io::Result<()> {
        let text = if as_expected {
            self.paint(GREEN, &format!("{hooks} hooks, every decision as expected."))
        } else {
            self.paint(RED, &format!("{hooks} hooks, and not every decision was the expected one."))
        };
        writeln!(self.out, "\n{text}")
    }

    /// What the reader can do now.
    pub(super) fn invitation(&mut self, setting: Setting, username: &str, password: &str) -> io::Result<()> {
        let Setting { address, admin } = setting;
        let title =
            self.paint(BOLD, "Now you. claimgate stays up until Ctrl-C; each hook you send is shown below.");
        writeln!(self.out, "\n{title}\n")?;
        let rows = [
            (
                "a sign-up that goes on",
                Step::PostFederationSignup,
                r#"{"email":"dave@contoso.com","displayName":"Dave","surname":"Doe"}"#,
            ),
            (
                "a validation error",
                Step::PostAttributeCollection,
                r#"{"email":"dave@contoso.com","postalCode":"x"}"#,
            ),
            (
                "a block page: dave's request is pending from then on",
                Step::PostAttributeCollection,
                r#"{"email":"dave@contoso.com","postalCode":"98101"}"#,
            ),
        ];
        for (what, step, body) in rows {
            let what = self.paint(DIM, &format!("# {what}"));
            writeln!(
                self.out,
                "{what}\ncurl -u {username}:{password} -H 'Content-Type: application/json' \\\n  -d '{body}' \\\n  \
                 http://{address}{}",
                path(step)
            )?;
        }
        let metrics = self.paint(DIM, "# what Prometheus sees");
        writeln!(self.out, "{metrics}\ncurl http://{admin}/metrics\n")
    }

    fn list<'n>(&mut self, label: &str, names: impl Iterator<Item = &'n String>) -> io::Result<()> {
        let mut lines = vec![String::new()];
        for name in names {
            let line = lines.last().map_or(0, String::len);
            if line > 0 && LABEL + 5 + line + 2 + name.len() > WIDTH {
                lines.push(String::new());
            }
            let Some(line) = lines.last_mut() else { continue };
            if !line.is_empty() {
                line.push_str(", ");
            }
            line.push_str(name);
        }
        let gap = format!("\n{:1$}", "", LABEL + 5);
        let text = lines.join(&gap);
        self.row(label, if text.is_empty() { "none" } else { &text })
    }

    fn row(&mut self, label: &str, text: &str) -> io::Result<()> {
        let label = self.paint(DIM, &format!("{label:LABEL$}"));
        writeln!(self.out, "     {label}{text}")
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn object(body: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(body).unwrap_or_default()
}

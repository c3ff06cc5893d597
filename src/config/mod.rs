//! The configuration: the file as written, read into types that the program may trust.
//!
//! [`read`] is the only way in: it reports all problems at once, each with its place. The text becomes a tree
//! (`tree`: every key and value knows its place), and each section is lowered from the tree to the types of
//! `model` by the keys that [`keys`] declares. A problem in one key never hides a problem in another; only a YAML
//! syntax error ends the reading early.

use std::{io, path::Path};

mod authentication;
mod breaker;
mod callers;
mod certificates;
mod connectors;
mod credentials;
mod endpoint;
mod fields;
mod files;
mod flows;
mod found;
pub mod keys;
mod kind;
#[cfg(any(test, fuzzing))]
pub mod law;
mod model;
mod ports;
mod problem;
pub mod schema;
mod secret;
mod similar;
#[cfg(test)]
mod tests;
mod tls;
mod tree;
mod units;

pub use certificates::{DnsName, Thumbprint};
pub use files::{Files, Pem};
pub use model::{
    Admin, Basic, Breaker, Caller, CallerCertificate, ClientCertificate, Config, Connector, Endpoint,
    HeaderKey, Hook, KeyedCertificate, Listen, ListenTls, MissingAction, Name, Per, RateLimit, Roots,
    Shutdown, TlsVersion, UserFlow,
};
pub use problem::{Place, Problem, Report, Severity};
pub use secret::Secret;
pub use similar::nearest;

use fields::{Context, Entry, Fields};
use files::FileError;
use found::Found;
use problem::Help;

/// Largest configuration file, in bytes.
pub const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Whether the secrets that the configuration refers to are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// From file and environment; one that cannot be read is a problem.
    Load,
    /// Nothing is read, and every secret is [`Secret::MASK`]: for a check away from the place of operation.
    Skip,
}

/// What became of a configuration.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The configuration, unless the report has an error.
    pub config: Option<Config>,
    /// What is wrong with it.
    pub report: Report,
    /// The files that it was read from.
    pub files: Files,
}

/// Why there is no text to read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be opened or read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The file is not UTF-8.
    #[error("is not UTF-8")]
    NotUtf8,
    /// The file is larger than [`MAX_FILE`].
    #[error("is larger than 4 MiB")]
    TooLarge,
}

/// Reads a configuration file. Files that it refers to are relative to its directory.
pub fn load(path: &Path, secrets: Secrets) -> Result<Outcome, ReadError> {
    let mut files = Files::default();
    let text = text(path, &mut files)?;
    Ok(read_with(&path.to_string_lossy(), &text, secrets, files))
}

/// Reads a configuration. `source_name` is what the report calls it; files that it refers to are relative to that
/// name's directory.
pub fn read(source_name: &str, text: &str, secrets: Secrets) -> Outcome {
    read_with(source_name, text, secrets, Files::default())
}

fn read_with(source_name: &str, text: &str, secrets: Secrets, files: Files) -> Outcome {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let base = Path::new(source_name).parent().unwrap_or_else(|| Path::new(""));
    let (config, problems, files) = match tree::parse(text) {
        Ok(root) => {
            let mut cx = Context::new(text, base, secrets, files);
            (lower(&mut cx, &Entry::root(&root)), cx.problems, cx.files)
        }
        Err(error) => (None, error.into(), files),
    };
    let report = Report::new(source_name, problems);
    let config = config.filter(|_| report.errors() == 0);
    debug_assert_eq!(config.is_none(), report.errors() > 0, "what is not read is reported");
    Outcome { config, report, files }
}

fn text(path: &Path, files: &mut Files) -> Result<String, ReadError> {
    let bytes = files.read(path, MAX_FILE).map_err(|error| match error {
        FileError::Io(error) => ReadError::Io(error),
        FileError::TooLarge => ReadError::TooLarge,
    })?;
    String::from_utf8(bytes).map_err(|_| ReadError::NotUtf8)
}

impl From<tree::SyntaxError> for Found {
    fn from(error: tree::SyntaxError) -> Self {
        let tree::SyntaxError { line, column, message, help } = error;
        let mut found = Self::default();
        // What could not be read may be a secret, so there is no excerpt.
        found.add(Severity::Error, Place { line, column }, String::new(), message, || {
            (help.map(|help| Help::Text(help.to_owned())), None)
        });
        found
    }
}

fn lower<'t>(cx: &mut Context<'t>, root: &Entry<'t>) -> Option<Config> {
    let fields = Fields::open(cx, &keys::ROOT, root)?;
    let (listen, hooks, tls) =
        fields.section(cx, "listen").map_or((None, None, None), |fields| ports::listen(cx, &fields));
    let admin = fields.section(cx, "admin").and_then(|fields| ports::admin(cx, &fields, hooks));
    let shutdown = fields.section(cx, "shutdown").and_then(|fields| ports::shutdown(cx, &fields));
    let callers = fields.get(cx, "callers").and_then(|entry| callers::callers(cx, &entry));
    if let (Some(tls), Some(callers)) = (&tls, &callers) {
        tls.check_with(cx, callers);
    }
    let connectors = fields.get(cx, "connectors").and_then(|entry| connectors::connectors(cx, &entry));
    let known = flows::Known::new(callers.as_deref(), connectors.as_deref());
    let before = cx.problems.errors();
    let user_flows = fields.get(cx, "user_flows").and_then(|entry| flows::user_flows(cx, &entry, &known));
    if cx.problems.errors() == before {
        // With a misspelled reference in a flow, what it meant would look unused.
        flows::unused(cx, &known);
    }
    Some(Config {
        listen: listen?,
        admin: admin?,
        shutdown: shutdown?,
        callers: callers?.into_iter().map(|read| read.caller).collect::<Option<_>>()?,
        connectors: connectors?.into_iter().map(|read| read.connector).collect::<Option<_>>()?,
        user_flows: user_flows?,
    })
}

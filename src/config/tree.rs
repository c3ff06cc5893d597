//! The file as a tree in which every key and value knows its place.
//!
//! `serde-saphyr` gives the place of each node through its `Spanned` wrapper. What it does not give is the text of a
//! plain scalar: without a target type it reads `1.10` as a number and `no` as a boolean. The place holds byte offsets,
//! so the text is taken from the source instead, exactly as it was written.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Error, NonFiniteFloatPolicy, Spanned, budget::BudgetBreach, options::DuplicateKeyPolicy};

use super::units;

/// Most nodes (keys, values, lists, maps) of a file, aliases expanded; with this many, reading takes some 60 MiB.
///
/// A connector with its flow has about 45 and about 11 bytes for each, so that a configuration without
/// aliases meets [`super::MAX_FILE`] first.
const MAX_NODES: usize = 512 * 1024;

/// Most bytes of text, aliases expanded: a few aliases of one long text make many bytes of few nodes.
const MAX_TEXT: usize = 16 * 1024 * 1024;

/// Deepest nesting; a valid file needs 7 levels.
const MAX_DEPTH: usize = 32;

/// Where something stands in the source. Lines and columns count from 1, columns in characters.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) line: u32,
    pub(super) column: u32,
    /// Byte offsets in the source.
    pub(super) start: usize,
    pub(super) end: usize,
}

/// A value and its place. It has no `Debug`: it may hold a secret.
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) value: Value,
}

/// What stands there.
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// A scalar's text: as written if plain, without quotes and escapes if quoted.
    Scalar(String),
    List(Vec<Node>),
    /// In the order of the file, with duplicates.
    Map(Vec<(Node, Node)>),
}

/// Why there is no tree. The text never quotes the source.
pub(super) struct SyntaxError {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) message: String,
    pub(super) help: Option<&'static str>,
}

/// Reads one YAML document. A leading byte order mark must have been removed.
pub(super) fn parse(source: &str) -> Result<Node, SyntaxError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
            max_total_scalar_bytes: MAX_TEXT,
            max_depth: MAX_DEPTH,
            // The parser's own limit would be met while it reads ahead, and would not say what it is.
            flow_nesting_limit: MAX_NODES,
            // Those three bound what aliases come to; how they are used is for the author to choose.
            max_aliases: MAX_NODES,
            max_anchors: MAX_NODES,
            max_merge_keys: MAX_NODES,
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 2 * MAX_NODES,
            max_replay_stack_depth: MAX_DEPTH,
        },
        // Reported together with all other problems, and both values checked.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        // A number that does not fit is still a text.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        // `password: !abc` must not silently become an empty password.
        reject_unsupported_tags: true,
        // Its excerpts could show a secret.
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Spanned<Shape>>(source, options) {
        Ok(shape) => Ok(node(source, shape)),
        Err(error) => {
            let place = error.location();
            let at = |number: Option<u64>| number.and_then(|n| u32::try_from(n).ok()).unwrap_or(1).max(1);
            Err(SyntaxError {
                line: at(place.map(|place| place.line())),
                column: at(place.map(|place| place.column())),
                message: message(&error).into_owned(),
                help: help(&error),
            })
        }
    }
}

fn message(error: &Error) -> Cow<'_, str> {
    let fixed = match error {
        // The parser's own texts are fixed ones; they name at most one indicator character.
        Error::ExternalMessage { msg, .. } => msg,
        Error::UnsupportedTag { .. } => "tags are not supported; a text that begins with `!` needs quotes",
        Error::UnknownAnchor { .. } => {
            "no anchor of this name stands before; a text that begins with `*` needs quotes"
        }
        Error::MultipleDocuments { .. } => "the file holds a second document; there must be one",
        Error::MergeValueNotMapOrSeqOfMaps { .. } => "`<<` takes a map or a list of maps",
        Error::RecursiveReferencesRequireWeakTypes { .. } => "an alias stands inside its own anchor",
        Error::AliasError { error, .. } => return message(error),
        _ => match Bound::of(error) {
            Some(bound) => return bound.message().into(),
            None => "this is not YAML that can be read; quote a text with special characters",
        },
    };
    fixed.into()
}

fn help(error: &Error) -> Option<&'static str> {
    match error {
        Error::AliasError { error, .. } => help(error),
        _ => Bound::of(error).map(Bound::help),
    }
}

/// What there is too much of.
#[derive(Clone, Copy)]
enum Bound {
    Nodes,
    Text,
    Depth,
}

impl Bound {
    fn of(error: &Error) -> Option<Self> {
        match error {
            Error::Budget { breach, .. } => match breach {
                BudgetBreach::Depth { .. } => Some(Self::Depth),
                BudgetBreach::ScalarBytes { .. } | BudgetBreach::RecordedAnchorBytes { .. } => {
                    Some(Self::Text)
                }
                BudgetBreach::Nodes { .. }
                | BudgetBreach::Events { .. }
                | BudgetBreach::Aliases { .. }
                | BudgetBreach::Anchors { .. }
                | BudgetBreach::MergeKeys { .. }
                | BudgetBreach::RecordedAnchorEvents { .. } => Some(Self::Nodes),
                _ => None,
            },
            Error::AliasReplayLimitExceeded { .. } => Some(Self::Nodes),
            Error::AliasReplayStackDepthExceeded { .. } => Some(Self::Depth),
            _ => None,
        }
    }

    fn message(self) -> String {
        match self {
            Self::Nodes => {
                format!("up to here the file has more than {MAX_NODES} keys and values, aliases written out")
            }
            Self::Text => {
                let most = units::show_size(MAX_TEXT);
                format!("up to here the file has more than {most} of text, aliases written out")
            }
            Self::Depth => format!("more than {MAX_DEPTH} lists and maps stand inside one another here"),
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::Nodes | Self::Text => {
                "use fewer or smaller aliases, or divide the user flows among several claimgates"
            }
            Self::Depth => "a configuration has 7 levels; look for a bracket or a dash too many",
        }
    }
}

/// What one visit tells; [`node`] adds the texts.
enum Shape {
    Null,
    Text(String),
    /// A plain scalar that looks like a number or boolean.
    Typed,
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<Self>, Spanned<Self>)>),
}

fn node(source: &str, shape: Spanned<Shape>) -> Node {
    let place = shape.defined;
    let offset = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).min(source.len());
    let start = offset(place.span().byte_offset().unwrap_or(0));
    let end = offset(start as u64 + place.span().byte_len().unwrap_or(0));
    let coordinate = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).max(1);
    let span = Span { line: coordinate(place.line()), column: coordinate(place.column()), start, end };
    let value = match shape.value {
        Shape::Null => Value::Null,
        Shape::Text(text) => Value::Scalar(text),
        Shape::Typed => Value::Scalar(source.get(start..end).unwrap_or_default().to_owned()),
        Shape::List(items) => Value::List(items.into_iter().map(|item| node(source, item)).collect()),
        Shape::Map(pairs) => Value::Map(
            pairs.into_iter().map(|(key, value)| (node(source, key), node(source, value))).collect(),
        ),
    };
    Node { span, value }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Null)
    }

    fn visit_str<E>(self, text: &str) -> Result<Shape, E> {
        Ok(Shape::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Typed)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Typed)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::Typed)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Typed)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Shape::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Shape, A::Error> {
        let mut map = Vec::new();
        while let Some(pair) = pairs.next_entry()? {
            map.push(pair);
        }
        Ok(Shape::Map(map))
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;

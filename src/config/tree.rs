//! The file as a tree in which every key and value knows its place.
//!
//! `serde-saphyr` gives the place of each node through its `Spanned` wrapper. What it does not give is the text of a
//! plain scalar: without a target type it reads `1.10` as a number and `no` as a boolean. The place holds byte offsets,
//! so the text is taken from the source instead, exactly as it was written.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Error, NonFiniteFloatPolicy, Spanned, options::DuplicateKeyPolicy};

/// Most nodes of a file, aliases expanded. A flow needs about 30, so this is room for thousands of flows.
const MAX_NODES: usize = 200_000;

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
}

/// Reads one YAML document. A leading byte order mark must have been removed.
pub(super) fn parse(source: &str) -> Result<Node, SyntaxError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_NODES },
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
                message: message(&error).to_owned(),
            })
        }
    }
}

fn message(error: &Error) -> &str {
    match error {
        // The parser's own texts are fixed ones; they name at most one indicator character.
        Error::ExternalMessage { msg, .. } => msg,
        Error::UnsupportedTag { .. } => "tags are not supported; a text that begins with `!` needs quotes",
        Error::UnknownAnchor { .. } => {
            "no anchor of this name stands before; a text that begins with `*` needs quotes"
        }
        Error::MultipleDocuments { .. } => "the file holds a second document; there must be one",
        Error::MergeValueNotMapOrSeqOfMaps { .. } => "`<<` takes a map or a list of maps",
        Error::RecursiveReferencesRequireWeakTypes { .. } => "an alias stands inside its own anchor",
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            "the file is nested too deeply or has too many values"
        }
        Error::AliasError { error, .. } => message(error),
        _ => "this is not YAML that can be read; quote a text with special characters",
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
mod tests {
    use super::*;

    fn flat(node: &Node, out: &mut Vec<String>) {
        let at = format!("{}:{}", node.span.line, node.span.column);
        match &node.value {
            Value::Null => out.push(format!("{at} null")),
            Value::Scalar(text) => out.push(format!("{at} {text:?}")),
            Value::List(items) => items.iter().for_each(|item| flat(item, out)),
            Value::Map(pairs) => pairs.iter().for_each(|(key, value)| {
                flat(key, out);
                flat(value, out);
            }),
        }
    }

    fn flattened(source: &str) -> Vec<String> {
        let mut out = Vec::new();
        flat(&parse(source).ok().expect("YAML"), &mut out);
        out
    }

    #[test]
    fn scalars_keep_their_text_and_their_place() {
        for text in
            ["1.10", "0x10", "no", "1_000", "007", "1e999", ".nan", "99999999999999999999999", "-1", "True"]
        {
            assert_eq!(flattened(&format!("é: [{text}]")), ["1:1 \"é\"".to_owned(), format!("1:5 {text:?}")]);
        }
        assert_eq!(
            flattened("a: \"x\\ty\"\nb: 'it''s'\nc: |\n  d\n"),
            ["1:1 \"a\"", "1:4 \"x\\ty\"", "2:1 \"b\"", "2:4 \"it's\"", "3:1 \"c\"", "4:3 \"d\\n\""]
        );
        assert_eq!(flattened("a:\nb: ~\nc: \"\"\nd: !!str 5")[1..4], ["1:2 null", "2:1 \"b\"", "2:4 null"]);
    }

    #[test]
    fn duplicates_stay_and_aliases_stand_where_they_are_defined() {
        assert_eq!(
            flattened("a: 1\na: &x 2\nb: *x"),
            ["1:1 \"a\"", "1:4 \"1\"", "2:1 \"a\"", "2:7 \"2\"", "3:1 \"b\"", "2:7 \"2\""]
        );
        assert_eq!(flattened("a: &x {p: 1}\nb: {<<: *x}")[4..], ["1:8 \"p\"", "1:11 \"1\""]);
    }

    #[test]
    fn a_syntax_error_has_a_place_and_never_quotes_the_source() {
        for source in [
            "a: \"hunter2\\q\"",
            "a: *hunter2",
            "a: !hunter2 x",
            "a: !!int hunter2",
            "a: !!binary hunter2",
            "a: 'hunter2",
            "a: hunter2: b",
            "a: {hunter2: [}",
            "a: 1\n---\nb: hunter2",
            "!hunter2!x a",
            "a: &x {b: *x, c: hunter2}",
            "<<: hunter2",
            "a: !<hunter2> b",
        ] {
            let error = parse(source).err().expect(source);
            assert!(!error.message.contains("hunter"), "{source}: {}", error.message);
            assert!(error.line >= 1 && error.column >= 1 && !error.message.is_empty());
        }
    }

    #[test]
    fn an_alias_bomb_and_deep_nesting_end_early() {
        let mut bomb = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned();
        for level in 1..9 {
            let item = format!("*a{}", level - 1);
            bomb = format!("{bomb}a{level}: &a{level} [{}]\n", vec![item; 10].join(", "));
        }
        for source in [bomb, "[".repeat(1000), "- ".repeat(1000)] {
            assert!(parse(&source).is_err());
        }
    }
}

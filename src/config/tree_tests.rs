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

/// What is said of a source that a bound ends, and in which line and column.
fn refused(source: &str) -> (String, &'static str, (u32, u32)) {
    let error = parse(source).err().expect("a bound is met");
    (error.message, error.help.expect("a bound says how to mend it"), (error.line, error.column))
}

#[test]
fn as_many_keys_and_values_as_the_bound_says_pass_and_one_more_does_not() {
    // The map, its key and the list are three.
    let items = |count: usize| format!("a:\n{}", "- 1\n".repeat(count));
    assert_eq!(flattened(&items(MAX_NODES - 3)).len(), MAX_NODES - 2);
    let (message, help, place) = refused(&items(MAX_NODES - 2));
    assert!(message.contains("more than 524288 keys and values"), "{message}");
    assert!(help.contains("aliases") && help.contains("divide"), "{help}");
    assert_eq!(place, (u32::try_from(MAX_NODES - 1).unwrap(), 3));
}

#[test]
fn an_alias_counts_as_what_it_stands_for() {
    let mut bomb = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned();
    for level in 1..9 {
        let item = format!("*a{}", level - 1);
        bomb = format!("{bomb}a{level}: &a{level} [{}]\n", vec![item; 10].join(", "));
    }
    assert!(refused(&bomb).0.contains("keys and values"));
    let text = |aliases| {
        let list = vec!["*x"; aliases].join(", ");
        format!("a: &x {}\nb: [{list}]\n", "x".repeat(1024 * 1024))
    };
    assert_eq!(flattened(&text(14)).len(), 17);
    let (message, ..) = refused(&text(16));
    assert!(message.contains("more than 16MiB of text"), "{message}");
}

#[test]
fn one_anchor_may_have_any_number_of_aliases() {
    let many = format!("a: &x [city]\nb:\n{}", "- *x\n".repeat(60_000));
    assert_eq!(flattened(&many).len(), 3 + 60_000);
}

#[test]
fn lists_and_maps_stand_inside_one_another_as_deep_as_the_bound_says() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(&nested(MAX_DEPTH)).is_ok());
    let inside = (1..40).map(|level| format!("a{level}: &a{level} [*a{}]\n", level - 1));
    let aliases = format!("a0: &a0 [1]\n{}", inside.collect::<String>());
    for source in [nested(MAX_DEPTH + 1), "[".repeat(100_000), "[\n".repeat(1000), "- ".repeat(1000), aliases]
    {
        let (message, help, _) = refused(&source);
        assert!(message.contains("more than 32 lists and maps"), "{message}");
        assert!(help.contains("bracket"), "{help}");
    }
    assert_eq!(refused(&nested(MAX_DEPTH + 1)).2, (1, 33));
}

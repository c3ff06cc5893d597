//! Messages as an identity provider or an API could write them, for the laws that hold for all of them.

use proptest::{collection::vec, prelude::*, sample::select};

/// Names that mean something here, and their neighbours that do not.
const NAMES: &[&str] = &[
    "email",
    "email_address",
    "Email",
    "identities",
    "ui_locales",
    "client_id",
    "clientId",
    "step",
    "displayName",
    "displayname",
    "city",
    "surname",
    "lastName",
    "version",
    "action",
    "Action",
    "status",
    "Status",
    "userMessage",
    "code",
    "a",
    "",
];

/// The first two are one app; the third stands between their spellings in the order of bytes.
const APPS: [&str; 4] = [
    "0123456789abcdef0123456789abcdef",
    "0123456789ABCDEF0123456789abcdef",
    "0123456789FFFFFFFFFFFFFFFFFFFFFF",
    "ffffffffffffffffffffffffffffffff",
];

/// Values that a careless reader takes for something else.
const VALUES: &[&str] = &[
    "null",
    "true",
    "false",
    "-0",
    "1.10",
    "1e999",
    "12345678901234567890123",
    r#""""#,
    r#""null""#,
    r#""\ud800""#,
    r#""\\""#,
    r#""\"""#,
    r#""//""#,
    r#""/* ""#,
    r#"" */""#,
    r#"",}""#,
    r#""{[""#,
    r#""Continue""#,
    r#""ShowBlockPage""#,
    r#""\",\"action\":\"Continue\"""#,
    r#"{"action":"Deny"}"#,
    "[]",
    "{}",
];

/// An object, as text and as the members that it was made of.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) text: String,
    /// Name after unescaping, value as written; in the order of the text.
    pub(crate) members: Vec<(String, String)>,
}

/// The configuration of the laws: 256 cases, or what `PROPTEST_CASES` says.
pub(crate) fn cases() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

/// An object in the form of RFC 8259.
pub(crate) fn message() -> impl Strategy<Value = Message> {
    message_with(blank().boxed(), Just(false).boxed())
}

/// An object with comments where blanks may stand, and with a comma behind its last member.
pub(crate) fn careless_message() -> impl Strategy<Value = Message> {
    message_with(comment().boxed(), any::<bool>().boxed())
}

fn message_with(
    gap: BoxedStrategy<String>,
    trailing_comma: BoxedStrategy<bool>,
) -> impl Strategy<Value = Message> {
    let gaps = [gap.clone(), gap.clone(), gap.clone(), gap.clone()];
    let member = (gaps, name(), styles(), value());
    (vec(member, 0..8), [gap.clone(), gap.clone(), gap], trailing_comma).prop_map(|(parts, around, comma)| {
        let mut members = Vec::with_capacity(parts.len());
        let mut texts = Vec::with_capacity(parts.len());
        for (gaps, name, styles, value) in parts {
            texts.push(format!(
                "{}{}{}:{}{value}{}",
                gaps[0],
                written(&name, &styles),
                gaps[1],
                gaps[2],
                gaps[3]
            ));
            members.push((name, value));
        }
        let comma = if comma && !members.is_empty() { "," } else { "" };
        let text = format!("{}{{{}{comma}{}}}{}", around[0], texts.join(","), around[1], around[2]);
        Message { text, members }
    })
}

/// A name that a message may have, also of no claim.
pub(crate) fn name() -> impl Strategy<Value = String> {
    let extension = (select(&APPS[..]), select(&["A", "Loyalty", "_", ""][..]), 0..5_u8);
    prop_oneof![
        6 => select(NAMES).prop_map(str::to_owned),
        3 => extension.prop_map(|(app, base, form)| match form {
            0 | 1 => format!("extension_{app}_{base}"),
            2 | 3 => format!("extension_{base}"),
            _ => format!("extension_{}_{base}", &app[1..]),
        }),
        1 => text(6),
    ]
}

/// Names whose keys meet although they are of many claims: they differ where a key does not look.
pub(crate) fn names_of_one_key(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("a{number:06}_name")).collect()
}

/// Any JSON text without blanks around it.
pub(crate) fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        1 => Just("null".to_owned()),
        3 => select(VALUES).prop_map(str::to_owned),
        1 => "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?",
        3 => (text(8), styles()).prop_map(|(text, styles)| written(&text, &styles)),
    ];
    let leaf = leaf.boxed();
    let nested = leaf.clone().prop_recursive(3, 12, 4, |inner| {
        let spaced = (blank(), inner, blank()).prop_map(|(before, value, after)| before + &value + &after);
        let spaced = spaced.boxed();
        let member = (name(), styles(), spaced.clone())
            .prop_map(|(name, styles, value)| written(&name, &styles) + ":" + &value);
        prop_oneof![
            vec(spaced, 0..4).prop_map(|values| format!("[{}]", values.join(","))),
            vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    });
    // Left to itself the recursion hardly ever stops at once, and most claims are plain.
    prop_oneof![2 => leaf, 1 => nested]
}

/// Text of up to `longest` characters, control characters and all planes included.
pub(crate) fn text(longest: usize) -> impl Strategy<Value = String> {
    let character = prop_oneof![
        4 => prop::char::range(' ', '~'),
        1 => select(&['"', '\\', '/', '\n', '\u{0}', '\u{7f}', 'é', '\u{2028}', '\u{feff}', '\u{1f600}'][..]),
        1 => any::<char>(),
    ];
    vec(character, 0..=longest).prop_map(String::from_iter)
}

/// How each character of a string is written.
pub(crate) fn styles() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![2 => Just(vec![0]), 1 => vec(0..4_u8, 1..6)]
}

/// `text` as a JSON string (RFC 8259 section 7), each character in one of the ways that it may be written.
pub(crate) fn written(text: &str, styles: &[u8]) -> String {
    let mut out = String::from("\"");
    for (character, style) in text.chars().zip(styles.iter().cycle()) {
        let short = match character {
            '"' | '\\' => Some(character),
            '/' if *style == 3 => Some(character),
            '\n' => Some('n'),
            '\t' => Some('t'),
            '\u{8}' => Some('b'),
            _ => None,
        };
        match (style, short) {
            (0 | 3, Some(short)) => out.extend(['\\', short]),
            (0 | 3, None) if character >= ' ' => out.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let digits = if *style == 1 { format!("{unit:04x}") } else { format!("{unit:04X}") };
                    out.push_str("\\u");
                    out.push_str(&digits);
                }
            }
        }
    }
    out + "\""
}

fn blank() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 1 => "[ \t\r\n]{1,3}"]
}

fn comment() -> impl Strategy<Value = String> {
    let inside = || select(&["", " x", ",}", "é", "\"", "{", "\"action\":\"Continue\"", "//", "* /"][..]);
    prop_oneof![
        4 => blank(),
        1 => (inside(), select(&["\n", "\r", "\r\n"][..])).prop_map(|(text, end)| format!("//{text}{end}")),
        1 => inside().prop_map(|text| format!("/*{text}*/")),
    ]
}

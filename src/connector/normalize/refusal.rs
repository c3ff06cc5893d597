//! Evidence that an answer, readable or not, refuses the user.
//!
//! The rule "a refusal never becomes Continue" must hold for answers that broke the contract, arrived in part, or came
//! with the wrong status; those cannot be parsed. So this looks for traces in the bytes and prefers to see one too many:
//! the price of a false alarm is an error page where the user might have gone on, the price of a miss is a wrong person
//! let in.

/// Stands for an escaped quote in a flattened text, where no UTF-8 has this byte: inside a string it ends nothing.
const ESCAPED_QUOTE: u8 = 0xff;

/// What a name or a value may stand in; both ends are the same.
const QUOTES: [u8; 3] = [b'"', b'\'', ESCAPED_QUOTE];

/// Whether the answer holds an `action` that is not exactly one Continue, or a `userMessage` under 4xx or without an
/// `action`, in any letter case, at any depth, quoted or escaped in any way; or one of the two refusing words anywhere.
///
/// Takes time in proportion to the body.
pub fn holds_refusal(status: u16, body: &[u8]) -> bool {
    // UTF-16 without the NULs of its ASCII characters.
    let bytes: Vec<u8> = body.iter().copied().filter(|byte| *byte != 0).collect();
    // Compressed, or in a charset of which nothing is known: it says nothing that could be relied on. A character that
    // is cut off at the end says nothing against the rest.
    if std::str::from_utf8(&bytes).is_err_and(|error| error.error_len().is_some()) {
        return true;
    }
    let text = flatten(&bytes);
    if contains(&text, b"showblockpage") || contains(&text, b"validationerror") {
        return true;
    }
    let mut actions = values_of(&text, b"action");
    let (first, second) = (actions.next(), actions.next());
    // Flattened, `\\Continue` looks like Continue and is another word; so next to an escaped backslash none is believed.
    let one_continue = second.is_none() && first.is_some_and(is_continue) && !contains(&bytes, br"\\");
    let message = || values_of(&text, b"usermessage").next().is_some();
    let telling_message = || values_of(&text, b"usermessage").any(|value| !is_empty(value));
    (first.is_some() && !one_continue)
        || (first.is_none() && telling_message())
        || ((400..500).contains(&status) && message())
}

/// Lower case, escapes undone and backslashes gone, and a mark for each escaped quote: so a key is found as it is, inside
/// a string that holds JSON, and inside a string in such a string, and no string seems to end before its end.
fn flatten(body: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, tail) {
            (b'\\', [b'n' | b'r' | b't', tail @ ..]) => {
                text.push(b' ');
                rest = tail;
            }
            (b'\\', [b'"', tail @ ..]) => {
                text.push(ESCAPED_QUOTE);
                rest = tail;
            }
            (b'\\', _) => {
                if let Some((character, tail)) = unicode_escape(tail) {
                    text.push(if character == b'"' { ESCAPED_QUOTE } else { character.to_ascii_lowercase() });
                    rest = tail;
                }
            }
            _ => text.push(byte.to_ascii_lowercase()),
        }
    }
    text
}

/// `uXXXX` for an ASCII character.
fn unicode_escape(tail: &[u8]) -> Option<(u8, &[u8])> {
    let (escape, tail) = tail.split_at_checked(5)?;
    let digits = std::str::from_utf8(escape.strip_prefix(b"u")?).ok()?;
    let character = u8::from_str_radix(digits, 16).ok()?;
    character.is_ascii().then_some((character, tail))
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

/// What follows each `key` that stands as a word of its own, in quotes or bare, where the text then ends or goes on as
/// JSON, XML or a form does after a name. A comment may stand before the colon; whether one does is not looked into.
fn values_of<'a>(text: &'a [u8], key: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    (0..text.len()).filter_map(move |at| {
        let tail = text[at..].strip_prefix(key)?;
        let begins = at.checked_sub(1).is_none_or(|before| !is_of_a_word(text[before]));
        let tail = match tail {
            [quote, tail @ ..] if QUOTES.contains(quote) => tail.trim_ascii_start(),
            _ => tail.trim_ascii_start(),
        };
        match tail {
            _ if !begins => None,
            [] | [b'/', ..] => Some(&[][..]),
            [b':' | b'>', value @ ..] => Some(value.trim_ascii_start()),
            [b'=', value @ ..] if is_a_field(&text[..at]) => Some(value),
            _ => None,
        }
    })
}

/// Whether a name and `=` behind this text are a field of a form or an attribute of XML, other than the attribute of
/// `<form action=…>` that stands on every other error page.
fn is_a_field(before: &[u8]) -> bool {
    const LONGEST_TAG: usize = 256;
    let near = &before[before.len().saturating_sub(LONGEST_TAG)..];
    let tag = near.iter().rposition(|byte| *byte == b'<').map_or(&[][..], |at| &near[at..]);
    match before.last() {
        None | Some(b'&') => true,
        Some(byte) => byte.is_ascii_whitespace() && !tag.starts_with(b"<form"),
    }
}

/// A hyphen too: `touch-action: none` in the style of an error page is no action.
fn is_of_a_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// The word in quotes, and then nothing that could belong to it.
fn is_continue(value: &[u8]) -> bool {
    let ends = |rest: &[u8]| matches!(rest, [] | [b',' | b'}' | b']' | b'/', ..]);
    behind_quoted(value, b"continue").or_else(|| behind_quoted(value, b"allow")).is_some_and(ends)
}

/// No text, and then what can follow a value. Where the answer ends there, more may have been to come.
fn is_empty(value: &[u8]) -> bool {
    let rest = behind_quoted(value, b"").or_else(|| Some(value.strip_prefix(b"null")?.trim_ascii_start()));
    rest.is_some_and(|rest| matches!(rest, [b',' | b'}' | b']' | b'/', ..]))
}

/// What follows this word in quotes, blanks left out.
fn behind_quoted<'a>(value: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let (quote, rest) = value.split_first().filter(|(quote, _)| QUOTES.contains(quote))?;
    let rest = rest.strip_prefix(word)?.strip_prefix(std::slice::from_ref(quote))?;
    Some(rest.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::time::{ClockId, clock_gettime};

    use super::*;

    #[test]
    fn a_trace_of_a_refusal_is_found_in_any_dress() {
        let in_utf16 = |text: &str| -> Vec<u8> { text.bytes().flat_map(|byte| [byte, 0]).collect() };
        let utf16 = in_utf16(r#"{"action":"Deny"}"#);
        let escaped_utf16 = in_utf16(r#"{"\u0061ction":"Deny"}"#);
        let rows: &[(u16, &[u8])] = &[
            (200, br#"{"action":"ShowBlockPage"}"#),
            (500, br#"{"Action" : "validationerror"}"#),
            (200, br#"{"action":"Continue","action":"Continue"}"#),
            (200, br#"{"action":"Continue","ACTION":"Deny"}"#),
            (200, br#"{"action":true}"#),
            (200, br#"{"action":["Continue"]}"#),
            (200, br#"{"action":"Deny"}"#),
            (200, br#"{"\u0061ction":"Deny"}"#),
            (
                200,
                br#"{"action" /* : */ : // x
                "Deny"}"#,
            ),
            (200, br#"{"error":{"action":"Deny"}}"#),
            (502, br#"{"error":"{\"action\":\"Deny\"}"}"#),
            (502, br#"{"error":"{\\\"action\\\":\\\"Deny\\\"}"}"#),
            (
                200,
                br#"// 5" wide
                {"action":"Deny"}"#,
            ),
            (200, b"{'action':'Deny'}"),
            (200, br#"{"action":"Con\tinue"}"#),
            (200, br#"{"action":"Continue\"Deny"}"#),
            (200, br#"{"action":"\\Continue"}"#),
            (200, br#"{"action":"Continue\\"}"#),
            (500, br#"{"action":"\\u0043ontinue"}"#),
            (200, b"<answer><action>Deny</action></answer>"),
            (200, b"<decision action=\"Block\" message=\"no\"/>"),
            (200, b"x=1\naction=Block"),
            (500, b"action=Block&userMessage=no"),
            (500, b"status=1&action=Block"),
            (200, b"\x1f\x8b\x08\x00\x01"),
            (500, b"Acc\xe8s refus\xe9"),
            (200, br#"{action:"Deny"}"#),
            (200, br#"{action : "Deny"}"#),
            (502, br#"{"error":"{\\\"action\\\"\\n:\\\"Deny\\\"}"}"#),
            (200, br#"{"version":"1.0.0","action"/* never ends"#),
            (200, br#"{"version":"1.0.0","action""#),
            (200, br#"{"version":"1.0.0","action"#),
            (200, br#"{"action":"Continue"#),
            (200, br#"{"action":"#),
            (503, b"<html>ShowBlockPage</html>"),
            (409, br#"{"userMessage":"no"}"#),
            (409, br#"{"userMessage":""}"#),
            (404, br#"{"action":"Continue","usermessage":"no"}"#),
            (200, br#"{"userMessage":"no"}"#),
            (500, br#"{"userMessage":"no"}"#),
            (200, br#"{"action":"Continue\",\"x"}"#),
            (200, br#"{"action":"Continue\u0022}"}"#),
            (500, br#"{"userMessage":"\"Jane\" may not sign up"}"#),
            (500, br#"{"userMessage":"\u0022Jane\u0022 may not sign up"}"#),
            (200, br#"{"userMessage":""Jane" may not sign up"}"#),
            (200, br#"{"userMessage":nullified}"#),
            (200, &utf16),
            (200, &escaped_utf16),
        ];
        let missed: Vec<_> = rows.iter().filter(|(status, body)| !holds_refusal(*status, body)).collect();
        let shown = missed.iter().map(|(status, body)| format!("{status} {}", String::from_utf8_lossy(body)));
        assert!(missed.is_empty(), "{:#?}", shown.collect::<Vec<_>>());
    }

    #[test]
    fn an_answer_without_a_trace_holds_none() {
        let rows: &[(u16, &[u8])] = &[
            (200, b""),
            (500, b"<html><form action=\"/login\">Internal Server Error</form></html>"),
            (500, br#"{"error":"boom"}"#),
            (500, br#"{"action":"Continue"}"#),
            (400, br#"{"action":"Allow"}"#),
            (200, br#"{"action":"Continue","userMessage":""}"#),
            (500, br#"{"action":"\u0043ontinue","text":"\"quoted\""}"#),
            (200, br#"{"action":"Continue","userMessage":"welcome"}"#),
            (200, br#"{"userMessage":""}"#),
            (200, br#"{"userMessage":null}"#),
            (502, br#"{"body":"{\"userMessage\":\"\"}"}"#),
            (502, br#"{"body":"{\"action\":\"Continue\"}"}"#),
            (502, br#"{"body":"{\u0022action\u0022:\u0022Continue\u0022}"}"#),
            (200, br#"{"transaction":"x","reaction":"y","actions":[]}"#),
            (500, b"<style>a { touch-action: none }</style>"),
            (500, br#"{"error":"no action was taken"}"#),
            (500, "{\"error\":\"Zugriff verweigert: é".as_bytes().split_last().unwrap().1),
            (500, b"\\u00"),
            (500, b"\\"),
        ];
        for (status, body) in rows {
            assert!(!holds_refusal(*status, body), "{status} {}", String::from_utf8_lossy(body));
        }
    }

    /// By the time that this thread has computed, which other work on the machine does not lengthen: a text eight times as
    /// long must not take much more than eight times as long, for the texts that invite looking ahead.
    #[test]
    fn the_time_is_in_proportion_to_the_body() {
        let computed = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
        let pieces =
            ["\"action\"/*", "\"action\":'", "action", "\"action\":\"continue\" \\", "\"usermessage\":\""];
        for piece in pieces {
            let took = |times: usize| {
                let body = piece.repeat(times);
                let runs = (0..3).map(|_| {
                    let began = computed();
                    std::hint::black_box(holds_refusal(500, body.as_bytes()));
                    computed().saturating_sub(began)
                });
                runs.min().unwrap_or_default()
            };
            let (short, long) = (took(4_000), took(32_000));
            assert!(long < short * 24, "{piece}: eight times the text took {short:?} and {long:?}");
        }
    }
}

//! Text in a log line, and which names may stand in one.

/// Whether the name of a claim may stand in a log although it came over the wire: `[A-Za-z0-9_]{1,80}`.
///
/// Anybody who may call can choose such a name, so it is held to a form that holds no sentence, address or escape code.
pub(super) fn loggable_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=80).contains(&name.len()) && all_fit(name.as_bytes(), fits)
}

/// Whether every byte fits. Sixteen at a time, for so many the compiler compares at once; the last sixteen may overlap with
/// others. Fewer are not copied to where there are sixteen: to read as one what was just written by pieces takes longer.
fn all_fit(bytes: &[u8], fits: impl Fn(u8) -> bool) -> bool {
    let sixteen_fit = |bytes: &[u8; 16]| bytes.iter().fold(true, |all, byte| all & fits(*byte));
    match bytes.last_chunk() {
        Some(last) => sixteen_fit(last) && bytes.as_chunks().0.iter().all(sixteen_fit),
        None => bytes.iter().all(|byte| fits(*byte)),
    }
}

/// Appends `text` as a JSON string.
pub(super) fn push_json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    push_escaped(out, text);
    out.push(b'"');
}

/// Appends `text` with all but printable ASCII as JSON escapes (RFC 8259 section 7).
///
/// One rule keeps everything out that could end a line, hide text or steer a terminal: line separators, control
/// characters of both ranges, marks of writing direction.
pub(super) fn push_escaped(out: &mut Vec<u8>, text: &str) {
    // Hardly any text has something to escape.
    if all_fit(text.as_bytes(), |byte| !needs_escape(byte)) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let mut rest = text;
    while let Some(at) = rest.bytes().position(needs_escape) {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain.as_bytes());
        let mut characters = tail.chars();
        if let Some(character) = characters.next() {
            push_escape(out, character);
        }
        rest = characters.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
}

/// Appends the number in decimal.
pub(super) fn push_number(out: &mut Vec<u8>, number: u64) {
    // In pieces of lengths that the compiler knows, so that each is written in one go.
    match number {
        0..10 => out.push(last_digit(number)),
        10..100 => out.extend_from_slice(&[last_digit(number / 10), last_digit(number)]),
        100..1_000 => out.extend_from_slice(&last_three_digits(number)),
        1_000.. => {
            push_number(out, number / 1_000);
            out.extend_from_slice(&last_three_digits(number));
        }
    }
}

/// The number's 16 hexadecimal digits, in lower case.
pub fn hex_digits(number: u64) -> [u8; 16] {
    let [high, low] = [number >> 32, number & 0xffff_ffff].map(|half| u128::from(eight_hex_digits(half)));
    (high << 64 | low).to_be_bytes()
}

/// The eight hexadecimal digits of a number of 32 bits, a byte each. All at once, for this is done for each hook.
fn eight_hex_digits(number: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // Each half byte into a byte of its own.
    let pairs = (number | number << 16) & 0x0000_ffff_0000_ffff;
    let bytes = (pairs | pairs << 8) & 0x00ff_00ff_00ff_00ff;
    let digits = (bytes | bytes << 4) & (0xf * ONES);
    // Six more than ten and up is sixteen and up; letters begin 39 behind where the digits end.
    let letters = (digits + 6 * ONES) >> 4 & ONES;
    digits + u64::from(b'0') * ONES + u64::from(b'a' - b'9' - 1) * letters
}

/// The last three digits of the number in decimal, with zeros in front.
pub(super) fn last_three_digits(number: u64) -> [u8; 3] {
    [number / 100, number / 10, number].map(last_digit)
}

fn last_digit(number: u64) -> u8 {
    // A remainder of ten is below ten.
    b'0' + (number % 10) as u8
}

fn needs_escape(byte: u8) -> bool {
    !(b' '..=b'~').contains(&byte) || byte == b'"' || byte == b'\\'
}

fn push_escape(out: &mut Vec<u8>, character: char) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        _ => {
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(b"\\u");
                for shift in [12, 8, 4, 0] {
                    out.push(b"0123456789abcdef"[usize::from(*unit >> shift & 0xf)]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn a_string_reads_back_and_is_printable_ascii(text in any::<String>()) {
            let json = written(|out| push_json_string(out, &text));
            prop_assert!(json.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{json}");
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }

        #[test]
        fn hexadecimal_digits_are_those_of_std(number: u64, bits in 0_u32..64) {
            let number = number >> bits;
            let digits = hex_digits(number);
            prop_assert_eq!(str::from_utf8(&digits), Ok(&*format!("{number:016x}")));
        }

        #[test]
        fn a_number_is_written_as_std_writes_it(number: u64, bits in 0_u32..64) {
            let number = number >> bits;
            prop_assert_eq!(written(|out| push_number(out, number)), number.to_string());
        }
    }

    #[test]
    fn what_could_forge_a_line_is_escaped() {
        let cases = [
            ("a\nb\r\t", r"a\nb\r\t"),
            ("\u{1b}[31m\u{0}\u{7f}", r"\u001b[31m\u0000\u007f"),
            ("\u{85}\u{2028}\u{2029}\u{202e}", r"\u0085\u2028\u2029\u202e"),
            (r#"say "hi" \ bye"#, r#"say \"hi\" \\ bye"#),
            ("ä😀", r"\u00e4\ud83d\ude00"),
        ];
        for (text, expected) in cases {
            assert_eq!(written(|out| push_escaped(out, text)), expected);
        }
    }

    #[test]
    fn the_numbers_around_each_new_digit_are_written_as_std_writes_them() {
        let powers = (0..20).map(|exponent| 10_u64.pow(exponent));
        for number in powers.flat_map(|power| [power - 1, power, power + 1]).chain([u64::MAX]) {
            assert_eq!(written(|out| push_number(out, number)), number.to_string());
        }
    }

    #[test]
    fn a_name_from_the_wire_is_loggable_only_in_the_narrow_form() {
        let longest = "a".repeat(80);
        for name in
            ["a", "displayName", "extension_0123456789abcdef0123456789abcdef_LoyaltyId", longest.as_str()]
        {
            assert!(loggable_name(name), "{name}");
        }
        let too_long = "a".repeat(81);
        for name in ["", "a b", "a.b", "ann@contoso.com", "a-b", "ä", "a\n", "\u{202e}a", too_long.as_str()]
        {
            assert!(!loggable_name(name), "{name}");
        }
    }

    #[test]
    fn one_byte_that_does_not_fit_is_found_at_every_place_of_every_length() {
        for length in 1..=80 {
            for place in 0..length {
                for unfit in ['"', '\n', '\u{7f}'] {
                    let mut name = "a".repeat(length);
                    assert!(loggable_name(&name));
                    assert_eq!(written(|out| push_escaped(out, &name)), name);
                    name.replace_range(place..=place, &unfit.to_string());
                    assert!(!loggable_name(&name), "{name:?}");
                    let escaped = format!("\"{}\"", written(|out| push_escaped(out, &name)));
                    assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), name);
                }
            }
        }
    }
}

//! An answer read in the plainest way, with all of it at hand. It takes more than the reader does: where the two differ
//! in what they take, the reader must refuse.

/// What stands at the beginning of the bytes.
pub(super) struct Again {
    pub(super) status: u16,
    pub(super) encoded: bool,
    pub(super) body: Vec<u8>,
    /// How many bytes belong to it.
    pub(super) used: usize,
    /// Neither its version nor its head says that the connection ends with it.
    pub(super) stays: bool,
}

/// The final answer, 100 before it left out; `end`: nothing follows these bytes.
pub(super) fn answer(raw: &[u8], end: bool) -> Option<Again> {
    let mut rest = raw;
    loop {
        let length = rest.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let (head, behind) = rest.split_at(length);
        let head = Head::of(head)?;
        rest = behind;
        if head.status == 100 {
            continue;
        }
        let (body, after) = head.body(rest, end)?;
        let used = raw.len() - after.len();
        return Some(Again { status: head.status, encoded: head.encoded(), body, used, stays: head.stays() });
    }
}

struct Head<'a> {
    minor: u8,
    status: u16,
    fields: Vec<(String, &'a [u8])>,
}

impl<'a> Head<'a> {
    fn of(text: &'a [u8]) -> Option<Self> {
        let mut lines = text[..text.len() - 4].split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end);
        let first = lines.next()?;
        let minor = *first.strip_prefix(b"HTTP/1.")?.first()?;
        let status = std::str::from_utf8(first.get(9..12)?).ok()?.parse().ok()?;
        let fields = lines.map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
            Some((name, line[colon + 1..].trim_ascii()))
        });
        Some(Self { minor, status, fields: fields.collect::<Option<_>>()? })
    }

    fn values(&self, name: &str) -> Vec<&'a [u8]> {
        self.fields.iter().filter(|(there, _)| there == name).map(|(_, value)| *value).collect()
    }

    fn words(&self, name: &str) -> Vec<String> {
        let list = self.values(name).join(&b',');
        let words = list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        words
            .filter(|word| !word.is_empty())
            .map(|word| String::from_utf8_lossy(word).to_ascii_lowercase())
            .collect()
    }

    fn encoded(&self) -> bool {
        self.words("content-encoding").iter().any(|coding| coding != "identity")
    }

    fn stays(&self) -> bool {
        self.minor == b'1' && !self.words("connection").iter().any(|option| option == "close")
    }

    /// The body and what follows it.
    fn body<'b>(&self, rest: &'b [u8], end: bool) -> Option<(Vec<u8>, &'b [u8])> {
        let (lengths, codings) = (self.values("content-length"), self.values("transfer-encoding"));
        match (&lengths[..], &codings[..]) {
            _ if matches!(self.status, 204 | 304) => Some((Vec::new(), rest)),
            ([], [coding]) => coding.eq_ignore_ascii_case(b"chunked").then(|| chunks(rest))?,
            ([length], []) => {
                let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
                let (body, after) = rest.split_at_checked(length)?;
                Some((body.to_vec(), after))
            }
            ([], []) => (end && !self.stays()).then(|| (rest.to_vec(), &[][..])),
            _ => None,
        }
    }
}

fn chunks(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        let line = line(&mut rest)?;
        let size = line.split(|&byte| byte == b';').next()?.trim_ascii();
        let size = usize::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        let (data, after) = rest.split_at_checked(size)?;
        body.extend_from_slice(data);
        rest = after.strip_prefix(b"\r\n")?;
    }
    while !line(&mut rest)?.is_empty() {}
    Some((body, rest))
}

/// Takes the next line.
fn line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.windows(2).position(|two| two == b"\r\n")?;
    let line = &rest[..end];
    *rest = &rest[end + 2..];
    Some(line)
}

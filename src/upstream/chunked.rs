//! The chunked transfer coding (RFC 9112 section 7.1).

use super::{
    Buffer, Defect,
    head::{self, Section},
};

/// Most bytes of the line before a chunk: size, extension, line end.
const MAX_LINE: usize = 256;

/// Most bytes of the trailer section, its empty line included.
const MAX_TRAILERS: usize = 4 * 1024;

/// How far the decoding has come.
#[derive(Debug)]
pub(super) enum Chunks {
    /// Before a chunk.
    Size,
    /// Inside a chunk, with so many bytes to come.
    Data(u64),
    /// Behind a chunk, before its line end.
    DataEnd,
    /// Behind the last chunk.
    Trailers(Section),
}

impl Chunks {
    /// Moves what is complete from `input` to `body`, which may hold `max` bytes. `true` when the body is complete.
    pub(super) fn advance(
        &mut self,
        input: &mut Buffer,
        body: &mut Vec<u8>,
        max: usize,
    ) -> Result<bool, Defect> {
        loop {
            match self {
                Self::Size => {
                    let Some((size, length)) = size_line(input.unread())? else { return Ok(false) };
                    input.consume(length);
                    *self = if size == 0 { Self::Trailers(Section::default()) } else { Self::Data(size) };
                }
                Self::Data(left) => {
                    let room = max - body.len();
                    let there = input.unread();
                    let count = there.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    body.extend_from_slice(&there[..count.min(room)]);
                    if count > room {
                        return Err(Defect::TooLarge);
                    }
                    input.consume(count);
                    *left -= count as u64;
                    if *left > 0 {
                        return Ok(false);
                    }
                    *self = Self::DataEnd;
                }
                Self::DataEnd => match input.unread() {
                    [] | [b'\r'] => return Ok(false),
                    [b'\r', b'\n', ..] => {
                        input.consume(2);
                        *self = Self::Size;
                    }
                    _ => return Err(Defect::ChunkEnd),
                },
                Self::Trailers(section) => {
                    let there = input.unread();
                    let end = section.end(there).map_err(|_| Defect::Trailer)?;
                    if end.unwrap_or(there.len()) > MAX_TRAILERS {
                        return Err(Defect::TrailerTooLarge);
                    }
                    let Some(length) = end else { return Ok(false) };
                    head::check_trailers(&there[..length])?;
                    input.consume(length);
                    return Ok(true);
                }
            }
        }
    }
}

/// The size on the line at the beginning of `bytes`, and the length of that line; `None` if it has not ended yet.
fn size_line(bytes: &[u8]) -> Result<Option<(u64, usize)>, Defect> {
    let window = &bytes[..bytes.len().min(MAX_LINE)];
    let Some(feed) = window.iter().position(|&byte| byte == b'\n') else {
        return if bytes.len() >= MAX_LINE { Err(Defect::ChunkLineTooLong) } else { Ok(None) };
    };
    let Some((b'\r', line)) = window[..feed].split_last() else { return Err(Defect::ChunkSize) };
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let size = hexadecimal(&line[..digits]).ok_or(Defect::ChunkSize)?;
    if is_extension(&line[digits..]) { Ok(Some((size, feed + 1))) } else { Err(Defect::ChunkSize) }
}

/// Nothing, or white space and a semicolon and what follows it (RFC 9112 section 7.1.1). A control character, above all
/// a CR, would end the line for some readers and not for others.
fn is_extension(text: &[u8]) -> bool {
    let printable = text.iter().all(|&byte| byte == b'\t' || !byte.is_ascii_control());
    let begins = text.is_empty() || text.trim_ascii_start().first() == Some(&b';');
    printable && begins
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

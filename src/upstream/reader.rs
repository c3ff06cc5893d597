//! Puts an answer together from the pieces in which it arrives. No I/O: the same bytes give the same answer, whatever
//! the pieces.

use super::{
    Buffer, Defect, Partial,
    chunked::Chunks,
    head::{self, Framing, Head, MAX_HEAD, Section},
};

/// Most 100 answers before the final one.
const MAX_INTERIM: u8 = 8;

/// One answer in the making.
#[derive(Debug)]
pub(super) struct Reader {
    max_answer: usize,
    interim: u8,
    stage: Stage,
    head: Option<Head>,
    body: Vec<u8>,
}

#[derive(Debug)]
enum Stage {
    Head(Section),
    /// So many bytes of the body to come.
    Length(u64),
    /// The announced length is over the limit. What fits is still read, for it may hold a refusal.
    TooLarge,
    Chunked(Chunks),
    Close,
}

impl Reader {
    /// For an answer with a body of at most `max_answer` bytes.
    pub(super) fn new(max_answer: usize) -> Self {
        Self { max_answer, interim: 0, stage: Stage::Head(Section::default()), head: None, body: Vec::new() }
    }

    /// Uses what is in `input`. `true` when the answer is complete; what then is unread does not belong to it.
    pub(super) fn advance(&mut self, input: &mut Buffer) -> Result<bool, Defect> {
        loop {
            match &mut self.stage {
                Stage::Head(section) => {
                    let there = input.unread();
                    if !head::may_begin(there) {
                        return Err(Defect::NotHttp);
                    }
                    let end = section.end(there)?;
                    if end.unwrap_or(there.len()) > MAX_HEAD {
                        return Err(Defect::HeadTooLarge);
                    }
                    let Some(length) = end else { return Ok(false) };
                    let head = head::parse(&there[..length])?;
                    input.consume(length);
                    self.take_head(head)?;
                }
                Stage::Length(left) => {
                    let there = input.unread();
                    let count = there.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    self.body.extend_from_slice(&there[..count]);
                    input.consume(count);
                    *left -= count as u64;
                    return Ok(*left == 0);
                }
                Stage::Chunked(chunks) => return chunks.advance(input, &mut self.body, self.max_answer),
                Stage::TooLarge | Stage::Close => {
                    let there = input.unread();
                    let room = self.max_answer - self.body.len();
                    self.body.extend_from_slice(&there[..there.len().min(room)]);
                    let over = there.len() > room || (self.known_defect().is_some() && there.len() == room);
                    input.consume(input.unread().len());
                    return if over { Err(Defect::TooLarge) } else { Ok(false) };
                }
            }
        }
    }

    /// Whether the end of the stream is the end of the answer.
    pub(super) fn ends_with_stream(&self) -> bool {
        matches!(self.stage, Stage::Close)
    }

    /// Whether a byte of the final answer has arrived; `input` is what is unread.
    pub(super) fn has_begun(&self, input: &Buffer) -> bool {
        self.head.is_some() || !input.unread().is_empty()
    }

    /// What is already known to be wrong with the answer while it is still read on.
    pub(super) fn known_defect(&self) -> Option<Defect> {
        matches!(self.stage, Stage::TooLarge).then_some(Defect::TooLarge)
    }

    /// The head and the body of a complete answer.
    pub(super) fn into_parts(self) -> (Head, Vec<u8>) {
        let head = self.head.expect("an answer is complete only after its head");
        (head, self.body)
    }

    /// What arrived of an incomplete one, if as much as its status did; `input` is what is unread. After a defect the
    /// unread bytes follow what was decoded, and nothing is believed of a head that broke the rules.
    pub(super) fn into_partial(mut self, input: &Buffer, defect: bool) -> Option<Partial> {
        let there = input.unread();
        let Some(Head { status, content_encoding, .. }) = self.head else {
            let status = head::status(there).filter(|_| !defect)?;
            return Some(Partial { status, content_encoding: false, body: Vec::new() });
        };
        if defect {
            let count = there.len().min(self.max_answer - self.body.len());
            self.body.extend_from_slice(&there[..count]);
        }
        Some(Partial { status, content_encoding, body: self.body })
    }

    fn take_head(&mut self, head: Head) -> Result<(), Defect> {
        if head.status < 200 {
            // 101 changes the protocol, which nobody asked for; 102 and 103 belong to requests that claimgate does not
            // send. 100 may come unasked (RFC 9110 section 15.2.1).
            self.interim += 1;
            return match head.status {
                100 if self.interim <= MAX_INTERIM => {
                    self.stage = Stage::Head(Section::default());
                    Ok(())
                }
                100 => Err(Defect::TooManyInterim),
                _ => Err(Defect::Interim),
            };
        }
        self.head = Some(head);
        self.stage = match head.framing? {
            Framing::Length(length) => match usize::try_from(length) {
                Ok(size) if size <= self.max_answer => {
                    self.body.reserve_exact(size);
                    Stage::Length(length)
                }
                _ => Stage::TooLarge,
            },
            Framing::Chunked => Stage::Chunked(Chunks::Size),
            Framing::Close => Stage::Close,
        };
        Ok(())
    }
}

//! The law of an answer's reading, for any bytes: what they are read as does not depend on the pieces in which they
//! come, and is what a plain second reading says.

use std::{
    io,
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    runtime::{Builder, Runtime},
    time::Instant,
};

use super::{Exchanged, run};
use crate::{
    flow::Reason,
    upstream::{Buffer, Timer, Until, WireFailure},
};

mod reread;

/// Any two pieces are tried of an answer up to this many bytes; of a longer one as many.
const ALL_CUTS: usize = 96;

/// The first byte says whether the answer comes before the request (1) and over a used stream (2), the second is
/// `max_answer`, the next two are where three pieces are cut; the rest is what comes.
pub fn answer(data: &[u8]) {
    let Some((&[options, max_answer, one, two], raw)) = data.split_first_chunk() else { return };
    let read = |pieces: &[&[u8]], end: bool| {
        let wire = Wire { pieces, taken: 0, end, unasked: options & 1 != 0, reused: options & 2 != 0 };
        wire.run(max_answer.into())
    };
    let _entered = START.1.enter();
    let (open, ended) = (read(&[raw], false), read(&[raw], true));
    for (whole, end) in [(&open, false), (&ended, true)] {
        within_the_limit(whole, max_answer.into());
        if let Ok(exchanged) = whole {
            as_read_again(exchanged, raw, end, options & 1 != 0);
        }
        let bytes: Vec<&[u8]> = raw.chunks(1).collect();
        let three = three_pieces(raw, one, two);
        for pieces in [&bytes[..], &three] {
            let came = read(pieces, end);
            assert!(same(whole, &came), "{whole:?} at once, {came:?} in {} pieces", pieces.len());
        }
    }
    match (&open, &ended) {
        (Ok(open), Ok(ended)) => assert_eq!(open, ended, "the end of the stream is the end of nothing else"),
        (Ok(_), Err(_)) => panic!("what was complete is not so at the end of the stream"),
        (Err(_), Ok(ended)) => assert!(!ended.keep && !ended.surplus, "only the end of the stream ended it"),
        (Err(_), Err(_)) => {}
    }
    for cut in (usize::from(one) % step(raw)..=raw.len()).step_by(step(raw)) {
        let (first, second) = raw.split_at(cut);
        let came = read(&[first, second], false);
        assert!(same(&open, &came), "{open:?} at once, {came:?} cut at {cut}");
        never_undone(&read(&[first], false), &open, second.is_empty());
    }
}

fn step(raw: &[u8]) -> usize {
    raw.len() / ALL_CUTS + 1
}

fn three_pieces(raw: &[u8], one: u8, two: u8) -> [&[u8]; 3] {
    let one = usize::from(one).min(raw.len());
    let (first, rest) = raw.split_at(one);
    let (second, third) = rest.split_at(rest.len() - usize::from(two).min(rest.len()));
    [first, second, third]
}

/// What the first bytes were read as, the next ones do not change: an answer ends where it ends, and what is broken
/// stays broken by the same rule.
fn never_undone(before: &Result<Exchanged, WireFailure>, after: &Result<Exchanged, WireFailure>, all: bool) {
    match (before, after) {
        (Ok(before), Ok(after)) => {
            assert_eq!(before.answer, after.answer);
            assert!(all || (after.surplus && !after.keep), "{after:?} has more behind it");
        }
        (Ok(before), Err(after)) => panic!("{before:?} became {after:?}"),
        (Err(before), after) if is_judged(before.reason) => {
            let after = after.as_ref().map_err(|failure| failure.reason).err();
            assert_eq!(after, Some(before.reason));
        }
        (Err(_), _) => {}
    }
}

/// Whether the reason is about the bytes that came, not about those that did not.
fn is_judged(reason: Reason) -> bool {
    matches!(reason, Reason::Contract(_))
}

fn within_the_limit(result: &Result<Exchanged, WireFailure>, max_answer: usize) {
    match result {
        Ok(Exchanged { answer, .. }) => {
            assert!(answer.body.len() <= max_answer);
            assert!((200..1000).contains(&answer.status));
            assert!(answer.body.is_empty() || !matches!(answer.status, 204 | 304));
        }
        Err(WireFailure { partial: Some(partial), .. }) => {
            assert!(partial.body.len() <= max_answer);
            assert!((200..1000).contains(&partial.status));
        }
        Err(_) => {}
    }
}

/// An answer that was taken is the one that stands there, and its connection is kept only with nothing behind it.
fn as_read_again(exchanged: &Exchanged, raw: &[u8], end: bool, early: bool) {
    let Some(again) = reread::answer(raw, end) else { panic!("{exchanged:?} of what is no answer") };
    let Exchanged { answer, keep, surplus } = exchanged;
    assert_eq!(
        (answer.status, answer.content_encoding, &answer.body),
        (again.status, again.encoded, &again.body)
    );
    assert_eq!(*surplus, again.used < raw.len());
    assert_eq!(*keep, again.stays && !surplus && !early);
}

/// Whether two results say the same of one answer. Raw bytes behind a broken framing are those that happened to be
/// there, so one partial body begins like the other.
pub(super) fn same(whole: &Result<Exchanged, WireFailure>, pieces: &Result<Exchanged, WireFailure>) -> bool {
    match (whole, pieces) {
        // What follows the answer may have come by its end or not.
        (Ok(whole), Ok(pieces)) => (&whole.answer, whole.keep) == (&pieces.answer, pieces.keep),
        (Err(whole), Err(pieces)) => {
            let partial_alike = match (&whole.partial, &pieces.partial) {
                (None, None) => true,
                (Some(one), Some(other)) => {
                    let raw = matches!(whole.reason, Reason::Contract(_));
                    let length_alike = raw || one.body.len() == other.body.len();
                    one.status == other.status && one.body.starts_with(&other.body) && length_alike
                }
                _ => false,
            };
            whole.reason == pieces.reason && whole.sent == pieces.sent && partial_alike
        }
        _ => false,
    }
}

/// A stream that is never waited for: what has not come when the reading wants it never comes.
struct Wire<'a> {
    /// To come.
    pieces: &'a [&'a [u8]],
    /// So many bytes of the first one have come.
    taken: usize,
    /// The stream ends behind the last piece.
    end: bool,
    /// The answer comes first, and only then the request is taken.
    unasked: bool,
    reused: bool,
}

impl Wire<'_> {
    fn is_left(&self) -> bool {
        self.pieces.iter().map(|piece| piece.len()).sum::<usize>() > self.taken
    }

    /// The result; what was not even read counts as surplus. For a runtime that was entered.
    fn run(mut self, max_answer: usize) -> Result<Exchanged, WireFailure> {
        // Long over, so that the timer ends the exchange as soon as that would wait.
        let until = Until { attempt: START.0, deadline: START.0 + Duration::from_mins(1) };
        let reused = self.reused;
        let (mut buffer, mut timer) = (Buffer::new(), Timer::default());
        let exchange = run(&mut self, &mut buffer, &mut timer, b"POST", max_answer, until, reused);
        let result = exchange.now_or_never().expect("it waits for nothing");
        let left = self.is_left();
        result.map(|Exchanged { answer, keep, surplus }| Exchanged {
            answer,
            keep: keep && !left,
            surplus: surplus || left,
        })
    }
}

/// A runtime for its timer, and an instant before it began.
static START: LazyLock<(Instant, Runtime)> = LazyLock::new(|| {
    let before = Instant::now();
    let runtime = Builder::new_current_thread().enable_time().build();
    (before, runtime.expect("a runtime without I/O needs nothing of the system"))
});

impl AsyncRead for Wire<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while let [piece, rest @ ..] = self.pieces
            && piece.len() == self.taken
        {
            (self.pieces, self.taken) = (rest, 0);
        }
        match self.pieces {
            [piece, ..] => {
                let count = (piece.len() - self.taken).min(buf.remaining());
                buf.put_slice(&piece[self.taken..][..count]);
                self.taken += count;
                Poll::Ready(Ok(()))
            }
            [] if self.end => Poll::Ready(Ok(())),
            [] => Poll::Pending,
        }
    }
}

impl AsyncWrite for Wire<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.unasked && self.is_left() { Poll::Pending } else { Poll::Ready(Ok(buf.len())) }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

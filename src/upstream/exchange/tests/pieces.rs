//! However an answer is cut into pieces, it becomes the same.

use proptest::{prelude::*, sample::Index};

use super::{
    script::{MAX_ANSWER, Script, Then},
    table::{Case, cases},
};
use crate::upstream::{
    WireFailure,
    exchange::{Exchanged, law::same},
};

/// Longer answers are cut at their first positions only, and into single bytes.
const CUT_EVERYWHERE: usize = 400;

#[tokio::test(start_paused = true)]
async fn single_bytes_make_no_difference() {
    for Case { name, raw, then, .. } in cases() {
        let whole = Script::new([raw.clone()], then).run().await;
        let bytes = Script::new(raw.iter().map(|&byte| vec![byte]), then).run().await;
        assert!(same(&whole, &bytes), "{name}: {whole:?} at once, {bytes:?} in bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_at_any_position_makes_no_difference() {
    for Case { name, raw, then, .. } in cases() {
        let whole = Script::new([raw.clone()], then).run().await;
        for position in 0..=raw.len().min(CUT_EVERYWHERE) {
            let (first, second) = raw.split_at(position);
            let cut = Script::new([first.to_vec(), second.to_vec()], then).run().await;
            assert!(same(&whole, &cut), "{name}: {whole:?} at once, {cut:?} cut at {position}");
        }
    }
}

/// Bytes that come close to an answer more often than random ones.
fn nearly_an_answer() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop::sample::select(vec![
        &b"HTTP/1.1 200 OK\r\n"[..],
        b"HTTP/1.0 400 No\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n",
        b"Content-Length: 3\r\n",
        b"Content-Length: 40\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"3\r\nabc\r\n",
        b"1f;x\r\n",
        b"0\r\n",
        b"abc",
        b": ",
    ]);
    let random = prop::collection::vec(any::<u8>(), 1..4);
    let piece = prop_oneof![6 => fragment.prop_map(<[u8]>::to_vec), 1 => random];
    let tail = prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat());
    (prop::bool::weighted(0.7), tail).prop_map(|(begins, tail)| {
        let begin: &[u8] = if begins { b"HTTP/1.1 200 OK\r\n" } else { b"" };
        [begin, &tail].concat()
    })
}

fn cut(raw: &[u8], positions: &[Index]) -> Vec<Vec<u8>> {
    let mut ends: Vec<usize> = positions.iter().map(|position| position.index(raw.len() + 1)).collect();
    ends.extend([0, raw.len()]);
    ends.sort_unstable();
    ends.windows(2).map(|pair| raw[pair[0]..pair[1]].to_vec()).collect()
}

fn run(script: &mut Script) -> Result<Exchanged, WireFailure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(script.run())
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces_are_judged_alike(
        raw in nearly_an_answer(),
        positions in prop::collection::vec(any::<Index>(), 0..8),
        ends in any::<bool>(),
    ) {
        let then = if ends { Then::End } else { Then::Silence };
        let whole = run(&mut Script::new([raw.clone()], then));
        let pieces = run(&mut Script::new(cut(&raw, &positions), then));
        prop_assert!(same(&whole, &pieces), "{:?} at once, {:?} in pieces", whole, pieces);
    }

    #[test]
    fn a_body_comes_out_of_its_chunks_as_it_went_in(
        chunks in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..7), "(;[a-z=]{0,9})?"), 0..5),
        trailers in prop::collection::vec("[A-Za-z]{1,5}: [ -~]{0,9}", 0..3),
        positions in prop::collection::vec(any::<Index>(), 0..8),
    ) {
        let mut raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        let mut body = Vec::new();
        for (data, extension) in &chunks {
            raw.extend_from_slice(format!("{:x}{extension}\r\n", data.len()).as_bytes());
            raw.extend_from_slice(data);
            raw.extend_from_slice(b"\r\n");
            body.extend_from_slice(data);
        }
        raw.extend_from_slice(b"0\r\n");
        for trailer in &trailers {
            raw.extend_from_slice(format!("{trailer}\r\n").as_bytes());
        }
        raw.extend_from_slice(b"\r\n");
        prop_assert!(body.len() <= MAX_ANSWER);
        let exchanged = run(&mut Script::new(cut(&raw, &positions), Then::Silence)).unwrap();
        prop_assert_eq!(exchanged.answer.body, body);
        prop_assert!(exchanged.keep);
    }
}

//! Who comes first: the answer or the request, the call's end or the hook's.

use std::{
    io::{self, ErrorKind},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf, duplex},
    task::coop::consume_budget,
    time::{Instant, sleep, timeout},
};

use super::script::{MAX_ANSWER, REQUEST, Script, Then};
use crate::{
    flow::{ContractRule, Reason},
    upstream::{Buffer, Defect, Detail, SystemFault, Timer, Until, exchange::run},
};

const ANSWER: &[u8] = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno";

fn within(attempt: u64, deadline: u64) -> Until {
    let now = Instant::now();
    Until { attempt: now + Duration::from_millis(attempt), deadline: now + Duration::from_millis(deadline) }
}

#[tokio::test(start_paused = true)]
async fn the_earlier_bound_ends_the_exchange_at_its_time_and_names_the_reason() {
    let head: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let cases: [(&[u8], u64, u64, Reason); 8] = [
        (b"", 200, 300, Reason::FirstByteTimeout),
        (b"", 300, 200, Reason::Deadline),
        (b"", 200, 200, Reason::Deadline),
        (b"H", 200, 300, Reason::BodyTimeout),
        (b"H", 300, 200, Reason::Deadline),
        (head, 200, 300, Reason::BodyTimeout),
        (head, 300, 200, Reason::Deadline),
        (b"HTTP/1.1 100 Continue\r\n\r\n", 200, 300, Reason::FirstByteTimeout),
    ];
    for (sent, attempt, deadline, reason) in cases {
        let (mut near, mut far) = duplex(1024);
        far.write_all(sent).await.unwrap();
        let begin = Instant::now();
        let result = run(
            &mut near,
            &mut Buffer::new(),
            &mut Timer::default(),
            REQUEST,
            MAX_ANSWER,
            within(attempt, deadline),
            false,
        )
        .await;
        let failure = result.unwrap_err();
        assert_eq!((failure.reason, failure.detail, failure.sent), (reason, Detail::Elapsed, true));
        assert_eq!(failure.partial.is_some(), sent == head);
        let spent = begin.elapsed().as_millis();
        assert!((200..=202).contains(&spent), "{reason:?} after {spent} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_was_used_before_goes_off_at_the_exchanges_own_time_earlier_or_later() {
    let (mut buffer, mut timer) = (Buffer::new(), Timer::default());
    for time in [500, 200, 200, 900, 1] {
        let (mut near, mut far) = duplex(1024);
        far.write_all(ANSWER).await.unwrap();
        let exchange =
            run(&mut near, &mut buffer, &mut timer, REQUEST, MAX_ANSWER, within(time, 2000), false);
        assert_eq!(exchange.await.unwrap().answer.status, 413, "it answers at once");
        let (mut near, _far) = duplex(1024);
        let begin = Instant::now();
        let exchange =
            run(&mut near, &mut buffer, &mut timer, REQUEST, MAX_ANSWER, within(time, 2000), false);
        assert_eq!(exchange.await.unwrap_err().reason, Reason::FirstByteTimeout);
        let spent = begin.elapsed().as_millis();
        assert!((time..=time + 2).contains(&u64::try_from(spent).unwrap()), "{spent} ms, not {time}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_trickle_does_not_stretch_the_time() {
    let (mut near, mut far) = duplex(1024);
    let drip = tokio::spawn(async move {
        far.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n").await.unwrap();
        while far.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
    });
    let begin = Instant::now();
    let result = run(
        &mut near,
        &mut Buffer::new(),
        &mut Timer::default(),
        REQUEST,
        MAX_ANSWER,
        within(500, 900),
        false,
    )
    .await;
    assert_eq!(result.unwrap_err().reason, Reason::BodyTimeout);
    assert!((500..=502).contains(&begin.elapsed().as_millis()));
    drop(near);
    drip.await.unwrap();
}

/// Takes every request and sends one-byte chunks, as many as the task's budget lets it; never does it wait for anything
/// else.
struct Torrent {
    begun: bool,
}

impl AsyncRead for Torrent {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(pin!(consume_budget()).poll(cx));
        let head: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        buf.put_slice(if self.begun { b"1\r\nx\r\n" } else { head });
        self.begun = true;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Torrent {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_torrent_that_uses_up_the_budget_of_the_task_does_not_stretch_the_time() {
    // Too large to be filled within the time, and small enough for this test to end if time does not count.
    const LIMIT: usize = 4 * 1024 * 1024;
    let mut torrent = Torrent { begun: false };
    let result =
        run(&mut torrent, &mut Buffer::new(), &mut Timer::default(), REQUEST, LIMIT, within(50, 90), false)
            .await;
    let failure = result.unwrap_err();
    assert_eq!((failure.reason, failure.detail), (Reason::BodyTimeout, Detail::Elapsed));
}

#[tokio::test(start_paused = true)]
async fn an_answer_before_the_request_is_out_counts_and_closes_the_connection() {
    let (mut near, mut far) = duplex(64);
    // Nobody reads at the far end, and the request does not fit into the stream.
    far.write_all(ANSWER).await.unwrap();
    let request = vec![b'r'; 1024];
    let exchanged = run(
        &mut near,
        &mut Buffer::new(),
        &mut Timer::default(),
        &request,
        MAX_ANSWER,
        within(500, 900),
        false,
    )
    .await
    .unwrap();
    assert_eq!((exchanged.answer.status, exchanged.answer.body.as_slice()), (413, &b"no"[..]));
    assert!(!exchanged.keep);
}

#[tokio::test(start_paused = true)]
async fn on_a_used_connection_an_answer_before_the_request_is_out_is_a_stray_one() {
    let error = Some(ErrorKind::BrokenPipe);
    for (unasked, write_error) in [(true, None), (false, error)] {
        let mut script = Script::new([ANSWER.to_vec()], Then::Silence);
        (script.unasked, script.write_error, script.reused) = (unasked, write_error, true);
        let failure = script.run().await.unwrap_err();
        assert_eq!(
            (failure.reason, failure.detail, failure.reused),
            (Reason::Contract(ContractRule::HttpStray), Detail::Answer(Defect::Stray), true)
        );
        assert_eq!(failure.partial, None, "it is no evidence about this user");
    }
    let mut script = Script::new([ANSWER.to_vec()], Then::Silence);
    script.reused = true;
    let exchanged = script.run().await.unwrap();
    assert_eq!((exchanged.answer.status, exchanged.answer.reused, exchanged.keep), (413, true, true));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_with_nothing_sent_is_early_too() {
    let mut script = Script::new([ANSWER.to_vec()], Then::Silence);
    script.unasked = true;
    let exchanged = script.run().await.unwrap();
    assert_eq!((exchanged.answer.status, exchanged.keep), (413, false));
}

#[tokio::test(start_paused = true)]
async fn a_large_request_and_a_large_answer_pass_each_other() {
    const SIZE: usize = 100_000;
    let (mut near, mut far) = duplex(64);
    let request = vec![b'r'; SIZE];
    let api = tokio::spawn(async move {
        // Echoes: a writer that does not read, or a reader that does not write, would block it for ever.
        far.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n").await.unwrap();
        let mut piece = [0; 50];
        let mut left = SIZE;
        while left > 0 {
            let count = far.read(&mut piece).await.unwrap();
            far.write_all(&piece[..count]).await.unwrap();
            left -= count;
        }
    });
    let exchanged =
        run(&mut near, &mut Buffer::new(), &mut Timer::default(), &request, SIZE, within(500, 900), false)
            .await
            .unwrap();
    assert_eq!(exchanged.answer.body, request);
    api.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_read_even_where_the_request_could_not_be_written() {
    let mut script = Script::new([ANSWER.to_vec()], Then::Error(ErrorKind::ConnectionReset));
    script.write_error = Some(ErrorKind::BrokenPipe);
    let exchanged = script.run().await.unwrap();
    assert_eq!((exchanged.answer.status, exchanged.keep), (413, false));
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_the_failed_write_is_the_detail() {
    let mut script = Script::new([], Then::End);
    script.write_error = Some(ErrorKind::BrokenPipe);
    let failure = script.run().await.unwrap_err();
    assert_eq!(
        (failure.reason, failure.detail),
        (Reason::Reset, Detail::Io(SystemFault::of(&ErrorKind::BrokenPipe.into())))
    );
    assert!(failure.sent, "below TLS a part of it may have left");
}

#[tokio::test(start_paused = true)]
async fn nothing_counts_as_sent_while_the_stream_takes_nothing() {
    let (mut near, mut far) = duplex(1);
    near.write_all(b"x").await.unwrap();
    let result = run(
        &mut near,
        &mut Buffer::new(),
        &mut Timer::default(),
        REQUEST,
        MAX_ANSWER,
        within(100, 900),
        false,
    )
    .await;
    let failure = result.unwrap_err();
    assert_eq!((failure.reason, failure.sent), (Reason::FirstByteTimeout, false));
    drop(near);
    assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_the_stream_holds_back_is_flushed() {
    let (near, mut far) = duplex(1024);
    let mut near = BufWriter::new(near);
    let api = async {
        far.read_exact(&mut [0; REQUEST.len()]).await.unwrap();
        far.write_all(ANSWER).await.unwrap();
    };
    let (mut buffer, mut timer) = (Buffer::new(), Timer::default());
    let exchange = run(&mut near, &mut buffer, &mut timer, REQUEST, MAX_ANSWER, within(500, 900), false);
    let (exchanged, answered) = tokio::join!(exchange, timeout(Duration::from_secs(1), api));
    assert!(answered.is_ok(), "the request did not arrive");
    assert_eq!(exchanged.map(|exchanged| (exchanged.answer.status, exchanged.keep)), Ok((413, true)));
}

#[tokio::test(start_paused = true)]
async fn an_announced_body_over_the_limit_is_told_without_waiting_for_what_does_not_fit() {
    let raw = format!("HTTP/1.1 200 OK\r\nContent-Length: 33\r\n\r\n{}", "x".repeat(MAX_ANSWER));
    let begin = Instant::now();
    let failure = Script::new([raw.into_bytes()], Then::Silence).run().await.unwrap_err();
    assert_eq!((failure.reason, begin.elapsed()), (Reason::AnswerTooLarge, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_buffer_carries_nothing_into_the_next_exchange() {
    let (mut buffer, mut timer) = (Buffer::new(), Timer::default());
    let large =
        [b"HTTP/1.1 200 OK\r\nX: ", &[b'p'; 9000][..], b"\r\nContent-Length: 2\r\n\r\nhiSURPLUS"].concat();
    let small = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec();
    for (answer, body, keep) in [(large, b"hi", false), (small, b"ok", true)] {
        let (mut near, mut far) = duplex(64 * 1024);
        let api = async {
            far.read_exact(&mut [0; REQUEST.len()]).await.unwrap();
            far.write_all(&answer).await.unwrap();
        };
        let exchange = run(&mut near, &mut buffer, &mut timer, REQUEST, MAX_ANSWER, within(500, 900), false);
        let (exchanged, ()) = tokio::join!(exchange, api);
        let exchanged = exchanged.unwrap();
        assert_eq!((exchanged.answer.body.as_slice(), exchanged.keep), (&body[..], keep));
    }
}

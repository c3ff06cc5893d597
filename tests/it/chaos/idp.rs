//! The identity provider: many connections, each with one hook after the other, and tries again as Azure does.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    api::{ids, request_id},
    cast::{ANSWER_WITHIN, CAST, ECHO, FALLBACK, HOOK, Part},
    dice::Dice,
    ledger::{End, Ledger, Told, Try},
    mood::Verdict,
};
use crate::support::{
    CALLER, PASSWORD,
    wire::{self, Head},
};

/// How long it waits for an answer. That it comes within `answer_within` is seen in its event.
const PATIENCE: Duration = ANSWER_WITHIN.saturating_add(Duration::from_secs(15));

/// What it does about one hook.
#[derive(Clone, Copy, Debug)]
enum Style {
    /// One try.
    Once,
    /// It hangs up after so many milliseconds at most, and tries again after so many.
    Impatient(u64, u64),
    /// It hangs up and does not come back.
    Gone(u64),
    /// Its answer is lost on the way; it tries again after so many milliseconds.
    Loses(u64),
    /// It tries again before it has an answer, after so many milliseconds.
    Doubles(u64),
    /// It tries again after an error.
    Insists,
    /// It tries again after so many milliseconds until the API has decided, or a user does who sends the form again: three
    /// times at most.
    Stubborn(u64),
}

/// Everything that its connections share.
pub(super) struct Idp {
    address: SocketAddr,
    seed: u64,
    ledger: Arc<Ledger>,
    /// The first hook that has not been sent.
    next: AtomicU32,
    /// How many hooks begin in a second, at most.
    rate: u32,
    sent: AtomicU32,
}

impl Idp {
    pub(super) fn new(address: SocketAddr, seed: u64, ledger: Arc<Ledger>, rate: u32) -> Self {
        // Number 0 is nobody's.
        Self { address, seed, ledger, next: AtomicU32::new(1), rate, sent: AtomicU32::new(0) }
    }

    /// How many requests were written.
    pub(super) fn sent(&self) -> u32 {
        self.sent.load(Ordering::Relaxed)
    }

    /// How many hooks have begun.
    pub(super) fn begun(&self) -> u32 {
        self.next.load(Ordering::Relaxed)
    }

    /// Sends all hooks below `end` over so many connections.
    pub(super) async fn send_all(self: &Arc<Self>, connections: usize, end: u32) {
        let begin = Instant::now();
        let tasks: Vec<_> = (0..connections)
            .map(|_| {
                let idp = Arc::clone(self);
                tokio::spawn(async move {
                    let mut kept = None;
                    loop {
                        let id = idp.next.fetch_add(1, Ordering::Relaxed);
                        if id >= end {
                            return;
                        }
                        sleep_until(begin + Duration::from_secs(id.into()) / idp.rate).await;
                        idp.hook(id, &mut kept).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("a connection does not panic");
        }
    }

    /// Sends one hook for a part once, on a connection that is kept; what it was told.
    pub(super) async fn ask(&self, id: u32, part: u8, kept: &mut Option<TcpStream>) -> End {
        let tried = self.attempt(id, part, 1, None, false, kept).await;
        let end = tried.end.clone();
        self.ledger.tried(id, part, tried);
        end
    }

    /// All tries of one hook.
    async fn hook(&self, id: u32, kept: &mut Option<TcpStream>) {
        let mut dice = Dice::of(self.seed, &[5, id.into()]);
        let shares: Vec<_> = (0_u8..).zip(&CAST).map(|(number, part)| (part.share, number)).collect();
        let part = dice.weighted(&shares);
        let style = style(&mut dice);
        if dice.chance(100) {
            // A new connection now and then.
            *kept = None;
        }
        let reset = dice.chance(500);
        let hang_up = |milliseconds| Some(Duration::from_millis(milliseconds));
        let pause = |milliseconds| sleep(Duration::from_millis(milliseconds));
        match style {
            Style::Once => self.record(id, part, self.attempt(id, part, 1, None, reset, kept).await),
            Style::Gone(after) => {
                self.record(id, part, self.attempt(id, part, 1, hang_up(after), reset, kept).await);
            }
            Style::Impatient(after, then) => {
                let first = self.attempt(id, part, 1, hang_up(after), reset, kept).await;
                let unanswered = first.end == End::HungUp;
                self.record(id, part, first);
                if unanswered {
                    pause(then).await;
                    self.record(id, part, self.attempt(id, part, 2, None, reset, kept).await);
                }
            }
            Style::Loses(then) => {
                self.record(id, part, self.attempt(id, part, 1, None, reset, kept).await);
                *kept = None;
                pause(then).await;
                self.record(id, part, self.attempt(id, part, 2, None, reset, kept).await);
            }
            Style::Doubles(then) => {
                let second = async {
                    pause(then).await;
                    self.attempt(id, part, 2, None, reset, &mut None).await
                };
                let (first, second) = tokio::join!(self.attempt(id, part, 1, None, reset, kept), second);
                self.record(id, part, first);
                self.record(id, part, second);
            }
            Style::Stubborn(then) => {
                for number in 1..=3 {
                    let give_up = dice.chance(300).then(|| Duration::from_millis(dice.between(1, 100)));
                    let tried = self.attempt(id, part, number, give_up, reset, kept).await;
                    let decided = matches!(tried.end, End::Told(Told::Api(..)));
                    self.record(id, part, tried);
                    if decided {
                        break;
                    }
                    pause(then).await;
                }
            }
            Style::Insists => {
                let first = self.attempt(id, part, 1, None, reset, kept).await;
                let failed = matches!(first.end, End::Told(Told::Problem(..)));
                self.record(id, part, first);
                if failed {
                    self.record(id, part, self.attempt(id, part, 2, None, reset, kept).await);
                }
            }
        }
    }

    fn record(&self, id: u32, part: u8, tried: Try) {
        self.ledger.tried(id, part, tried);
    }

    /// One try, on the connection that was kept or on a new one; given up after `give_up`, by a reset if so wanted.
    async fn attempt(
        &self,
        id: u32,
        part: u8,
        number: u8,
        give_up: Option<Duration>,
        reset: bool,
        kept: &mut Option<TcpStream>,
    ) -> Try {
        let request = request(id, &CAST[usize::from(part)], number);
        let stream = match kept.take() {
            Some(stream) => Ok(stream),
            None => TcpStream::connect(self.address).await,
        };
        let began = Instant::now();
        let end = match stream {
            Ok(mut stream) => {
                self.sent.fetch_add(1, Ordering::Relaxed);
                let answer = timeout(give_up.unwrap_or(PATIENCE), exchange(&mut stream, &request)).await;
                match answer {
                    Ok(Ok((head, body))) => {
                        if head.one("connection").is_ok_and(|value| value.is_none()) {
                            *kept = Some(stream);
                        }
                        told(&head, &body, id, number).map_or_else(End::Broken, End::Told)
                    }
                    Ok(Err(error)) => End::Broken(format!("{error}")),
                    Err(_) if give_up.is_some() => {
                        if reset {
                            // An error means that it was closed, which is the same.
                            stream.set_zero_linger().ok();
                        }
                        End::HungUp
                    }
                    Err(_) => End::Broken(format!("no answer within {PATIENCE:?}")),
                }
            }
            Err(error) => End::Broken(format!("no connection: {error}")),
        };
        Try { number, began, ended: Instant::now(), end }
    }
}

fn style(dice: &mut Dice) -> Style {
    let after = dice.weighted(
        &[(1, 0..3), (2, 3..50), (2, 50..600)].map(|(weight, range)| (weight, (range.start, range.end))),
    );
    let after = dice.between(after.0, after.1);
    let then = dice.pick(&[0, 0, 5, 50, 300, 800]);
    dice.weighted(&[
        (640, Style::Once),
        (60, Style::Stubborn(then.min(300))),
        (120, Style::Impatient(after, then)),
        (20, Style::Gone(after)),
        (80, Style::Loses(then)),
        (60, Style::Doubles(then.min(50))),
        (20, Style::Insists),
    ])
}

/// Each try is the same but for its id.
fn request(id: u32, part: &Part, number: u8) -> Vec<u8> {
    let body = format!(
        r#"{{"email":"u{id}@fabrikam.com","identities":[{{"signInType":"federated","issuer":"facebook.com","issuerAssignedId":"{id}"}}],"displayName":"Somebody","{HOOK}":"{id}","ui_locales":"en-US"}}"#
    );
    let credentials = BASE64_STANDARD.encode(format!("{CALLER}:{PASSWORD}"));
    format!(
        "POST /flows/{}/{} HTTP/1.1\r\nHost: hooks\r\nAuthorization: Basic {credentials}\r\nX-Request-ID: {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        part.name,
        part.step,
        request_id(id, number),
        body.len()
    )
    .into_bytes()
}

/// Sends it, and reads one whole answer and nothing behind it.
async fn exchange(stream: &mut TcpStream, request: &[u8]) -> io::Result<(Head, Vec<u8>)> {
    stream.write_all(request).await?;
    let mut bytes = Vec::with_capacity(1024);
    loop {
        if let Some(at) = wire::head_length(&bytes) {
            let head = Head::parse(&bytes[..at]).map_err(io::Error::other)?;
            let length = head.content_length().map_err(io::Error::other)?;
            let length = length.ok_or_else(|| io::Error::other("an answer without a length"))?;
            if bytes.len() > at + length {
                return Err(io::Error::other("bytes behind an answer"));
            }
            if bytes.len() == at + length {
                bytes.drain(..at);
                return Ok((head, bytes));
            }
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::Error::other(format!("closed after {} bytes of an answer", bytes.len())));
        }
    }
}

/// What the answer to this try says, if it is well-formed in every respect.
fn told(head: &Head, body: &[u8], id: u32, number: u8) -> Result<Told, String> {
    let whole = || format!("{:?} {:?} {}", head.start_line, head.headers, String::from_utf8_lossy(body));
    let status: u16 = head.start_line.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(whole)?;
    let json: Value = serde_json::from_slice(body).map_err(|_| whole())?;
    let object = json.as_object().ok_or_else(whole)?;
    if head.one("x-request-id")?.and_then(ids) != Some((id, number)) {
        return Err(format!("the answer to another try: {}", whole()));
    }
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    if head.one("content-type")? == Some("application/problem+json") {
        let same = object.get("status") == Some(&status.into())
            && text("request_id").and_then(ids) == Some((id, number));
        let reason = text("reason").filter(|_| same && status >= 400).ok_or_else(whole)?;
        return Ok(Told::Problem(status, reason.to_owned()));
    }
    let (verdict, carrier, fields) = match (status, text("action")) {
        (200, Some("Continue")) => (Verdict::Continue, ECHO, 2 + usize::from(object.contains_key(ECHO))),
        (200, Some("ShowBlockPage")) => (Verdict::Block, "userMessage", 3),
        (400, Some("ValidationError")) if object.get("status") == Some(&400.into()) => {
            (Verdict::Validation, "userMessage", 4)
        }
        _ => return Err(whole()),
    };
    let is_json = head.one("content-type")? == Some("application/json");
    if !is_json || text("version") != Some("1.0.0") || object.len() != fields {
        return Err(whole());
    }
    match text(carrier) {
        None if verdict == Verdict::Continue => Ok(Told::Fallback(verdict)),
        Some(FALLBACK) if verdict != Verdict::Continue => Ok(Told::Fallback(verdict)),
        echo => {
            let (of, at) = echo.and_then(|echo| echo.split_once('.')).ok_or_else(whole)?;
            let numbers = of.parse().ok().zip(at.parse().ok());
            numbers.map(|(of, at)| Told::Api(verdict, of, at)).ok_or_else(whole)
        }
    }
}

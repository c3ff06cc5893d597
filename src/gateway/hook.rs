//! The life of a hook.
//!
//! Read [`live`] from top to bottom: each line is a stage, each `?` leaves with the reason that the stage has. What
//! follows a failure is not decided here but by the hook's `on_failure` ([`conclude`]); what is written down of a hook
//! is collected in its [`Account`] along the way, which writes it when it is dropped, on every path.

use std::panic::AssertUnwindSafe;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Method, Request, Response, request::Parts};
use http_body::Body;
use http_body_util::Full;
use tokio::time::Instant;

use super::{
    account::Account,
    body::{self, read_body},
    client::Client,
    duplicates::Seen,
    reply,
    unambiguous::check_unambiguous,
    worker::{Current, Worker},
};
use crate::{
    connector::{Ask, Decided},
    dialect::api_connector,
    flow::{Failure, FlowDecision, Given, Reason},
    limits::Limited,
};

/// Answers one request of a client. Never fails and never panics: whatever happens becomes an answer.
pub async fn answer<B>(worker: &Worker, client: &Client, request: Request<B>) -> Response<Full<Bytes>>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Send + Unpin + 'static,
{
    let received = Instant::now();
    let (head, mut body) = request.into_parts();
    let current = worker.current();
    let mut account = Account::open(&current, &head, received);
    // The only place where a panic is caught: what the life of a hook touches is dropped with it, or is a counter.
    let life = AssertUnwindSafe(live(&current, client, &head, &mut body, &mut account)).catch_unwind().await;
    let result = life.unwrap_or_else(|_| {
        current.snapshot.metrics.panics().inc();
        Err(Reason::Panic.into())
    });
    let response = conclude(result, &mut account);
    if account.lingers() {
        body::linger(&head, body);
    }
    response
}

/// Writes down a request whose caller hung up before anything was made of it.
pub fn gone<B>(worker: &Worker, request: Request<B>) {
    let (head, _) = request.into_parts();
    let current = worker.current();
    let mut account = Account::open(&current, &head, Instant::now());
    if let Ok((flow, hook)) = current.snapshot.route(head.uri.path()) {
        account.routed(flow, hook);
    }
}

/// From the head of the request to a decision, or to the reason why there is none.
async fn live<'a, B>(
    current: &'a Current,
    client: &Client,
    head: &Parts,
    body: &mut B,
    account: &mut Account<'a>,
) -> Result<FlowDecision, Failure>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    let shared = &current.snapshot;

    // Does it say one thing to everybody? Is it a hook at all, and may this caller send it?
    check_unambiguous(head)?;
    let (flow, hook) = shared.route(head.uri.path())?;
    let deadline = account.routed(flow, hook);
    if head.method != Method::POST {
        return Err(Reason::MethodNotAllowed.into());
    }
    let key = shared.admit(flow, head, client.peer()).map_err(|failure| account.not_admitted(failure))?;
    let (caller, credential) = flow.caller(key);
    account.admitted(caller, credential);
    client.admitted();
    body::check_type(head)?;

    // Is there room for it? First the caller's own share, then everybody's; not again at once where there was none.
    if let Some(rate) = &caller.rate {
        rate.take().map_err(|Limited { retry_after }| account.limited(Reason::CallerLimited, retry_after))?;
    }
    let now = client.pause(account.received(), deadline).await;
    let place = shared.in_flight.try_enter().ok_or_else(|| client.turned_away())?;
    let _gauge = shared.metrics.enter_hook();

    // What does it say?
    let until = deadline.min(now + shared.body_timeout);
    let bytes = read_body(body, shared.max_body, until).await?;
    account.read(bytes.len());
    let members = api_connector::decode(&bytes, hook.step).map_err(Reason::BadRequest)?;

    // Has it come before? Then it gets what the first one gets, and the API is not asked again.
    let now = Instant::now();
    let first = match hook.look(&shared.duplicates, caller, &bytes, &members, now) {
        Seen::First(first) => first,
        Seen::Before(earlier) => {
            account.repeats(&earlier);
            // As below: not held while it waits.
            drop(members);
            drop(bytes);
            return earlier.ended_by(deadline).await.map_err(|failed| account.failed_alike(failed));
        }
    };

    // Has its user any left here? One that joined another or was decided before is not asked.
    if let Err(Limited { retry_after }) = hook.take_of_user(&members, caller) {
        return Err(account.failed_alike(first.refused(Reason::UserLimited, retry_after)));
    }

    // What of it may leave.
    let connector = current.connector(hook);
    let claims = account.selected(connector, connector.select(&members));

    // Ask the API, and make a decision of what it says.
    account.calls(now);
    let correlation = account.correlation(first.key());
    let ask = Ask { claims: &claims, step: hook.step, correlation, deadline };
    let call = connector.call(ask);
    // What came is no longer needed, and may be several times as large as what waits for the API.
    drop(claims);
    drop(members);
    drop(bytes);
    let Decided { decision, notes } = first.call(call, place).await;
    account.decided(notes);
    decision
}

/// The answer: the API's decision, or what the hook's `on_failure` makes of a failure.
fn conclude(result: Result<FlowDecision, Failure>, account: &mut Account<'_>) -> Response<Full<Bytes>> {
    let given = match result {
        Ok(decision) => Given::Decision(decision),
        Err(failure) => {
            account.failed(failure);
            match account.hook() {
                Some(hook) => hook.on_failure.resolve(hook.step, failure),
                None => Given::Error(failure.reason),
            }
        }
    };
    let response = match &given {
        Given::Decision(decision) => reply::decision(decision, account.request_id()),
        Given::Error(reason) => reply::problem(*reason, account),
    };
    account.answered(&given, &response);
    response
}

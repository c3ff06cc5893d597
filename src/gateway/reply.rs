//! Answers to the identity provider: a decision in its dialect, or a problem (RFC 9457).

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

use super::{account::Account, correlation::REQUEST_ID};
use crate::{
    dialect::api_connector,
    flow::{FlowDecision, Reason, RequestRule, claims::write_json_string},
};

/// The challenge for Basic (RFC 7617 section 2).
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"claimgate\", charset=\"UTF-8\"");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
const CLOSE: HeaderValue = HeaderValue::from_static("close");
const POST: HeaderValue = HeaderValue::from_static("POST");

/// Room for the body of an error, in bytes.
const USUAL_PROBLEM: usize = 384;

/// A decision in the documented form.
pub(super) fn decision(decision: &FlowDecision, request_id: &str) -> Response<Full<Bytes>> {
    let encoded = api_connector::encode(decision);
    response(encoded.status, JSON, encoded.body, request_id)
}

/// An error: the reason's name, what to do about it, and the id to look for in the log. Nothing of it depends on a
/// claim, a credential, or which check of a credential failed.
pub(super) fn problem(reason: Reason, account: &Account<'_>) -> Response<Full<Bytes>> {
    let body = problem_body(reason, account.request_id());
    let mut response = response(reason.status(), PROBLEM, body, account.request_id());
    let headers = response.headers_mut();
    match reason {
        Reason::Unauthenticated if account.flow_takes_basic() => {
            headers.insert(header::WWW_AUTHENTICATE, CHALLENGE);
        }
        Reason::MethodNotAllowed => {
            headers.insert(header::ALLOW, POST);
        }
        // Where this body ends, others may see otherwise, and what follows it with that. And who tries credentials faster
        // than they may shall need a connection for each.
        Reason::BadRequest(RequestRule::Framing) | Reason::UnauthenticatedLimited => {
            headers.insert(header::CONNECTION, CLOSE);
        }
        _ => {}
    }
    if account.connection_is_refused() {
        // A new one may bring another certificate.
        headers.insert(header::CONNECTION, CLOSE);
    }
    if reason.asks_to_retry() {
        // Whole seconds, rounded up: an earlier retry would be refused again.
        let seconds = account.retry_after().as_millis().div_ceil(1_000).max(1);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)));
    }
    response
}

/// The body of an error. Under a flood there are many, so it is written without a tree in between.
pub(super) fn problem_body(reason: Reason, request_id: &str) -> Vec<u8> {
    let status = StatusCode::from_u16(reason.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let title = status.canonical_reason().unwrap_or("Client Closed Request");
    let mut body = Vec::with_capacity(USUAL_PROBLEM);
    for (name, text) in
        [("{\"detail\":", reason.hint()), (",\"reason\":", reason.as_str()), (",\"request_id\":", request_id)]
    {
        body.extend_from_slice(name.as_bytes());
        write_json_string(&mut body, text);
    }
    body.extend_from_slice(b",\"status\":");
    body.extend_from_slice(status.as_str().as_bytes());
    body.extend_from_slice(b",\"title\":");
    write_json_string(&mut body, title);
    body.extend_from_slice(b",\"type\":\"about:blank\"}");
    body
}

fn response(status: u16, kind: HeaderValue, body: Vec<u8>, request_id: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    let id = HeaderValue::from_str(request_id)
        .expect("a request id is of letters, digits, dots, hyphens and underscores");
    headers.insert(REQUEST_ID, id);
    response
}

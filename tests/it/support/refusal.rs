//! What is the same for every refusal of the gateway itself: a problem (RFC 9457), its headers, and its event.

use serde_json::Value;

use super::{Gateway, Request, Response};

/// Requests that must be refused: the request id, the request, the status and the reason.
pub(crate) type Refusal<'a> = (String, Request, u16, &'a str);

/// Sends it and checks everything that is the same for all refusals; the answer and the event.
pub(crate) fn refused(
    gateway: &Gateway,
    id: &str,
    request: Request,
    status: u16,
    reason: &str,
) -> (Response, Value) {
    let response = request.header("X-Request-ID", id).send();
    let event = check_refused(gateway, id, &response, status, reason);
    (response, event)
}

/// Sends all of them and then checks them, which is quicker: events are written now and then.
pub(crate) fn all_refused(gateway: &Gateway, rows: Vec<Refusal<'_>>) -> Vec<(Response, Value)> {
    let sent: Vec<_> = rows
        .into_iter()
        .map(|(id, request, status, reason)| {
            let response = request.header("X-Request-ID", &id).send();
            (id, response, status, reason)
        })
        .collect();
    let check = |(id, response, status, reason): (String, Response, u16, &str)| {
        let event = check_refused(gateway, &id, &response, status, reason);
        (response, event)
    };
    sent.into_iter().map(check).collect()
}

/// Checks an answer; the event.
pub(crate) fn check_refused(
    gateway: &Gateway,
    id: &str,
    response: &Response,
    status: u16,
    reason: &str,
) -> Value {
    assert_eq!(response.status, status, "{id}: {}", response.text());
    let event = gateway.event(id);
    let problem = serde_json::json!({
        "type": "about:blank",
        "title": http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()),
        "status": status,
        "detail": event["hint"],
        "reason": reason,
        "request_id": id,
    });
    if !response.body.is_empty() {
        assert_eq!(response.json(), problem, "{id}");
    }
    assert_eq!(response.header("content-type"), Some("application/problem+json"), "{id}");
    assert_eq!(response.header("x-request-id"), Some(id));
    assert_eq!(response.header("allow"), (status == 405).then_some("POST"), "{id}");
    assert_eq!(response.header("retry-after").is_some(), matches!(status, 429 | 503), "{id}");
    if status != 401 {
        assert_eq!(response.header("www-authenticate"), None, "{id}");
    }
    let blame = if matches!(status, 429 | 503) { "load" } else { "caller" };
    let fields = ["decision", "outcome", "reason", "blame"].map(|field| event[field].as_str().unwrap_or("-"));
    assert_eq!(fields, ["error", "refused", reason, blame], "{id}");
    assert_eq!((&event["status"], event["hint"].is_string()), (&status.into(), true), "{id}");
    assert_eq!(event.get("upstream_status"), None, "{id}: the API was not asked");
    event
}

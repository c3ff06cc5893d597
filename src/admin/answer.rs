//! What each path of the admin port answers.

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body_util::Full;

use crate::telemetry::METRICS_CONTENT_TYPE;

use super::{AdminState, ReadinessState};

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

const VERSION: &str =
    concat!("{\"name\":\"", env!("CARGO_PKG_NAME"), "\",\"version\":\"", env!("CARGO_PKG_VERSION"), "\"}\n");

const NOT_FOUND: &str = "not found; this port has /livez, /readyz, /metrics, /version\n";
const METHOD_NOT_ALLOWED: &str = "this port takes GET and HEAD\n";

/// The answer to a request, whose body is not looked at.
pub(super) fn answer<B>(state: &AdminState, request: &Request<B>) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let exists = matches!(path, "/livez" | "/readyz" | "/metrics" | "/version");
    let method = request.method();
    if exists && method != Method::GET && method != Method::HEAD {
        let mut refused = respond(method, StatusCode::METHOD_NOT_ALLOWED, TEXT, METHOD_NOT_ALLOWED);
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match path {
        "/livez" => respond(method, StatusCode::OK, TEXT, "ok\n"),
        "/readyz" => readyz(method, state.readiness.get()),
        "/metrics" => respond(method, StatusCode::OK, METRICS_CONTENT_TYPE, state.metrics.encode()),
        "/version" => respond(method, StatusCode::OK, JSON, VERSION),
        _ => respond(method, StatusCode::NOT_FOUND, TEXT, NOT_FOUND),
    }
}

fn readyz(method: &Method, state: ReadinessState) -> Response<Full<Bytes>> {
    let status = match state {
        ReadinessState::Ready => StatusCode::OK,
        ReadinessState::Starting | ReadinessState::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    respond(method, status, TEXT, format!("{}\n", state.as_str()))
}

/// HEAD gets the same head as GET, with the length of the body that it does not get (RFC 9110 section 9.3.2).
fn respond(
    method: &Method,
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let body = body.into();
    let length = HeaderValue::from(body.len());
    let body = if method == Method::HEAD { Bytes::new() } else { body };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_LENGTH, length);
    // A probe that a cache answers says nothing about this process.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

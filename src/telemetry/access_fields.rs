//! What each field of an access event says, for the documentation. A test of the event holds the list complete.

/// A field of the JSON form of an access event.
#[derive(Clone, Copy, Debug)]
pub struct AccessField {
    /// As it is written.
    pub name: &'static str,
    /// Whether every event has it.
    pub always: bool,
    /// What it says.
    pub meaning: &'static str,
}

/// Every field, in the order in which it is written.
#[rustfmt::skip]
pub const ACCESS_FIELDS: [AccessField; 32] = [
    always("time", "when the hook ended; RFC 3339, UTC, milliseconds"),
    known("request_id", "the id that the answer carries as `X-Request-ID`, and the call to the API too"),
    known("trace_id", "the trace id of the caller's `traceparent`"),
    known("user_flow", "from the path"),
    known("step", "from the path"),
    known("caller", "which caller of the configuration it was"),
    known("credential", "which of its credentials it used: `basic`, `basic#2`, `code`, `header`, `certificate` …"),
    known("credential_failure", "why it was not let in: `credential_missing`, `credential_mismatch`, `credential_repeated`; with a client certificate, or in want of one, `certificate_mismatch`, `certificate_missing`, `certificate_expired`, `certificate_untrusted`"),
    known("connector", "which connector the hook calls"),
    always("decision", "`Continue`, `ShowBlockPage`, `ValidationError`, `error`, or `none` if the caller hung up"),
    always("outcome", "`api`: the API decided; `replayed`: it had decided the same hook before; `fallback`: on_failure did; `refused`: claimgate refused the request; `abandoned`: the caller hung up"),
    known("reason", "why the API did not decide; see the table of reasons"),
    known("blame", "who has to act on the reason"),
    known("hint", "what to do about the reason"),
    known("status", "HTTP status to the identity provider"),
    known("upstream_status", "HTTP status of the API"),
    known("refusal", "`true` if the failed answer held, or may have held, a refusal, so that `on_failure: continue` did not apply"),
    known("reused", "whether the call went over a connection that had been used before"),
    known("attempts", "how often the API was called, if more than once"),
    known("duplicate", "the hook had been sent before: `joined` the first one while that was still being answered, or was `replayed` the API's decision on it"),
    known("duration_ms", "from the complete request head to the end, in milliseconds"),
    known("upstream_ms", "the call to the API with connecting, in milliseconds"),
    known("wait_ms", "waiting for one of the connector's max_in_flight calls to end, in milliseconds"),
    known("deadline_remaining_ms", "what was left of answer_within, in milliseconds"),
    always("bytes_in", "bytes of the hook's body"),
    always("bytes_out", "bytes of the answer's body"),
    always("claims_sent", "how many claims the API was sent"),
    known("claims_dropped_sent", "names of claims that the API was not sent; at most 32"),
    known("claims_dropped_sent_more", "how many more there were, or had names that are not fit for a log"),
    known("claims_dropped_received", "names of claims of the API that were not taken over; at most 32"),
    known("claims_dropped_received_more", "how many more there were, or had names that are not fit for a log"),
    known("repairs", "what was repaired in the API's answer; see the table of repairs"),
];

const fn always(name: &'static str, meaning: &'static str) -> AccessField {
    AccessField { name, always: true, meaning }
}

const fn known(name: &'static str, meaning: &'static str) -> AccessField {
    AccessField { name, always: false, meaning }
}

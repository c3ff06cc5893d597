//! The table of reasons, row by row, as the README shows it.

use std::collections::HashSet;

use super::*;
use crate::flow::{FlowDecision, Given, OnFailure};

const ANYWHERE: [bool; 3] = [true, true, true];
const TOKEN_STEP: [bool; 3] = [false, false, true];
const NEVER: [bool; 3] = [false, false, false];

/// Reason, name, blame, status, counts as unavailable, where `continue` may apply.
#[rustfmt::skip]
const TABLE: &[(Reason, &str, Blame, u16, bool, [bool; 3])] = &[
    (Reason::Dns, "dns", Blame::Api, 502, true, ANYWHERE),
    (Reason::Refused, "refused", Blame::Api, 502, true, ANYWHERE),
    (Reason::Tls, "tls", Blame::Api, 502, true, ANYWHERE),
    (Reason::Reset, "reset", Blame::Api, 502, true, ANYWHERE),
    (Reason::CutOff, "cut_off", Blame::Api, 502, true, ANYWHERE),
    (Reason::Status5xx, "status_5xx", Blame::Api, 502, true, ANYWHERE),
    (Reason::ConnectTimeout, "connect_timeout", Blame::Api, 504, true, ANYWHERE),
    (Reason::FirstByteTimeout, "first_byte_timeout", Blame::Api, 504, true, ANYWHERE),
    (Reason::BodyTimeout, "body_timeout", Blame::Api, 504, true, ANYWHERE),
    (Reason::Deadline, "deadline", Blame::Api, 504, true, ANYWHERE),
    (Reason::Status429, "status_429", Blame::Api, 503, false, ANYWHERE),
    (Reason::CredentialsRefused, "credentials_refused", Blame::Configuration, 502, false, ANYWHERE),
    (Reason::Redirect, "redirect", Blame::Configuration, 502, false, ANYWHERE),
    (Reason::Status4xx, "status_4xx", Blame::Configuration, 502, false, ANYWHERE),
    (Reason::AnswerTooLarge, "answer_too_large", Blame::Api, 502, false, NEVER),
    (Reason::ConnectorLimited, "connector_limited", Blame::Load, 429, false, TOKEN_STEP),
    (Reason::InFlightFull, "in_flight_full", Blame::Load, 503, false, TOKEN_STEP),
    (Reason::CallerLimited, "caller_limited", Blame::Load, 429, false, NEVER),
    (Reason::Overloaded, "overloaded", Blame::Load, 503, false, NEVER),
    (Reason::NotFound, "not_found", Blame::Caller, 404, false, NEVER),
    (Reason::MethodNotAllowed, "method_not_allowed", Blame::Caller, 405, false, NEVER),
    (Reason::Unauthenticated, "unauthenticated", Blame::Caller, 401, false, NEVER),
    (Reason::UnsupportedMediaType, "unsupported_media_type", Blame::Caller, 415, false, NEVER),
    (Reason::ContentTooLarge, "content_too_large", Blame::Caller, 413, false, NEVER),
    (Reason::RequestTimeout, "request_timeout", Blame::Caller, 408, false, NEVER),
    (Reason::ClientGone, "client_gone", Blame::Caller, 499, false, NEVER),
    (Reason::NoResources, "no_resources", Blame::Claimgate, 503, false, TOKEN_STEP),
    (Reason::Panic, "panic", Blame::Claimgate, 500, false, NEVER),
];

type Row = (Reason, String, Blame, u16, bool, [bool; 3]);

/// Refused before there was a hook: whatever the caller did wrong, and the two limits that stand before it.
fn no_hook(reason: Reason) -> bool {
    reason.blame() == Blame::Caller || matches!(reason, Reason::CallerLimited | Reason::Overloaded)
}

fn table() -> Vec<Row> {
    let fixed = TABLE.iter().map(|&(reason, name, blame, status, counts, may)| {
        (reason, name.to_owned(), blame, status, counts, may)
    });
    let snake = |debug: String| {
        debug.char_indices().fold(String::new(), |mut name, (at, character)| {
            let after_digit = name.ends_with(|last: char| last.is_ascii_digit());
            if at > 0 && (character.is_uppercase() || (character.is_ascii_digit() && !after_digit)) {
                name.push('_');
            }
            name.extend(character.to_lowercase());
            name
        })
    };
    let contract = ContractRule::ALL.into_iter().map(|rule| {
        let name = format!("contract_{}", snake(format!("{rule:?}")));
        let unread = name.starts_with("contract_http_") || name == "contract_content_encoding";
        (Reason::Contract(rule), name, Blame::Api, 502, false, if unread { NEVER } else { ANYWHERE })
    });
    let request = RequestRule::ALL.into_iter().map(|rule| {
        let name = format!("bad_request_{}", snake(format!("{rule:?}")).replace("utf_8", "utf8"));
        (Reason::BadRequest(rule), name, Blame::Caller, 400, false, NEVER)
    });
    fixed.chain(contract).chain(request).collect()
}

#[test]
fn every_reason_has_the_row_that_the_table_gives_it() {
    for (reason, name, blame, status, counts, may_continue) in table() {
        assert_eq!(reason.as_str(), name);
        assert_eq!(reason.blame(), blame, "{name}");
        assert_eq!(reason.status(), status, "{name}");
        assert_eq!(reason.counts_as_unavailable(), counts, "{name}");
        assert_eq!(Step::ALL.map(|step| Failure::from(reason).may_continue(step)), may_continue, "{name}");
        let limit_of_ours = matches!(
            reason,
            Reason::ConnectorLimited | Reason::InFlightFull | Reason::CallerLimited | Reason::Overloaded
        );
        assert_eq!(reason.asks_to_retry(), limit_of_ours, "{name}");
        assert_eq!(reason.is_refusal_of_ours(), no_hook(reason), "{name}");
    }
}

#[test]
fn no_two_reasons_share_a_name_or_a_hint() {
    let names: HashSet<_> = table().into_iter().map(|row| row.1).collect();
    let hints: HashSet<_> = table().into_iter().map(|row| row.0.hint()).collect();
    assert_eq!((names.len(), hints.len()), (table().len(), table().len()));
}

#[test]
fn whoever_has_to_act_is_named() {
    for blame in [Blame::Api, Blame::Configuration, Blame::Load, Blame::Caller, Blame::Claimgate] {
        assert_eq!(blame.as_str(), format!("{blame:?}").to_lowercase());
    }
}

#[test]
fn evidence_of_a_refusal_takes_continue_away_from_every_reason() {
    for (reason, name, ..) in table() {
        for step in Step::ALL {
            assert!(!Failure { reason, refusal: true }.may_continue(step), "{name}");
        }
    }
}

#[test]
fn a_failure_becomes_what_on_failure_says_and_a_refusal_of_ours_an_error_whatever_it_says() {
    let (block, validation) = ("block".to_owned(), "validation".to_owned());
    for (reason, name, .., may_continue) in table() {
        for (step, may_continue) in Step::ALL.into_iter().zip(may_continue) {
            for refusal in [false, true] {
                let failure = Failure { reason, refusal };
                let given = |on_failure: OnFailure| on_failure.resolve(step, failure);
                let error = Given::Error(reason);
                let decision = |decision: FlowDecision| {
                    if no_hook(reason) { error.clone() } else { Given::Decision(decision) }
                };
                let goes_on = Given::Decision(FlowDecision::Continue(crate::flow::Claims::default()));
                assert_eq!(given(OnFailure::Error), error, "{name}");
                assert_eq!(
                    given(OnFailure::Block(block.clone())),
                    decision(FlowDecision::ShowBlockPage(block.clone())),
                    "{name}"
                );
                assert_eq!(
                    given(OnFailure::ValidationError(validation.clone())),
                    decision(FlowDecision::ValidationError(validation.clone())),
                    "{name}"
                );
                let expected = if may_continue && !refusal { goes_on } else { error.clone() };
                assert_eq!(given(OnFailure::Continue), expected, "{name} at {step}, refusal: {refusal}");
            }
        }
    }
}

#[test]
fn on_failure_is_allowed_only_where_the_identity_provider_can_show_it() {
    let rows = [
        (OnFailure::Block(String::new()), [true, true, false]),
        (OnFailure::ValidationError(String::new()), [false, true, false]),
        (OnFailure::Continue, [true, true, true]),
        (OnFailure::Error, [true, true, true]),
    ];
    for (on_failure, expected) in rows {
        assert_eq!(Step::ALL.map(|step| on_failure.allowed_at(step)), expected, "{on_failure:?}");
    }
}

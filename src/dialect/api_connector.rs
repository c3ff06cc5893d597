//! API connectors of Azure AD, Entra External ID and Azure AD B2C user flows.
//!
//! The wire is that of Microsoft's page "Add an API connector to a user flow": a flat JSON object of claims comes in,
//! an object with `version`, `action` and what belongs to the action goes out.

use crate::flow::{
    FlowDecision, RequestRule, Step,
    claims::{self, Member, ObjectError},
};

/// The claims of a hook's body, which must not contradict the `step` of its path.
pub fn decode(body: &[u8], step: Step) -> Result<Vec<Member<'_>>, RequestRule> {
    let text = std::str::from_utf8(body).map_err(|_| RequestRule::NotUtf8)?;
    let members = claims::object::read(text)?;
    let contradicts = |member: &Member<'_>| {
        member.name == "step"
            && !member.is_null()
            && member.as_text().and_then(|named| Step::from_claim(&named)) != Some(step)
    };
    if members.iter().any(contradicts) {
        return Err(RequestRule::StepMismatch);
    }
    Ok(members)
}

impl From<ObjectError> for RequestRule {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::NotJson => Self::NotJson,
            ObjectError::NotAnObject => Self::NotAnObject,
            ObjectError::TooDeep => Self::TooDeep,
            ObjectError::Duplicate => Self::DuplicateClaim,
        }
    }
}

/// A decision in the documented form, whatever form the API used.
#[derive(Debug, PartialEq, Eq)]
pub struct Encoded {
    /// 200, and 400 for a validation error: the identity provider wants it in the HTTP status and in the body.
    pub status: u16,
    /// A JSON object.
    pub body: Vec<u8>,
}

/// Writes a decision. A block or validation carries its message and nothing else: neither claims nor a code.
pub fn encode(decision: &FlowDecision) -> Encoded {
    match decision {
        FlowDecision::Continue(claims) => {
            let head = br#"{"version":"1.0.0","action":"Continue""#;
            let mut body = Vec::with_capacity(head.len() + claims.members().len() + ",}".len());
            body.extend_from_slice(head);
            if !claims.is_empty() {
                body.push(b',');
                body.extend_from_slice(claims.members());
            }
            body.push(b'}');
            Encoded { status: 200, body }
        }
        FlowDecision::ShowBlockPage(message) => {
            refusal(200, br#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":"#, message)
        }
        FlowDecision::ValidationError(message) => refusal(
            400,
            br#"{"version":"1.0.0","status":400,"action":"ValidationError","userMessage":"#,
            message,
        ),
    }
}

fn refusal(status: u16, head: &[u8], message: &str) -> Encoded {
    let mut body = Vec::with_capacity(head.len() + message.len() + r#"""}"#.len());
    body.extend_from_slice(head);
    claims::write_json_string(&mut body, message);
    body.push(b'}');
    Encoded { status, body }
}

#[cfg(any(test, fuzzing))]
pub mod law;
#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Claims;

    #[test]
    fn a_body_is_refused_by_the_rule_it_breaks() {
        let rows: &[(&[u8], Result<usize, RequestRule>)] = &[
            (br#"{"email":"jane@fabrikam.com"}"#, Ok(1)),
            (b"{\"a\":\"\xff\"}", Err(RequestRule::NotUtf8)),
            (b"", Err(RequestRule::NotJson)),
            (b"email=jane", Err(RequestRule::NotJson)),
            (b"[]", Err(RequestRule::NotAnObject)),
            (br#"{"email":1,"email_address":2}"#, Err(RequestRule::DuplicateClaim)),
            (br#"{"step":"PostAttributeCollection"}"#, Ok(1)),
            (br#"{"step":null}"#, Ok(1)),
            (br#"{"step":"PostFederationSignup"}"#, Err(RequestRule::StepMismatch)),
            (br#"{"step":"Elsewhere"}"#, Err(RequestRule::StepMismatch)),
            (br#"{"step":2}"#, Err(RequestRule::StepMismatch)),
        ];
        for (body, expected) in rows {
            let outcome = decode(body, Step::PostAttributeCollection).map(|members| members.len());
            assert_eq!(&outcome, expected, "{}", String::from_utf8_lossy(body));
        }
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(40), "]".repeat(40));
        assert_eq!(decode(deep.as_bytes(), Step::PreTokenIssuance), Err(RequestRule::TooDeep));
    }

    #[test]
    fn the_token_step_has_two_names() {
        for named in ["PreTokenIssuance", "PreTokenApplicationClaims"] {
            let body = format!(r#"{{"step":"{named}"}}"#);
            assert!(decode(body.as_bytes(), Step::PreTokenIssuance).is_ok(), "{named}");
        }
    }

    #[test]
    fn a_decision_is_written_in_the_documented_form() {
        let mut claims = Claims::default();
        claims.push("postalCode", "\"12349\"");
        claims.push("extension_Age", "1.10");
        let message = "Say \"please\",\nJane".to_owned();
        let rows = [
            (FlowDecision::Continue(Claims::default()), 200, r#"{"version":"1.0.0","action":"Continue"}"#),
            (
                FlowDecision::Continue(claims),
                200,
                r#"{"version":"1.0.0","action":"Continue","postalCode":"12349","extension_Age":1.10}"#,
            ),
            (
                FlowDecision::ShowBlockPage(message.clone()),
                200,
                r#"{"version":"1.0.0","action":"ShowBlockPage","userMessage":"Say \"please\",\nJane"}"#,
            ),
            (
                FlowDecision::ValidationError(message),
                400,
                r#"{"version":"1.0.0","status":400,"action":"ValidationError","userMessage":"Say \"please\",\nJane"}"#,
            ),
        ];
        for (decision, status, body) in rows {
            assert_eq!(encode(&decision), Encoded { status, body: body.as_bytes().to_vec() });
        }
    }
}

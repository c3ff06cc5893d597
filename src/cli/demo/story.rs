//! The sign-ups that the demo plays, as the identity provider would: over real sockets, with its own request bodies.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use tokio::{runtime, time::Instant};

use super::{
    PASSWORD, USERNAME,
    approvals_server::ApprovalsServer,
    setting::{Setting, path},
    show::{Seen, Show},
};
use crate::{
    flow::Step::{self, PostAttributeCollection, PostFederationSignup},
    upstream::{IDLE_TIMEOUT, Lookups, MAX_AGE, Pool, Target, Trust, Until},
};

/// How the request id of each of the story's hooks begins.
pub(super) const REQUEST_ID_PREFIX: &str = "demo-";

/// How long the demo waits for an answer: more than the gateway's own `answer_within`.
const PATIENCE: Duration = Duration::from_secs(10);

/// A person at the sign-up page.
struct Person {
    email: &'static str,
    given_name: &'static str,
    surname: &'static str,
    issuer: &'static str,
}

const ALICE: Person =
    Person { email: "alice@fabrikam.com", given_name: "Alice", surname: "Adams", issuer: "google.com" };
const BOB: Person =
    Person { email: "bob@fabrikam.com", given_name: "Bob", surname: "Brown", issuer: "facebook.com" };
const CAROL: Person =
    Person { email: "carol@contoso.com", given_name: "Carol", surname: "Clark", issuer: "google.com" };

/// What happens in a sign-up.
enum Event {
    /// A hook fires, and must come to this `action`.
    Hook { person: &'static Person, step: Step, postal_code: &'static str, expected: &'static str },
    /// Somebody approves the pending request, away from the user flow.
    Approve(&'static Person),
}

const fn hook(
    person: &'static Person,
    step: Step,
    postal_code: &'static str,
    expected: &'static str,
) -> Event {
    Event::Hook { person, step, postal_code, expected }
}

const SIGN_UPS: &[(&str, &[Event])] = &[
    (
        "Alice's company is trusted: she is approved at once",
        &[
            hook(&ALICE, PostFederationSignup, "", "Continue"),
            hook(&ALICE, PostAttributeCollection, "98101", "Continue"),
        ],
    ),
    (
        "Bob mistypes his postal code, then corrects it",
        &[
            hook(&BOB, PostFederationSignup, "", "Continue"),
            hook(&BOB, PostAttributeCollection, "9810", "ValidationError"),
            hook(&BOB, PostAttributeCollection, "98101", "Continue"),
        ],
    ),
    (
        "Carol needs an approval",
        &[
            hook(&CAROL, PostFederationSignup, "", "Continue"),
            hook(&CAROL, PostAttributeCollection, "10115", "ShowBlockPage"),
        ],
    ),
    (
        "Carol comes back while her request is pending",
        &[hook(&CAROL, PostFederationSignup, "", "ShowBlockPage")],
    ),
    (
        "Carol comes back after somebody has approved her request",
        &[Event::Approve(&CAROL), hook(&CAROL, PostFederationSignup, "", "Continue")],
    ),
];

/// Why the story cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum StoryError {
    /// The gateway gave no answer.
    #[error("the gateway gave no answer: {0}")]
    NoAnswer(&'static str),
    /// The sample system saw no call for a hook.
    #[error("no call reached the sample approval system for request {0}")]
    NoCall(String),
    /// The terminal or the system failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Plays the identity provider.
pub struct Player<'a> {
    setting: Setting,
    approvals: &'a ApprovalsServer,
    connections: Pool,
    hooks: usize,
}

impl<'a> Player<'a> {
    /// A player with no connection yet.
    pub fn new(setting: Setting, approvals: &'a ApprovalsServer) -> Self {
        let target = Target {
            host: setting.address.ip().to_string(),
            port: setting.address.port(),
            lookups: Lookups::default(),
            trust: Trust::default(),
            tls: None,
            connect_timeout: PATIENCE,
            max_answer: 64 * 1024,
            max_idle: 1,
            idle_timeout: IDLE_TIMEOUT,
            max_age: MAX_AGE,
        };
        Self { setting, approvals, connections: Pool::new(Arc::new(target)), hooks: 0 }
    }

    /// Plays all sign-ups; says whether every decision was the expected one.
    pub(super) fn play<W: io::Write>(mut self, show: &mut Show<W>) -> Result<bool, StoryError> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            show.opening(self.setting)?;
            let mut as_expected = true;
            for (number, (title, events)) in (1..).zip(SIGN_UPS) {
                show.sign_up(number, title)?;
                for event in *events {
                    as_expected &= self.happen(event, show).await?;
                }
            }
            show.verdict(self.hooks, as_expected)?;
            Ok(as_expected)
        })
    }

    async fn happen<W: io::Write>(&mut self, event: &Event, show: &mut Show<W>) -> Result<bool, StoryError> {
        match event {
            Event::Approve(person) => {
                self.approvals.review(person.email, true);
                show.aside(&format!("{}'s request is approved.", person.given_name))?;
                Ok(true)
            }
            Event::Hook { person, step, postal_code, expected } => {
                self.fire(person, *step, postal_code, expected, show).await
            }
        }
    }

    async fn fire<W: io::Write>(
        &mut self,
        person: &Person,
        step: Step,
        postal_code: &str,
        expected: &str,
        show: &mut Show<W>,
    ) -> Result<bool, StoryError> {
        self.hooks += 1;
        let request_id = format!("{REQUEST_ID_PREFIX}{}", self.hooks);
        let claims_in = claims(person, step, postal_code);
        let request = request(self.setting.address, step, &request_id, &claims_in);
        let until = Instant::now() + PATIENCE;
        let answered = self.connections.exchange(&request, Until { attempt: until, deadline: until }).await;
        let answer = answered.map_err(|failure| StoryError::NoAnswer(failure.reason.as_str()))?;
        let seen = self.approvals.exchange(&request_id).ok_or(StoryError::NoCall(request_id))?;
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let action = body["action"].as_str().unwrap_or("an error");
        show.hook(&Seen {
            step,
            claims_in: &claims_in,
            claims_sent: &seen.sent_body,
            api_status: seen.status,
            api_answer: &seen.answer_body,
            status: answer.status,
            answer: &answer.body,
            action,
            expected,
        })?;
        Ok(action == expected)
    }
}

/// The body that the identity provider sends (Microsoft: "Add an API connector to a user flow"): every attribute that
/// has a value, whether the API needs it or not.
fn claims(person: &Person, step: Step, postal_code: &str) -> Vec<u8> {
    let mut claims = serde_json::json!({
        "email": person.email,
        "identities": [{ "signInType": "federated", "issuer": person.issuer, "issuerAssignedId": "0123456789" }],
        "displayName": format!("{} {}", person.given_name, person.surname),
        "givenName": person.given_name,
        "surname": person.surname,
        "ui_locales": "en-US",
    });
    if step == PostAttributeCollection {
        let filled_in = serde_json::json!({
            "city": "Seattle",
            "postalCode": postal_code,
            "jobTitle": "Buyer",
            "extension_0123456789abcdef0123456789abcdef_LoyaltyId": "L-4711",
            "extension_0123456789abcdef0123456789abcdef_Birthday": "1990-05-17",
        });
        if let (Some(claims), serde_json::Value::Object(filled_in)) = (claims.as_object_mut(), filled_in) {
            claims.extend(filled_in);
        }
    }
    claims.to_string().into_bytes()
}

fn request(address: SocketAddr, step: Step, request_id: &str, body: &[u8]) -> Vec<u8> {
    let credentials = BASE64_STANDARD.encode(format!("{USERNAME}:{PASSWORD}"));
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Basic {credentials}\r\nContent-Type: application/json\r\n\
         X-Request-ID: {request_id}\r\nContent-Length: {}\r\n\r\n",
        path(step),
        body.len()
    );
    [head.as_bytes(), body].concat()
}

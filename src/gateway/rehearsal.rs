//! One hook taken apart, for `explain`: the stages of its life in `hook`, each with what it comes to in the open.
//!
//! Nothing is decided here. What reads, selects, calls, decides and answers is what a hook meets; left out are only the
//! stages that belong to a caller: its credential, its rate, the room in the process.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    correlation, reply,
    snapshot::{Flow, Hook, Snapshot},
};
use crate::{
    connector::{Ask, Connector, Correlation, Decided, IdempotencyKey, Notes},
    dialect::api_connector::{self, Encoded},
    flow::{Claims, Failure, FlowDecision, Given, OnFailure, Reason, Step, claims::Member},
};

/// A hook that nobody sent.
#[derive(Debug)]
pub struct Rehearsal<'s> {
    snapshot: &'s Snapshot,
    flow: &'s Flow,
    hook: &'s Hook,
    connector: Arc<Connector>,
    request_id: String,
    idempotency_key: IdempotencyKey,
}

impl Snapshot {
    /// The hook of this user flow and step, if there is one.
    pub fn rehearse(&self, user_flow: &str, step: Step) -> Option<Rehearsal<'_>> {
        let (flow, hook) = self.route(&format!("/flows/{user_flow}/{step}")).ok()?;
        let connector = Arc::new(Connector::succeeding(Arc::clone(&self.apis[hook.connector]), None));
        let request_id = correlation::new_request_id();
        let idempotency_key = IdempotencyKey::fresh();
        Some(Rehearsal { snapshot: self, flow, hook, connector, request_id, idempotency_key })
    }
}

impl Rehearsal<'_> {
    /// The API that the hook calls.
    pub fn connector(&self) -> &Connector {
        &self.connector
    }

    /// What the hook gives for a failure.
    pub fn on_failure(&self) -> &OnFailure {
        &self.hook.on_failure
    }

    /// Largest body of a hook, in bytes.
    pub fn max_body(&self) -> usize {
        self.snapshot.max_body
    }

    /// The claims of a hook's body, or why it is refused.
    pub fn read<'b>(&self, body: &'b [u8]) -> Result<Vec<Member<'b>>, Reason> {
        if body.len() > self.snapshot.max_body {
            return Err(Reason::ContentTooLarge);
        }
        api_connector::decode(body, self.hook.step).map_err(Reason::BadRequest)
    }

    /// The request to the API with its secrets masked.
    pub fn masked_request(&self, claims: &Claims) -> Vec<u8> {
        self.connector.masked_request(claims, self.correlation())
    }

    /// Calls the API, under its policies and the deadline of the user flow.
    pub fn call(&self, claims: &Claims) -> impl Future<Output = Decided> + use<> {
        let (step, correlation) = (self.hook.step, self.correlation());
        let deadline = Instant::now() + self.flow.answer_within;
        self.connector.call(Ask { claims, step, correlation, deadline })
    }

    /// What an answer means at this step.
    pub fn read_answer(&self, status: u16, body: Vec<u8>) -> Decided {
        self.connector.read(self.hook.step, status, body)
    }

    /// All names of claims in the answer that were not taken over.
    pub fn not_taken_over(&self, notes: &Notes) -> Vec<String> {
        self.connector.not_taken_over(self.hook.step, notes)
    }

    /// What the identity provider is given: the decision, or what `on_failure` makes of a failure.
    pub fn give(&self, decision: Result<FlowDecision, Failure>) -> Given {
        match decision {
            Ok(decision) => Given::Decision(decision),
            Err(failure) => self.hook.on_failure.resolve(self.hook.step, failure),
        }
    }

    /// The answer to the identity provider.
    pub fn reply(&self, given: &Given) -> Encoded {
        match given {
            Given::Decision(decision) => api_connector::encode(decision),
            Given::Error(reason) => {
                Encoded { status: reason.status(), body: reply::problem_body(*reason, &self.request_id) }
            }
        }
    }

    fn correlation(&self) -> Correlation<'_> {
        Correlation {
            request_id: &self.request_id,
            traceparent: None,
            tracestate: None,
            idempotency_key: self.idempotency_key,
        }
    }
}

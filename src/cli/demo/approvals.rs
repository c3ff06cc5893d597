//! The sample approval system (Microsoft: "Add a custom approval workflow to self-service sign-up").
//!
//! It stands in for a customer's API, and is written like one: it reads the claims that it needs, tolerates those that
//! are missing, and answers in the form of the API connector contract. Nothing else in claimgate uses it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// "Check approval status": after federating with an identity provider during sign-up.
pub const CHECK_STATUS: &str = "/api/approvals/checkstatus";
/// "Request approval": before creating the user.
pub const REQUEST_APPROVAL: &str = "/api/approvals";
/// Who signs up with this e-mail domain needs no review.
pub const TRUSTED_DOMAIN: &str = "fabrikam.com";

/// How many people it remembers. Anybody further is turned away with a 503, since forgetting would forget denials.
const MAX_PEOPLE: usize = 1024;

/// Everybody who has asked so far.
#[derive(Default)]
pub struct Approvals {
    /// By e-mail address in lower case.
    people: BTreeMap<String, Status>,
    /// How many approvals it has granted; the last one's number.
    granted: usize,
}

/// What has become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// Someone has to review it.
    Pending,
    /// Granted, under this number.
    Approved(usize),
    /// Refused.
    Denied,
}

/// An HTTP status and the JSON body.
type Answer = (u16, Vec<u8>);

impl Approvals {
    /// Nobody has asked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers one `POST` of `body` to `path` (without its query).
    pub fn handle(&mut self, path: &str, body: &[u8]) -> Answer {
        let decide = match path {
            CHECK_STATUS => Self::check_status,
            REQUEST_APPROVAL => Self::request_approval,
            _ => return answer(404, &json!({"version": VERSION, "status": 404})),
        };
        match serde_json::from_slice(body) {
            Ok(Value::Object(claims)) => decide(self, &claims),
            _ => validation_error("The request is not a JSON object."),
        }
    }

    /// What a reviewer does: grants or refuses a waiting request. Returns whether one was waiting.
    pub fn review(&mut self, email: &str, grant: bool) -> bool {
        let waiting = self.people.get_mut(&key(email)).filter(|status| **status == Status::Pending);
        let Some(status) = waiting else { return false };
        *status = if grant {
            self.granted += 1;
            Status::Approved(self.granted)
        } else {
            Status::Denied
        };
        true
    }

    fn check_status(&mut self, claims: &Map<String, Value>) -> Answer {
        match email(claims).and_then(|email| self.people.get(&key(email))) {
            None | Some(Status::Approved(_)) => proceed(Map::new()),
            Some(Status::Pending) => block(ALREADY_WAITING),
            Some(Status::Denied) => block(DENIED),
        }
    }

    fn request_approval(&mut self, claims: &Map<String, Value>) -> Answer {
        // An attribute without a value is left out of the request, so a missing code was never asked for.
        if claims.get("postalCode").is_some_and(|value| !value.as_str().is_some_and(is_postal_code)) {
            return validation_error("Please enter a valid postal code: five digits.");
        }
        let Some(email) = email(claims) else {
            return validation_error("Please sign up with an e-mail address.");
        };
        let key = key(email);
        match self.people.get(&key) {
            Some(Status::Approved(number)) => proceed(granted(*number, claims)),
            Some(Status::Pending) => block(ALREADY_WAITING),
            Some(Status::Denied) => block(DENIED),
            None if self.people.len() >= MAX_PEOPLE => {
                answer(503, &json!({"version": VERSION, "status": 503}))
            }
            None if is_trusted(&key) => {
                self.granted += 1;
                self.people.insert(key, Status::Approved(self.granted));
                proceed(granted(self.granted, claims))
            }
            None => {
                self.people.insert(key, Status::Pending);
                block(NOW_WAITING)
            }
        }
    }
}

/// Of this API; the identity provider does not look at it.
const VERSION: &str = "1.0.0";
const NOW_WAITING: &str =
    "Your account is now waiting for approval. You'll be notified when your request has been approved.";
const ALREADY_WAITING: &str =
    "Your access request is already processing. You'll be notified when your request has been approved.";
const DENIED: &str =
    "Your sign-up request has been denied. Please contact an administrator if you believe this is an error.";

/// The e-mail address: `email`, or `email_address` as in the contract of 2020.
fn email(claims: &Map<String, Value>) -> Option<&str> {
    let text = |name: &str| claims.get(name)?.as_str().map(str::trim).filter(|text| !text.is_empty());
    text("email").or_else(|| text("email_address"))
}

fn key(email: &str) -> String {
    email.trim().to_lowercase()
}

fn is_trusted(key: &str) -> bool {
    key.rsplit_once('@').is_some_and(|(_, domain)| domain == TRUSTED_DOMAIN)
}

fn is_postal_code(text: &str) -> bool {
    text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The claims of an approval: its number, and the display name without superfluous blanks.
fn granted(number: usize, claims: &Map<String, Value>) -> Map<String, Value> {
    let mut returned = Map::new();
    returned.insert("extension_ApprovalId".to_owned(), format!("APPROVAL-{number:04}").into());
    if let Some(name) = claims.get("displayName").and_then(Value::as_str) {
        let words: Vec<&str> = name.split_whitespace().collect();
        returned.insert("displayName".to_owned(), words.join(" ").into());
    }
    returned
}

fn proceed(mut members: Map<String, Value>) -> Answer {
    members.insert("version".to_owned(), VERSION.into());
    members.insert("action".to_owned(), "Continue".into());
    answer(200, &Value::Object(members))
}

fn block(message: &str) -> Answer {
    answer(200, &json!({"version": VERSION, "action": "ShowBlockPage", "userMessage": message}))
}

fn validation_error(message: &str) -> Answer {
    answer(
        400,
        &json!({"version": VERSION, "status": 400, "action": "ValidationError", "userMessage": message}),
    )
}

fn answer(status: u16, body: &Value) -> Answer {
    (status, body.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(approvals: &mut Approvals, path: &str, body: &Value) -> (u16, Value) {
        let (status, answer) = approvals.handle(path, body.to_string().as_bytes());
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer["version"], VERSION);
        (status, answer)
    }

    fn message<'a>(answer: &'a (u16, Value), status: u16, action: &str) -> &'a str {
        assert_eq!((answer.0, answer.1["action"].as_str()), (status, Some(action)));
        let told = answer.1["status"].as_u64();
        assert_eq!(told, (action == "ValidationError").then_some(u64::from(status)));
        answer.1["userMessage"].as_str().unwrap_or_default()
    }

    #[test]
    fn a_request_waits_until_someone_reviews_it() {
        for (grant, action, text) in [(true, "Continue", ""), (false, "ShowBlockPage", DENIED)] {
            let mut approvals = Approvals::new();
            let user = json!({"email": "jane@contoso.com", "postalCode": "98101"});
            assert_eq!(message(&ask(&mut approvals, CHECK_STATUS, &user), 200, "Continue"), "");
            assert!(!approvals.review("jane@contoso.com", grant), "nothing is waiting");
            let requested = ask(&mut approvals, REQUEST_APPROVAL, &user);
            assert_eq!(message(&requested, 200, "ShowBlockPage"), NOW_WAITING);
            for path in [CHECK_STATUS, REQUEST_APPROVAL] {
                let again = ask(&mut approvals, path, &json!({"email_address": "Jane@Contoso.com"}));
                assert_eq!(message(&again, 200, "ShowBlockPage"), ALREADY_WAITING);
            }
            assert!(approvals.review("JANE@contoso.com", grant));
            assert!(!approvals.review("jane@contoso.com", !grant), "a review is final");
            for path in [CHECK_STATUS, REQUEST_APPROVAL] {
                assert_eq!(message(&ask(&mut approvals, path, &user), 200, action), text);
            }
        }
    }

    #[test]
    fn the_trusted_domain_is_approved_at_once() {
        let mut approvals = Approvals::new();
        let user =
            json!({"email": "jane@Fabrikam.com", "displayName": "  Jane \t Doe ", "postalCode": "98101"});
        let first = ask(&mut approvals, REQUEST_APPROVAL, &user);
        assert_eq!(message(&first, 200, "Continue"), "");
        assert_eq!(first.1["displayName"], "Jane Doe");
        assert_eq!(first.1["extension_ApprovalId"], "APPROVAL-0001");
        assert_eq!(ask(&mut approvals, REQUEST_APPROVAL, &user), first, "asking again changes nothing");
        let nameless = ask(&mut approvals, REQUEST_APPROVAL, &json!({"email": "joe@fabrikam.com"}));
        assert_eq!(nameless.1["extension_ApprovalId"], "APPROVAL-0002");
        assert_eq!(nameless.1.get("displayName"), None);
        for email in ["x@notfabrikam.com", "x@fabrikam.com.evil", "fabrikam.com", "x@fabrikam.com@evil"] {
            let other = ask(&mut approvals, REQUEST_APPROVAL, &json!({"email": email}));
            assert_eq!(message(&other, 200, "ShowBlockPage"), NOW_WAITING, "{email}");
        }
    }

    #[test]
    fn the_form_is_checked_before_anything_is_recorded() {
        let mut approvals = Approvals::new();
        let codes =
            [json!("9810"), json!("981011"), json!("9810a"), json!("９８１０１"), json!(""), json!(98101)];
        for code in codes {
            let user = json!({"email": "jane@fabrikam.com", "postalCode": code});
            let refused = ask(&mut approvals, REQUEST_APPROVAL, &user);
            assert!(message(&refused, 400, "ValidationError").contains("postal code"), "{code}");
        }
        for user in [json!({}), json!({"email": " "}), json!({"email": 1})] {
            let refused = ask(&mut approvals, REQUEST_APPROVAL, &user);
            assert!(message(&refused, 400, "ValidationError").contains("e-mail"), "{user}");
            assert_eq!(message(&ask(&mut approvals, CHECK_STATUS, &user), 200, "Continue"), "");
        }
        assert!(approvals.people.is_empty());
    }

    #[test]
    fn a_body_that_is_no_object_is_refused_in_the_contracts_form() {
        for path in [CHECK_STATUS, REQUEST_APPROVAL] {
            for body in ["", "{", "[]", "null", "{}x", "\u{feff}{}"] {
                let (status, answer) = Approvals::new().handle(path, body.as_bytes());
                let answer = (status, serde_json::from_slice(&answer).unwrap());
                assert!(message(&answer, 400, "ValidationError").contains("JSON"), "{body:?}");
            }
        }
        for path in ["/", "/api/approvals/", "/api/approvals/checkstatus?x"] {
            assert_eq!(ask(&mut Approvals::new(), path, &json!({})).0, 404);
        }
    }

    #[test]
    fn it_remembers_a_bounded_number_of_people_and_forgets_nobody() {
        let mut approvals = Approvals::new();
        let user = |number| json!({"email": format!("{number}@fabrikam.com")});
        for number in 0..MAX_PEOPLE {
            assert_eq!(ask(&mut approvals, REQUEST_APPROVAL, &user(number)).0, 200);
        }
        assert_eq!(ask(&mut approvals, REQUEST_APPROVAL, &user(MAX_PEOPLE)).0, 503);
        assert_eq!(
            ask(&mut approvals, REQUEST_APPROVAL, &user(0)).1["extension_ApprovalId"],
            "APPROVAL-0001"
        );
    }
}

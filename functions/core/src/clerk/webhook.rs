//! Signed bytes → an event of Clerk's.

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use svix::webhooks::{Webhook, WebhookError};

use crate::clerk::{ClerkTime, ClerkUser, NotAUser};

/// The id of a delivered event, the same in each of its deliveries: the header `svix-id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventId(String);

impl EventId {
    /// The id as Svix writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Verifies that a webhook comes from the instance, by any of its endpoints' secrets: while a
/// secret is being rotated there are two.
pub struct WebhookVerifier(Vec<SigningSecret>);

/// The signing secret of one endpoint.
pub struct SigningSecret {
    webhook: Webhook,
    fingerprint: String,
}

impl SigningSecret {
    /// Reads a secret, `whsec_…`. Its fingerprint tells one from another and gives nothing away:
    /// eight digits of the secret's SHA-256, as `printf %s whsec_… | sha256sum` has them.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if !text.starts_with("whsec_") {
            return Err("must hold signing secrets that begin with `whsec_`");
        }
        let webhook = Webhook::new(text)
            .map_err(|_| "holds a signing secret that is not whole; copy it again")?;
        let hash = digest(&SHA256, text.as_bytes());
        let fingerprint = hash.as_ref()[..4].iter().map(|byte| format!("{byte:02x}"));
        Ok(Self {
            webhook,
            fingerprint: fingerprint.collect(),
        })
    }
}

impl WebhookVerifier {
    /// At least one secret; with none nothing would ever verify.
    pub fn new(secrets: Vec<SigningSecret>) -> Self {
        Self(secrets)
    }

    /// What is used, for the log.
    pub fn describe(&self) -> String {
        let fingerprints: Vec<_> = self
            .0
            .iter()
            .map(|secret| secret.fingerprint.as_str())
            .collect();
        format!(
            "webhooks signed with a secret of the fingerprint {}",
            fingerprints.join(" or ")
        )
    }

    /// Verifies the exact bytes of a request, and only then lets them be read.
    pub fn verify<'a>(
        &self,
        headers: &HeaderMap,
        body: &'a Bytes,
    ) -> Result<SignedEvent<'a>, SignatureError> {
        let id = headers
            .get("svix-id")
            .and_then(|id| id.to_str().ok())
            .ok_or(SignatureError::Headers("svix-id is missing"))?;
        let mut outcome = Err(WebhookError::InvalidSignature);
        for secret in &self.0 {
            outcome = secret.webhook.verify(body, headers);
            if outcome.is_ok() {
                break;
            }
        }
        outcome?;
        Ok(SignedEvent {
            id: EventId(id.to_owned()),
            body,
        })
    }
}

/// Why a request is not known to come from Clerk.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// It lacks what a signature consists of: the sender is not Svix.
    #[error("the signature's headers cannot be read: {0}")]
    Headers(&'static str),
    /// The signature fits none of our secrets, or is older than five minutes.
    #[error("the signature does not count: {0}")]
    Signature(&'static str),
}

impl From<WebhookError> for SignatureError {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::MissingHeader(_) => Self::Headers("one of them is missing"),
            WebhookError::InvalidHeader(_) => Self::Headers("one of them is not text"),
            WebhookError::InvalidTimestamp => Self::Headers("svix-timestamp is not a time"),
            WebhookError::TimestampTooOldError => Self::Signature("it is older than five minutes"),
            WebhookError::FutureTimestampError => Self::Signature("it is of the future"),
            // Svix signs text, so a body that is none cannot be signed by it.
            WebhookError::InvalidPayload => Self::Signature("the body is not UTF-8"),
            WebhookError::InvalidSignature => Self::Signature("it fits none of our secrets"),
            // These two are about a secret, and ours were read at the start.
            WebhookError::InvalidSecret(_) | WebhookError::EmptySecret => {
                Self::Signature("a secret cannot be read")
            }
        }
    }
}

/// An event that surely comes from Clerk, not yet read.
#[derive(Debug)]
pub struct SignedEvent<'a> {
    /// The event's id.
    pub id: EventId,
    body: &'a Bytes,
}

/// What Clerk says has happened.
#[derive(Debug)]
pub enum Event {
    /// `user.created`, `user.updated`, `user.deleted`: a change of the users table.
    User(UserEvent),
    /// Any other event: an endpoint may be subscribed to more than we need.
    Other {
        /// The event's type, such as `session.created`.
        event_type: String,
    },
}

/// A change of one user.
#[derive(Debug)]
pub struct UserEvent {
    /// The event's type.
    pub event_type: String,
    /// The user after the change. Of a deleted one nothing is left but the id.
    pub user: ClerkUser,
    /// When it happened, where the envelope says so. It is the only time that a deletion carries.
    pub happened_at: Option<ClerkTime>,
}

impl SignedEvent<'_> {
    /// Reads the event.
    pub fn parse(&self) -> Result<Event, UnusableEvent> {
        let envelope: Envelope = serde_json::from_slice(self.body).map_err(|_| UnusableEvent {
            event_type: None,
            reason: Reason::NotAnEvent,
        })?;
        let event_type = envelope.event_type;
        if !matches!(
            event_type.as_str(),
            "user.created" | "user.updated" | "user.deleted"
        ) {
            return Ok(Event::Other { event_type });
        }
        let data = envelope.data.map_or("null", RawValue::get);
        match ClerkUser::parse(data) {
            Ok(user) => Ok(Event::User(UserEvent {
                event_type,
                user,
                happened_at: envelope
                    .timestamp
                    .map(ClerkTime::from_seconds_or_milliseconds),
            })),
            Err(reason) => Err(UnusableEvent {
                event_type: Some(event_type),
                reason: Reason::User(reason),
            }),
        }
    }
}

/// A signed event that will never work, however often it is delivered.
#[derive(Debug, PartialEq)]
pub struct UnusableEvent {
    /// Its type, where that can be read.
    pub event_type: Option<String>,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a signed event. The texts go into the ledger, so they quote nothing.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Reason {
    /// The body is not Clerk's envelope.
    #[error("the body is not an event of Clerk's")]
    NotAnEvent,
    /// `data` is not a user.
    #[error(transparent)]
    User(NotAUser),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    event_type: String,
    timestamp: Option<i64>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    const OLD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const NEW_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const FOREIGN_SECRET: &str = "whsec_5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH";
    const BODY: &str =
        r#"{"type":"user.deleted","data":{"id":"user_1"},"timestamp":1763000000123}"#;

    fn now() -> i64 {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        i64::try_from(since_1970.as_secs()).unwrap()
    }

    fn signed(secret: &str, timestamp: i64, body: &str) -> HeaderMap {
        let webhook = Webhook::new(secret).unwrap();
        let signature = webhook.sign("msg_1", timestamp, body.as_bytes()).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("svix-id", "msg_1".parse().unwrap());
        headers.insert("svix-timestamp", timestamp.into());
        headers.insert("svix-signature", signature.parse().unwrap());
        headers
    }

    fn verify(headers: &HeaderMap, body: &str) -> Result<(), SignatureError> {
        let secrets = [OLD_SECRET, NEW_SECRET].map(|secret| SigningSecret::parse(secret).unwrap());
        let verifier = WebhookVerifier::new(secrets.into());
        verifier
            .verify(headers, &Bytes::from(body.to_owned()))
            .map(drop)
    }

    #[test]
    fn a_secret_is_known_by_its_fingerprint() {
        let verifier = WebhookVerifier::new(vec![SigningSecret::parse(OLD_SECRET).unwrap()]);
        assert_eq!(
            verifier.describe(),
            "webhooks signed with a secret of the fingerprint 96ad2ccd"
        );
    }

    #[test]
    fn any_of_the_secrets_verifies_and_no_other() {
        for (secret, verifies) in [
            (OLD_SECRET, true),
            (NEW_SECRET, true),
            (FOREIGN_SECRET, false),
        ] {
            assert_eq!(verify(&signed(secret, now(), BODY), BODY).is_ok(), verifies);
        }
    }

    #[test]
    fn any_signature_of_the_list_verifies() {
        let mut headers = signed(FOREIGN_SECRET, now(), BODY);
        let list = [&headers, &signed(OLD_SECRET, now(), BODY)]
            .map(|headers| headers["svix-signature"].to_str().unwrap().to_owned())
            .join(" ");
        headers.insert("svix-signature", list.parse().unwrap());
        assert!(verify(&headers, BODY).is_ok());
    }

    #[test]
    fn a_signature_counts_for_five_minutes_on_either_side() {
        for (seconds, verifies) in [(-298, true), (-302, false), (298, true), (303, false)] {
            let headers = signed(OLD_SECRET, now() + seconds, BODY);
            assert_eq!(verify(&headers, BODY).is_ok(), verifies, "{seconds} s");
        }
    }

    #[test]
    fn one_changed_byte_breaks_the_signature() {
        let headers = signed(OLD_SECRET, now(), BODY);
        let changed = BODY.replace("user_1", "user_2");
        assert!(matches!(
            verify(&headers, &changed),
            Err(SignatureError::Signature(_))
        ));
        let mut other_id = headers;
        other_id.insert("svix-id", "msg_2".parse().unwrap());
        assert!(matches!(
            verify(&other_id, BODY),
            Err(SignatureError::Signature(_))
        ));
    }

    #[test]
    fn each_header_is_needed() {
        for name in ["svix-id", "svix-timestamp", "svix-signature"] {
            let mut headers = signed(OLD_SECRET, now(), BODY);
            headers.remove(name);
            assert!(
                matches!(verify(&headers, BODY), Err(SignatureError::Headers(_))),
                "{name}"
            );
        }
    }

    fn parse(body: &str) -> Result<Event, UnusableEvent> {
        let body = Bytes::from(body.to_owned());
        let id = EventId("msg_1".to_owned());
        SignedEvent { id, body: &body }.parse()
    }

    #[test]
    fn an_event_about_a_user_is_read_and_any_other_is_left_alone() {
        for event_type in ["user.created", "user.updated", "user.deleted"] {
            let event = parse(&BODY.replace("user.deleted", event_type)).unwrap();
            let Event::User(event) = event else {
                panic!("{event_type} is about a user");
            };
            assert_eq!(event.event_type, event_type);
            assert_eq!(event.user.id().to_string(), "user_1");
            assert_eq!(
                event.happened_at,
                Some(ClerkTime::from_seconds_or_milliseconds(1_763_000_000_123))
            );
        }
        for event_type in ["session.created", "user.renamed", "waitlistEntry.created"] {
            let event = parse(&BODY.replace("user.deleted", event_type)).unwrap();
            assert!(matches!(event, Event::Other { .. }), "{event_type}");
        }
    }

    #[test]
    fn an_event_that_can_never_work_says_why() {
        for (body, reason) in [
            ("", Reason::NotAnEvent),
            (
                r#"{"type":"user.created","data":{"id":"user_"#,
                Reason::NotAnEvent,
            ),
            (r#"{"data":{"id":"user_1"}}"#, Reason::NotAnEvent),
            (
                r#"{"type":"user.created","timestamp":1}"#,
                Reason::User(NotAUser::NotAnObject),
            ),
            (
                r#"{"type":"user.created","data":{},"timestamp":1}"#,
                Reason::User(NotAUser::NoId),
            ),
            (
                r#"{"type":"user.created","data":{"id":"user_x,id.neq.y"},"timestamp":1}"#,
                Reason::User(NotAUser::BadId),
            ),
        ] {
            assert_eq!(parse(body).unwrap_err().reason, reason, "{body}");
        }
    }
}

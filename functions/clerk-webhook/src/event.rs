//! Bytes of an event → what happened to which user.

use serde::Deserialize;
use serde_json::value::RawValue;
use user_sync_core::clerk::{ClerkTime, ClerkUser, NotAUser};

/// What happened in Clerk.
#[derive(Debug)]
pub enum Event {
    /// `user.created`, `user.updated` or `user.deleted`: a user changed.
    User(UserEvent),
    /// Any other event. An endpoint may be subscribed to more events than we need.
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
    /// The user after the change. A deleted user has only an id.
    pub user: ClerkUser,
    /// When it happened, if the envelope says so. A deletion has no other time.
    pub happened_at: Option<ClerkTime>,
}

impl Event {
    /// Parses the verified bytes of a webhook.
    pub fn parse(body: &[u8]) -> Result<Self, UnusableEvent> {
        let envelope: Envelope = serde_json::from_slice(body).map_err(|_| UnusableEvent {
            event_type: None,
            reason: Reason::NotAnEvent,
        })?;
        let event_type = envelope.event_type;
        if !matches!(
            event_type.as_str(),
            "user.created" | "user.updated" | "user.deleted"
        ) {
            return Ok(Self::Other { event_type });
        }
        let data = envelope.data.map_or("null", RawValue::get);
        match ClerkUser::parse(data) {
            Ok(user) => Ok(Self::User(UserEvent {
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

/// A signed event that can never work. Another delivery does not help.
#[derive(Debug, PartialEq)]
pub struct UnusableEvent {
    /// Its type, if that can be read.
    pub event_type: Option<String>,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a signed event. The messages go into the ledger, so they quote nothing.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Reason {
    /// The body is not Clerk's envelope.
    #[error("the body is not a Clerk event")]
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
    use super::*;

    const BODY: &str =
        r#"{"type":"user.deleted","data":{"id":"user_1"},"timestamp":1763000000123}"#;

    #[test]
    fn an_event_about_a_user_is_parsed_and_any_other_is_not() {
        for event_type in ["user.created", "user.updated", "user.deleted"] {
            let event = Event::parse(BODY.replace("user.deleted", event_type).as_bytes()).unwrap();
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
            let event = Event::parse(BODY.replace("user.deleted", event_type).as_bytes()).unwrap();
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
            assert_eq!(
                Event::parse(body.as_bytes()).unwrap_err().reason,
                reason,
                "{body}"
            );
        }
    }
}

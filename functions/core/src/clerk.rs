//! Clerk's types: ids, times and users.
//!
//! A user and a user's id are checked when they are parsed, so no other code checks them again.

pub mod backend_api;

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The id of a Clerk user: `user_` and then letters, digits or underscores. It is safe in a path, a
/// query and a log line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ClerkUserId(String);

/// The text is not a [`ClerkUserId`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not the id of a Clerk user (`user_`, and 1 to 64 letters, digits or underscores)")]
pub struct NotAUserId;

impl ClerkUserId {
    /// Parses an id. Clerk's ids have 32 characters; the limit leaves room for longer ones.
    pub fn parse(text: &str) -> Result<Self, NotAUserId> {
        let suffix = text.strip_prefix("user_").ok_or(NotAUserId)?;
        let is_valid = (1..=64).contains(&suffix.len())
            && suffix
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        is_valid.then(|| Self(text.to_owned())).ok_or(NotAUserId)
    }
}

impl TryFrom<String> for ClerkUserId {
    type Error = NotAUserId;

    fn try_from(text: String) -> Result<Self, NotAUserId> {
        Self::parse(&text)
    }
}

impl fmt::Display for ClerkUserId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The id of an event, the same in each of its deliveries: the header `svix-id`.
#[derive(Clone, Debug, Serialize)]
pub struct EventId(String);

impl EventId {
    /// The id, as Svix sends it.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A time from Clerk, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Serialize)]
pub struct ClerkTime(i64);

impl ClerkTime {
    /// The start of 1970.
    pub const EPOCH: Self = Self(0);

    /// The year 5138 in seconds, or March 1973 in milliseconds. No time from Clerk is that far from
    /// today, so a number below this is in seconds, and one above it in milliseconds.
    const SECONDS_END: i64 = 100_000_000_000;

    /// Reads a time. Clerk sends milliseconds in real webhooks, but seconds in session tokens and
    /// in the example of its webhook specification.
    pub fn from_seconds_or_milliseconds(number: i64) -> Self {
        if (-Self::SECONDS_END..Self::SECONDS_END).contains(&number) {
            Self(number * 1_000)
        } else {
            Self(number)
        }
    }
}

/// A user as Clerk describes them, without the two kinds of metadata that are never stored.
///
/// Each field keeps the exact JSON that Clerk sent. Only the database decides which fields become
/// columns, and how.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct ClerkUser {
    fields: BTreeMap<String, Box<RawValue>>,
    #[serde(skip)]
    id: ClerkUserId,
}

impl ClerkUser {
    /// Fields that are never stored, logged or passed on.
    const REMOVED: [&str; 2] = ["private_metadata", "unsafe_metadata"];

    /// Parses Clerk's user object, from the Backend API or from an event's `data`.
    pub fn parse(json: &str) -> Result<Self, NotAUser> {
        let mut fields: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(json).map_err(|_| NotAUser::NotAnObject)?;
        let id = fields.get("id").ok_or(NotAUser::NoId)?;
        let id = serde_json::from_str(id.get()).map_err(|_| NotAUser::BadId)?;
        for name in Self::REMOVED {
            fields.remove(name);
        }
        Ok(Self { fields, id })
    }

    /// The user's id.
    pub fn id(&self) -> &ClerkUserId {
        &self.id
    }
}

/// Why JSON is not a Clerk user. The messages go into the ledger, so they quote nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAUser {
    /// The value is missing or is not a JSON object.
    #[error("the user is not a JSON object")]
    NotAnObject,
    /// There is no `id`.
    #[error("the user has no id")]
    NoId,
    /// The `id` is not a [`ClerkUserId`].
    #[error("the user's id is not the id of a Clerk user")]
    BadId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_id_has_the_prefix_and_safe_characters() {
        let longest = format!("user_{}", "a".repeat(64));
        for id in ["user_1", "user_2NNEqL2nrIRdJ194ndJqAHwEfxC", &longest] {
            assert_eq!(ClerkUserId::parse(id).map(|id| id.0), Ok(id.to_owned()));
        }
        let too_long = format!("user_{}", "a".repeat(65));
        for text in [
            "",
            "user_",
            "mch_1",
            "user_x,id.neq.y",
            "user_x/../y",
            "user_é",
            " user_1",
            "user_1\n",
            &too_long,
        ] {
            assert_eq!(ClerkUserId::parse(text), Err(NotAUserId), "{text:?}");
        }
    }

    #[test]
    fn a_time_is_read_from_seconds_and_from_milliseconds() {
        for (number, milliseconds) in [
            (1_763_000_000, 1_763_000_000_000),
            (1_763_000_000_123, 1_763_000_000_123),
            (99_999_999_999, 99_999_999_999_000),
            (100_000_000_000, 100_000_000_000),
            (i64::MIN, i64::MIN),
        ] {
            assert_eq!(
                ClerkTime::from_seconds_or_milliseconds(number),
                ClerkTime(milliseconds)
            );
        }
    }

    #[test]
    fn a_user_keeps_its_exact_json_without_the_removed_metadata() {
        let user = ClerkUser::parse(
            r#"{"id":"user_1","public_metadata":{"n":1.000,"big":123456789012345678901234567890},
                "private_metadata":{"a":1},"unsafe_metadata":{"b":2}}"#,
        )
        .unwrap();
        assert_eq!(user.id().to_string(), "user_1");
        assert_eq!(
            serde_json::to_string(&user).unwrap(),
            r#"{"id":"user_1","public_metadata":{"n":1.000,"big":123456789012345678901234567890}}"#
        );
    }

    #[test]
    fn json_that_is_not_a_user_says_why() {
        for (json, reason) in [
            ("[]", NotAUser::NotAnObject),
            ("{", NotAUser::NotAnObject),
            ("{}", NotAUser::NoId),
            (r#"{"id":7}"#, NotAUser::BadId),
            (r#"{"id":"user_x,id.neq.y"}"#, NotAUser::BadId),
        ] {
            assert_eq!(ClerkUser::parse(json).unwrap_err(), reason, "{json}");
        }
    }
}

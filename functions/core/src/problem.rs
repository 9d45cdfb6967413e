//! Everything that can go wrong with a request, and the answer to each: a dull one for the
//! caller (RFC 9457), the full story and a hint for the log.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde_json::json;

use crate::{
    answer,
    clerk::{
        ClerkUserId,
        session::SessionError,
        users::ClerkError,
        webhook::{EventId, SignatureError},
    },
    supabase::SupabaseError,
    upstream::MayBeRetried,
};

/// Why a request did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The caller used another method than POST.
    #[error("only POST is served here")]
    MethodNotAllowed,
    /// The caller sent more than any event of Clerk's holds.
    #[error("the body is longer than {limit} bytes")]
    BodyTooLarge {
        /// How many bytes are accepted.
        limit: usize,
    },
    /// Nobody is signed in, or it cannot be told who.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The user is deleted: their row is a tombstone.
    #[error("user {0} is deleted")]
    UserDeleted(ClerkUserId),
    /// Clerk does not know the user of a valid session: they were deleted in this minute. It is not
    /// remembered, since only an event of Clerk's may make a tombstone.
    #[error("user {0} is not known to Clerk")]
    UserUnknown(ClerkUserId),
    /// The request is not known to come from Clerk.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// A signed event that can never work. It stands in the ledger as rejected.
    #[error("event {id} can never work: {reason}", id = id.as_str())]
    EventRejected {
        /// The event's id.
        id: EventId,
        /// What the ledger says.
        reason: String,
    },
    /// Clerk could not be asked.
    #[error(transparent)]
    Clerk(#[from] ClerkError),
    /// The database did not do its part.
    #[error(transparent)]
    Supabase(#[from] SupabaseError),
}

/// What the caller of a passing failure is asked to wait, where the service does not say it.
const COME_BACK_IN: Duration = Duration::from_secs(5);

/// What a problem looks like from outside: a status, a code that is stable so that callers may
/// match on it, and a title.
struct Face(StatusCode, &'static str, &'static str);

impl Problem {
    /// Every function takes POST alone.
    pub fn unless_post(method: &Method) -> Result<(), Self> {
        if method == Method::POST {
            Ok(())
        } else {
            Err(Self::MethodNotAllowed)
        }
    }

    /// Tells the log, under the function's label, and answers.
    pub fn into_response(self, label: &str) -> Response<Bytes> {
        let Face(status, code, title) = self.face();
        self.log(label, status);
        let body = json!({
            "type": "about:blank",
            "title": title,
            "status": status.as_u16(),
            "code": code,
        });
        let mut response = answer::json(status, &body);
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.extend(self.header());
        response
    }

    fn face(&self) -> Face {
        match self {
            Self::MethodNotAllowed => Face(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "Only POST is served here",
            ),
            Self::BodyTooLarge { .. } => Face(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                "The body is too large",
            ),
            Self::Session(SessionError::Missing) => Face(
                StatusCode::UNAUTHORIZED,
                "session_missing",
                "There is no session token",
            ),
            Self::Session(SessionError::Invalid(_)) => Face(
                StatusCode::UNAUTHORIZED,
                "session_invalid",
                "The session token is not valid",
            ),
            Self::UserDeleted(_) | Self::UserUnknown(_) => {
                Face(StatusCode::GONE, "user_deleted", "The user is deleted")
            }
            Self::Signature(SignatureError::Headers(_)) => Face(
                StatusCode::BAD_REQUEST,
                "signature_headers",
                "The headers of the signature are missing or malformed",
            ),
            Self::Signature(SignatureError::Signature(_)) => Face(
                StatusCode::UNAUTHORIZED,
                "signature_invalid",
                "The signature is not valid",
            ),
            Self::EventRejected { .. } => Face(
                StatusCode::UNPROCESSABLE_ENTITY,
                "event_rejected",
                "The event can never work",
            ),
            Self::Session(SessionError::Clerk(error)) | Self::Clerk(error) => match error {
                ClerkError::RateLimited { .. } => Face(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "clerk_rate_limited",
                    "Clerk is rate limiting",
                ),
                ClerkError::NoAnswer(_)
                | ClerkError::Failed { .. }
                | ClerkError::Refused(_)
                | ClerkError::Unreadable(_) => {
                    Face(StatusCode::BAD_GATEWAY, "clerk_failed", "Clerk failed")
                }
            },
            Self::Supabase(error) => match error {
                SupabaseError::NotStorable { .. } => Face(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "user_not_storable",
                    "The user cannot be stored",
                ),
                SupabaseError::Busy { .. }
                | SupabaseError::Failed { .. }
                | SupabaseError::NoAnswer(_)
                | SupabaseError::NotMigrated { .. }
                | SupabaseError::Refused { .. }
                | SupabaseError::Unreadable(_) => Face(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "supabase_failed",
                    "The database is not available",
                ),
            },
        }
    }

    /// The header that the caller needs beside the status.
    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::MethodNotAllowed => Some((ALLOW, HeaderValue::from_static("POST"))),
            Self::EventRejected { .. } => Some((
                // Svix stops delivering this event: https://docs.svix.com/retries
                HeaderName::from_static("webhook-delivery"),
                HeaderValue::from_static("abort-message"),
            )),
            Self::Session(SessionError::Clerk(error)) | Self::Clerk(error) => match error {
                ClerkError::RateLimited { retry_after } => Some(come_back_in(*retry_after)),
                ClerkError::NoAnswer(_)
                | ClerkError::Failed { .. }
                | ClerkError::Refused(_)
                | ClerkError::Unreadable(_) => None,
            },
            Self::Session(_) => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            // A user who cannot be stored is no better stored later.
            Self::Supabase(error) => {
                let may_work_later = self.upstream_error().is_some();
                may_work_later.then(|| come_back_in(error.retry_after()))
            }
            Self::BodyTooLarge { .. }
            | Self::UserDeleted(_)
            | Self::UserUnknown(_)
            | Self::Signature(_) => None,
        }
    }

    /// The outside service that did not do its part, as it is counted.
    fn upstream_error(&self) -> Option<&'static str> {
        match self {
            Self::Session(SessionError::Clerk(_)) | Self::Clerk(_) => Some("clerk"),
            Self::Supabase(error) => match error {
                SupabaseError::NotStorable { .. } => None,
                SupabaseError::Busy { .. }
                | SupabaseError::Failed { .. }
                | SupabaseError::NoAnswer(_)
                | SupabaseError::NotMigrated { .. }
                | SupabaseError::Refused { .. }
                | SupabaseError::Unreadable(_) => Some("supabase"),
            },
            Self::MethodNotAllowed
            | Self::BodyTooLarge { .. }
            | Self::Session(_)
            | Self::UserDeleted(_)
            | Self::UserUnknown(_)
            | Self::Signature(_)
            | Self::EventRejected { .. } => None,
        }
    }

    /// What became of an event, where that is known for good.
    fn webhook_outcome(&self) -> Option<&'static str> {
        match self {
            Self::EventRejected { .. } => Some("rejected"),
            Self::MethodNotAllowed
            | Self::BodyTooLarge { .. }
            | Self::Session(_)
            | Self::UserDeleted(_)
            | Self::UserUnknown(_)
            | Self::Signature(_)
            | Self::Clerk(_)
            | Self::Supabase(_) => None,
        }
    }

    fn log(&self, label: &str, status: StatusCode) {
        let hint = match self {
            Self::Session(SessionError::Clerk(error)) | Self::Clerk(error) => error.hint(),
            Self::Supabase(error) => error.hint(),
            Self::UserUnknown(_) => {
                Some("if Clerk's dashboard shows the user, CLERK_SECRET_KEY is of another instance")
            }
            Self::MethodNotAllowed
            | Self::BodyTooLarge { .. }
            | Self::Session(_)
            | Self::UserDeleted(_)
            | Self::Signature(_)
            | Self::EventRejected { .. } => None,
        };
        let hint = hint
            .map(|hint| format!(" (hint: {hint})"))
            .unwrap_or_default();
        let status = status.as_u16();
        let (upstream_error, webhook_outcome) = (self.upstream_error(), self.webhook_outcome());
        macro_rules! log {
            ($level:ident) => {
                tracing::$level!(
                    upstream_error,
                    webhook_outcome,
                    "[{label}] {status}: {self}{hint}"
                )
            };
        }
        match status {
            500.. => log!(error),
            410 | 422 => log!(warn),
            _ => log!(info),
        }
    }
}

fn come_back_in(pause: Option<Duration>) -> (HeaderName, HeaderValue) {
    // PostgREST says 0 while it looks for its database: for the next attempt, not for a visitor.
    let pause = pause.filter(|pause| !pause.is_zero());
    let seconds = pause.unwrap_or(COME_BACK_IN).as_secs();
    (RETRY_AFTER, HeaderValue::from(seconds))
}

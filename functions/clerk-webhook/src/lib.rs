//! `POST /api/webhooks/clerk`: Clerk reports a change.
//!
//! `signature` verifies the exact bytes, and `event` parses them. This file does the rest.

mod event;
mod signature;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, StatusCode};
use serde::Serialize;
use user_sync_core::{
    clerk::EventId,
    config::{Variable, Variables},
    function::Function,
    log::{self, Count, Level},
    problem::{Problem, ProblemType},
    supabase::{self, Outcome, Rejection, Source, Supabase, SupabaseError},
    upstream::{Deadline, HttpClient},
};

use self::{
    event::{Event, UserEvent},
    signature::SignatureVerifier,
};

/// The function behind `POST /api/webhooks/clerk`.
pub struct ClerkWebhook {
    signatures: SignatureVerifier,
    supabase: Supabase,
}

/// The answer: the event does not need another delivery.
#[derive(Serialize)]
pub struct Received {
    outcome: EventOutcome,
}

/// What happened to an event.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum EventOutcome {
    /// It is not about a user.
    Ignored,
    /// It was applied, with this outcome.
    #[serde(untagged)]
    Applied(Outcome),
}

/// In bytes. An event with all the public metadata that Clerk allows is under 100 KB.
const BODY_LIMIT: usize = 1024 * 1024;

impl Function for ClerkWebhook {
    const LABEL: &'static str = "ClerkWebhook";

    const VARIABLES: &'static [&'static Variable] = &[
        &supabase::URL,
        &supabase::KEY,
        &log::FORMAT,
        &signature::SIGNING_SECRET,
    ];

    type Answer = Received;

    fn configure(variables: &mut Variables, http: &HttpClient) -> Option<Self> {
        let supabase = Supabase::configure(variables, http);
        let signatures = SignatureVerifier::configure(variables);
        Some(Self {
            signatures: signatures?,
            supabase: supabase?,
        })
    }

    fn describe(&self) -> String {
        [self.supabase.describe(), self.signatures.describe()].join("; ")
    }

    async fn answer(
        &self,
        request: &Request<Bytes>,
        deadline: Deadline,
    ) -> Result<Received, Problem> {
        let body = request.body();
        if body.len() > BODY_LIMIT {
            return Err(Refusal::BodyTooLarge.into());
        }
        let signed = self.signatures.verify(request.headers(), body)?;
        let outcome = match Event::parse(signed.body) {
            Ok(Event::User(event)) => self.apply(&signed.id, &event, deadline).await?,
            Ok(Event::Other { event_type }) => ignore(&event_type),
            Err(unusable) => {
                let rejection = Rejection {
                    event_id: &signed.id,
                    event_type: unusable.event_type.as_deref(),
                    clerk_id: None,
                    reason: &unusable.reason.to_string(),
                };
                return Err(self.reject(&rejection, deadline).await);
            }
        };
        Ok(Received { outcome })
    }
}

impl ClerkWebhook {
    async fn apply(
        &self,
        event_id: &EventId,
        event: &UserEvent,
        deadline: Deadline,
    ) -> Result<EventOutcome, Problem> {
        let (event_type, user_id) = (&event.event_type, event.user.id());
        let source = Source::Webhook {
            event_id,
            event_type,
            happened_at: event.happened_at,
        };
        match self.supabase.apply(&event.user, source, deadline).await {
            Ok(written) => {
                let outcome = written.outcome;
                let count = Some(Count::WebhookEvent(outcome.as_str()));
                let line = format_args!("[ClerkWebhook] {event_type} of {user_id}: {outcome}");
                log::write(Level::Info, count, line);
                written.log_displaced(Self::LABEL);
                Ok(EventOutcome::Applied(outcome))
            }
            Err(error @ SupabaseError::NotStorable { .. }) => {
                let rejection = Rejection {
                    event_id,
                    event_type: Some(event_type),
                    clerk_id: Some(user_id),
                    reason: &error.to_string(),
                };
                Err(self.reject(&rejection, deadline).await)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Rejects an event. Svix may give it up only after it is in the ledger.
    async fn reject(&self, rejection: &Rejection<'_>, deadline: Deadline) -> Problem {
        match self.supabase.reject(rejection, deadline).await {
            Ok(()) => Refusal::Rejected {
                event_id: rejection.event_id.clone(),
                reason: rejection.reason.to_owned(),
            }
            .into(),
            Err(error) => error.into(),
        }
    }
}

fn ignore(event_type: &str) -> EventOutcome {
    let count = Some(Count::WebhookEvent("ignored"));
    let line = format_args!("[ClerkWebhook] {event_type:?} is not about a user: ignored");
    log::write(Level::Info, count, line);
    EventOutcome::Ignored
}

/// Why a webhook is refused, even if it is signed.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    /// It is longer than any event from Clerk. The caller is not Clerk.
    #[error("the body is longer than {BODY_LIMIT} bytes")]
    BodyTooLarge,
    /// It can never work, and is in the ledger as rejected. Svix gives it up. The operator fixes
    /// the cause and replays the event.
    #[error("event {event_id} can never work: {reason}")]
    Rejected {
        /// The event's id.
        event_id: EventId,
        /// The reason, as in the ledger.
        reason: String,
    },
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::BodyTooLarge => {
                let kind = ProblemType {
                    status: StatusCode::PAYLOAD_TOO_LARGE,
                    code: "body_too_large",
                    title: "The body is too large",
                };
                Self::new(kind, detail)
            }
            Refusal::Rejected { .. } => {
                let kind = ProblemType {
                    status: StatusCode::UNPROCESSABLE_ENTITY,
                    code: "event_rejected",
                    title: "The event can never work",
                };
                // Svix stops delivering this event: https://docs.svix.com/retries
                let abort = HeaderValue::from_static("abort-message");
                Self {
                    count: Some(Count::WebhookEvent("rejected")),
                    header: Some((HeaderName::from_static("webhook-delivery"), abort)),
                    ..Self::new(kind, detail)
                }
            }
        }
    }
}

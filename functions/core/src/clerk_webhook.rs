//! `POST /api/webhooks/clerk`: Clerk tells of a change.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde::Serialize;
use serde_json::json;

use crate::{
    answer,
    clerk::webhook::{Event, EventId, UserEvent, WebhookVerifier},
    config::Variables,
    problem::Problem,
    start::Function,
    supabase::{Applied, Rejection, Supabase, SupabaseError},
    upstream::Deadline,
};

/// The function behind `POST /api/webhooks/clerk`.
pub struct ClerkWebhook {
    webhooks: WebhookVerifier,
    supabase: Supabase,
}

/// A user with all the public metadata that Clerk allows makes an event of under 100 KB.
const BODY_LIMIT: usize = 1024 * 1024;

impl Function for ClerkWebhook {
    const LABEL: &'static str = "ClerkWebhook";

    fn configure(variables: &mut Variables) -> Option<Self> {
        let http = variables.http_client();
        let webhooks = variables.clerk_webhooks();
        let supabase = variables.supabase(http.as_ref());
        Some(Self {
            webhooks: webhooks?,
            supabase: supabase?,
        })
    }

    fn describe(&self) -> String {
        [self.supabase.describe(), self.webhooks.describe()].join("; ")
    }

    async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        match self.receive(&request).await {
            Ok(outcome) => answer::json(StatusCode::OK, &json!({ "outcome": outcome })),
            Err(problem) => problem.into_response(Self::LABEL),
        }
    }
}

/// What became of an event, as the answer says it in one word.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Ignored,
    #[serde(untagged)]
    Applied(Applied),
}

impl ClerkWebhook {
    async fn receive(&self, request: &Request<Bytes>) -> Result<Outcome, Problem> {
        Problem::unless_post(request.method())?;
        let body = request.body();
        if body.len() > BODY_LIMIT {
            return Err(Problem::BodyTooLarge { limit: BODY_LIMIT });
        }
        let signed = self.webhooks.verify(request.headers(), body)?;
        let deadline = Deadline::for_a_request();
        match signed.parse() {
            Ok(Event::User(event)) => self.apply(signed.id, event, deadline).await,
            Ok(Event::Other { event_type }) => {
                tracing::info!(
                    webhook_outcome = "ignored",
                    "[ClerkWebhook] {event_type:?} is not about a user: ignored"
                );
                Ok(Outcome::Ignored)
            }
            Err(unusable) => {
                let rejection = Rejection {
                    event_type: unusable.event_type,
                    clerk_id: None,
                    reason: unusable.reason.to_string(),
                };
                Err(self.reject(signed.id, rejection, deadline).await)
            }
        }
    }

    async fn apply(
        &self,
        id: EventId,
        event: UserEvent,
        deadline: Deadline,
    ) -> Result<Outcome, Problem> {
        match self.supabase.apply_event(&id, &event, deadline).await {
            Ok(write) => {
                let (event_type, user_id) = (event.event_type, event.user.id());
                let outcome = write.outcome;
                tracing::info!(
                    webhook_outcome = %outcome,
                    "[ClerkWebhook] {event_type} of {user_id}: {outcome}"
                );
                write.log_displaced(Self::LABEL);
                Ok(Outcome::Applied(outcome))
            }
            Err(error @ SupabaseError::NotStorable { .. }) => {
                let rejection = Rejection {
                    clerk_id: Some(event.user.id().clone()),
                    event_type: Some(event.event_type),
                    reason: error.to_string(),
                };
                Err(self.reject(id, rejection, deadline).await)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The caller is told to give the event up only once the ledger knows of it.
    async fn reject(&self, id: EventId, rejection: Rejection, deadline: Deadline) -> Problem {
        match self.supabase.reject_event(&id, &rejection, deadline).await {
            Ok(()) => Problem::EventRejected {
                id,
                reason: rejection.reason,
            },
            Err(error) => error.into(),
        }
    }
}

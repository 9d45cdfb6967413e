//! `POST /api/user/sync`: a page load heals its visitor.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde::Serialize;
use serde_json::json;

use crate::{
    answer,
    clerk::{ClerkUserId, session::Sessions, users::BackendApi},
    config::Variables,
    problem::Problem,
    start::Function,
    supabase::{Applied, RowStatus, Supabase},
    upstream::Deadline,
};

/// The function behind `POST /api/user/sync`.
pub struct UserSync {
    sessions: Sessions,
    clerk: BackendApi,
    supabase: Supabase,
    max_age: Duration,
}

impl Function for UserSync {
    const LABEL: &'static str = "UserSync";

    fn configure(variables: &mut Variables) -> Option<Self> {
        let http = variables.http_client();
        let clerk = variables.clerk_backend_api(http.as_ref());
        let sessions = variables.clerk_sessions(clerk.as_ref());
        let supabase = variables.supabase(http.as_ref());
        let max_age = variables.user_sync_max_age();
        Some(Self {
            sessions: sessions?,
            clerk: clerk?,
            supabase: supabase?,
            max_age: max_age?,
        })
    }

    fn describe(&self) -> String {
        [
            self.supabase.describe(),
            self.clerk.describe(),
            self.sessions.describe(),
        ]
        .join("; ")
    }

    async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        match self.sync(&request).await {
            Ok((synced, user_id)) => answer::json(
                StatusCode::OK,
                &json!({ "status": synced, "userId": user_id }),
            ),
            Err(problem) => problem.into_response(Self::LABEL),
        }
    }
}

/// What a page load found or did, as the answer says it in one word.
#[derive(PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Synced {
    /// The row was there, as new as can be told.
    Present,
    /// There was no row: an orphan is healed.
    Created,
    /// The row was confirmed, or brought up to date.
    Refreshed,
}

impl UserSync {
    async fn sync(&self, request: &Request<Bytes>) -> Result<(Synced, ClerkUserId), Problem> {
        Problem::unless_post(request.method())?;
        let deadline = Deadline::for_a_request();
        let session = self.sessions.verify(request.headers(), deadline).await?;
        let user_id = session.user_id;
        let row = self
            .supabase
            .status(&user_id, session.user_changed_at, self.max_age, deadline)
            .await?;
        match row {
            RowStatus::Present => return Ok((Synced::Present, user_id)),
            RowStatus::Deleted => return Err(Problem::UserDeleted(user_id)),
            // People grep for this line and for the one below, word for word.
            RowStatus::Missing => {
                tracing::warn!("[UserSync] User {user_id}... missing from database. Syncing...");
            }
            RowStatus::Outdated => {
                tracing::info!("[UserSync] User {user_id}... out of date in database. Syncing...");
            }
        }
        let synced = self.heal(&user_id, deadline).await?;
        Ok((synced, user_id))
    }

    /// Reads the user from Clerk and writes them.
    async fn heal(&self, id: &ClerkUserId, deadline: Deadline) -> Result<Synced, Problem> {
        let Some(user) = self.clerk.user(id, deadline).await? else {
            return Err(Problem::UserUnknown(id.clone()));
        };
        let write = self.supabase.apply_page_load(&user, deadline).await?;
        let synced = match write.outcome {
            Applied::Created => Synced::Created,
            Applied::Updated | Applied::Unchanged | Applied::Stale | Applied::Duplicate => {
                Synced::Refreshed
            }
            Applied::Deleted => return Err(Problem::UserDeleted(id.clone())),
        };
        write.log_displaced(Self::LABEL);
        let email = write.email.as_deref().unwrap_or("no e-mail address");
        tracing::info!(
            users_healed = u64::from(synced == Synced::Created),
            users_refreshed = u64::from(synced == Synced::Refreshed),
            sync_duration_ms = u64::try_from(deadline.elapsed().as_millis()).unwrap_or(u64::MAX),
            "[UserSync] ✓ User {id}... synced successfully ({email})"
        );
        Ok(synced)
    }
}

//! `POST /api/user/sync`: a page load heals the signed-in user.
//!
//! `session` verifies who is signed in, with a key from `session_keys`. This file does the rest.

mod session;
mod session_keys;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use serde::Serialize;
use user_sync_core::{
    clerk::{
        ClerkUserId,
        backend_api::{self, BackendApi},
    },
    config::{Unset, Variable, Variables},
    function::Function,
    log::{self, Count, Level},
    problem::{Problem, ProblemType},
    supabase::{self, LookedAt, Outcome, RowStatus, Source, Supabase},
    upstream::{Deadline, HttpClient},
};

use self::session::SessionVerifier;

/// The function behind `POST /api/user/sync`.
pub struct UserSync {
    sessions: SessionVerifier,
    clerk: BackendApi,
    supabase: Supabase,
    max_age: Duration,
}

/// The answer: the user has a row.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Synced {
    status: SyncStatus,
    user_id: ClerkUserId,
}

impl Synced {
    fn present(user_id: ClerkUserId) -> Self {
        let status = SyncStatus::Present;
        Self { status, user_id }
    }
}

/// What a page load found or did.
#[derive(Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum SyncStatus {
    /// There was a row, and it was not in doubt.
    Present,
    /// There was no row: an orphan was healed.
    Created,
    /// The row was in doubt, and was confirmed or updated.
    Refreshed,
}

impl Function for UserSync {
    const LABEL: &'static str = "UserSync";

    const VARIABLES: &'static [&'static Variable] = &[
        &supabase::URL,
        &supabase::KEY,
        &log::FORMAT,
        &backend_api::SECRET_KEY,
        &backend_api::API_URL,
        &session_keys::JWT_KEY,
        &session::AUTHORIZED_PARTIES,
        &session::PUBLISHABLE_KEY,
        &MAX_AGE,
    ];

    type Answer = Synced;

    fn configure(variables: &mut Variables, http: &HttpClient) -> Option<Self> {
        let supabase = Supabase::configure(variables, http);
        let clerk = BackendApi::configure(variables, http);
        let sessions = SessionVerifier::configure(variables, clerk.as_ref());
        let max_age = variables.get(&MAX_AGE, parse_max_age);
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

    async fn answer(
        &self,
        request: &Request<Bytes>,
        deadline: Deadline,
    ) -> Result<Synced, Problem> {
        let session = self.sessions.verify(request.headers(), deadline).await?;
        let user_id = session.user_id;
        let look = self
            .supabase
            .status(&user_id, session.user_changed_at, self.max_age, deadline)
            .await?;
        match look.status {
            RowStatus::Present => return Ok(Synced::present(user_id)),
            RowStatus::Deleted => return Err(NoUser::Deleted(user_id).into()),
            // People grep for this line, and for the one in `heal`. Keep their words.
            RowStatus::Missing => {
                tracing::warn!("[UserSync] User {user_id}... missing from database. Syncing...");
            }
            RowStatus::InDoubt => {
                tracing::info!("[UserSync] User {user_id}... in doubt in database. Syncing...");
            }
        }
        let status = self.heal(&user_id, &look.looked_at, deadline).await?;
        Ok(Synced { status, user_id })
    }
}

impl UserSync {
    /// Reads the user from Clerk and writes the row.
    async fn heal(
        &self,
        id: &ClerkUserId,
        looked_at: &LookedAt,
        deadline: Deadline,
    ) -> Result<SyncStatus, Problem> {
        let Some(user) = self.clerk.user(id, deadline).await? else {
            return Err(NoUser::Unknown(id.clone()).into());
        };
        let source = Source::PageLoad { looked_at };
        let written = self.supabase.apply(&user, source, deadline).await?;
        let (status, count) = match written.outcome {
            Outcome::Created => (SyncStatus::Created, Count::UserHealed(deadline.elapsed())),
            Outcome::Updated | Outcome::Unchanged | Outcome::Stale | Outcome::Duplicate => (
                SyncStatus::Refreshed,
                Count::UserRefreshed(deadline.elapsed()),
            ),
            Outcome::Deleted => return Err(NoUser::Deleted(id.clone()).into()),
        };
        written.log_displaced(Self::LABEL);
        let email = written.email.as_deref().unwrap_or("no e-mail address");
        let line = format_args!("[UserSync] ✓ User {id}... synced successfully ({email})");
        log::write(Level::Info, Some(count), line);
        Ok(status)
    }
}

/// Why a signed-in user gets no row. A session outlives its user by up to a minute.
#[derive(Debug, thiserror::Error)]
enum NoUser {
    /// The user has a tombstone. The caller signs out.
    #[error("user {0} is deleted")]
    Deleted(ClerkUserId),
    /// Clerk does not know the user. No tombstone is written: only an event may do that.
    #[error("Clerk does not know user {0}")]
    Unknown(ClerkUserId),
}

impl From<NoUser> for Problem {
    fn from(error: NoUser) -> Self {
        let kind = ProblemType {
            status: StatusCode::GONE,
            code: "user_deleted",
            title: "The user is deleted",
        };
        let hint = match error {
            NoUser::Deleted(_) => None,
            NoUser::Unknown(_) => Some(
                "if Clerk's dashboard shows the user, CLERK_SECRET_KEY belongs to another instance",
            ),
        };
        Self {
            hint,
            ..Self::new(kind, error.to_string())
        }
    }
}

/// `USER_SYNC_MAX_AGE`.
const MAX_AGE: Variable = Variable {
    names: &["USER_SYNC_MAX_AGE"],
    holds: "how long a row counts without being confirmed: seconds, or `90s`, `15m`, `24h`, `7d`; at most ten years",
    unset: Unset::Default("24h"),
};

/// With a longer age, a row would hardly ever be refreshed. PostgreSQL can compute with this one.
const LONGEST_MAX_AGE: Duration = Duration::from_hours(24 * 3_650);

/// Parses seconds, or numbers with units.
fn parse_max_age(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().map(Duration::from_secs).ok();
    seconds
        .or_else(|| humantime::parse_duration(text).ok())
        .filter(|age| *age <= LONGEST_MAX_AGE)
        .ok_or("must be seconds or a time such as `24h`, at most ten years")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_max_age_is_in_seconds_or_has_a_unit() {
        for (text, seconds) in [
            ("0", 0),
            ("90", 90),
            ("90s", 90),
            ("24h", 86_400),
            ("7d", 604_800),
            ("3650d", 315_360_000),
        ] {
            assert_eq!(
                parse_max_age(text),
                Ok(Duration::from_secs(seconds)),
                "{text}"
            );
        }
        for text in ["", "-1", "soon", "3651d"] {
            assert!(parse_max_age(text).is_err(), "{text}");
        }
    }
}

//! The database contract: the SQL functions that the migrations create, as typed calls.
//!
//! No table and no column is named here. Whoever has a table of another shape edits the
//! functions' bodies (see `supabase/`), and this file stays as it is.

mod error;
mod key;

use std::{fmt, time::Duration};

use postgrest::Postgrest;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use self::{error::SupabaseError, key::SupabaseKey};
use crate::{
    clerk::{
        ClerkTime, ClerkUser, ClerkUserId,
        webhook::{EventId, UserEvent},
    },
    upstream::{Answer, Deadline, HttpClient, with_retries},
};

/// The functions of one Supabase project, called as its `service_role`.
pub struct Supabase {
    http: HttpClient,
    url: String,
    rest: Postgrest,
    key: SupabaseKey,
}

/// What the table knows of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowStatus {
    /// No row: an orphan.
    Missing,
    /// A row, as new as can be told.
    Present,
    /// A row that is older than the user, or was not confirmed for too long.
    Outdated,
    /// A tombstone.
    Deleted,
}

/// What a write did, or found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Applied {
    /// The row was made.
    Created,
    /// The row was changed.
    Updated,
    /// The row said the same already.
    Unchanged,
    /// The row is newer, and stays.
    Stale,
    /// The user is deleted, by this event or an earlier one, and stays so.
    Deleted,
    /// This event was applied before.
    Duplicate,
}

impl fmt::Display for Applied {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Stale => "stale",
            Self::Deleted => "deleted",
            Self::Duplicate => "duplicate",
        })
    }
}

/// The answer to a write.
#[derive(Debug, Deserialize)]
pub struct Write {
    /// What it did.
    pub outcome: Applied,
    /// The user's primary e-mail address, for the log line of a healed user.
    pub email: Option<String>,
    /// Users who gave up a unique value to this one. Their rows are marked as unconfirmed, so
    /// that each is read again from Clerk at the user's next page load.
    pub displaced: Vec<ClerkUserId>,
}

impl Supabase {
    /// `url` is the project's, such as `https://abc.supabase.co`, with no slash at its end.
    pub fn new(http: HttpClient, url: String, key: SupabaseKey) -> Self {
        Self {
            http,
            rest: Postgrest::new(format!("{url}/rest/v1")),
            url,
            key,
        }
    }

    /// What is used, for the log.
    pub fn describe(&self) -> String {
        format!(
            "Supabase at {} with a key of the kind {}",
            self.url,
            self.key.kind()
        )
    }

    /// Looks at a user's row and writes nothing. `changed_at` is the newest change known of,
    /// `max_age` how long a confirmation counts.
    pub async fn status(
        &self,
        user_id: &ClerkUserId,
        changed_at: Option<ClerkTime>,
        max_age: Duration,
        deadline: Deadline,
    ) -> Result<RowStatus, SupabaseError> {
        #[derive(Serialize)]
        struct Arguments<'a> {
            clerk_id: &'a ClerkUserId,
            changed_at_ms: Option<ClerkTime>,
            max_age_seconds: u64,
        }
        let arguments = Arguments {
            clerk_id: user_id,
            changed_at_ms: changed_at,
            max_age_seconds: max_age.as_secs(),
        };
        self.call("user_sync_status", &arguments, deadline).await
    }

    /// Writes a user who was read from Clerk because they opened a page.
    pub async fn apply_page_load(
        &self,
        user: &ClerkUser,
        deadline: Deadline,
    ) -> Result<Write, SupabaseError> {
        let change = Change {
            clerk_user: user,
            via: "page_load",
            event_id: None,
            event_type: None,
            event_at_ms: None,
        };
        self.call("user_sync_apply", &change, deadline).await
    }

    /// Writes the change that an event tells of, together with its receipt.
    pub async fn apply_event(
        &self,
        id: &EventId,
        event: &UserEvent,
        deadline: Deadline,
    ) -> Result<Write, SupabaseError> {
        let change = Change {
            clerk_user: &event.user,
            via: "webhook",
            event_id: Some(id.as_str()),
            event_type: Some(&event.event_type),
            event_at_ms: event.happened_at,
        };
        self.call("user_sync_apply", &change, deadline).await
    }

    /// Notes in the ledger that a signed event can never work, and why.
    pub async fn reject_event(
        &self,
        id: &EventId,
        rejection: &Rejection,
        deadline: Deadline,
    ) -> Result<(), SupabaseError> {
        #[derive(Serialize)]
        struct Arguments<'a> {
            event_id: &'a str,
            #[serde(flatten)]
            rejection: &'a Rejection,
        }
        let arguments = Arguments {
            event_id: id.as_str(),
            rejection,
        };
        self.call("user_sync_reject", &arguments, deadline).await
    }

    /// Calls a function. Each may be repeated: a write that was made before finds itself made.
    async fn call<T: DeserializeOwned>(
        &self,
        function: &str,
        arguments: &impl Serialize,
        deadline: Deadline,
    ) -> Result<T, SupabaseError> {
        let arguments = serde_json::to_string(arguments)
            .map_err(|error| SupabaseError::Unreadable(error.to_string()))?;
        with_retries(deadline, || async {
            let request = self.rest.rpc(function, arguments.as_str()).build();
            let request = request.headers(self.key.headers().clone());
            read(&self.http.send(request, deadline).await?)
        })
        .await
    }
}

impl Write {
    /// Tells the log whose unique values the user took over, under the function's label.
    pub fn log_displaced(&self, label: &str) {
        for id in &self.displaced {
            tracing::warn!("[{label}] {id} gave up a unique value; to be read again from Clerk");
        }
    }
}

/// Why a signed event can never work, for the ledger. It holds no personal data.
#[derive(Debug, Serialize)]
pub struct Rejection {
    /// The event's type, where it could be read.
    pub event_type: Option<String>,
    /// The user whom it is about, where that could be read.
    pub clerk_id: Option<ClerkUserId>,
    /// What is wrong with it.
    pub reason: String,
}

/// The one write, as its function takes it.
#[derive(Serialize)]
struct Change<'a> {
    clerk_user: &'a ClerkUser,
    via: &'static str,
    event_id: Option<&'a str>,
    event_type: Option<&'a str>,
    event_at_ms: Option<ClerkTime>,
}

fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, SupabaseError> {
    if !answer.status.is_success() {
        return Err(SupabaseError::of(answer));
    }
    // A function that returns void answers 204 with no body, which stands for null.
    let body: &[u8] = if answer.body.is_empty() {
        b"null"
    } else {
        &answer.body
    };
    serde_json::from_slice(body).map_err(|error| SupabaseError::Unreadable(error.to_string()))
}

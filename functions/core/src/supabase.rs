//! The database contract: typed calls of the SQL functions that the migrations create.
//!
//! This code names no table and no column. Only the SQL knows them (see `supabase/`).

mod error;
mod key;

use std::{fmt, time::Duration};

use postgrest::Postgrest;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use self::key::SupabaseKey;
pub use self::{error::SupabaseError, key::KEY};
use crate::{
    clerk::{ClerkTime, ClerkUser, ClerkUserId, EventId},
    config::{Unset, Variable, Variables},
    upstream::{Answer, BaseUrl, Deadline, HttpClient, with_retries},
};

/// `SUPABASE_URL`, or the name that most Next.js projects use.
pub const URL: Variable = Variable {
    names: &["SUPABASE_URL", "NEXT_PUBLIC_SUPABASE_URL"],
    holds: "the project's URL, `https://….supabase.co`, with no path",
    unset: Unset::Required,
};

/// The SQL functions of one Supabase project, called as its `service_role`.
pub struct Supabase {
    http: HttpClient,
    url: BaseUrl,
    rest: Postgrest,
    key: SupabaseKey,
}

/// The state of a user's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowStatus {
    /// There is no row: the user is an orphan.
    Missing,
    /// There is a row, and it is not in doubt.
    Present,
    /// There is a row, but it may be wrong: it is older than the user's last known change, it was
    /// confirmed too long ago, or a write has put it in doubt.
    InDoubt,
    /// There is a tombstone.
    Deleted,
}

/// A look at a user's row.
#[derive(Debug, Deserialize)]
pub struct Look {
    /// The state of the row.
    pub status: RowStatus,
    /// When the look began.
    pub looked_at: LookedAt,
}

/// When a look began, by the database's clock. Only the database reads it: a version that was read
/// from Clerk after it may end a doubt that arose before it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LookedAt(String);

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The row was created.
    Created,
    /// The row was changed.
    Updated,
    /// The row had the same values already.
    Unchanged,
    /// The row is newer, and was kept.
    Stale,
    /// The user is deleted, by this event or an earlier one, and stays deleted.
    Deleted,
    /// This event was applied before.
    Duplicate,
}

impl Outcome {
    /// The word for it in answers, log lines and the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Stale => "stale",
            Self::Deleted => "deleted",
            Self::Duplicate => "duplicate",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The answer to a write.
#[derive(Debug, Deserialize)]
pub struct Written {
    /// What the write did.
    pub outcome: Outcome,
    /// The user's primary e-mail address, for the log line of a healed user.
    pub email: Option<String>,
    /// Users who gave up a unique value to this one. Their rows are in doubt, so the next page load
    /// of each user reads that user from Clerk again.
    pub displaced: Vec<ClerkUserId>,
}

/// Which source a version of a user comes from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A page load read it from Clerk.
    PageLoad {
        /// When the page load looked at the row. It read the user from Clerk after that.
        looked_at: &'a LookedAt,
    },
    /// An event contained it.
    Webhook {
        /// The event's id, the same in each delivery. The receipt in the ledger has it.
        event_id: &'a EventId,
        /// The event's type. `user.deleted` contains no version, and erases the user.
        event_type: &'a str,
        /// When it happened, if the envelope says so. A deletion has no other time.
        happened_at: Option<ClerkTime>,
    },
}

/// A signed event that can never work, and why, for the ledger. It contains no personal data.
#[derive(Debug, Serialize)]
pub struct Rejection<'a> {
    /// The event's id.
    pub event_id: &'a EventId,
    /// The event's type, if it could be read.
    pub event_type: Option<&'a str>,
    /// The event's user, if it could be read.
    pub clerk_id: Option<&'a ClerkUserId>,
    /// What is wrong with it.
    pub reason: &'a str,
}

impl Supabase {
    /// Reads [`URL`] and [`KEY`].
    pub fn configure(variables: &mut Variables, http: &HttpClient) -> Option<Self> {
        let url = variables.get(&URL, BaseUrl::parse);
        let key = variables.get(&KEY, SupabaseKey::parse);
        let url = url?;
        Some(Self {
            http: http.clone(),
            // Without its name PostgREST takes the first schema that a project exposes.
            rest: Postgrest::new(format!("{url}/rest/v1")).schema("public"),
            url,
            key: key?,
        })
    }

    /// What it uses, for the log.
    pub fn describe(&self) -> String {
        format!(
            "Supabase at {} with a key of the kind {}",
            self.url,
            self.key.kind()
        )
    }

    /// Reads the state of a user's row, and writes nothing. `changed_at` is the user's last known
    /// change. `max_age` is how long a row is trusted after it was confirmed.
    pub async fn status(
        &self,
        user_id: &ClerkUserId,
        changed_at: Option<ClerkTime>,
        max_age: Duration,
        deadline: Deadline,
    ) -> Result<Look, SupabaseError> {
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

    /// The only write: stores a version of a user, together with the receipt of its event.
    pub async fn apply(
        &self,
        user: &ClerkUser,
        source: Source<'_>,
        deadline: Deadline,
    ) -> Result<Written, SupabaseError> {
        #[derive(Serialize)]
        struct Arguments<'a> {
            clerk_user: &'a ClerkUser,
            source: &'static str,
            event_id: Option<&'a EventId>,
            event_type: Option<&'a str>,
            event_at_ms: Option<ClerkTime>,
            read_at: Option<&'a LookedAt>,
        }
        let arguments = match source {
            Source::PageLoad { looked_at } => Arguments {
                clerk_user: user,
                source: "page_load",
                event_id: None,
                event_type: None,
                event_at_ms: None,
                read_at: Some(looked_at),
            },
            Source::Webhook {
                event_id,
                event_type,
                happened_at,
            } => Arguments {
                clerk_user: user,
                source: "webhook",
                event_id: Some(event_id),
                event_type: Some(event_type),
                event_at_ms: happened_at,
                read_at: None,
            },
        };
        self.call("user_sync_apply", &arguments, deadline).await
    }

    /// Writes into the ledger that a signed event can never work, and why.
    pub async fn reject(
        &self,
        rejection: &Rejection<'_>,
        deadline: Deadline,
    ) -> Result<(), SupabaseError> {
        self.call("user_sync_reject", rejection, deadline).await
    }

    /// Calls an SQL function. A retry is safe: the SQL sees that the write was done already.
    async fn call<T: DeserializeOwned>(
        &self,
        function: &str,
        arguments: &impl Serialize,
        deadline: Deadline,
    ) -> Result<T, SupabaseError> {
        let arguments = serde_json::to_string(arguments)
            .map_err(|error| SupabaseError::Unreadable(error.to_string()))?;
        with_retries(deadline, || async {
            let request = self.request(function, &arguments);
            read(&self.http.send(request, deadline).await?)
        })
        .await
    }

    fn request(&self, function: &str, arguments: &str) -> reqwest::RequestBuilder {
        let request = self.rest.rpc(function, arguments).build();
        request.headers(self.key.headers().clone())
    }
}

impl Written {
    /// Logs the users who gave up a unique value, with the function's label.
    pub fn log_displaced(&self, label: &str) {
        for id in &self.displaced {
            tracing::warn!("[{label}] {id} gave up a unique value and is in doubt");
        }
    }
}

fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, SupabaseError> {
    if !answer.status.is_success() {
        return Err(SupabaseError::from_answer(answer));
    }
    // An SQL function that returns void gets 204 without a body, which is read as null.
    let body: &[u8] = if answer.body.is_empty() {
        b"null"
    } else {
        &answer.body
    };
    serde_json::from_slice(body).map_err(|error| SupabaseError::Unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_names_the_schema_of_its_function() {
        let look_up = |name: &str| match name {
            "SUPABASE_URL" => Some("https://example.supabase.co".to_owned()),
            "SUPABASE_SECRET_KEY" => Some("sb_secret_1234567890".to_owned()),
            _ => None,
        };
        let http = HttpClient::new().unwrap();
        let supabase =
            Variables::read(&look_up, |variables| Supabase::configure(variables, &http)).unwrap();
        let request = supabase.request("user_sync_status", "{}").build().unwrap();
        assert_eq!(request.headers()["content-profile"], "public");
        assert_eq!(request.url().path(), "/rest/v1/rpc/user_sync_status");
    }
}

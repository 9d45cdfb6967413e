//! Reads the database directly, not through the functions. Only this module knows the columns of
//! `public.users`, of the state and of the ledger.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use stack::Postgres;
use tokio::{
    sync::RwLock,
    time::{Instant, sleep},
};
use tokio_postgres::{Client, Statement};

/// The rows, the states and the receipts of some users. Times are in ms since 1970.
const SNAPSHOT: &str = "select
    coalesce((
        select jsonb_object_agg(id, to_jsonb(stored) || jsonb_build_object(
            'created_at', (extract(epoch from created_at) * 1000)::bigint,
            'updated_at', (extract(epoch from updated_at) * 1000)::bigint))
        from public.users as stored where id = any($1)
    ), '{}')::text,
    coalesce((
        select jsonb_object_agg(id, jsonb_build_object(
            'updated_at', (extract(epoch from updated_at) * 1000)::bigint,
            'is_deleted', deleted_at is not null))
        from user_sync.users where id = any($1)
    ), '{}')::text,
    coalesce((
        select jsonb_object_agg(event_id, outcome)
        from user_sync.events where user_id = any($1) and event_id is not null
    ), '{}')::text";

/// The columns that a tombstone may keep.
const KEPT: [&str; 4] = ["id", "created_at", "updated_at", "deleted_at"];

/// A connection that is opened again after each restart of the database.
#[derive(Default)]
pub struct Database(RwLock<Option<Arc<(Client, Statement)>>>);

/// What the database has about some users at one moment.
pub struct Snapshot {
    /// Rows by user id.
    pub rows: BTreeMap<String, Row>,
    /// States by user id.
    pub states: BTreeMap<String, State>,
    /// Outcomes by event id.
    pub receipts: BTreeMap<String, String>,
}

/// What the state says about a user.
#[derive(Deserialize)]
pub struct State {
    /// The version that the row has, in ms.
    pub updated_at: Option<i64>,
    /// It is a tombstone.
    pub is_deleted: bool,
}

/// A row of a user: one that was read, or one that is expected.
#[derive(Deserialize)]
pub struct Row(Value);

impl Database {
    /// Prepares a database that is new: every snapshot reads the receipts of its users, which
    /// nothing else does.
    pub async fn prepare(postgres: &Postgres) -> Result<()> {
        let index = "create index on user_sync.events (user_id)";
        Ok(postgres.connect().await?.batch_execute(index).await?)
    }

    /// Reads what the database has about these users. Waits while it is down.
    pub async fn snapshot(&self, postgres: &Postgres, ids: &[&str]) -> Result<Snapshot> {
        retry_while_down(|| async {
            let snapshot = self.try_snapshot(postgres, ids).await;
            if snapshot.is_err() {
                *self.0.write().await = None;
            }
            snapshot
        })
        .await
    }

    async fn try_snapshot(&self, postgres: &Postgres, ids: &[&str]) -> Result<Snapshot> {
        let connection = self.connection(postgres).await?;
        let (client, statement) = connection.as_ref();
        let row = client.query_one(statement, &[&ids]).await?;
        Ok(Snapshot {
            rows: serde_json::from_str(row.get(0))?,
            states: serde_json::from_str(row.get(1))?,
            receipts: serde_json::from_str(row.get(2))?,
        })
    }

    async fn connection(&self, postgres: &Postgres) -> Result<Arc<(Client, Statement)>> {
        if let Some(connection) = self.0.read().await.as_ref() {
            return Ok(Arc::clone(connection));
        }
        let client = postgres.connect().await?;
        let statement = client.prepare(SNAPSHOT).await?;
        let connection = Arc::new((client, statement));
        *self.0.write().await = Some(Arc::clone(&connection));
        Ok(connection)
    }
}

impl Row {
    /// The row that a version of a user in Clerk must become. This repeats the SQL mapping on
    /// purpose: the two are written independently.
    pub fn expected(user: &Value) -> Self {
        let text = |value: &Value| match value.as_str() {
            None | Some("") => Value::Null,
            Some(text) => json!(text),
        };
        let primary = |list: &str, id: &str| {
            let list = user[list].as_array().into_iter().flatten();
            list.into_iter()
                .find(|address| address["id"] == user[id])
                .cloned()
                .unwrap_or_default()
        };
        let email = primary("email_addresses", "primary_email_address_id");
        let phone = primary("phone_numbers", "primary_phone_number_id");
        let is_verified = email["verification"]["status"]
            .as_str()
            .map(|status| status == "verified");
        Self(json!({
            "id": user["id"],
            "email": text(&email["email_address"]),
            "email_verified": is_verified,
            "phone_number": text(&phone["phone_number"]),
            "username": text(&user["username"]),
            "first_name": text(&user["first_name"]),
            "last_name": text(&user["last_name"]),
            "image_url": text(&user["image_url"]),
            "external_id": text(&user["external_id"]),
            "public_metadata": user["public_metadata"],
            "banned": user["banned"],
            "created_at": user["created_at"],
            "updated_at": user["updated_at"],
            "deleted_at": null,
        }))
    }

    /// Whether the row has every value of the expected one.
    pub fn matches(&self, expected: &Self) -> bool {
        let mut columns = expected.0.as_object().into_iter().flatten();
        columns.all(|(name, value)| self.0[name] == *value)
    }

    /// The primary e-mail address.
    pub fn email(&self) -> &Value {
        &self.0["email"]
    }

    /// Whether the user is banned.
    pub fn is_banned(&self) -> bool {
        self.0["banned"] == true
    }

    /// When Clerk last changed the user, in ms.
    pub fn updated_at(&self) -> Option<i64> {
        self.0["updated_at"].as_i64()
    }

    /// Whether the row says that the user is deleted.
    pub fn is_tombstone(&self) -> bool {
        !self.0["deleted_at"].is_null()
    }

    /// A column that has a value and must not have one in a tombstone.
    pub fn personal_column(&self) -> Option<&str> {
        let mut columns = self.0.as_object().into_iter().flatten();
        let is_personal = |column: &str, value: &Value| !value.is_null() && !KEPT.contains(&column);
        columns
            .find(|(column, value)| is_personal(column, value))
            .map(|(column, _)| column.as_str())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Repeats a query until the database answers: another history may have killed it.
pub async fn retry_while_down<T, F>(query: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        match query().await {
            Ok(answer) => return Ok(answer),
            Err(error) => {
                ensure!(
                    Instant::now() < deadline,
                    "the database does not come back: {error:#}"
                );
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

//! The SQL, each test on a real PostgreSQL of its own that is prepared like a Supabase project.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod health;
mod profiles;
mod rules;

use futures_util::future::{join_all, try_join_all};
use serde_json::{Value, json};
use stack::{Log, Postgres};
use tokio_postgres::{Client, types::ToSql};

/// A migrated database, as the role that the functions call with.
struct Database {
    postgres: Postgres,
    client: Client,
}

impl Database {
    async fn start() -> Self {
        let postgres = Postgres::start(Log::default()).await.unwrap();
        postgres.migrate().await.unwrap();
        Self::on(postgres).await
    }

    async fn on(postgres: Postgres) -> Self {
        let client = service_role(&postgres).await;
        Self { postgres, client }
    }

    /// Writes a user for a page load, and tells the outcome.
    async fn page_load(&self, user: &Value) -> String {
        outcome(&apply(&self.client, user, None).await.unwrap())
    }

    /// Writes a user for a webhook, and tells the outcome.
    async fn event(&self, id: &str, user: &Value) -> String {
        outcome(&apply(&self.client, user, Some(id)).await.unwrap())
    }

    /// Writes all of these at once, for a webhook where there is an event, each on a connection of
    /// its own, and tells the outcomes. Two writes that meet in the database may end one of them;
    /// that one is written again, as the core does and Svix after it.
    async fn write_at_once(&self, writes: Vec<(Value, Option<String>)>) -> Vec<String> {
        let clients = writes.iter().map(|_| service_role(&self.postgres));
        let clients = join_all(clients).await;
        let tasks = writes
            .into_iter()
            .zip(clients)
            .map(|((user, event_id), client)| {
                tokio::spawn(async move {
                    loop {
                        match apply(&client, &user, event_id.as_deref()).await {
                            Ok(answer) => return outcome(&answer),
                            Err(error) => {
                                let code = error.code().unwrap().code();
                                assert!(["23505", "40P01"].contains(&code), "{error}");
                            }
                        }
                    }
                })
            });
        try_join_all(tasks.collect::<Vec<_>>()).await.unwrap()
    }

    async fn status(&self, id: &str, changed_at: Option<i64>, max_age: Option<i64>) -> String {
        let sql = "select public.user_sync_status($1, $2, $3)";
        let arguments: [&(dyn ToSql + Sync); 3] = [&id, &changed_at, &max_age];
        let row = self.client.query_one(sql, &arguments).await;
        row.unwrap().get(0)
    }

    async fn row(&self, id: &str) -> Option<Value> {
        let sql = "select to_jsonb(u)::text from public.users as u where id = $1";
        let row = self.client.query_opt(sql, &[&id]).await.unwrap()?;
        Some(serde_json::from_str(row.get(0)).unwrap())
    }

    /// The ledger's outcomes of a user, oldest first.
    async fn ledger(&self, id: &str) -> Vec<String> {
        let sql = "select outcome from public.user_sync_events where user_id = $1 order by number";
        let rows = self.client.query(sql, &[&id]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

async fn service_role(postgres: &Postgres) -> Client {
    let client = postgres.connect().await.unwrap();
    client.batch_execute("set role service_role").await.unwrap();
    client
}

/// Calls the one write: for a webhook where there is an event, for a page load otherwise.
async fn apply(
    client: &Client,
    user: &Value,
    event_id: Option<&str>,
) -> Result<Value, tokio_postgres::Error> {
    let via = event_id.map_or("page_load", |_| "webhook");
    let told = if user["deleted"] == true {
        "user.deleted"
    } else {
        "user.updated"
    };
    let event_type = event_id.map(|_| told);
    let sql = "select public.user_sync_apply($1::text::jsonb, $2, $3, $4, $5)::text";
    let event_at = 1_763_000_999_000_i64;
    let arguments: [&(dyn ToSql + Sync); 5] =
        [&user.to_string(), &via, &event_id, &event_type, &event_at];
    let row = client.query_one(sql, &arguments).await?;
    Ok(serde_json::from_str(row.get(0)).unwrap())
}

fn outcome(answer: &Value) -> String {
    answer["outcome"].as_str().unwrap().to_owned()
}

fn user(id: &str, updated_at: i64, name: &str) -> Value {
    json!({
        "id": id,
        "primary_email_address_id": "idn_2",
        "email_addresses": [
            { "id": "idn_1", "email_address": "other@example.com", "verification": null },
            { "id": "idn_2", "email_address": format!("{id}@example.com"),
              "verification": { "status": "verified" } },
        ],
        "primary_phone_number_id": null,
        "phone_numbers": [],
        "username": "",
        "first_name": name,
        "last_name": null,
        "image_url": "https://img.example.com/a.png",
        "external_id": null,
        "public_metadata": { "plan": "pro" },
        "private_metadata": { "secret": "private" },
        "unsafe_metadata": { "secret": "unsafe" },
        "banned": false,
        "created_at": 1_763_000_000_123_i64,
        "updated_at": updated_at,
    })
}

fn deletion(id: &str) -> Value {
    json!({ "id": id, "object": "user", "deleted": true })
}

/// When the users of these tests were changed, in milliseconds.
const T: i64 = 1_763_000_100_000;

//! A database under test. Only this module knows the columns of `public.users` and of the ledger.

use futures_util::future::{join_all, try_join_all};
use serde_json::Value;
use stack::{Log, Postgres};
use tokio_postgres::{Client, types::ToSql};

/// A migrated database, and a connection with the role of the functions.
pub struct Database {
    pub postgres: Postgres,
    client: Client,
}

/// The last sync of a user.
#[derive(Debug, PartialEq)]
pub struct LastSync {
    /// Microseconds since 1970; nothing while the row is in doubt.
    pub at: Option<i64>,
    pub source: Option<String>,
}

impl Database {
    pub async fn start() -> Self {
        let postgres = Postgres::start(Log::default()).await.unwrap();
        postgres.migrate().await.unwrap();
        Self::on(postgres).await
    }

    pub async fn on(postgres: Postgres) -> Self {
        let client = service_role(&postgres).await;
        Self { postgres, client }
    }

    /// Runs a statement.
    pub async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap();
    }

    /// Evaluates an SQL expression.
    pub async fn ask(&self, expression: &str) -> String {
        let sql = format!("select ({expression})::text");
        self.client.query_one(&sql, &[]).await.unwrap().get(0)
    }

    /// Writes a user for a page load, and returns the outcome.
    pub async fn page_load(&self, user: &Value) -> String {
        outcome(&self.apply(user, None).await.unwrap())
    }

    /// Writes a user for a webhook, and returns the outcome.
    pub async fn event(&self, id: &str, user: &Value) -> String {
        outcome(&self.apply(user, Some(id)).await.unwrap())
    }

    /// Writes a user for reconcile.
    pub async fn reconcile(&self, user: &Value) {
        let sql = "select public.user_sync_apply($1::text::jsonb, 'reconcile')";
        let user = user.to_string();
        self.client.execute(sql, &[&user]).await.unwrap();
    }

    /// Writes a user, for a webhook if there is an event, else for a page load. Returns the whole
    /// answer.
    pub async fn apply(
        &self,
        user: &Value,
        event_id: Option<&str>,
    ) -> Result<Value, tokio_postgres::Error> {
        apply(&self.client, user, event_id).await
    }

    /// Rejects an event.
    pub async fn reject(&self, event_id: &str, user_id: &str) {
        let sql = "select public.user_sync_reject($1, 'user.updated', $2, 'no updated_at')";
        let arguments: [&(dyn ToSql + Sync); 2] = [&event_id, &user_id];
        self.client.execute(sql, &arguments).await.unwrap();
    }

    /// Makes all these writes at once, each on its own connection, and returns their outcomes. If
    /// PostgreSQL ends one of two conflicting writes, it is made again, as the functions do.
    pub async fn write_at_once(&self, writes: Vec<(Value, Option<String>)>) -> Vec<String> {
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

    pub async fn status(&self, id: &str, changed_at: Option<i64>, max_age: Option<i64>) -> String {
        let sql = "select public.user_sync_status($1, $2, $3)";
        let arguments: [&(dyn ToSql + Sync); 3] = [&id, &changed_at, &max_age];
        let row = self.client.query_one(sql, &arguments).await;
        row.unwrap().get(0)
    }

    /// A user's row in `public.users`, without the columns of [`LastSync`].
    pub async fn row(&self, id: &str) -> Option<Value> {
        let sql = "select (to_jsonb(u) - 'synced_at' - 'sync_source')::text
            from public.users as u where id = $1";
        let row = self.client.query_opt(sql, &[&id]).await.unwrap()?;
        Some(serde_json::from_str(row.get(0)).unwrap())
    }

    pub async fn last_sync(&self, id: &str) -> LastSync {
        let sql = "select (extract(epoch from synced_at) * 1000000)::bigint, sync_source
            from public.users where id = $1";
        let row = self.client.query_one(sql, &[&id]).await.unwrap();
        LastSync {
            at: row.get(0),
            source: row.get(1),
        }
    }

    pub async fn put_in_doubt(&self, id: &str) {
        let sql = "update public.users set synced_at = null where id = $1";
        assert_eq!(self.client.execute(sql, &[&id]).await.unwrap(), 1);
    }

    /// The outcomes in the ledger for a user, oldest first.
    pub async fn ledger(&self, id: &str) -> Vec<String> {
        let sql = "select outcome from public.user_sync_events where user_id = $1 order by number";
        let rows = self.client.query(sql, &[&id]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Changes the time of the ledger's last entry to an SQL expression.
    pub async fn date_last_entry(&self, time: &str) {
        let sql = format!(
            "update public.user_sync_events set recorded_at = {time}
            where number = (select max(number) from public.user_sync_events)"
        );
        assert_eq!(self.client.execute(&sql, &[]).await.unwrap(), 1);
    }
}

async fn service_role(postgres: &Postgres) -> Client {
    let client = postgres.connect().await.unwrap();
    client.batch_execute("set role service_role").await.unwrap();
    client
}

async fn apply(
    client: &Client,
    user: &Value,
    event_id: Option<&str>,
) -> Result<Value, tokio_postgres::Error> {
    let source = event_id.map_or("page_load", |_| "webhook");
    let webhook_type = if user["deleted"] == true {
        "user.deleted"
    } else {
        "user.updated"
    };
    let event_type = event_id.map(|_| webhook_type);
    let sql = "select public.user_sync_apply($1::text::jsonb, $2, $3, $4, $5)::text";
    let event_at = 1_763_000_999_000_i64;
    let arguments: [&(dyn ToSql + Sync); 5] = [
        &user.to_string(),
        &source,
        &event_id,
        &event_type,
        &event_at,
    ];
    let row = client.query_one(sql, &arguments).await?;
    Ok(serde_json::from_str(row.get(0)).unwrap())
}

pub fn outcome(answer: &Value) -> String {
    answer["outcome"].as_str().unwrap().to_owned()
}

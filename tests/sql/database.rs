//! A database under test. Only this module knows the columns of `public.users`, of the state and of
//! the ledger.

use futures_util::future::{join_all, try_join_all};
use serde_json::Value;
use stack::{Log, Postgres};
use tokio_postgres::{Client, types::ToSql};

/// A migrated database, and a connection with the role of the functions.
pub struct Database {
    pub postgres: Postgres,
    client: Client,
}

/// When and by which source a user was last confirmed.
#[derive(Debug, PartialEq)]
pub struct Confirmation {
    /// Microseconds since 1970.
    pub at: i64,
    pub source: String,
}

/// A write: a user, and the id of its event, or none for a page load.
pub type Write = (Value, Option<String>);

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

    /// Runs a statement as the owner of the state, also inside of a transaction.
    pub async fn run_as_owner(&self, sql: &str) {
        let sql = format!("reset role; {sql}; set role service_role");
        self.run(&sql).await;
    }

    /// Evaluates an SQL expression.
    pub async fn ask(&self, expression: &str) -> String {
        let sql = format!("select ({expression})::text");
        self.client.query_one(&sql, &[]).await.unwrap().get(0)
    }

    /// Evaluates an SQL expression as the owner of the state.
    pub async fn ask_as_owner(&self, expression: &str) -> String {
        let client = self.postgres.connect().await.unwrap();
        let sql = format!("select ({expression})::text");
        client.query_one(&sql, &[]).await.unwrap().get(0)
    }

    /// Looks at a user and writes them for a page load, and returns the outcome.
    pub async fn page_load(&self, user: &Value) -> String {
        outcome(&self.apply(user, None).await.unwrap())
    }

    /// Writes a user for a page load that looked at this time, and returns the outcome.
    pub async fn page_load_since(&self, looked_at: &str, user: &Value) -> String {
        let answer = apply(&self.client, user, None, Some(looked_at)).await;
        outcome(&answer.unwrap())
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
        apply_now(&self.client, user, event_id).await
    }

    /// Rejects an event.
    pub async fn reject(&self, event_id: &str, user_id: &str) {
        let sql = "select public.user_sync_reject($1, 'user.updated', $2, 'no updated_at')";
        let arguments: [&(dyn ToSql + Sync); 2] = [&event_id, &user_id];
        self.client.execute(sql, &arguments).await.unwrap();
    }

    /// Makes all these writes at once, each on its own connection, and returns their outcomes. If
    /// PostgreSQL ends one of two conflicting writes, it is made again, as the functions do.
    pub async fn write_at_once(&self, writes: Vec<Write>) -> Vec<String> {
        let clients = writes.iter().map(|_| service_role(&self.postgres));
        let clients = join_all(clients).await;
        let tasks = writes
            .into_iter()
            .zip(clients)
            .map(|((user, event_id), client)| {
                tokio::spawn(async move {
                    loop {
                        match apply_now(&client, &user, event_id.as_deref()).await {
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

    /// What `user_sync_status` says.
    pub async fn look(&self, id: &str, changed_at: Option<i64>, max_age: Option<i64>) -> Value {
        let sql = "select public.user_sync_status($1, $2, $3)::text";
        let arguments: [&(dyn ToSql + Sync); 3] = [&id, &changed_at, &max_age];
        let row = self.client.query_one(sql, &arguments).await.unwrap();
        serde_json::from_str(row.get(0)).unwrap()
    }

    pub async fn status(&self, id: &str, changed_at: Option<i64>, max_age: Option<i64>) -> String {
        let look = self.look(id, changed_at, max_age).await;
        look["status"].as_str().unwrap().to_owned()
    }

    /// When a look begins, by the database's clock.
    pub async fn looked_at(&self) -> String {
        let look = self.look("user_of_nobody", None, None).await;
        look["looked_at"].as_str().unwrap().to_owned()
    }

    /// A user's row in `public.users`.
    pub async fn row(&self, id: &str) -> Option<Value> {
        let sql = "select to_jsonb(u)::text from public.users as u where id = $1";
        let row = self.client.query_opt(sql, &[&id]).await.unwrap()?;
        Some(serde_json::from_str(row.get(0)).unwrap())
    }

    /// Deletes a user's row, as a restore of the app's table would.
    pub async fn lose_row(&self, id: &str) {
        let sql = format!("delete from public.users where id = '{id}'");
        self.run_as_owner(&sql).await;
    }

    pub async fn confirmation(&self, id: &str) -> Confirmation {
        let client = self.postgres.connect().await.unwrap();
        let sql = "select (extract(epoch from confirmed_at) * 1000000)::bigint, confirmed_by::text
            from user_sync.users where id = $1";
        let row = client.query_one(sql, &[&id]).await.unwrap();
        Confirmation {
            at: row.get(0),
            source: row.get(1),
        }
    }

    /// The outcomes in the ledger for a user, oldest first.
    pub async fn ledger(&self, id: &str) -> Vec<String> {
        let client = self.postgres.connect().await.unwrap();
        let sql = "select outcome::text from user_sync.events where user_id = $1 order by number";
        let rows = client.query(sql, &[&id]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// The number of the ledger's last entry, 0 if there is none.
    pub async fn last_entry(&self) -> i64 {
        self.run("reset role").await;
        let sql = "select coalesce(max(number), 0) from user_sync.events";
        let number = self.client.query_one(sql, &[]).await.unwrap().get(0);
        self.run("set role service_role").await;
        number
    }

    /// Changes the time of the entries after this one to an SQL expression.
    pub async fn date_entries_after(&self, number: i64, time: &str) {
        let sql =
            format!("update user_sync.events set recorded_at = {time} where number > {number}");
        self.run_as_owner(&sql).await;
    }
}

async fn service_role(postgres: &Postgres) -> Client {
    let client = postgres.connect().await.unwrap();
    client.batch_execute("set role service_role").await.unwrap();
    client
}

/// Writes a user. A page load looks first, as it does in the functions.
async fn apply_now(
    client: &Client,
    user: &Value,
    event_id: Option<&str>,
) -> Result<Value, tokio_postgres::Error> {
    let sql = "select public.user_sync_status('user_1') ->> 'looked_at'";
    let looked_at: String = client.query_one(sql, &[]).await?.get(0);
    let looked_at = event_id.is_none().then_some(looked_at);
    apply(client, user, event_id, looked_at.as_deref()).await
}

async fn apply(
    client: &Client,
    user: &Value,
    event_id: Option<&str>,
    looked_at: Option<&str>,
) -> Result<Value, tokio_postgres::Error> {
    let source = event_id.map_or("page_load", |_| "webhook");
    let webhook_type = if user["deleted"] == true {
        "user.deleted"
    } else {
        "user.updated"
    };
    let event_type = event_id.map(|_| webhook_type);
    let sql = "select public.user_sync_apply(
        $1::text::jsonb, $2, $3, $4, $5, $6::text::timestamptz)::text";
    let event_at = 1_763_000_999_000_i64;
    let arguments: [&(dyn ToSql + Sync); 6] = [
        &user.to_string(),
        &source,
        &event_id,
        &event_type,
        &event_at,
        &looked_at,
    ];
    let row = client.query_one(sql, &arguments).await?;
    Ok(serde_json::from_str(row.get(0)).unwrap())
}

pub fn outcome(answer: &Value) -> String {
    answer["outcome"].as_str().unwrap().to_owned()
}

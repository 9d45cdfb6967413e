//! What the tests read from the database. In the end-to-end tests, only this file has SQL with the
//! tables of this project.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio_postgres::{Client, types::ToSql};

use crate::Stack;

impl Stack {
    /// A user's row, if there is one.
    pub async fn find_row(&self, user_id: &str) -> Result<Option<Value>> {
        let rows = self
            .rows("public.users as entry where id = $1", &[&user_id])
            .await?;
        Ok(rows.into_iter().next())
    }

    /// A user's row. Fails if there is none.
    pub async fn row(&self, user_id: &str) -> Result<Value> {
        let row = self.find_row(user_id).await?;
        row.with_context(|| format!("{user_id} has no row"))
    }

    /// Every row of the users table.
    pub async fn all_rows(&self) -> Result<Vec<Value>> {
        self.rows("public.users as entry order by id", &[]).await
    }

    /// The ledger's entry for an event, if there is one.
    pub async fn receipt(&self, event_id: &str) -> Result<Option<Value>> {
        let rows = self
            .rows(
                "user_sync.events as entry where event_id = $1",
                &[&event_id],
            )
            .await?;
        Ok(rows.into_iter().next())
    }

    /// The whole ledger, oldest first.
    pub async fn ledger(&self) -> Result<Vec<Value>> {
        self.rows("user_sync.events as entry order by number", &[])
            .await
    }

    async fn rows(&self, from: &str, arguments: &[&(dyn ToSql + Sync)]) -> Result<Vec<Value>> {
        let client = self.postgres.connect().await?;
        let sql = format!("select to_jsonb(entry)::text from {from}");
        let rows = client.query(&sql, arguments).await?;
        rows.iter()
            .map(|row| Ok(serde_json::from_str(row.get(0))?))
            .collect()
    }

    /// What the state says about a user, if it knows them.
    pub async fn state(&self, user_id: &str) -> Result<Option<Value>> {
        let rows = self
            .rows("user_sync.users as entry where id = $1", &[&user_id])
            .await?;
        Ok(rows.into_iter().next())
    }

    /// The state of all users.
    pub async fn all_states(&self) -> Result<Vec<Value>> {
        self.rows("user_sync.users as entry order by id", &[]).await
    }

    /// Deletes a user's row from the app's table, as a restore would. Returns whether there was one.
    pub async fn lose_row(&self, user_id: &str) -> Result<bool> {
        let client = self.postgres.connect().await?;
        let sql = "delete from public.users where id = $1";
        Ok(client.execute(sql, &[&user_id]).await? == 1)
    }

    /// Locks a user's state until the returned connection is dropped.
    pub async fn hold_user(&self, user_id: &str) -> Result<Client> {
        let client = self.postgres.connect().await?;
        client.batch_execute("begin").await?;
        let sql = "select from user_sync.users where id = $1 for update";
        client.query_one(sql, &[&user_id]).await?;
        Ok(client)
    }

    /// Makes a user's confirmation one minute older than the default of `USER_SYNC_MAX_AGE` allows.
    pub async fn age_row(&self, user_id: &str) -> Result<()> {
        let sql = "update user_sync.users
            set confirmed_at = now() - interval '24 hours 1 minute' where id = $1";
        let client = self.postgres.connect().await?;
        let rows = client.execute(sql, &[&user_id]).await?;
        ensure!(rows == 1, "{user_id} has no state");
        Ok(())
    }
}

//! What the tests read from the database. In the end-to-end tests, only this file has SQL with the
//! tables of this project.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio_postgres::types::ToSql;

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
                "public.user_sync_events as entry where event_id = $1",
                &[&event_id],
            )
            .await?;
        Ok(rows.into_iter().next())
    }

    /// The whole ledger, oldest first.
    pub async fn ledger(&self) -> Result<Vec<Value>> {
        self.rows("public.user_sync_events as entry order by number", &[])
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

    /// Makes a row one minute older than the default of `USER_SYNC_MAX_AGE` allows.
    pub async fn age_row(&self, user_id: &str) -> Result<()> {
        let sql = "update public.users set synced_at = now() - interval '24 hours 1 minute' where id = $1";
        let client = self.postgres.connect().await?;
        let rows = client.execute(sql, &[&user_id]).await?;
        ensure!(rows == 1, "{user_id} has no row");
        Ok(())
    }
}

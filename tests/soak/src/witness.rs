//! Looks into the database, past the functions and through its restarts.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use serde_json::Value;
use stack::Postgres;
use tokio::{
    sync::RwLock,
    time::{Instant, sleep},
};
use tokio_postgres::{Client, Statement};

use crate::users::Sight;

/// The rows and the receipts of some users, at one moment.
const LOOK: &str = "select
    coalesce((
        select jsonb_object_agg(id, to_jsonb(stored) || jsonb_build_object(
            'created_at', (extract(epoch from created_at) * 1000)::bigint,
            'updated_at', (extract(epoch from updated_at) * 1000)::bigint))
        from public.users as stored where id = any($1)
    ), '{}')::text,
    coalesce((
        select jsonb_object_agg(event_id, outcome)
        from public.user_sync_events where user_id = any($1) and event_id is not null
    ), '{}')::text";

/// A connection that is opened again whenever the database was restarted.
#[derive(Default)]
pub struct Witness(RwLock<Option<Arc<(Client, Statement)>>>);

impl Witness {
    /// What the database says of these users. Waits while it is down.
    pub async fn look(&self, postgres: &Postgres, ids: &[&str]) -> Result<Sight> {
        patiently(|| async {
            let sight = self.try_to_look(postgres, ids).await;
            if sight.is_err() {
                *self.0.write().await = None;
            }
            sight
        })
        .await
    }

    async fn try_to_look(&self, postgres: &Postgres, ids: &[&str]) -> Result<Sight> {
        let connection = self.connection(postgres).await?;
        let (client, look) = connection.as_ref();
        let row = client.query_one(look, &[&ids]).await?;
        Ok(Sight {
            rows: serde_json::from_str::<serde_json::Map<_, Value>>(row.get(0))?
                .into_iter()
                .collect(),
            receipts: serde_json::from_str(row.get(1))?,
        })
    }

    async fn connection(&self, postgres: &Postgres) -> Result<Arc<(Client, Statement)>> {
        if let Some(connection) = self.0.read().await.as_ref() {
            return Ok(Arc::clone(connection));
        }
        let client = postgres.connect().await?;
        let look = client.prepare(LOOK).await?;
        let connection = Arc::new((client, look));
        *self.0.write().await = Some(Arc::clone(&connection));
        Ok(connection)
    }
}

/// Asks the database until it answers: another history may have killed it.
pub async fn patiently<T, F>(ask: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => {
                ensure!(Instant::now() < deadline, "the database is lost: {error:#}");
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

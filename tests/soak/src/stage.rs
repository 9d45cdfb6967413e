//! Where histories are played: a stack, and what is counted and killed there.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Result, ensure};
use serde_json::Value;
use stack::{
    Answer, Log, Stack, Target,
    clerk::{Delivery, WebhookEvent},
};
use tokio::time::{Instant, sleep};

use crate::{
    history::{Endpoint, Victim},
    witness::{Witness, patiently},
};

/// A stack on which histories are played, many at once: each has users of its own, and a fault
/// that one of them makes may hit all.
pub struct Stage {
    /// The stack.
    pub stack: Stack,
    /// What the database says, past the functions.
    pub witness: Witness,
    /// Only one at a time kills a server.
    killing: tokio::sync::Mutex<()>,
    counts: Mutex<BTreeMap<String, u64>>,
}

/// What a user who has signed up counts as.
pub const USERS: &str = "users";

impl Stage {
    /// Starts a stack whose webhooks are delivered by the histories alone.
    pub async fn start(target: Target) -> Result<Self> {
        let stack = Stack::start(target, &Log::default()).await?;
        stack.clerk.set_delivery(Delivery::Drop);
        // The witness asks for the receipts of its users after every step; nobody else does.
        let index = "create index on public.user_sync_events (user_id)";
        stack.postgres.connect().await?.batch_execute(index).await?;
        Ok(Self {
            stack,
            witness: Witness::default(),
            killing: tokio::sync::Mutex::default(),
            counts: Mutex::default(),
        })
    }

    /// How often what has happened so far, which then begins anew.
    pub fn take_counts(&self) -> BTreeMap<String, u64> {
        let mut counts = std::mem::take(&mut *self.counts());
        let supabase = self.stack.supabase.faults().take_struck();
        let clerk = self.stack.clerk.faults().take_struck();
        for (service, struck) in [("Supabase", supabase), ("Clerk", clerk)] {
            counts.extend(
                struck
                    .into_iter()
                    .map(|(fault, times)| (format!("fault: {service} {fault}"), times)),
            );
        }
        counts
    }

    /// Counts something that has happened.
    pub fn count(&self, what: impl Into<String>) {
        *self.counts().entry(what.into()).or_default() += 1;
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills a server in the midst of a call, and starts it again.
    pub async fn kill(&self, victim: Victim, call: &Request) -> Result<()> {
        let (postgres, supabase) = (&self.stack.postgres, &self.stack.supabase);
        match victim {
            Victim::Function => match call {
                Request::Event { .. } => self.stack.functions.crash_clerk_webhook().await,
                Request::Page { .. } => self.stack.functions.crash_user_sync().await,
            },
            Victim::Postgres => {
                let _alone = self.killing.lock().await;
                postgres.kill()?;
                let deadline = Instant::now() + Duration::from_mins(1);
                // What the old server has left must end first.
                while let Err(error) = postgres.run().await {
                    ensure!(Instant::now() < deadline, "it stays down: {error:#}");
                    sleep(Duration::from_millis(20)).await;
                }
                supabase.wait_until_ready().await
            }
            Victim::Postgrest => {
                let _alone = self.killing.lock().await;
                supabase.kill_postgrest()?;
                supabase.run_postgrest().await
            }
        }
    }

    /// Makes a call.
    pub async fn make(&self, request: &Request) -> Result<Answer> {
        match request {
            Request::Event { event, endpoint } => {
                let clerk = &self.stack.clerk;
                let headers = match endpoint {
                    Endpoint::Old => clerk.sign_webhook(&event.id, &event.payload)?,
                    Endpoint::New => clerk.sign_webhook_anew(&event.id, &event.payload)?,
                };
                let url = self.stack.functions.clerk_webhook_url();
                self.stack.post(&url, headers, event.payload.clone()).await
            }
            Request::Page { user_id, claims } => self.stack.load_page(user_id, claims).await,
        }
    }

    /// No secret and no personal data may stand in what was logged since the last time.
    pub fn check_log(&self) -> Result<()> {
        let lines = self.stack.functions.log().take();
        lines.iter().try_for_each(|line| self.check_told(line))
    }

    /// At the end the ledger tells nothing either, and there is no row but of the `users`.
    pub async fn finish(&self) -> Result<()> {
        self.check_log()?;
        for entry in patiently(|| self.stack.ledger()).await? {
            self.check_told(&entry.to_string())?;
        }
        let rows = patiently(|| self.stack.all_rows()).await?.len();
        let users = self.counts().get(USERS).copied().unwrap_or_default();
        ensure!(rows as u64 == users, "{users} users have {rows} rows");
        Ok(())
    }

    fn check_told(&self, text: &str) -> Result<()> {
        let keys = self.stack.supabase.keys();
        let [secret, next_secret] = self.stack.clerk.webhook_signing_secrets();
        let private = [
            "@example.com",
            "Name-",
            "PRIVATE-METADATA",
            "UNSAFE-METADATA",
            "Bearer ",
            // What a token begins with.
            "eyJ0eXAi",
            "eyJhbGci",
            "203.0.113.7",
            &secret,
            &next_secret,
            self.stack.clerk.secret_key(),
            &keys.secret_key,
            &keys.service_role_jwt,
        ];
        // The line of a healed user ends with their address, and with nothing else.
        let text = match text.split_once(" synced successfully (") {
            Some((before, end)) if is_one_address(end) => before,
            _ => text,
        };
        let told = private.iter().find(|private| text.contains(**private));
        ensure!(told.is_none(), "the log or the ledger tells: {text}");
        Ok(())
    }
}

fn is_one_address(end: &str) -> bool {
    let name = end.strip_suffix("@example.com)");
    name.is_some_and(|name| !name.contains([' ', '@']) && !name.contains("Name-"))
}

/// A call, with all that it needs.
pub enum Request {
    /// `POST /api/webhooks/clerk`
    Event {
        /// What is delivered.
        event: WebhookEvent,
        /// With which secret.
        endpoint: Endpoint,
    },
    /// `POST /api/user/sync`
    Page {
        /// Who is signed in.
        user_id: String,
        /// What the session token says beside that.
        claims: Value,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stack::SupabaseFault;
    use tokio::time::timeout;

    use super::*;

    /// How `Victim::Function` is killed in process: a caller who hangs up ends the handler.
    #[tokio::test]
    async fn a_handler_ends_when_its_caller_hangs_up() {
        let stage = Stage::start(Target::InProcess).await.unwrap();
        let late = Duration::from_millis(300);
        for (patience, goes_on) in [(10 * late, true), (late / 3, false)] {
            let id = stage.stack.clerk.sign_up(&json!({}));
            let supabase = &stage.stack.supabase;
            supabase
                .faults()
                .plan(&id, SupabaseFault::Slow(late), Some(1));
            let claims = json!({});
            let call = stage.stack.load_page(&id, &claims);
            assert_eq!(timeout(patience, call).await.is_ok(), goes_on);
            // Long enough for the answer of Supabase, which a living handler would go on from.
            sleep(2 * late).await;
            let log = stage.stack.functions.log().text();
            assert_eq!(log.contains(&format!("User {id}... missing")), goes_on);
        }
    }
}

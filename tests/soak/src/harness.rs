//! A stack that histories run on. It counts what happens, and kills processes.

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
    database::{Database, retry_while_down},
    steps::{Endpoint, Victim},
};

/// A stack that many histories run on at once. Each has its own users, but a killed process affects
/// all of them.
pub struct Harness {
    /// The stack.
    pub stack: Stack,
    /// The database, read directly.
    pub database: Database,
    /// Held while a server is killed and started again.
    killing: tokio::sync::Mutex<()>,
    counts: Mutex<BTreeMap<String, u64>>,
}

/// The name under which sign-ups are counted.
pub const USERS: &str = "users";

impl Harness {
    /// Starts a stack. Only the histories deliver its webhooks.
    pub async fn start(target: Target) -> Result<Self> {
        let stack = Stack::start(target, &Log::default()).await?;
        stack.clerk.set_delivery(Delivery::Drop);
        Database::prepare(&stack.postgres).await?;
        Ok(Self {
            stack,
            database: Database::default(),
            killing: tokio::sync::Mutex::default(),
            counts: Mutex::default(),
        })
    }

    /// Returns how often each thing has happened, and sets all counts to zero.
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

    /// Counts something that happened.
    pub fn count(&self, what: impl Into<String>) {
        *self.counts().entry(what.into()).or_default() += 1;
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills a process in the middle of a call, and starts it again.
    pub async fn kill(&self, victim: Victim, call: &Request) -> Result<()> {
        let (postgres, supabase) = (&self.stack.postgres, &self.stack.supabase);
        match victim {
            Victim::Function => match call {
                Request::Event { .. } => self.stack.functions.crash("clerk-webhook").await,
                Request::Page { .. } => self.stack.functions.crash("user-sync").await,
            },
            Victim::Postgres => {
                let _guard = self.killing.lock().await;
                postgres.kill()?;
                let deadline = Instant::now() + Duration::from_mins(1);
                // The child processes of the old server must end first.
                while let Err(error) = postgres.run().await {
                    ensure!(
                        Instant::now() < deadline,
                        "PostgreSQL stays down: {error:#}"
                    );
                    sleep(Duration::from_millis(20)).await;
                }
                supabase.wait_until_ready().await
            }
            Victim::Postgrest => {
                let _guard = self.killing.lock().await;
                supabase.kill_postgrest()?;
                supabase.run_postgrest().await
            }
        }
    }

    /// Sends a call.
    pub async fn send(&self, request: &Request) -> Result<Answer> {
        match request {
            Request::Event { event, endpoint } => {
                let clerk = &self.stack.clerk;
                let headers = match endpoint {
                    Endpoint::Old => clerk.sign_webhook(&event.id, &event.payload)?,
                    Endpoint::New => {
                        clerk.sign_webhook_with_next_secret(&event.id, &event.payload)?
                    }
                };
                let url = self.stack.functions.url("clerk-webhook");
                self.stack.post(&url, headers, event.payload.clone()).await
            }
            Request::Page { user_id, claims } => self.stack.load_page(user_id, claims).await,
        }
    }

    /// Checks the lines logged since the last time: they must have no secret and no personal data.
    pub fn check_log(&self) -> Result<()> {
        let lines = self.stack.functions.log().take();
        lines
            .iter()
            .try_for_each(|line| self.check_no_private_data(line))
    }

    /// Checks the end of a run: no private data in the ledger, and one state for each user.
    pub async fn finish(&self) -> Result<()> {
        self.check_log()?;
        for entry in retry_while_down(|| self.stack.ledger()).await? {
            self.check_no_private_data(&entry.to_string())?;
        }
        let states = retry_while_down(|| self.stack.all_states()).await?.len();
        let users = self.counts().get(USERS).copied().unwrap_or_default();
        ensure!(states as u64 == users, "{users} users have {states} states");
        Ok(())
    }

    fn check_no_private_data(&self, text: &str) -> Result<()> {
        let keys = self.stack.supabase.keys();
        let [secret, next_secret] = self.stack.clerk.webhook_signing_secrets();
        let private = [
            "@example.com",
            "Name-",
            "PRIVATE-METADATA",
            "UNSAFE-METADATA",
            "Bearer ",
            // The start of a token.
            "eyJ0eXAi",
            "eyJhbGci",
            "203.0.113.7",
            &secret,
            &next_secret,
            self.stack.clerk.secret_key(),
            &keys.secret_key,
            &keys.service_role_jwt,
        ];
        // The line about a synced user may end with the address, and with nothing else.
        let text = match text.split_once(" synced successfully (") {
            Some((before, end)) if is_one_address(end) => before,
            _ => text,
        };
        let found = private.iter().find(|private| text.contains(**private));
        ensure!(
            found.is_none(),
            "the log or the ledger has private data: {text}"
        );
        Ok(())
    }
}

fn is_one_address(end: &str) -> bool {
    let name = end.strip_suffix("@example.com)");
    name.is_some_and(|name| !name.contains([' ', '@']) && !name.contains("Name-"))
}

/// A call, with everything it needs.
pub enum Request {
    /// `POST /api/webhooks/clerk`
    Event {
        /// The event.
        event: WebhookEvent,
        /// The endpoint, which decides the secret.
        endpoint: Endpoint,
    },
    /// `POST /api/user/sync`
    Page {
        /// Who is signed in.
        user_id: String,
        /// Other claims of the session token.
        claims: Value,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stack::SupabaseFault;
    use tokio::time::timeout;

    use super::*;

    /// This is how a function in this process is "killed": its caller hangs up.
    #[tokio::test]
    async fn a_handler_ends_when_its_caller_hangs_up() {
        let harness = Harness::start(Target::InProcess).await.unwrap();
        let late = Duration::from_millis(300);
        for (patience, goes_on) in [(10 * late, true), (late / 3, false)] {
            let id = harness.stack.clerk.sign_up(&json!({}));
            let supabase = &harness.stack.supabase;
            supabase
                .faults()
                .plan(&id, SupabaseFault::Slow(late), Some(1));
            let claims = json!({});
            let call = harness.stack.load_page(&id, &claims);
            assert_eq!(timeout(patience, call).await.is_ok(), goes_on);
            // Long enough for Supabase's answer, after which a running handler would continue.
            sleep(2 * late).await;
            let log = harness.stack.functions.log().text();
            assert_eq!(log.contains(&format!("User {id}... missing")), goes_on);
        }
    }
}

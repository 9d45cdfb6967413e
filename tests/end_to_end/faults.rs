//! Clerk or Supabase fails: the answer says which of them failed and comes within the deadline, and
//! the next attempt succeeds.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use stack::{
    Answer, Stack, SupabaseFault,
    clerk::{Delivery, Fault, WebhookEvent},
};

/// The functions' deadline of 8 s, plus 2 s for a busy machine.
const DEADLINE: Duration = Duration::from_secs(10);

/// A user without a row, and the webhook that was not delivered.
struct Orphan<'a> {
    stack: &'a Stack,
    event: WebhookEvent,
}

impl<'a> Orphan<'a> {
    fn sign_up(stack: &'a Stack) -> Result<Self> {
        stack.clerk.set_delivery(Delivery::Drop);
        let id = &stack.clerk.sign_up(&json!({ "email": "ada@example.com" }));
        let event = stack.clerk.last_event_of(id)?;
        Ok(Self { stack, event })
    }

    async fn load_page(&self) -> Result<Answer> {
        let start = Instant::now();
        let answer = self
            .stack
            .load_page(&self.event.user_id, &json!({}))
            .await?;
        ensure!(start.elapsed() < DEADLINE, "it took {:?}", start.elapsed());
        Ok(answer)
    }

    async fn deliver_webhook(&self) -> Result<Answer> {
        let start = Instant::now();
        let answer = self.stack.deliver(&self.event).await?;
        ensure!(start.elapsed() < DEADLINE, "it took {:?}", start.elapsed());
        Ok(answer)
    }

    /// Both sources fail, and both answers ask the caller to try again.
    async fn expect_retry_after(&self) -> Result<()> {
        for answer in [self.load_page().await?, self.deliver_webhook().await?] {
            answer.expect(503, "code", "supabase_failed")?;
            let seconds = answer.header("retry-after").parse::<u64>();
            ensure!(seconds.is_ok_and(|seconds| seconds > 0), "{answer:?}");
        }
        Ok(())
    }

    /// Both sources work again.
    async fn expect_healed(&self) -> Result<()> {
        self.load_page().await?.expect(200, "status", "created")?;
        self.deliver_webhook()
            .await?
            .expect(200, "outcome", "unchanged")
    }
}

pub async fn database_down(stack: Stack) -> Result<()> {
    stack.postgres.kill()?;
    Orphan::sign_up(&stack)?.expect_retry_after().await?;
    stack.postgres.run().await?;
    stack.supabase.wait_until_ready().await?;
    Orphan::sign_up(&stack)?.expect_healed().await?;

    stack.supabase.kill_postgrest()?;
    Orphan::sign_up(&stack)?.expect_retry_after().await?;
    stack.supabase.run_postgrest().await?;
    Orphan::sign_up(&stack)?.expect_healed().await
}

pub async fn supabase_silent(stack: Stack) -> Result<()> {
    let orphan = Orphan::sign_up(&stack)?;
    stack
        .supabase
        .faults()
        .plan("", SupabaseFault::Silent, None);
    orphan.expect_retry_after().await?;
    stack.supabase.faults().end("");
    orphan.expect_healed().await
}

pub async fn answer_lost_after_the_write(stack: Stack) -> Result<()> {
    let orphan = Orphan::sign_up(&stack)?;
    stack
        .supabase
        .faults()
        .plan("", SupabaseFault::SilentAfterTheStatement, None);
    let answer = orphan.deliver_webhook().await?;
    answer.expect(503, "code", "supabase_failed")?;
    stack.supabase.faults().end("");
    ensure!(stack.row(&orphan.event.user_id).await?["email"] == "ada@example.com");
    orphan
        .deliver_webhook()
        .await?
        .expect(200, "outcome", "duplicate")?;
    orphan.load_page().await?.expect(200, "status", "present")
}

pub async fn user_locked(stack: Stack) -> Result<()> {
    let orphan = Orphan::sign_up(&stack)?;
    orphan
        .deliver_webhook()
        .await?
        .expect(200, "outcome", "created")?;
    let id = &orphan.event.user_id;
    stack.clerk.update(id, &json!({ "first_name": "Ada" }))?;
    let event = stack.clerk.last_event_of(id)?;
    let (calls, _) = stack.calls_about(id);
    let lock = stack.hold_user(id).await?;
    let answer = stack.deliver(&event).await?;
    answer.expect(503, "code", "supabase_failed")?;
    // Repeated at once, such calls would use up the connections of the API.
    ensure!(stack.calls_about(id).0 == calls + 1, "it was repeated");
    // A page load that finds nothing to do does not wait.
    orphan.load_page().await?.expect(200, "status", "present")?;
    drop(lock);
    let answer = stack.deliver(&event).await?;
    answer.expect(200, "outcome", "updated")
}

pub async fn clerk_down(stack: Stack) -> Result<()> {
    for fault in [Fault::ServerError, Fault::HangUp] {
        let orphan = Orphan::sign_up(&stack)?;
        // The function retries after one failure, and reports a lasting one.
        stack.clerk.faults().plan("", fault, Some(1));
        orphan.load_page().await?.expect(200, "status", "created")?;
        let orphan = Orphan::sign_up(&stack)?;
        stack.clerk.faults().plan("", fault, None);
        orphan
            .load_page()
            .await?
            .expect(502, "code", "clerk_failed")?;
        ensure!(stack.find_row(&orphan.event.user_id).await? == None::<Value>);
        // A webhook does not need Clerk.
        orphan
            .deliver_webhook()
            .await?
            .expect(200, "outcome", "created")?;

        let orphan = Orphan::sign_up(&stack)?;
        stack.clerk.faults().end("");
        orphan.expect_healed().await?;
    }
    Ok(())
}

pub async fn clerk_slow(stack: Stack) -> Result<()> {
    let orphan = Orphan::sign_up(&stack)?;
    stack.clerk.faults().plan(
        "",
        Fault::Slow {
            milliseconds: 1_000,
        },
        None,
    );
    orphan.load_page().await?.expect(200, "status", "created")?;

    let orphan = Orphan::sign_up(&stack)?;
    stack.clerk.faults().end("");
    stack.clerk.faults().plan("", Fault::Silent, None);
    orphan
        .load_page()
        .await?
        .expect(502, "code", "clerk_failed")?;
    stack.clerk.faults().end("");
    orphan.expect_healed().await
}

pub async fn clerk_rate_limiting(stack: Stack) -> Result<()> {
    let orphan = Orphan::sign_up(&stack)?;
    // The function waits for a pause that fits into the deadline. The caller gets a longer one.
    stack
        .clerk
        .faults()
        .plan("", Fault::RateLimited { retry_after: 1 }, Some(1));
    let start = Instant::now();
    orphan.load_page().await?.expect(200, "status", "created")?;
    ensure!(start.elapsed() >= Duration::from_secs(1));

    let orphan = Orphan::sign_up(&stack)?;
    stack
        .clerk
        .faults()
        .plan("", Fault::RateLimited { retry_after: 30 }, None);
    let start = Instant::now();
    let answer = orphan.load_page().await?;
    ensure!(
        start.elapsed() < Duration::from_secs(3),
        "it took {:?}",
        start.elapsed()
    );
    answer.expect(503, "code", "clerk_rate_limited")?;
    ensure!(answer.header("retry-after") == "30", "{answer:?}");
    stack.clerk.faults().end("");
    orphan.expect_healed().await
}

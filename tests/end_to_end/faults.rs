//! Clerk or Supabase fails: the answer says whose fault it is, comes within the deadline, and the
//! next try succeeds.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use stack::{
    Answer, Stack, SupabaseFault,
    clerk::{Delivery, Fault, WebhookEvent},
};

/// The functions' deadline of 8 s, and two more for a busy machine.
const DEADLINE: Duration = Duration::from_secs(10);

/// A user who has a page to load and a webhook on its way.
struct Orphan<'a> {
    stack: &'a Stack,
    event: WebhookEvent,
}

impl<'a> Orphan<'a> {
    fn of(stack: &'a Stack) -> Result<Self> {
        stack.clerk.set_delivery(Delivery::Drop);
        let id = &stack.clerk.sign_up(&json!({ "email": "ada@example.com" }));
        let event = stack.clerk.last_event_of(id)?;
        Ok(Self { stack, event })
    }

    async fn loads_a_page(&self) -> Result<Answer> {
        let start = Instant::now();
        let answer = self
            .stack
            .load_page(&self.event.user_id, &json!({}))
            .await?;
        ensure!(start.elapsed() < DEADLINE, "it took {:?}", start.elapsed());
        Ok(answer)
    }

    async fn gets_the_webhook(&self) -> Result<Answer> {
        let start = Instant::now();
        let answer = self.stack.deliver(&self.event).await?;
        ensure!(start.elapsed() < DEADLINE, "it took {:?}", start.elapsed());
        Ok(answer)
    }

    /// Neither path works, and both ask to be called again.
    async fn is_asked_to_come_back(&self) -> Result<()> {
        for answer in [self.loads_a_page().await?, self.gets_the_webhook().await?] {
            answer.expect(503, "code", "supabase_failed")?;
            let seconds = answer.header("retry-after").parse::<u64>();
            ensure!(seconds.is_ok_and(|seconds| seconds > 0), "{answer:?}");
        }
        Ok(())
    }

    /// Both paths work again.
    async fn heals(&self) -> Result<()> {
        self.loads_a_page()
            .await?
            .expect(200, "status", "created")?;
        self.gets_the_webhook()
            .await?
            .expect(200, "outcome", "unchanged")
    }
}

pub async fn the_database_down(stack: Stack) -> Result<()> {
    stack.postgres.kill()?;
    Orphan::of(&stack)?.is_asked_to_come_back().await?;
    stack.postgres.run().await?;
    stack.supabase.wait_until_ready().await?;
    Orphan::of(&stack)?.heals().await?;

    stack.supabase.kill_postgrest()?;
    Orphan::of(&stack)?.is_asked_to_come_back().await?;
    stack.supabase.run_postgrest().await?;
    Orphan::of(&stack)?.heals().await
}

pub async fn supabase_silent(stack: Stack) -> Result<()> {
    let orphan = Orphan::of(&stack)?;
    stack
        .supabase
        .faults()
        .plan("", SupabaseFault::Silent, None);
    orphan.is_asked_to_come_back().await?;
    stack.supabase.faults().end("");
    orphan.heals().await
}

pub async fn an_answer_lost_after_the_write(stack: Stack) -> Result<()> {
    let orphan = Orphan::of(&stack)?;
    stack
        .supabase
        .faults()
        .plan("", SupabaseFault::SilentAfterTheStatement, None);
    let answer = orphan.gets_the_webhook().await?;
    answer.expect(503, "code", "supabase_failed")?;
    stack.supabase.faults().end("");
    ensure!(stack.row(&orphan.event.user_id).await?["email"] == "ada@example.com");
    orphan
        .gets_the_webhook()
        .await?
        .expect(200, "outcome", "duplicate")?;
    orphan
        .loads_a_page()
        .await?
        .expect(200, "status", "present")
}

pub async fn clerk_down(stack: Stack) -> Result<()> {
    for fault in [Fault::ServerError, Fault::HangUp] {
        let orphan = Orphan::of(&stack)?;
        // One failure is mended on the way, a lasting one is told.
        stack.clerk.faults().plan("", fault, Some(1));
        orphan
            .loads_a_page()
            .await?
            .expect(200, "status", "created")?;
        let orphan = Orphan::of(&stack)?;
        stack.clerk.faults().plan("", fault, None);
        orphan
            .loads_a_page()
            .await?
            .expect(502, "code", "clerk_failed")?;
        ensure!(stack.find_row(&orphan.event.user_id).await? == None::<Value>);
        // The webhook needs no Clerk.
        orphan
            .gets_the_webhook()
            .await?
            .expect(200, "outcome", "created")?;

        let orphan = Orphan::of(&stack)?;
        stack.clerk.faults().end("");
        orphan.heals().await?;
    }
    Ok(())
}

pub async fn clerk_slow(stack: Stack) -> Result<()> {
    let orphan = Orphan::of(&stack)?;
    stack.clerk.faults().plan(
        "",
        Fault::Slow {
            milliseconds: 1_000,
        },
        None,
    );
    orphan
        .loads_a_page()
        .await?
        .expect(200, "status", "created")?;

    let orphan = Orphan::of(&stack)?;
    stack.clerk.faults().end("");
    stack.clerk.faults().plan("", Fault::Silent, None);
    orphan
        .loads_a_page()
        .await?
        .expect(502, "code", "clerk_failed")?;
    stack.clerk.faults().end("");
    orphan.heals().await
}

pub async fn clerk_rate_limiting(stack: Stack) -> Result<()> {
    let orphan = Orphan::of(&stack)?;
    // What fits into the deadline is waited for; what does not is the caller's to wait for.
    stack
        .clerk
        .faults()
        .plan("", Fault::RateLimited { retry_after: 1 }, Some(1));
    let start = Instant::now();
    orphan
        .loads_a_page()
        .await?
        .expect(200, "status", "created")?;
    ensure!(start.elapsed() >= Duration::from_secs(1));

    let orphan = Orphan::of(&stack)?;
    stack
        .clerk
        .faults()
        .plan("", Fault::RateLimited { retry_after: 30 }, None);
    let start = Instant::now();
    let answer = orphan.loads_a_page().await?;
    ensure!(
        start.elapsed() < Duration::from_secs(3),
        "it took {:?}",
        start.elapsed()
    );
    answer.expect(503, "code", "clerk_rate_limited")?;
    ensure!(answer.header("retry-after") == "30", "{answer:?}");
    stack.clerk.faults().end("");
    orphan.heals().await
}

//! Many calls at once: no user is lost, and nothing is done twice.

use std::collections::HashSet;

use anyhow::{Result, bail, ensure};
use futures_util::{StreamExt, TryStreamExt, future::try_join_all, stream};
use serde_json::{Value, json};
use stack::{
    Answer, Log, Stack, Target,
    clerk::{Delivery, WebhookEvent},
};

/// How many page loads, or copies of a webhook, arrive at once.
const AT_ONCE: usize = 64;

/// How many users sign up, and how many of their webhooks are in flight at once.
const USERS: usize = 10_000;
const IN_FLIGHT: usize = 500;

/// How many pairs of users swap their addresses at once. PostgREST has a connection for each user.
const PAIRS: usize = 4;

/// Makes sure that the two writes of a pair conflict: each holds its own user for a while, and then
/// wants the other.
const SLOW_UPDATES: &str = "
    create function public.take_time() returns trigger language plpgsql as $$
    begin
        perform pg_sleep(0.1);
        return null;
    end $$;
    create trigger slow_updates after update on user_sync.users
    for each row execute function public.take_time();
";

/// Runs all of it.
pub async fn run(target: Target) -> Result<()> {
    let stack = start(target).await?;
    one_missing_user_opens_many_pages(&stack).await?;
    one_webhook_arrives_many_times(&stack).await?;
    // `cargo lambda watch` handles one call at a time, so calls never overlap there.
    if target == Target::Lambda {
        return Ok(());
    }
    many_users_sign_up(&stack).await?;
    drop(stack);
    users_swap_a_unique_address(&start(target).await?).await
}

async fn start(target: Target) -> Result<Stack> {
    let stack = Stack::start(target, &Log::default()).await?;
    stack.clerk.set_delivery(Delivery::Drop);
    Ok(stack)
}

async fn one_missing_user_opens_many_pages(stack: &Stack) -> Result<()> {
    let id = stack.clerk.sign_up(&json!({ "email": "many@example.com" }));
    let claims = json!({});
    let answers = try_join_all((0..AT_ONCE).map(|_| stack.load_page(&id, &claims))).await?;
    all_succeed(&answers)?;
    let row = stack.row(&id).await?;
    ensure!(row["email"] == "many@example.com", "the row is {row}");
    let created = count(&answers, "status", "created");
    ensure!(created == 1, "{created} page loads created the row");
    Ok(())
}

async fn one_webhook_arrives_many_times(stack: &Stack) -> Result<()> {
    let id = stack.clerk.sign_up(&json!({ "email": "copy@example.com" }));
    let event = stack.clerk.last_event_of(&id)?;
    let answers = try_join_all((0..AT_ONCE).map(|_| stack.deliver(&event))).await?;
    all_succeed(&answers)?;
    let created = count(&answers, "outcome", "created");
    let duplicates = count(&answers, "outcome", "duplicate");
    ensure!(
        (created, duplicates) == (1, AT_ONCE - 1),
        "{created} deliveries created the row, {duplicates} were duplicates"
    );
    let row = stack.row(&id).await?;
    ensure!(row["email"] == "copy@example.com", "the row is {row}");
    check_receipts(stack, &[event]).await
}

async fn many_users_sign_up(stack: &Stack) -> Result<()> {
    let before = stack.all_rows().await?.len();
    let events: Vec<_> = (0..USERS)
        .map(|n| {
            let email = format!("{n}@example.com");
            let id = stack.clerk.sign_up(&json!({ "email": email }));
            stack.clerk.last_event_of(&id)
        })
        .collect::<Result<_>>()?;
    let deliveries = events
        .iter()
        .map(|event| deliver_as_svix_does(stack, event));
    stream::iter(deliveries)
        .buffer_unordered(IN_FLIGHT)
        .try_collect::<Vec<()>>()
        .await?;
    let rows = stack.all_rows().await?.len() - before;
    ensure!(rows == USERS, "{rows} of {USERS} users have a row");
    check_receipts(stack, &events).await
}

/// Fails unless each event has a receipt.
async fn check_receipts(stack: &Stack, events: &[WebhookEvent]) -> Result<()> {
    let ledger = stack.ledger().await?;
    let ids: HashSet<_> = events.iter().map(|event| event.id.as_str()).collect();
    let is_one_of_these = |entry: &&Value| {
        entry["event_id"]
            .as_str()
            .is_some_and(|id| ids.contains(id))
    };
    let receipts = ledger.iter().filter(is_one_of_these).count();
    ensure!(
        receipts == ids.len(),
        "{} events have {receipts} receipts",
        ids.len()
    );
    Ok(())
}

/// Tries up to eight times. A busy machine may not answer so many calls in time: then it must say so
/// with a 503, and lose nothing.
async fn deliver_as_svix_does(stack: &Stack, event: &WebhookEvent) -> Result<()> {
    for _attempt in 0..8 {
        let answer = stack.deliver(event).await?;
        match answer.status {
            200 => return Ok(()),
            503 => {}
            _ => bail!("a webhook was answered {answer:?}"),
        }
    }
    bail!("{} was not accepted in eight attempts", event.id)
}

/// Uses a table with unique addresses. The two writes of a pair update each other's row, so
/// PostgreSQL ends one of them as a deadlock, and the function repeats it.
async fn users_swap_a_unique_address(stack: &Stack) -> Result<()> {
    for file in ["tests/profiles.sql", "supabase/examples/profiles.sql"] {
        stack.postgres.run_sql(file).await?;
    }
    let sign_up = |n: usize| {
        let email = format!("{n}@example.com");
        let id = stack.clerk.sign_up(&json!({ "email": email }));
        (id, email)
    };
    let users: Vec<_> = (0..2 * PAIRS).map(sign_up).collect();
    for (id, _) in &users {
        let answer = stack.deliver(&stack.clerk.last_event_of(id)?).await?;
        answer.expect(200, "outcome", "created")?;
    }
    stack
        .postgres
        .connect()
        .await?
        .batch_execute(SLOW_UPDATES)
        .await?;
    let mut swaps = Vec::new();
    for (n, (id, _)) in users.iter().enumerate() {
        let (_, email_of_other) = &users[n ^ 1];
        stack
            .clerk
            .update(id, &json!({ "email": email_of_other }))?;
        swaps.push(stack.clerk.last_event_of(id)?);
    }
    let answers = try_join_all(swaps.iter().map(|event| stack.deliver(event))).await?;
    all_succeed(&answers)?;
    check_receipts(stack, &swaps).await?;
    let client = stack.postgres.connect().await?;
    for (n, (id, _)) in users.iter().enumerate() {
        let (_, email_of_other) = &users[n ^ 1];
        let row = client
            .query_one(
                "select email from public.profiles where clerk_user_id = $1",
                &[id],
            )
            .await?;
        let email: Option<String> = row.get(0);
        ensure!(
            email.as_ref() == Some(email_of_other),
            "{id} has the wrong address: {email:?}"
        );
    }
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    let deadlocks: i64 = client.query_one(deadlocks, &[]).await?.get(0);
    ensure!(deadlocks > 0, "no two swaps conflicted");
    Ok(())
}

fn all_succeed(answers: &[Answer]) -> Result<()> {
    let failed = answers.iter().find(|answer| answer.status != 200);
    ensure!(failed.is_none(), "a call failed: {failed:?}");
    Ok(())
}

fn count(answers: &[Answer], field: &str, value: &str) -> usize {
    let is_match = |answer: &&Answer| answer.body[field] == value;
    answers.iter().filter(is_match).count()
}

//! What heals a user, and what leaves them alone.

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use http::header::COOKIE;
use serde_json::json;
use stack::{Answer, Stack, clerk::Delivery, story};

pub async fn the_story_comes_true(stack: &Stack) -> Result<()> {
    story::play(stack, |_step| {}).await
}

pub async fn a_page_load_by_cookie_heals_too(stack: &Stack) -> Result<()> {
    let user = stack.clerk.sign_up(&json!({ "username": "ada" }));
    let id = user["id"].as_str().unwrap_or_default();
    let token = stack.clerk.session_token(id, &json!({}))?;
    for (cookies, status) in [
        (format!("theme=dark; __session={token}"), "created"),
        (format!("__session={token}; theme=dark"), "present"),
    ] {
        let answer = stack.load_page_with([(COOKIE, cookies)]).await?;
        answer.expect(200, "status", status)?;
    }
    Ok(())
}

pub async fn many_page_loads_at_once_make_one_row(stack: &Stack) -> Result<()> {
    let user = stack.clerk.sign_up(&json!({ "email": "many@example.com" }));
    let id = user["id"].as_str().unwrap_or_default();
    let claims = json!({});
    let answers = try_join_all((0..20).map(|_| stack.load_page(id, &claims))).await?;
    ensure!(answers.iter().all(|answer| answer.status == 200));
    let created = count(&answers, "status", "created");
    ensure!(
        created == 1,
        "{created} page loads say that they made the row"
    );
    ensure!(stack.row(id).await?["email"] == "many@example.com");
    Ok(())
}

pub async fn many_copies_of_a_webhook_at_once_leave_one_receipt(stack: &Stack) -> Result<()> {
    let user = stack
        .clerk
        .sign_up(&json!({ "email": "copies@example.com" }));
    let event = stack
        .clerk
        .last_event_of(user["id"].as_str().unwrap_or_default())?;
    let answers = try_join_all((0..20).map(|_| stack.deliver(&event))).await?;
    ensure!(answers.iter().all(|answer| answer.status == 200));
    ensure!(count(&answers, "outcome", "created") == 1);
    ensure!(count(&answers, "outcome", "duplicate") == 19);
    let receipt = stack.receipt(&event.id).await?.unwrap_or_default();
    ensure!(receipt["outcome"] == "created", "the receipt is {receipt}");
    Ok(())
}

pub async fn a_user_whom_clerk_does_not_know_is_gone_and_not_remembered(
    stack: &Stack,
) -> Result<()> {
    let user = stack.clerk.sign_up(&json!({ "email": "gone@example.com" }));
    let id = user["id"].as_str().unwrap_or_default();
    stack.clerk.delete(id)?;
    let answer = stack.load_page(id, &json!({})).await?;
    answer.expect(410, "code", "user_deleted")?;
    ensure!(stack.find_row(id).await?.is_none(), "a tombstone was made");
    Ok(())
}

pub async fn a_users_own_table_heals_by_other_sql_alone(stack: Stack) -> Result<()> {
    let client = stack.postgres.connect().await?;
    let table = "create table public.profiles (
        id uuid primary key default gen_random_uuid(),
        clerk_user_id text not null unique,
        email text not null unique,
        full_name text, avatar_url text, plan text not null default 'free')";
    client.batch_execute(table).await?;
    stack
        .postgres
        .run_sql("supabase/examples/profiles.sql")
        .await?;

    stack.clerk.set_delivery(Delivery::Drop);
    let shared = json!({ "email": "shared@example.com" });
    let [older, newer] = [(); 2].map(|()| {
        let user = stack.clerk.sign_up(&shared);
        user["id"].as_str().unwrap_or_default().to_owned()
    });
    stack
        .clerk
        .update(&newer, &json!({ "first_name": "Newer" }))?;
    for id in [&older, &newer] {
        let answer = stack.load_page(id, &json!({})).await?;
        answer.expect(200, "status", "created")?;
    }
    let gave_up = format!("[UserSync] {older} gave up a unique value");
    stack.functions.log().wait_for(&gave_up)?;
    stack
        .clerk
        .update(&older, &json!({ "email": "own@example.com" }))?;
    let answer = stack.load_page(&older, &json!({})).await?;
    answer.expect(200, "status", "refreshed")?;

    let emails = "select email from public.profiles order by email";
    let rows = client.query(emails, &[]).await?;
    let emails: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    ensure!(
        emails == ["own@example.com", "shared@example.com"],
        "{emails:?}"
    );
    Ok(())
}

fn count(answers: &[Answer], field: &str, value: &str) -> usize {
    let is_so = |answer: &&Answer| answer.body[field] == value;
    answers.iter().filter(is_so).count()
}

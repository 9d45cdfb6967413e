//! What heals a user, and what does not.

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use http::{
    HeaderValue,
    header::{CONTENT_ENCODING, CONTENT_TYPE, COOKIE},
};
use serde_json::json;
use stack::{Answer, Stack, clerk::Delivery, story};

pub async fn every_step_of_the_story_succeeds(stack: &Stack) -> Result<()> {
    story::play(stack, |_step| {}).await
}

pub async fn a_page_load_with_a_cookie_heals_too(stack: &Stack) -> Result<()> {
    let id = &stack.clerk.sign_up(&json!({ "username": "ada" }));
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
    let id = &stack.clerk.sign_up(&json!({ "email": "many@example.com" }));
    let claims = json!({});
    let answers = try_join_all((0..20).map(|_| stack.load_page(id, &claims))).await?;
    ensure!(answers.iter().all(|answer| answer.status == 200));
    let created = count(&answers, "status", "created");
    ensure!(
        created == 1,
        "{created} page loads say that they created the row"
    );
    ensure!(stack.row(id).await?["email"] == "many@example.com");
    Ok(())
}

pub async fn many_copies_of_a_webhook_at_once_leave_one_receipt(stack: &Stack) -> Result<()> {
    let id = stack
        .clerk
        .sign_up(&json!({ "email": "copies@example.com" }));
    let event = stack.clerk.last_event_of(&id)?;
    let answers = try_join_all((0..20).map(|_| stack.deliver(&event))).await?;
    ensure!(answers.iter().all(|answer| answer.status == 200));
    ensure!(count(&answers, "outcome", "created") == 1);
    ensure!(count(&answers, "outcome", "duplicate") == 19);
    let receipt = stack.receipt(&event.id).await?.unwrap_or_default();
    ensure!(receipt["outcome"] == "created", "the receipt is {receipt}");
    Ok(())
}

/// A platform may parse a body, or encode it in base64. The function must see the bytes that were
/// signed.
pub async fn a_function_sees_the_exact_bytes_of_a_webhook(stack: &Stack) -> Result<()> {
    let escaped = |json: &str| json.replace('é', "\\u00e9").replace('👑', "\\ud83d\\udc51");
    let spaced = |json: &str| format!("\r\n {}\t\n", json.replace("\":", "\" :\r\n"));
    for content_type in [
        "application/json",
        "application/json; charset=utf-8",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
        "image/png",
    ] {
        for rewrite in [
            &str::to_owned as &(dyn Fn(&str) -> String + Sync),
            &escaped,
            &spaced,
        ] {
            let id = stack.clerk.sign_up(&json!({ "first_name": "Adélaïde 👑" }));
            let event = stack.clerk.last_event_of(&id)?;
            let payload = rewrite(&event.payload);
            let mut headers = stack.clerk.sign_webhook(&event.id, &payload)?;
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            let url = stack.functions.url("clerk-webhook");
            let answer = stack.post(&url, headers, payload.clone()).await?;
            answer
                .expect(200, "outcome", "created")
                .with_context(|| format!("{content_type}: {payload}"))?;
            ensure!(stack.row(&id).await?["first_name"] == "Adélaïde 👑");
        }
    }
    // No platform may decompress a body. Svix signs only text, so the function refuses these bytes,
    // and the reason shows that it saw them as they are.
    let id = "msg_compressed";
    let mut headers = stack.clerk.sign_webhook(id, COMPRESSED)?;
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/gzip"));
    let url = stack.functions.url("clerk-webhook");
    let answer = stack.post(&url, headers, COMPRESSED).await?;
    answer.expect(401, "code", "signature_invalid")?;
    stack.functions.log().wait_for("the body is not UTF-8")
}

/// `{"type":"user.created"}`, compressed with gzip.
const COMPRESSED: &[u8] = &[
    31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 171, 86, 42, 169, 44, 72, 85, 178, 82, 42, 45, 78, 45, 210,
    75, 46, 74, 77, 44, 73, 77, 81, 170, 5, 0, 79, 119, 186, 116, 23, 0, 0, 0,
];

pub async fn a_user_unknown_to_clerk_gets_no_tombstone(stack: &Stack) -> Result<()> {
    let id = &stack.clerk.sign_up(&json!({ "email": "gone@example.com" }));
    stack.clerk.delete(id)?;
    let answer = stack.load_page(id, &json!({})).await?;
    answer.expect(410, "code", "user_deleted")?;
    ensure!(stack.find_row(id).await?.is_none(), "a row was written");
    Ok(())
}

pub async fn another_table_needs_only_other_sql(stack: Stack) -> Result<()> {
    for file in ["tests/profiles.sql", "supabase/examples/profiles.sql"] {
        stack.postgres.run_sql(file).await?;
    }
    stack.clerk.set_delivery(Delivery::Drop);
    let shared = json!({ "email": "shared@example.com" });
    let [older, newer] = [(); 2].map(|()| stack.clerk.sign_up(&shared));
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

    let client = stack.postgres.connect().await?;
    let emails = "select email from public.profiles where plan = 'free' order by email";
    let rows = client.query(emails, &[]).await?;
    let emails: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    ensure!(
        emails == ["own@example.com", "shared@example.com"],
        "{emails:?}"
    );
    Ok(())
}

fn count(answers: &[Answer], field: &str, value: &str) -> usize {
    let is_equal = |answer: &&Answer| answer.body[field] == value;
    answers.iter().filter(is_equal).count()
}

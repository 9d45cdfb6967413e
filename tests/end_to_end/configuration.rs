//! What the functions do with their variables, and what they never reveal.

use anyhow::{Result, ensure};
use http::header::AUTHORIZATION;
use serde_json::json;
use stack::{Stack, SupabaseFault, clerk::Fault};

pub async fn sessions_are_verified_with_clerks_key_set(mut stack: Stack) -> Result<()> {
    stack.configure(&[("CLERK_JWT_KEY", "")]).await?;
    let id = &stack.clerk.sign_up(&json!({ "email": "ada@example.com" }));
    stack.clerk.deliveries_done().await?;
    for _page in 0..2 {
        let answer = stack.load_page(id, &json!({})).await?;
        answer.expect(200, "status", "present")?;
    }
    ensure!(
        stack.clerk.requests() == ["/v1/jwks"],
        "{:?}",
        stack.clerk.requests()
    );

    // A process that has the keys does not need Clerk any more. One without keys blames Clerk.
    stack.clerk.faults().plan("", Fault::ServerError, None);
    stack
        .load_page(id, &json!({}))
        .await?
        .expect(200, "status", "present")?;
    stack.configure(&[("CLERK_JWT_KEY", "")]).await?;
    stack
        .load_page(id, &json!({}))
        .await?
        .expect(502, "code", "clerk_failed")
}

pub async fn a_legacy_supabase_key_works_too(mut stack: Stack) -> Result<()> {
    let service_role = stack.supabase.keys().service_role_jwt.clone();
    let keys = [
        ("SUPABASE_SECRET_KEY", ""),
        ("SUPABASE_SERVICE_ROLE_KEY", service_role.as_str()),
    ];
    stack.configure(&keys).await?;
    let id = &stack.clerk.sign_up(&json!({ "email": "ada@example.com" }));
    stack.clerk.deliveries_done().await?;
    ensure!(stack.row(id).await?["email"] == "ada@example.com");
    stack
        .load_page(id, &json!({}))
        .await?
        .expect(200, "status", "present")
}

pub async fn a_wrong_key_is_named_in_the_log_but_not_in_the_answer(mut stack: Stack) -> Result<()> {
    for (variable, wrong, status, code) in [
        ("CLERK_SECRET_KEY", "sk_test_wrong", 502, "clerk_failed"),
        (
            "SUPABASE_SECRET_KEY",
            "sb_secret_wrong",
            503,
            "supabase_failed",
        ),
    ] {
        stack.configure(&[(variable, wrong)]).await?;
        let answer = stack.load_page("user_1", &json!({})).await?;
        answer.expect(status, "code", code)?;
        ensure!(!answer.body.to_string().contains(variable));
        stack
            .functions
            .log()
            .wait_for(&format!("(hint: {variable}"))?;
    }
    Ok(())
}

pub async fn no_secret_and_no_personal_data_is_logged(stack: Stack) -> Result<()> {
    let id = &stack.clerk.sign_up(&json!({
        "email": "ada@example.com", "first_name": "Augusta-Ada", "phone_number": "+15555550100",
        "public_metadata": { "note": "PUBLIC-METADATA" },
    }));
    stack.clerk.deliveries_done().await?;
    stack.age_row(id).await?;
    stack
        .load_page(id, &json!({}))
        .await?
        .expect(200, "status", "refreshed")?;
    stack
        .clerk
        .update(id, &json!({ "first_name": "NUL\u{0}" }))?;
    stack.clerk.deliveries_done().await?;
    let token = stack
        .clerk
        .session_token(id, &json!({ "azp": "https://evil.example.com" }))?;
    let headers = [(AUTHORIZATION, format!("Bearer {token}"))];
    stack
        .load_page_with(headers)
        .await?
        .expect(401, "code", "session_invalid")?;
    stack.age_row(id).await?;
    stack.clerk.faults().plan("", Fault::ServerError, None);
    stack
        .load_page(id, &json!({}))
        .await?
        .expect(502, "code", "clerk_failed")?;
    let down = SupabaseFault::Status(http::StatusCode::BAD_GATEWAY);
    stack.supabase.faults().plan("", down, None);
    stack
        .load_page(id, &json!({}))
        .await?
        .expect(503, "code", "supabase_failed")?;
    stack.functions.log().wait_for("[UserSync] 503: ")?;

    let healed = format!("synced successfully ({})", "ada@example.com");
    let log = stack.functions.log().text();
    ensure!(log.contains(&healed), "no user was healed:\n{log}");
    let keys = stack.supabase.keys();
    let [webhook_secret, next_webhook_secret] = stack.clerk.webhook_signing_secrets();
    let output = format!(
        "{}\n{}",
        log.replace(&healed, ""),
        serde_json::to_string(&stack.ledger().await?)?
    );
    for private in [
        "ada@example.com",
        "Augusta",
        "NUL",
        "555550100",
        "PUBLIC-METADATA",
        "PRIVATE-METADATA",
        "UNSAFE-METADATA",
        &token,
        stack.clerk.secret_key(),
        &keys.secret_key,
        &keys.service_role_jwt,
        &webhook_secret,
        &next_webhook_secret,
    ] {
        ensure!(
            !output.contains(private),
            "{private} is in the log or in the ledger:\n{output}"
        );
    }
    Ok(())
}

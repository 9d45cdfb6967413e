//! Sends the event files of `tests/events` with `cargo lambda invoke`. They have placeholders for
//! secrets and times, with which a function answers 401. Another thread serves Supabase and Clerk
//! while a test waits for `cargo lambda invoke`.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use stack::{Log, Stack, Target, cargo_lambda, clerk::Delivery};

#[tokio::test(flavor = "multi_thread")]
async fn user_sync_accepts_each_event_file() -> Result<()> {
    let stack = Stack::start(Target::Lambda, &Log::default()).await?;
    stack.clerk.set_delivery(Delivery::Drop);
    let id = stack.clerk.sign_up(&json!({ "email": "ada@example.com" }));
    let token = stack.clerk.session_token(&id, &json!({}))?;
    for (file, expected) in [
        ("function-url-bearer.json", "created"),
        ("function-url-cookies.json", "present"),
        ("api-gateway-v2.json", "present"),
    ] {
        let event = read("user-sync", file)?;
        let url = stack.functions.url("user-sync");
        let (status, _) = invoke("user-sync", &url, &event)?;
        ensure!(status == 401, "{file} with placeholders: {status}");
        let event = event.replace("SESSION_TOKEN", &token);
        let (status, body) = invoke("user-sync", &url, &event)?;
        ensure!(
            status == 200 && body["status"] == expected,
            "{file}: {status} {body}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn clerk_webhook_accepts_each_event_file() -> Result<()> {
    let stack = Stack::start(Target::Lambda, &Log::default()).await?;
    for (file, outcome) in [
        ("function-url.json", "created"),
        ("function-url-base64.json", "unchanged"),
        ("api-gateway-v2.json", "unchanged"),
    ] {
        let event = read("clerk-webhook", file)?;
        let headers = stack.clerk.sign_webhook(file, payload(&event)?)?;
        let mut signed = event;
        for (placeholder, name) in [
            ("SVIX_ID", "svix-id"),
            ("SVIX_TIMESTAMP", "svix-timestamp"),
            ("SVIX_SIGNATURE", "svix-signature"),
        ] {
            signed = signed.replace(placeholder, headers[name].to_str()?);
        }
        let url = stack.functions.url("clerk-webhook");
        let (status, body) = invoke("clerk-webhook", &url, &signed)?;
        ensure!(
            status == 200 && body["outcome"] == outcome,
            "{file}: {status} {body}"
        );
    }
    let rows = stack.all_rows().await?;
    ensure!(rows[0]["first_name"] == "Adélaïde", "{rows:?}");
    Ok(())
}

fn read(function: &str, file: &str) -> Result<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("events");
    Ok(fs::read_to_string(folder.join(function).join(file))?)
}

/// The bytes that the sender signed.
fn payload(event: &str) -> Result<Vec<u8>> {
    let event: Value = serde_json::from_str(event)?;
    let body = event["body"].as_str().context("the event has no body")?;
    match event["isBase64Encoded"].as_bool() {
        Some(true) => Ok(BASE64_STANDARD.decode(body)?),
        _ => Ok(body.as_bytes().to_vec()),
    }
}

/// Sends an event to the function at this URL of `cargo lambda watch`. Returns status and body.
fn invoke(function: &str, url: &str, event: &str) -> Result<(u64, Value)> {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{function}.json"));
    fs::write(&file, event)?;
    let port = url.parse::<http::Uri>()?.port_u16();
    let port = port.context("the URL has no port")?.to_string();
    let output = cargo_lambda()?
        .args(["invoke", function, "--data-file"])
        .arg(file)
        .args(["--invoke-address", "127.0.0.1", "--invoke-port", &port])
        .output()?;
    ensure!(output.status.success(), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout)?;
    let status = answer["statusCode"]
        .as_u64()
        .context("the answer has no status")?;
    let body = answer["body"].as_str().context("the answer has no body")?;
    Ok((status, serde_json::from_str(body)?))
}

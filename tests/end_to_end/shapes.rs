//! Users in every shape that Clerk allows.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use stack::{Stack, clerk::WebhookEvent};

/// A user in Clerk, and the columns that their row must have.
struct Shape {
    name: &'static str,
    profile: Value,
    columns: Value,
}

pub async fn every_shape_of_user_becomes_the_right_row_from_each_source(
    stack: &Stack,
) -> Result<()> {
    for shape in shapes() {
        let by_page_load = sign_up(stack, &shape)?;
        let answer = stack.load_page(&by_page_load.user_id, &json!({})).await?;
        answer
            .expect(200, "status", "created")
            .with_context(|| format!("{}, by page load", shape.name))?;
        let by_webhook = sign_up(stack, &shape)?;
        let answer = stack.deliver(&by_webhook).await?;
        answer
            .expect(200, "outcome", "created")
            .with_context(|| format!("{}, by webhook", shape.name))?;

        for id in [by_page_load.user_id, by_webhook.user_id] {
            let row = stack.row(&id).await?;
            for (column, value) in shape.columns.as_object().into_iter().flatten() {
                ensure!(
                    row[column] == *value,
                    "{}: {column} is {}, not {value}",
                    shape.name,
                    row[column]
                );
            }
            ensure!(
                !row.to_string().contains("PRIVATE-METADATA")
                    && !row.to_string().contains("UNSAFE-METADATA"),
                "{}: private metadata is stored",
                shape.name
            );
        }
    }
    Ok(())
}

fn sign_up(stack: &Stack, shape: &Shape) -> Result<WebhookEvent> {
    let id = stack.clerk.sign_up(&shape.profile);
    stack.clerk.last_event_of(&id)
}

fn shapes() -> Vec<Shape> {
    let shape = |name, profile, columns| Shape {
        name,
        profile,
        columns,
    };
    let long = "x".repeat(64 * 1024 - 20);
    vec![
        shape(
            "e-mail and name",
            json!({ "email": "ada@example.com", "first_name": "Ada", "external_id": "42" }),
            json!({ "email": "ada@example.com", "email_verified": true, "first_name": "Ada",
                "external_id": "42", "phone_number": null, "deleted_at": null }),
        ),
        shape(
            "phone only",
            json!({ "phone_number": "+15555550100" }),
            json!({ "phone_number": "+15555550100", "email": null, "email_verified": null }),
        ),
        shape(
            "web3 only",
            json!({ "web3_wallet": "0x0000000000000000000000000000000000000001" }),
            json!({ "email": null, "phone_number": null, "username": null }),
        ),
        shape(
            "username only",
            json!({ "username": "ada" }),
            json!({ "username": "ada", "email": null }),
        ),
        shape(
            "OAuth only",
            json!({
                "email_addresses": [address("idn_1", "ada@example.com", "verified")],
                "primary_email_address_id": "idn_1", "password_enabled": false,
                "external_accounts": [{ "object": "external_account", "id": "eac_1",
                    "provider": "oauth_google", "email_address": "ada@example.com" }],
            }),
            json!({ "email": "ada@example.com" }),
        ),
        shape(
            "no primary e-mail",
            json!({ "email_addresses": [address("idn_1", "ada@example.com", "verified")] }),
            json!({ "email": null, "email_verified": null }),
        ),
        shape(
            "the primary e-mail last of several",
            json!({
                "email_addresses": [
                    address("idn_1", "first@example.com", "verified"),
                    address("idn_2", "second@example.com", "unverified"),
                    address("idn_3", "primary@example.com", "verified"),
                ],
                "primary_email_address_id": "idn_3",
            }),
            json!({ "email": "primary@example.com", "email_verified": true }),
        ),
        shape(
            "unverified",
            json!({
                "email_addresses": [address("idn_1", "ada@example.com", "unverified")],
                "primary_email_address_id": "idn_1",
            }),
            json!({ "email": "ada@example.com", "email_verified": false }),
        ),
        shape(
            "empty strings",
            json!({ "first_name": "", "last_name": "", "username": "", "external_id": "",
                "image_url": "" }),
            json!({ "first_name": null, "last_name": null, "username": null,
                "external_id": null, "image_url": null }),
        ),
        shape(
            "four-byte characters",
            json!({ "first_name": "𝒜da 👩🏽‍💻", "public_metadata": { "👑": "𐍈" } }),
            json!({ "first_name": "𝒜da 👩🏽‍💻", "public_metadata": { "👑": "𐍈" } }),
        ),
        shape(
            "64 KB of public metadata",
            json!({ "public_metadata": { "long": long } }),
            json!({ "public_metadata": { "long": long } }),
        ),
        shape(
            "banned",
            json!({ "banned": true }),
            json!({ "banned": true }),
        ),
    ]
}

fn address(id: &str, email: &str, status: &str) -> Value {
    json!({
        "id": id, "object": "email_address", "email_address": email, "reserved": false,
        "linked_to": [], "verification": { "object": "verification_otp", "status": status,
            "strategy": "email_code", "attempts": null, "expire_at": null },
        "created_at": 1_763_000_000_123_i64, "updated_at": 1_763_000_000_123_i64,
    })
}

//! The SQL, each test on its own PostgreSQL, prepared like a Supabase project.

#![expect(clippy::unwrap_used, reason = "a failed unwrap ends only its test")]

mod database;
mod health;
mod profiles;
mod rules;

use serde_json::{Value, json};

/// A user as Clerk sends them.
fn user(id: &str, updated_at: i64, name: &str) -> Value {
    json!({
        "id": id,
        "primary_email_address_id": "idn_2",
        "email_addresses": [
            { "id": "idn_1", "email_address": "other@example.com", "verification": null },
            { "id": "idn_2", "email_address": format!("{id}@example.com"),
              "verification": { "status": "verified" } },
        ],
        "primary_phone_number_id": null,
        "phone_numbers": [],
        "username": "",
        "first_name": name,
        "last_name": null,
        "image_url": "https://img.example.com/a.png",
        "external_id": null,
        "public_metadata": { "plan": "pro" },
        "private_metadata": { "secret": "private" },
        "unsafe_metadata": { "secret": "unsafe" },
        "banned": false,
        "created_at": 1_763_000_000_123_i64,
        "updated_at": updated_at,
    })
}

/// The data of `user.deleted`.
fn deletion(id: &str) -> Value {
    json!({ "id": id, "object": "user", "deleted": true })
}

/// When the users in these tests were last changed, in milliseconds since 1970.
const T: i64 = 1_763_000_100_000;

//! `target/stack.json`: the addresses and keys that a script needs. It exists while the stack runs.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use stack::Stack;

/// The file. Dropping this removes it.
pub struct Description {
    file: PathBuf,
    text: String,
}

impl Description {
    /// Describes a whole stack, with the URL of the app, which may start later.
    pub fn of(stack: &Stack) -> Result<Self> {
        let keys = stack.supabase.keys();
        Self::write(&json!({
            "webUrl": stack.clerk.origin(),
            "userSyncUrl": stack.functions.url("user-sync"),
            "clerkWebhookUrl": stack.functions.url("clerk-webhook"),
            "supabaseUrl": stack.supabase.url(),
            "supabaseSecretKey": keys.secret_key,
            "supabasePublishableKey": keys.publishable_key,
            "serviceRoleJwt": keys.service_role_jwt,
            "anonJwt": keys.anon_jwt,
            "databaseUrl": stack.postgres.url("postgres"),
            "clerkApiUrl": stack.clerk.api_url(),
            "clerkFrontendApiUrl": stack.clerk.frontend_api_url(),
            "clerkSecretKey": stack.clerk.secret_key(),
            "clerkJwtKey": stack.clerk.jwt_key(),
            "clerkPublishableKey": stack.clerk.publishable_key(),
            "clerkWebhookSigningSecret": stack.clerk.webhook_signing_secrets()[0],
            "clerkControlUrl": stack.clerk.control_url(),
        }))
    }

    /// Writes a description into the file.
    pub fn write(description: &Value) -> Result<Self> {
        let file = stack::root().join("target/stack.json");
        let text = serde_json::to_string_pretty(description)?;
        fs::write(&file, &text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Self { file, text })
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        // A stack that started later may have written its own.
        if fs::read_to_string(&self.file).is_ok_and(|text| text == self.text) {
            drop(fs::remove_file(&self.file));
        }
    }
}

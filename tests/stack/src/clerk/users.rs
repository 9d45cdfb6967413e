//! The users of the instance, with every version of each.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::now;
use crate::random;

/// All users, in the order of sign-up.
#[derive(Default)]
pub struct Users(Vec<User>);

struct User {
    id: String,
    /// Oldest first. Never empty.
    versions: Vec<Value>,
    is_deleted: bool,
}

impl Users {
    /// Creates a user with the fields of `profile`.
    pub fn sign_up(&mut self, profile: &Value) -> Value {
        let id = format!("user_{}", random::letters_and_digits(27));
        let mut user = blank(&id);
        merge(&mut user, profile);
        let user = Value::Object(user);
        self.0.push(User {
            id,
            versions: vec![user.clone()],
            is_deleted: false,
        });
        user
    }

    /// Creates the user's next version. Its `updated_at` is later than before, unless `changes` set
    /// it.
    pub fn update(&mut self, id: &str, changes: &Value) -> Result<Value> {
        let user = self.live_mut(id)?;
        let before = &user.versions[user.versions.len() - 1];
        let mut after = before.as_object().cloned().unwrap_or_default();
        let updated_at = before["updated_at"].as_i64().unwrap_or_default();
        after.insert("updated_at".to_owned(), json!(now().max(updated_at + 1)));
        merge(&mut after, changes);
        user.versions.push(Value::Object(after.clone()));
        Ok(Value::Object(after))
    }

    /// Deletes a user, and returns their last version. The history stays.
    pub fn delete(&mut self, id: &str) -> Result<Value> {
        let user = self.live_mut(id)?;
        user.is_deleted = true;
        Ok(user.versions[user.versions.len() - 1].clone())
    }

    /// The current version of a user, unless they are deleted.
    pub fn find(&self, id: &str) -> Option<&Value> {
        self.newest_last().find(|user| user["id"] == id)
    }

    /// Every version of a user, oldest first.
    pub fn history(&self, id: &str) -> &[Value] {
        let user = self.0.iter().find(|user| user.id == id);
        user.map_or(&[], |user| &user.versions)
    }

    /// All users who are not deleted, in the order of sign-up.
    pub fn newest_last(&self) -> impl DoubleEndedIterator<Item = &Value> {
        let live = self.0.iter().filter(|user| !user.is_deleted);
        live.map(|user| &user.versions[user.versions.len() - 1])
    }

    fn live_mut(&mut self, id: &str) -> Result<&mut User> {
        let user = self
            .0
            .iter_mut()
            .find(|user| user.id == id && !user.is_deleted);
        user.with_context(|| format!("there is no user {id}"))
    }
}

/// A user with every field that Clerk's specification requires, and with metadata that must never
/// leave Clerk.
fn blank(id: &str) -> Map<String, Value> {
    let now = now();
    let user = json!({
        "id": id, "object": "user", "external_id": null,
        "username": null, "first_name": null, "last_name": null, "locale": null,
        "image_url": "https://img.clerk.com/preview.png", "has_image": false,
        "primary_email_address_id": null, "email_addresses": [],
        "primary_phone_number_id": null, "phone_numbers": [],
        "primary_web3_wallet_id": null, "web3_wallets": [],
        "external_accounts": [], "saml_accounts": [], "enterprise_accounts": [], "passkeys": [],
        "public_metadata": {},
        "private_metadata": { "note": "PRIVATE-METADATA" },
        "unsafe_metadata": { "note": "UNSAFE-METADATA" },
        "password_enabled": true, "two_factor_enabled": false, "totp_enabled": false,
        "backup_code_enabled": false, "mfa_enabled_at": null, "mfa_disabled_at": null,
        "banned": false, "locked": false, "lockout_expires_in_seconds": null,
        "verification_attempts_remaining": 100, "delete_self_enabled": true,
        "create_organization_enabled": true, "legal_accepted_at": null,
        "last_sign_in_at": null, "last_active_at": now, "created_at": now, "updated_at": now,
    });
    user.as_object().cloned().unwrap_or_default()
}

fn merge(user: &mut Map<String, Value>, fields: &Value) {
    for (name, value) in fields.as_object().into_iter().flatten() {
        match name.as_str() {
            "email" => set_primary(user, "email_address", "email_addresses", value),
            "phone_number" => set_primary(user, "phone_number", "phone_numbers", value),
            "web3_wallet" => set_primary(user, "web3_wallet", "web3_wallets", value),
            _ => {
                user.insert(name.clone(), value.clone());
            }
        }
    }
}

/// Gives the user one verified primary identification of this kind.
fn set_primary(user: &mut Map<String, Value>, kind: &str, list: &str, value: &Value) {
    let id = format!("idn_{}", random::letters_and_digits(27));
    let now = now();
    let mut identification = json!({
        "id": id, "object": kind, kind: value,
        "verification": {
            "object": "verification_admin", "status": "verified", "strategy": "admin",
            "attempts": null, "expire_at": null,
        },
        "created_at": now, "updated_at": now,
    });
    if kind != "web3_wallet" {
        identification["reserved"] = json!(false);
        identification["linked_to"] = json!([]);
    }
    user.insert(list.to_owned(), json!([identification]));
    user.insert(format!("primary_{kind}_id"), json!(id));
}

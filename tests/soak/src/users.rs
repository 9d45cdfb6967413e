//! What is known for sure of the users of a history, and what their rows must say.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use stack::clerk::WebhookEvent;

/// A user of Clerk, and what the functions have promised about them.
pub struct User {
    /// The Clerk id.
    pub id: String,
    /// The rows of all versions that the user ever had, oldest first.
    pub versions: Vec<Value>,
    /// Whether Clerk knows them no more.
    pub is_deleted: bool,
    /// The row is a tombstone: an answer said so, or the row itself.
    pub is_buried: bool,
    /// The row is there, and at least of this time (in ms): an answer said so, or the row itself.
    pub at_least: Option<i64>,
}

/// An event about a user.
pub struct Event {
    /// As it is delivered.
    pub webhook: WebhookEvent,
    /// Whom it is about.
    pub user: usize,
    /// The version that it tells of; none of a deletion.
    pub changed_at: Option<i64>,
    /// How far it has come.
    pub state: State,
}

/// How far an event has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    /// Not delivered yet.
    Waiting,
    /// Lost for good, before it was delivered.
    Lost,
    /// Delivered, and not answered with a 2xx.
    Tried,
    /// Answered with a 2xx.
    Accepted,
}

/// What the database says at one moment.
pub struct Sight {
    /// Rows by id.
    pub rows: BTreeMap<String, Value>,
    /// Outcomes by event id.
    pub receipts: BTreeMap<String, String>,
}

/// The columns that a tombstone may keep.
const KEPT: [&str; 6] = [
    "id",
    "created_at",
    "updated_at",
    "deleted_at",
    "synced_at",
    "synced_by",
];

impl User {
    /// When Clerk last changed the user, in ms.
    pub fn changed_at(&self) -> i64 {
        self.current()["updated_at"].as_i64().unwrap_or_default()
    }

    /// The row of the newest version.
    pub fn current(&self) -> &Value {
        &self.versions[self.versions.len() - 1]
    }

    /// Whether another version is of the same millisecond as the newest: no event tells which is
    /// newer.
    pub fn is_ambiguous(&self) -> bool {
        let alike = |version: &&Value| version["updated_at"] == self.current()["updated_at"];
        self.versions.iter().filter(alike).count() > 1
    }

    /// Learns that the row is there, and of this time at least.
    pub fn is_at_least(&mut self, changed_at: i64) {
        self.at_least = self.at_least.max(Some(changed_at));
    }

    /// Compares the row with what is known, and learns from it.
    pub fn check(&mut self, row: Option<&Value>) -> Result<()> {
        let Some(row) = row else {
            ensure!(
                !self.is_buried && self.at_least.is_none(),
                "the row of {} is lost",
                self.id
            );
            return Ok(());
        };
        if row["deleted_at"].is_null() {
            self.check_live(row)
        } else {
            self.check_tombstone(row)
        }
    }

    fn check_live(&mut self, row: &Value) -> Result<()> {
        ensure!(!self.is_buried, "a deleted user came back: {row}");
        let changed_at = row["updated_at"]
            .as_i64()
            .context("a live row has a time")?;
        ensure!(
            Some(changed_at) >= self.at_least,
            "the row went back to {changed_at}, before {:?}: {row}",
            self.at_least
        );
        ensure!(
            self.versions.iter().any(|version| is_of(row, version)),
            "the row is of no version that the user ever had: {row}"
        );
        self.is_at_least(changed_at);
        Ok(())
    }

    fn check_tombstone(&mut self, row: &Value) -> Result<()> {
        ensure!(self.is_deleted, "a live user was buried: {row}");
        for (column, value) in row.as_object().into_iter().flatten() {
            ensure!(
                value.is_null() || KEPT.contains(&column.as_str()),
                "a tombstone keeps {column}: {row}"
            );
        }
        self.is_buried = true;
        Ok(())
    }
}

impl Event {
    /// Compares the event's receipt with what was answered and with the user's row.
    pub fn check(&self, receipt: Option<&str>, user: &User) -> Result<()> {
        match (receipt, self.state) {
            (None, State::Accepted) => bail!("{} was accepted and has no receipt", self.webhook.id),
            (Some(_), State::Waiting | State::Lost) => {
                bail!("{} has a receipt and was never delivered", self.webhook.id)
            }
            (Some("rejected"), _) => bail!("{} was rejected", self.webhook.id),
            (Some(_), State::Tried | State::Accepted) => ensure!(
                user.is_buried
                    || self
                        .changed_at
                        .is_some_and(|time| user.at_least >= Some(time)),
                "{} has a receipt and was not applied",
                self.webhook.id
            ),
            (None, State::Waiting | State::Lost | State::Tried) => {}
        }
        Ok(())
    }
}

/// Whether a row is exactly of a version.
pub fn is_of(row: &Value, version: &Value) -> bool {
    let columns = version.as_object().into_iter().flatten();
    columns.into_iter().all(|(name, value)| row[name] == *value)
}

/// The row that a user of Clerk's must become, said once more than in SQL. Times are in ms.
pub fn row_of(user: &Value) -> Value {
    let text = |value: &Value| match value.as_str() {
        None | Some("") => Value::Null,
        Some(text) => json!(text),
    };
    let primary = |list: &str, id: &str| {
        let of_list = user[list].as_array().into_iter().flatten();
        of_list
            .into_iter()
            .find(|address| address["id"] == user[id])
            .cloned()
            .unwrap_or_default()
    };
    let email = primary("email_addresses", "primary_email_address_id");
    let phone = primary("phone_numbers", "primary_phone_number_id");
    let is_verified = email["verification"]["status"]
        .as_str()
        .map(|status| status == "verified");
    json!({
        "id": user["id"],
        "email": text(&email["email_address"]),
        "email_verified": is_verified,
        "phone_number": text(&phone["phone_number"]),
        "username": text(&user["username"]),
        "first_name": text(&user["first_name"]),
        "last_name": text(&user["last_name"]),
        "image_url": text(&user["image_url"]),
        "external_id": text(&user["external_id"]),
        "public_metadata": user["public_metadata"],
        "banned": user["banned"],
        "created_at": user["created_at"],
        "updated_at": user["updated_at"],
        "deleted_at": null,
    })
}

//! Makes the changes of a history in Clerk.

use std::ops::Range;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{
    database::Row,
    harness::USERS,
    history::History,
    model::{Event, EventState, User},
    steps::Change,
};

impl History<'_> {
    /// Makes a change in Clerk, and returns the numbers of its events.
    pub fn change(&mut self, change: &Change) -> Result<Range<usize>> {
        let first = self.events.len();
        let live = |history: &Self, user: usize| {
            let user = user % history.users.len();
            (!history.users[user].is_deleted).then_some(user)
        };
        match change {
            Change::SignUp => {
                if self.users.len() < 4 {
                    self.sign_up()?;
                }
            }
            Change::Rename(user) => {
                if let Some(user) = live(self, *user) {
                    self.update(user, &json!({ "first_name": new("Name") }))?;
                }
            }
            Change::RenameTwice(user) => {
                if let Some(user) = live(self, *user) {
                    self.update(user, &json!({ "first_name": new("Name") }))?;
                    self.rename_again(user)?;
                }
            }
            Change::RenameAgain(user) => {
                if let Some(user) = live(self, *user) {
                    self.rename_again(user)?;
                }
            }
            Change::AddAddress(user) => {
                if let Some(user) = live(self, *user) {
                    self.add_address(user)?;
                }
            }
            Change::HandOver { from, to } => {
                if let (Some(from), Some(to)) = (live(self, *from), live(self, *to))
                    && from != to
                {
                    let address = self.users[from].current().email().clone();
                    self.update(from, &json!({ "email": new_address() }))?;
                    self.update(to, &json!({ "email": address }))?;
                }
            }
            Change::Ban(user) => {
                if let Some(user) = live(self, *user) {
                    let is_banned = self.users[user].current().is_banned();
                    self.update(user, &json!({ "banned": !is_banned }))?;
                }
            }
            Change::Delete(user) => {
                if let Some(user) = live(self, *user) {
                    self.users[user].is_deleted = true;
                    self.harness.stack.clerk.delete(&self.users[user].id)?;
                    self.add_event(user, None)?;
                }
            }
        }
        Ok(first..self.events.len())
    }

    fn sign_up(&mut self) -> Result<()> {
        let clerk = &self.harness.stack.clerk;
        // A value in every column, so that a tombstone shows what was not erased.
        let id = clerk.sign_up(&json!({
            "email": new_address(),
            "phone_number": "+15555550100",
            "username": new("name"),
            "first_name": new("Name"),
            "last_name": "Lovelace",
            "external_id": new("legacy"),
            "public_metadata": { "plan": "pro" },
        }));
        self.harness.count(USERS);
        let versions = clerk.history(&id).iter().map(Row::expected).collect();
        self.users.push(User {
            id,
            versions,
            is_deleted: false,
            has_tombstone: false,
            at_least: None,
            is_row_lost: false,
        });
        let user = self.users.len() - 1;
        self.add_event(user, Some(self.users[user].changed_at()))
    }

    fn update(&mut self, user: usize, changes: &Value) -> Result<()> {
        let version = self
            .harness
            .stack
            .clerk
            .update(&self.users[user].id, changes)?;
        self.users[user].versions.push(Row::expected(&version));
        self.add_event(user, version["updated_at"].as_i64())
    }

    fn rename_again(&mut self, user: usize) -> Result<()> {
        let same = self.users[user].changed_at();
        let again = json!({ "first_name": new("Name"), "updated_at": same });
        self.update(user, &again)
    }

    fn add_address(&mut self, user: usize) -> Result<()> {
        let history = self.harness.stack.clerk.history(&self.users[user].id);
        let current = history.last().context("a user has no version")?;
        let mut addresses = current["email_addresses"].clone();
        let id = new("idn");
        let address = json!({
            "id": id, "object": "email_address", "email_address": new_address(),
            "reserved": false, "linked_to": [], "verification": null,
            "created_at": current["created_at"], "updated_at": current["created_at"],
        });
        let list = addresses
            .as_array_mut()
            .context("the addresses are not a list")?;
        list.push(address);
        self.update(
            user,
            &json!({ "email_addresses": addresses, "primary_email_address_id": id }),
        )
    }

    fn add_event(&mut self, user: usize, changed_at: Option<i64>) -> Result<()> {
        let webhook = self
            .harness
            .stack
            .clerk
            .last_event_of(&self.users[user].id)?;
        self.events.push(Event {
            webhook,
            user,
            changed_at,
            state: EventState::Waiting,
        });
        Ok(())
    }
}

fn new_address() -> String {
    format!("{}@example.com", new("mail"))
}

/// A text that is unique in this run.
fn new(kind: &str) -> String {
    format!("{kind}-{:016x}", fastrand::u64(..))
}

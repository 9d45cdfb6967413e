//! The model: what is known for sure about the users of a history, and what the database must
//! therefore have.

use anyhow::{Context, Result, bail, ensure};
use stack::clerk::WebhookEvent;

use crate::database::Row;

/// A user in Clerk, and what the functions have promised about them.
pub struct User {
    /// The Clerk id.
    pub id: String,
    /// The expected row for each version of the user, oldest first.
    pub versions: Vec<Row>,
    /// The user is deleted in Clerk.
    pub is_deleted: bool,
    /// The row is a tombstone: an answer said so, or a snapshot.
    pub has_tombstone: bool,
    /// There is a row, not older than this (in ms): an answer said so, or a snapshot.
    pub at_least: Option<i64>,
}

/// An event about a user.
pub struct Event {
    /// The event as it is delivered.
    pub webhook: WebhookEvent,
    /// The user, by number.
    pub user: usize,
    /// The `updated_at` of the version in the event. None for a deletion.
    pub changed_at: Option<i64>,
    /// What has happened to the event.
    pub state: EventState,
}

/// What has happened to an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EventState {
    /// Not delivered yet.
    Waiting,
    /// Never to be delivered.
    Lost,
    /// Delivered, but not answered with a 2xx.
    Tried,
    /// Answered with a 2xx.
    Accepted,
}

impl User {
    /// When Clerk last changed the user, in ms.
    pub fn changed_at(&self) -> i64 {
        self.current().updated_at().unwrap_or_default()
    }

    /// The expected row for the newest version.
    pub fn current(&self) -> &Row {
        &self.versions[self.versions.len() - 1]
    }

    /// Whether another version has the same millisecond as the newest. Then no event says which of
    /// them is newer.
    pub fn is_ambiguous(&self) -> bool {
        let newest = self.current().updated_at();
        let is_equal = |version: &&Row| version.updated_at() == newest;
        self.versions.iter().filter(is_equal).count() > 1
    }

    /// Records that there is a row, not older than this.
    pub fn is_at_least(&mut self, changed_at: i64) {
        self.at_least = self.at_least.max(Some(changed_at));
    }

    /// Compares the row with what is known, and records what it adds to that.
    pub fn check(&mut self, row: Option<&Row>) -> Result<()> {
        let Some(row) = row else {
            ensure!(
                !self.has_tombstone && self.at_least.is_none(),
                "the row of {} is lost",
                self.id
            );
            return Ok(());
        };
        if row.is_tombstone() {
            self.check_tombstone(row)
        } else {
            self.check_live(row)
        }
    }

    fn check_live(&mut self, row: &Row) -> Result<()> {
        ensure!(!self.has_tombstone, "a deleted user came back: {row}");
        let changed_at = row.updated_at().context("a live row has no updated_at")?;
        ensure!(
            Some(changed_at) >= self.at_least,
            "the row went back to {changed_at}, before {:?}: {row}",
            self.at_least
        );
        ensure!(
            self.versions.iter().any(|version| row.matches(version)),
            "the row matches no version of the user: {row}"
        );
        self.is_at_least(changed_at);
        Ok(())
    }

    fn check_tombstone(&mut self, row: &Row) -> Result<()> {
        ensure!(self.is_deleted, "a live user has a tombstone: {row}");
        if let Some(column) = row.personal_column() {
            bail!("a tombstone keeps {column}: {row}");
        }
        self.has_tombstone = true;
        Ok(())
    }
}

impl Event {
    /// Compares the event's receipt with the answers and with the user's row.
    pub fn check(&self, receipt: Option<&str>, user: &User) -> Result<()> {
        match (receipt, self.state) {
            (None, EventState::Accepted) => {
                bail!("{} was accepted and has no receipt", self.webhook.id)
            }
            (Some(_), EventState::Waiting | EventState::Lost) => {
                bail!("{} has a receipt and was never delivered", self.webhook.id)
            }
            (Some("rejected"), _) => bail!("{} was rejected", self.webhook.id),
            (Some(_), EventState::Tried | EventState::Accepted) => ensure!(
                user.has_tombstone
                    || self
                        .changed_at
                        .is_some_and(|time| user.at_least >= Some(time)),
                "{} has a receipt and was not applied",
                self.webhook.id
            ),
            (None, EventState::Waiting | EventState::Lost | EventState::Tried) => {}
        }
        Ok(())
    }
}

//! The model: what is known for sure about the users of a history, and what the database must
//! therefore have.

use anyhow::{Context, Result, bail, ensure};
use stack::clerk::WebhookEvent;

use crate::database::{Row, State};

/// A user in Clerk, and what the functions have promised about them.
pub struct User {
    /// The Clerk id.
    pub id: String,
    /// The expected row for each version of the user, oldest first.
    pub versions: Vec<Row>,
    /// The user is deleted in Clerk.
    pub is_deleted: bool,
    /// There is a tombstone: an answer said so, or a snapshot.
    pub has_tombstone: bool,
    /// There is a row, not older than this (in ms): an answer said so, or a snapshot.
    pub at_least: Option<i64>,
    /// The row was taken out of the app's table, and nothing has put it back.
    pub is_row_lost: bool,
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

    /// Compares the row and the state with what is known, and records what they add to that.
    pub fn check(&mut self, row: Option<&Row>, state: Option<&State>) -> Result<()> {
        let Some(state) = state else {
            ensure!(
                !self.has_tombstone && self.at_least.is_none() && row.is_none(),
                "the state of {} is lost",
                self.id
            );
            return Ok(());
        };
        if state.is_deleted {
            ensure!(self.is_deleted, "a live user has a tombstone: {}", self.id);
            self.has_tombstone = true;
            return row.map_or(Ok(()), Self::check_erased);
        }
        ensure!(!self.has_tombstone, "a deleted user came back: {}", self.id);
        let changed_at = state.updated_at.context("a state has no version")?;
        ensure!(
            Some(changed_at) >= self.at_least,
            "the row went back to {changed_at}, before {:?}: {}",
            self.at_least,
            self.id
        );
        self.is_at_least(changed_at);
        match row {
            None => ensure!(self.is_row_lost, "the row of {} is lost", self.id),
            Some(row) => self.check_live(row, changed_at)?,
        }
        Ok(())
    }

    fn check_live(&mut self, row: &Row, changed_at: i64) -> Result<()> {
        ensure!(
            self.versions.iter().any(|version| row.matches(version)),
            "the row matches no version of the user: {row}"
        );
        ensure!(
            row.updated_at() == Some(changed_at),
            "the state says {changed_at}, and the row is another version: {row}"
        );
        self.is_row_lost = false;
        Ok(())
    }

    fn check_erased(row: &Row) -> Result<()> {
        if let Some(column) = row.personal_column() {
            bail!("a tombstone keeps {column}: {row}");
        }
        ensure!(
            row.is_tombstone(),
            "the row of a deleted user is not marked: {row}"
        );
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

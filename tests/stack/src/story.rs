//! The main story of this project, run on a stack. Each step checks the row in the database, not
//! only the answer.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::{Stack, clerk::Delivery, random};

/// Runs the story, and calls `report` with a sentence after each step. Automatic webhooks are off
/// from then on: the story delivers events by hand.
pub async fn play(stack: &Stack, mut report: impl FnMut(&str)) -> Result<()> {
    stack.clerk.set_delivery(Delivery::Drop);
    let email = format!(
        "ada-{}@example.com",
        random::letters_and_digits(8).to_lowercase()
    );
    let id = stack
        .clerk
        .sign_up(&json!({ "email": email, "first_name": "Ada" }));
    let ada = Visitor {
        stack,
        id: &id,
        email: &email,
    };

    ensure!(
        stack.find_row(ada.id).await?.is_none(),
        "there is already a row"
    );
    report("A user signs up in Clerk while webhooks are down. The table has no row: an orphan.");
    ada.heals_on_a_page_load().await?;
    report("They load a page: `created`. The row has the primary e-mail, and the log says so.");
    ada.needs_one_call_when_synced().await?;
    report("They load another page: `present`. One database call, no Clerk call, no write.");
    ada.takes_a_late_webhook_once().await?;
    report("The webhook arrives late: `unchanged`. Delivered again: `duplicate`.");
    ada.heals_a_lost_update().await?;
    report("They change their name and the webhook is lost. A page load answers `refreshed`.");
    ada.keeps_the_newer_of_two_updates().await?;
    report("Two updates arrive in the wrong order: the row keeps the newer one (`stale`).");
    ada.stays_deleted().await?;
    report(
        "They are deleted. A late update and a valid session token do not bring them back: 410.",
    );
    ada.leaves_the_address_to_another_user().await?;
    report("A new user signs up with the same e-mail address: `created`, no error.");
    Ok(())
}

struct Visitor<'a> {
    stack: &'a Stack,
    id: &'a str,
    email: &'a str,
}

impl Visitor<'_> {
    async fn heals_on_a_page_load(&self) -> Result<()> {
        self.loads_a_page(&json!({}), "created").await?;
        self.row_says("email", self.email).await?;
        let log = self.stack.functions.log();
        let id = self.id;
        log.wait_for(&format!(
            "[UserSync] User {id}... missing from database. Syncing..."
        ))?;
        let email = self.email;
        log.wait_for(&format!(
            "[UserSync] ✓ User {id}... synced successfully ({email})"
        ))
    }

    async fn needs_one_call_when_synced(&self) -> Result<()> {
        let row = self.stack.row(self.id).await?;
        let (database_calls, clerk_calls) = self.stack.calls_about(self.id);
        self.loads_a_page(&json!({}), "present").await?;
        let calls = self.stack.calls_about(self.id);
        ensure!(
            calls == (database_calls + 1, clerk_calls),
            "it took {calls:?} calls"
        );
        ensure!(self.stack.row(self.id).await? == row, "it wrote the row");
        Ok(())
    }

    async fn takes_a_late_webhook_once(&self) -> Result<()> {
        let created = self.stack.clerk.last_event_of(self.id)?;
        self.stack
            .deliver(&created)
            .await?
            .expect(200, "outcome", "unchanged")?;
        self.stack
            .deliver(&created)
            .await?
            .expect(200, "outcome", "duplicate")?;
        self.row_says("email", self.email).await
    }

    async fn heals_a_lost_update(&self) -> Result<()> {
        let user = self.changes("first_name", "Augusta")?;
        let claims = json!({ "updated_at": user["updated_at"] });
        self.loads_a_page(&claims, "refreshed").await?;
        self.row_says("first_name", "Augusta").await?;

        self.changes("first_name", "Ada Augusta")?;
        self.loads_a_page(&json!({}), "present").await?;
        self.stack.age_row(self.id).await?;
        self.loads_a_page(&json!({}), "refreshed").await?;
        self.row_says("first_name", "Ada Augusta").await
    }

    async fn keeps_the_newer_of_two_updates(&self) -> Result<()> {
        self.changes("last_name", "Byron")?;
        let older = self.stack.clerk.last_event_of(self.id)?;
        self.changes("last_name", "Lovelace")?;
        let newer = self.stack.clerk.last_event_of(self.id)?;
        self.stack
            .deliver(&newer)
            .await?
            .expect(200, "outcome", "updated")?;
        self.stack
            .deliver(&older)
            .await?
            .expect(200, "outcome", "stale")?;
        self.row_says("last_name", "Lovelace").await
    }

    async fn stays_deleted(&self) -> Result<()> {
        self.changes("first_name", "Ghost")?;
        let late = self.stack.clerk.last_event_of(self.id)?;
        self.stack.clerk.delete(self.id)?;
        let deleted = self.stack.clerk.last_event_of(self.id)?;
        self.stack
            .deliver(&deleted)
            .await?
            .expect(200, "outcome", "deleted")?;
        self.stack
            .deliver(&late)
            .await?
            .expect(200, "outcome", "deleted")?;
        let answer = self.stack.load_page(self.id, &json!({})).await?;
        answer.expect(410, "code", "user_deleted")?;

        let row = self.stack.row(self.id).await?;
        ensure!(
            row["deleted_at"].is_string(),
            "the row is not a tombstone: {row}"
        );
        for column in [
            "email",
            "first_name",
            "last_name",
            "image_url",
            "public_metadata",
        ] {
            ensure!(
                row[column].is_null(),
                "the tombstone still has {column}: {row}"
            );
        }
        Ok(())
    }

    async fn leaves_the_address_to_another_user(&self) -> Result<()> {
        let id = self.stack.clerk.sign_up(&json!({ "email": self.email }));
        let other = Visitor { id: &id, ..*self };
        let created = self.stack.clerk.last_event_of(other.id)?;
        self.stack
            .deliver(&created)
            .await?
            .expect(200, "outcome", "created")?;
        other.row_says("email", self.email).await
    }

    fn changes(&self, field: &str, value: &str) -> Result<Value> {
        self.stack.clerk.update(self.id, &json!({ field: value }))
    }

    async fn loads_a_page(&self, claims: &Value, status: &str) -> Result<()> {
        let answer = self.stack.load_page(self.id, claims).await?;
        answer.expect(200, "status", status)?;
        answer.expect(200, "userId", self.id)
    }

    async fn row_says(&self, column: &str, value: &str) -> Result<()> {
        let row = self.stack.row(self.id).await?;
        ensure!(
            row[column] == value,
            "the row's {column} is {}, not {value:?}",
            row[column]
        );
        Ok(())
    }
}

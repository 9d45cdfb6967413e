//! Webhooks as Clerk's sender delivers them, with its retries.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use stack::{
    Stack, SupabaseFault,
    clerk::{Delivery, Order},
};

pub async fn webhooks_are_the_usual_source(stack: Stack) -> Result<()> {
    let id = &stack.clerk.sign_up(&json!({ "email": "ada@example.com" }));
    stack.clerk.deliveries_done().await?;
    let state = stack.state(id).await?.context("there is no state")?;
    ensure!(state["confirmed_by"] == "webhook", "{state}");
    let answer = stack.load_page(id, &json!({})).await?;
    answer.expect(200, "status", "present")?;

    stack.clerk.set_delivery(Delivery::Repeat);
    stack.clerk.update(id, &json!({ "first_name": "Ada" }))?;
    stack.clerk.deliveries_done().await?;
    ensure!(stack.row(id).await?["first_name"] == "Ada");
    let twice = stack.clerk.last_event_of(id)?;
    ensure!(stack.clerk.attempts(&twice.id) == [200, 200]);

    stack.clerk.delete(id)?;
    stack.clerk.deliveries_done().await?;
    ensure!(stack.row(id).await?["deleted_at"].is_string());
    let outcomes: Vec<_> = stack
        .ledger()
        .await?
        .iter()
        .map(|entry| entry["outcome"].clone())
        .collect();
    ensure!(
        outcomes == ["created", "updated", "deleted"],
        "{outcomes:?}"
    );
    Ok(())
}

pub async fn late_and_reordered_events_end_with_the_state_in_clerk(stack: Stack) -> Result<()> {
    stack.clerk.set_delivery(Delivery::Hold);
    let ada = json!({ "email": "ada@example.com" });
    let [kept, deleted] = [(); 2].map(|()| stack.clerk.sign_up(&ada));
    for name in ["first", "second", "third"] {
        stack.clerk.update(&kept, &json!({ "first_name": name }))?;
        stack
            .clerk
            .update(&deleted, &json!({ "first_name": name }))?;
    }
    stack.clerk.delete(&deleted)?;
    stack.clerk.release(Order::Newest);
    stack.clerk.deliveries_done().await?;
    ensure!(stack.row(&kept).await?["first_name"] == "third");
    // Of a user who was deleted before anybody told of them, only the state knows.
    let state = stack.state(&deleted).await?.context("there is no state")?;
    ensure!(state["deleted_at"].is_string(), "{state}");
    ensure!(stack.find_row(&deleted).await?.is_none());
    Ok(())
}

pub async fn a_failing_webhook_is_delivered_again_until_it_succeeds(stack: Stack) -> Result<()> {
    stack.supabase.faults().plan(
        "",
        SupabaseFault::Status(http::StatusCode::BAD_GATEWAY),
        None,
    );
    let id = &stack.clerk.sign_up(&json!({ "email": "ada@example.com" }));
    let event = stack.clerk.last_event_of(id)?;
    stack.clerk.attempted(&event.id).await?;
    ensure!(stack.find_row(id).await?.is_none());
    stack.supabase.faults().end("");
    stack.clerk.deliveries_done().await?;
    let attempts = stack.clerk.attempts(&event.id);
    let (last, failed) = attempts.split_last().context("it was never delivered")?;
    ensure!(
        *last == 200 && failed.iter().all(|status| *status == 503),
        "{attempts:?}"
    );
    ensure!(!failed.is_empty() && attempts.len() < 8, "{attempts:?}");
    ensure!(stack.row(id).await?["email"] == "ada@example.com");
    Ok(())
}

//! The rules of the database contract.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stack::{Log, Postgres};
use tokio_postgres::error::SqlState;

use crate::{T, database::Database, deletion, profiles, user};

#[tokio::test]
async fn a_user_becomes_a_row_without_private_fields() {
    let database = Database::start().await;
    assert_eq!(
        database.page_load(&user("user_1", T + 7, "Ada")).await,
        "created"
    );
    assert_eq!(
        database.row("user_1").await.unwrap(),
        json!({
            "id": "user_1",
            "email": "user_1@example.com",
            "email_verified": true,
            "phone_number": null,
            "username": null,
            "first_name": "Ada",
            "last_name": null,
            "image_url": "https://img.example.com/a.png",
            "external_id": null,
            "public_metadata": { "plan": "pro" },
            "banned": false,
            "created_at": "2025-11-13T02:13:20.123+00:00",
            "updated_at": "2025-11-13T02:15:00.007+00:00",
            "deleted_at": null,
        })
    );
    assert_eq!(database.confirmation("user_1").await.source, "page_load");
}

#[tokio::test]
async fn an_older_change_loses_and_an_equal_one_applies() {
    let database = Database::start().await;
    assert_eq!(
        database.page_load(&user("user_1", T, "first")).await,
        "created"
    );
    for (time, name, outcome, expected) in [
        (T - 1, "older", "stale", "first"),
        (T, "same millisecond", "updated", "same millisecond"),
        (T, "same millisecond", "unchanged", "same millisecond"),
        (T + 1, "newer", "updated", "newer"),
        (T, "same millisecond", "stale", "newer"),
    ] {
        assert_eq!(
            database.page_load(&user("user_1", time, name)).await,
            outcome,
            "{name}"
        );
        assert_eq!(
            database.row("user_1").await.unwrap()["first_name"],
            expected
        );
    }
}

#[tokio::test]
async fn two_versions_of_one_millisecond_are_in_doubt_until_a_page_load_changes_nothing() {
    let database = Database::start().await;
    let [one, other] = ["one", "other"].map(|name| user("user_1", T, name));
    assert_eq!(database.event("msg_1", &one).await, "created");
    assert_eq!(database.status("user_1", None, None).await, "present");
    assert_eq!(database.event("msg_2", &other).await, "updated");
    assert_eq!(database.status("user_1", None, None).await, "in_doubt");
    assert_eq!(database.event("msg_3", &other).await, "unchanged");
    assert_eq!(database.status("user_1", None, None).await, "in_doubt");
    assert_eq!(database.page_load(&one).await, "updated");
    // Each version came last once: from now on the user is in doubt.
    assert_eq!(database.status("user_1", None, None).await, "in_doubt");
    assert_eq!(database.page_load(&one).await, "unchanged");
    assert_eq!(database.status("user_1", None, None).await, "present");
    assert_eq!(database.event("msg_4", &one).await, "unchanged");
    assert_eq!(database.status("user_1", None, None).await, "present");

    database.event("msg_5", &other).await;
    let newer = user("user_1", T + 1, "newer");
    assert_eq!(database.event("msg_6", &newer).await, "updated");
    assert_eq!(database.status("user_1", None, None).await, "present");
}

#[tokio::test]
async fn only_who_read_clerk_after_a_doubt_arose_ends_it() {
    let database = Database::start().await;
    let [one, other] = ["one", "other"].map(|name| user("user_1", T, name));
    database.event("msg_1", &one).await;
    // Two page loads read the first version, and then comes the second one of that millisecond.
    let before = database.looked_at().await;
    assert_eq!(database.event("msg_2", &other).await, "updated");
    assert_eq!(database.page_load_since(&before, &one).await, "updated");
    assert_eq!(database.page_load_since(&before, &one).await, "unchanged");
    assert_eq!(database.status("user_1", None, None).await, "in_doubt");
    let confirmation = database.confirmation("user_1").await;
    // Nor does a source end it that does not say when it read.
    database.reconcile(&one).await;
    assert_eq!(database.status("user_1", None, None).await, "in_doubt");
    assert_eq!(database.confirmation("user_1").await, confirmation);

    assert_eq!(database.page_load(&other).await, "updated");
    assert_eq!(database.page_load(&other).await, "unchanged");
    assert_eq!(database.status("user_1", None, None).await, "present");
    assert!(database.confirmation("user_1").await.at > confirmation.at);
}

#[tokio::test]
async fn a_row_that_is_gone_is_missing_and_comes_back() {
    let database = Database::start().await;
    let first = user("user_1", T, "Ada");
    database.event("msg_1", &first).await;
    database.lose_row("user_1").await;
    assert_eq!(database.status("user_1", None, None).await, "missing");
    // An older version does not make it again: the state knows a newer one.
    let older = user("user_1", T - 1, "older");
    assert_eq!(database.event("msg_2", &older).await, "stale");
    assert_eq!(database.row("user_1").await, None);
    let newer = user("user_1", T + 1, "newer");
    assert_eq!(database.page_load(&newer).await, "created");
    assert_eq!(database.status("user_1", None, None).await, "present");

    database.event("msg_3", &deletion("user_1")).await;
    database.lose_row("user_1").await;
    assert_eq!(database.status("user_1", None, None).await, "deleted");
    assert_eq!(database.page_load(&newer).await, "deleted");
    assert_eq!(database.row("user_1").await, None);
}

#[tokio::test]
async fn an_equal_version_that_makes_a_row_again_puts_the_user_in_doubt() {
    let database = Database::start().await;
    let [one, other] = ["one", "other"].map(|name| user("user_1", T, name));
    database.event("msg_1", &one).await;
    database.event("msg_2", &other).await;
    database.page_load(&other).await;
    assert_eq!(database.status("user_1", None, None).await, "present");
    database.lose_row("user_1").await;
    // The event of the other version, sent again by hand.
    assert_eq!(database.event("msg_3", &one).await, "created");
    assert_eq!(database.status("user_1", None, None).await, "in_doubt");
    assert_eq!(database.page_load(&other).await, "updated");
    assert_eq!(database.page_load(&other).await, "unchanged");
    assert_eq!(database.status("user_1", None, None).await, "present");
}

#[tokio::test]
async fn a_row_that_was_there_before_is_adopted() {
    let database = Database::start().await;
    let sql = "insert into public.users (id, email) values ('user_1', 'old@example.com'),
        ('user_2', 'user_2@example.com')";
    database.run_as_owner(sql).await;
    assert_eq!(database.status("user_1", None, None).await, "in_doubt");
    assert_eq!(
        database.page_load(&user("user_1", T, "Ada")).await,
        "updated"
    );
    assert_eq!(database.status("user_1", None, None).await, "present");
    let row = database.row("user_1").await.unwrap();
    assert_eq!(row["email"], "user_1@example.com");
    // Deleted before any other source told of the user: the row is erased, and not removed.
    database.event("msg_1", &deletion("user_2")).await;
    assert_eq!(database.row("user_2").await.unwrap()["email"], Value::Null);
    assert_eq!(database.status("user_2", None, None).await, "deleted");
}

#[tokio::test]
async fn an_event_that_changes_an_adopted_row_puts_the_user_in_doubt() {
    let database = Database::start().await;
    let sql = "insert into public.users (id, email) values ('user_1', 'newer@example.com')";
    database.run_as_owner(sql).await;
    // It may be a late one: nobody knows the version of a row that was there before.
    assert_eq!(
        database.event("msg_1", &user("user_1", T, "Ada")).await,
        "updated"
    );
    assert_eq!(database.status("user_1", None, None).await, "in_doubt");
}

#[tokio::test]
async fn a_restored_row_of_a_deleted_user_is_erased_by_the_next_deletion() {
    let database = Database::start().await;
    database.page_load(&user("user_1", T, "Ada")).await;
    database.event("msg_1", &deletion("user_1")).await;
    let restored = "update public.users set email = 'ada@example.com', deleted_at = null";
    database.run_as_owner(restored).await;
    database.event("msg_2", &deletion("user_1")).await;
    let row = database.row("user_1").await.unwrap();
    assert_eq!(row["email"], Value::Null);
    assert_eq!(row["deleted_at"], "2025-11-13T02:29:59+00:00");
}

#[tokio::test]
async fn only_a_webhook_or_a_change_is_in_the_ledger() {
    let database = Database::start().await;
    let first = user("user_1", T, "Ada");
    database.page_load(&first).await;
    let before = database.confirmation("user_1").await;
    assert_eq!(database.page_load(&first).await, "unchanged");
    database.reconcile(&first).await;
    assert!(database.confirmation("user_1").await.at > before.at);
    assert_eq!(
        database.page_load(&user("user_1", T - 1, "older")).await,
        "stale"
    );
    assert_eq!(database.ledger("user_1").await, ["created"]);
    database.event("msg_1", &first).await;
    database
        .event("msg_2", &user("user_1", T - 1, "older"))
        .await;
    assert_eq!(
        database.ledger("user_1").await,
        ["created", "unchanged", "stale"]
    );
    database.event("msg_3", &deletion("user_1")).await;
    assert_eq!(database.page_load(&first).await, "deleted");
    assert_eq!(database.ledger("user_1").await.len(), 4);
}

#[tokio::test]
async fn a_change_to_any_column_is_an_update_and_no_change_only_confirms() {
    let database = Database::start().await;
    let first = user("user_1", T, "Ada");
    database.page_load(&first).await;
    let row = database.row("user_1").await;
    let before = database.confirmation("user_1").await;
    assert_eq!(database.event("msg_1", &first).await, "unchanged");
    assert_eq!(database.row("user_1").await, row);
    let after = database.confirmation("user_1").await;
    assert!(after.at > before.at);
    assert_eq!(after.source, "webhook");

    for (field, value) in [
        ("primary_email_address_id", json!("idn_1")),
        ("username", json!("ada")),
        ("last_name", json!("Lovelace")),
        ("image_url", json!(null)),
        ("external_id", json!("42")),
        ("public_metadata", json!({})),
        ("banned", json!(true)),
        ("created_at", json!(1)),
    ] {
        let mut changed = first.clone();
        changed[field] = value;
        assert_eq!(database.page_load(&changed).await, "updated", "{field}");
        assert_eq!(
            database.page_load(&first).await,
            "updated",
            "{field} and back"
        );
    }
}

#[tokio::test]
async fn a_deletion_is_final_in_every_order() {
    let database = Database::start().await;
    let (mut seen, never_seen) = (user("user_1", T, "Ada"), user("user_2", T + 900, "Late"));
    for (field, value) in [
        ("primary_phone_number_id", json!("idn_3")),
        (
            "phone_numbers",
            json!([{ "id": "idn_3", "phone_number": "+15555550100" }]),
        ),
        ("username", json!("ada")),
        ("last_name", json!("Lovelace")),
        ("external_id", json!("legacy-1")),
    ] {
        seen[field] = value;
    }
    database.page_load(&seen).await;
    let row = database.row("user_1").await.unwrap();
    for (column, value) in row.as_object().unwrap() {
        let is_empty = value.is_null() && column != "deleted_at";
        assert!(!is_empty, "nothing is there to erase in {column}");
    }
    assert_eq!(
        database.event("msg_1", &deletion("user_1")).await,
        "deleted"
    );
    assert_eq!(
        database.event("msg_2", &deletion("user_2")).await,
        "deleted"
    );
    for (id, revival) in [
        ("user_1", user("user_1", T + 5_000_000, "Ghost")),
        ("user_2", never_seen),
    ] {
        assert_eq!(
            database.event(&format!("late {id}"), &revival).await,
            "deleted"
        );
        assert_eq!(database.page_load(&revival).await, "deleted");
        assert_eq!(
            database.event(&format!("again {id}"), &deletion(id)).await,
            "deleted"
        );
        assert_eq!(
            database.status(id, Some(T + 9_000_000), Some(0)).await,
            "deleted"
        );
    }
    let row = database.row("user_1").await.unwrap();
    assert_eq!(row["deleted_at"], "2025-11-13T02:29:59+00:00");
    for (column, value) in row.as_object().unwrap() {
        let is_kept = ["id", "created_at", "updated_at", "deleted_at"];
        let is_kept = is_kept.contains(&column.as_str());
        assert!(is_kept || value.is_null(), "{column} is not erased");
    }
    // The tombstone of a user who was never seen is in the state only.
    assert_eq!(database.row("user_2").await, None);
}

#[tokio::test]
async fn an_event_is_applied_once_and_a_rejected_one_can_be_replayed() {
    let database = Database::start().await;
    let first = user("user_1", T, "Ada");
    assert_eq!(database.event("msg_1", &first).await, "created");
    assert_eq!(
        database
            .event("msg_1", &user("user_1", T + 1, "replay"))
            .await,
        "duplicate"
    );
    assert_eq!(database.row("user_1").await.unwrap()["first_name"], "Ada");

    for id in ["msg_1", "msg_2", "msg_2"] {
        database.reject(id, "user_1").await;
    }
    assert_eq!(database.ledger("user_1").await, ["created", "rejected"]);
    assert_eq!(
        database
            .event("msg_2", &user("user_1", T + 1, "fixed"))
            .await,
        "updated"
    );
    assert_eq!(
        database
            .event("msg_2", &user("user_1", T + 2, "again"))
            .await,
        "duplicate"
    );
    assert_eq!(database.ledger("user_1").await, ["created", "updated"]);
}

#[tokio::test]
async fn a_failed_write_leaves_no_receipt() {
    let database = Database::start().await;
    let mut no_time = user("user_1", T, "Ada");
    no_time["updated_at"] = Value::Null;
    let mut far = user("user_1", T, "Ada");
    far["updated_at"] = json!(i64::MAX);
    let mut word = user("user_1", T, "Ada");
    word["updated_at"] = json!("yesterday");
    let mut no_list = user("user_1", T, "Ada");
    no_list["email_addresses"] = json!("ada@example.com");
    let mut nul = user("user_1", T, "Ada");
    nul["first_name"] = json!("a\u{0}b");
    let no_id = json!({ "updated_at": T });
    for unusable in [no_time, far, word, no_list, nul, no_id] {
        let failed = database.apply(&unusable, Some("msg_1")).await;
        let code = failed.unwrap_err().code().unwrap().code().to_owned();
        assert!(code.starts_with("22"), "{code}");
    }
    assert_eq!(database.row("user_1").await, None);
    assert_eq!(database.ledger("user_1").await, Vec::<String>::new());
    assert_eq!(
        database.event("msg_1", &user("user_1", T, "Ada")).await,
        "created"
    );
}

#[tokio::test]
async fn the_status_says_what_a_page_load_must_do_and_writes_nothing() {
    let database = Database::start().await;
    assert_eq!(database.status("user_1", None, None).await, "missing");
    database.page_load(&user("user_1", T, "Ada")).await;
    let before = (
        database.row("user_1").await,
        database.confirmation("user_1").await,
    );
    for (changed_at, max_age, status) in [
        (None, None, "present"),
        (Some(T), Some(60), "present"),
        (Some(T - 1), Some(60), "present"),
        (Some(T + 1), Some(60), "in_doubt"),
        (None, Some(0), "in_doubt"),
    ] {
        let actual = database.status("user_1", changed_at, max_age).await;
        assert_eq!(actual, status, "{changed_at:?} {max_age:?}");
    }
    let after = (
        database.row("user_1").await,
        database.confirmation("user_1").await,
    );
    assert_eq!(after, before);
    assert_eq!(database.ledger("user_1").await, ["created"]);

    let other = user("user_1", T, "same millisecond");
    assert_eq!(database.page_load(&other).await, "updated");
    assert_eq!(database.status("user_1", None, None).await, "in_doubt");
}

#[tokio::test]
async fn a_write_gives_up_when_somebody_holds_the_user_for_two_seconds() {
    let database = Database::start().await;
    let first = user("user_1", T, "Ada");
    database.page_load(&first).await;
    let client = database.postgres.connect().await.unwrap();
    let hold = "begin; select from user_sync.users for update";
    client.batch_execute(hold).await.unwrap();
    let start = Instant::now();
    let error = database.apply(&first, Some("msg_1")).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::LOCK_NOT_AVAILABLE));
    assert!(start.elapsed() >= Duration::from_secs(2));
    // A look does not wait.
    assert_eq!(database.status("user_1", None, None).await, "present");
    client.batch_execute("rollback").await.unwrap();
    assert_eq!(database.event("msg_1", &first).await, "unchanged");
}

#[tokio::test]
async fn two_users_can_share_an_email_address() {
    let database = Database::start().await;
    for id in ["user_1", "user_2"] {
        let mut namesake = user(id, T, "Ada");
        namesake["email_addresses"][1]["email_address"] = json!("shared@example.com");
        assert_eq!(database.page_load(&namesake).await, "created");
    }
    assert_eq!(
        database.row("user_1").await.unwrap()["email"],
        "shared@example.com"
    );
    assert_eq!(
        database.row("user_2").await.unwrap()["email"],
        "shared@example.com"
    );
}

#[tokio::test]
async fn many_writes_at_once_create_one_row_and_one_receipt() {
    let database = Database::start().await;
    for (event_id, id, others) in [
        (Some("msg_1"), "user_1", "duplicate"),
        (None, "user_2", "unchanged"),
    ] {
        let write = (user(id, T, "Ada"), event_id.map(str::to_owned));
        let outcomes = database.write_at_once(vec![write; 64]).await;
        let count = |wanted: &str| outcomes.iter().filter(|outcome| *outcome == wanted).count();
        assert_eq!((count("created"), count(others)), (1, 63), "{outcomes:?}");
    }
    assert_eq!(database.ledger("user_1").await, ["created"]);
}

#[tokio::test]
async fn the_newest_of_many_versions_written_at_once_stays() {
    let database = Database::start().await;
    for round in 0..20 {
        let id = format!("user_{round}");
        let version = |n| (user(&id, T + n, &format!("version {n}")), None);
        database.write_at_once((0..32).map(version).collect()).await;
        let row = database.row(&id).await.unwrap();
        assert_eq!(row["first_name"], "version 31", "round {round}");
    }
}

#[tokio::test]
async fn a_deletion_at_the_same_time_as_other_writes_is_final() {
    let database = Database::start().await;
    for round in 0..20 {
        let id = format!("user_{round}");
        let version = |n| (user(&id, T + n, "Ghost"), None);
        let mut writes: Vec<_> = (0..16).map(version).collect();
        writes.insert(8, (deletion(&id), Some(format!("msg_{round}"))));
        database.write_at_once(writes).await;
        let status = database.status(&id, None, None).await;
        assert_eq!(status, "deleted", "round {round}");
        // If the deletion came first, there is no row.
        if let Some(row) = database.row(&id).await {
            assert!(row["deleted_at"].is_string(), "round {round}: {row}");
            assert_eq!(row["first_name"], Value::Null, "round {round}");
        }
    }
}

#[tokio::test]
async fn the_migrations_run_twice_and_keep_the_data() {
    let database = Database::start().await;
    database.page_load(&user("user_1", T, "Ada")).await;
    let before = (
        database.row("user_1").await,
        database.confirmation("user_1").await,
    );
    database.postgres.migrate().await.unwrap();
    let after = (
        database.row("user_1").await,
        database.confirmation("user_1").await,
    );
    assert_eq!(after, before);
    assert_eq!(
        database.page_load(&user("user_1", T, "Ada")).await,
        "unchanged"
    );
}

#[tokio::test]
async fn what_an_operator_has_granted_or_changed_stays_when_the_migrations_run_again() {
    let database = Database::start().await;
    let own = r#"
        grant usage on schema user_sync to authenticated;
        grant select on user_sync.users to authenticated;
        grant execute on function public.user_sync_health to authenticated;
        grant update (username) on public.users to authenticated;
        drop policy "a signed-in user reads their own row" on public.users;
        create policy "everybody reads" on public.users for select to authenticated using (true);
    "#;
    database.run_as_owner(own).await;
    database.postgres.migrate().await.unwrap();
    for (is_so, question) in [
        (
            "true",
            "has_schema_privilege('authenticated', 'user_sync', 'usage')",
        ),
        (
            "true",
            "has_table_privilege('authenticated', 'user_sync.users', 'select')",
        ),
        (
            "true",
            "has_function_privilege('authenticated', 'public.user_sync_health()', 'execute')",
        ),
        (
            "true",
            "has_column_privilege('authenticated', 'public.users', 'username', 'update')",
        ),
        (
            "false",
            "has_function_privilege('authenticated', 'public.user_sync_prune(interval)', 'execute')",
        ),
        (
            "everybody reads",
            "(select string_agg(policyname, ', ') from pg_policies where tablename = 'users')",
        ),
    ] {
        assert_eq!(database.ask_as_owner(question).await, is_so, "{question}");
    }
}

#[tokio::test]
async fn the_stock_mapping_does_not_replace_one_of_your_own() {
    let database = profiles::start().await;
    let error = format!("{:?}", database.postgres.migrate().await.unwrap_err());
    assert!(
        error.contains("user sync is mapped to another table already"),
        "{error}"
    );
    assert_eq!(
        database.page_load(&user("user_1", T, "Ada")).await,
        "created"
    );
    assert_eq!(database.profile("user_1").await["full_name"], "Ada");
}

#[tokio::test]
async fn confirmations_say_who_is_in_the_table_and_who_is_in_doubt() {
    let database = Database::start().await;
    let confirmations = "public.user_sync_confirmations(
        array['user_1', 'user_2', 'user_3', 'user_4', null])";
    database.event("msg_1", &user("user_1", T, "Ada")).await;
    database.page_load(&user("user_2", T, "one")).await;
    database.page_load(&user("user_2", T, "other")).await;
    database.event("msg_2", &deletion("user_3")).await;
    let all: Value = serde_json::from_str(&database.ask(confirmations).await).unwrap();
    for (id, has_row, source, in_doubt, deleted_at) in [
        ("user_1", true, json!("webhook"), false, Value::Null),
        ("user_2", true, json!("page_load"), true, Value::Null),
        (
            "user_3",
            false,
            json!("webhook"),
            false,
            json!("2025-11-13T02:29:59+00:00"),
        ),
        ("user_4", false, Value::Null, true, Value::Null),
    ] {
        let one = &all[id];
        assert_eq!(one["has_row"], has_row, "{id}: {one}");
        assert_eq!(one["confirmed_by"], source, "{id}: {one}");
        assert_eq!(one["confirmed_at"].is_string(), source.is_string(), "{id}");
        assert_eq!(one["in_doubt"], in_doubt, "{id}: {one}");
        assert_eq!(one["deleted_at"], deleted_at, "{id}: {one}");
    }
    assert_eq!(all.as_object().unwrap().len(), 4);
}

#[tokio::test]
async fn the_ledger_is_pruned_but_not_of_what_is_still_needed() {
    let database = Database::start().await;
    for too_short in ["30 days", "30 days 23:59:59", "1 month", "0", "-1 year"] {
        let sql = format!("select public.user_sync_prune('{too_short}')");
        let client = database.postgres.connect().await.unwrap();
        let error = client.batch_execute(&sql).await.unwrap_err();
        let code = error.code();
        assert_eq!(
            code,
            Some(&SqlState::INVALID_PARAMETER_VALUE),
            "{too_short}"
        );
    }
    for (number, age) in ["32 days", "31 days 1 minute", "30 days 23 hours", "1 day"]
        .into_iter()
        .enumerate()
    {
        let before = database.last_entry().await;
        let id = format!("user_{number}");
        database
            .event(&format!("msg_{number}"), &user(&id, T, "Ada"))
            .await;
        database.reject(&format!("rejected_{number}"), &id).await;
        let time = format!("now() - interval '{age}'");
        database.date_entries_after(before, &time).await;
    }
    assert_eq!(database.ask("public.user_sync_prune('31 days')").await, "4");
    assert_eq!(database.ask("public.user_sync_prune('31 days')").await, "0");
    assert_eq!(database.ledger("user_1").await, Vec::<String>::new());
    assert_eq!(database.ledger("user_2").await, ["created", "rejected"]);
    // The last of each source stays, of any age.
    database
        .date_entries_after(0, "now() - interval '2 years'")
        .await;
    assert_eq!(database.ask("public.user_sync_prune('31 days')").await, "2");
    // A replayed event whose receipt is gone changes nothing.
    assert_eq!(
        database.event("msg_0", &user("user_0", T, "Ada")).await,
        "unchanged"
    );
}

#[tokio::test]
async fn the_migration_does_not_touch_another_table_with_the_same_name() {
    let postgres = Postgres::start(Log::default()).await.unwrap();
    let client = postgres.connect().await.unwrap();
    let sql = "create table public.users (id uuid primary key, email text)";
    client.batch_execute(sql).await.unwrap();
    let error = format!("{:?}", postgres.migrate().await.unwrap_err());
    assert!(
        error.contains("public.users is another table: it lacks banned, created_at"),
        "{error}"
    );
    assert!(error.contains("supabase/examples/profiles.sql"), "{error}");
}

#[tokio::test]
async fn the_migration_refuses_a_table_that_is_open_to_everybody() {
    let database = Database::start().await;
    let client = database.postgres.connect().await.unwrap();
    let sql = "alter table public.users disable row level security;
        grant select on public.users to anon";
    client.batch_execute(sql).await.unwrap();
    let error = format!("{:?}", database.postgres.migrate().await.unwrap_err());
    assert!(error.contains("row level security is off"), "{error}");
    let sql = "alter table public.users enable row level security";
    client.batch_execute(sql).await.unwrap();
    database.postgres.migrate().await.unwrap();
}

#[tokio::test]
async fn each_role_has_only_the_privileges_it_needs() {
    let database = Database::start().await;
    database.page_load(&user("user_1", T, "Ada")).await;
    database.page_load(&user("user_2", T, "Bob")).await;
    let client = database.postgres.connect().await.unwrap();
    let state = [
        "select user_sync.row_exists('user_1')",
        "select user_sync.write_row('{}')",
        "select user_sync.erase_row('user_1', now())",
        "select user_sync.primary_of('[]', '1')",
        "call user_sync.restrict_new_function('public.user_sync_apply')",
        "select from user_sync.users",
        "update user_sync.users set in_doubt_since = null",
        "delete from user_sync.users",
        "select from user_sync.events",
        "delete from user_sync.events",
    ];
    client.batch_execute("set role service_role").await.unwrap();
    for call in state {
        let refusal = client.batch_execute(call).await.unwrap_err();
        let code = refusal.code();
        assert_eq!(code, Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{call}");
    }
    let entry_points = [
        "select public.user_sync_status('user_1')",
        "select public.user_sync_apply('{}', 'page_load')",
        "select public.user_sync_reject('a', 'b', 'c', 'd')",
        "select public.user_sync_confirmations('{user_1}')",
        "select public.user_sync_prune('31 days')",
        "select public.user_sync_health()",
        "insert into public.users (id) values ('user_3')",
        "update public.users set email = null",
        "delete from public.users",
    ];
    for role in ["anon", "authenticated"] {
        client
            .batch_execute(&format!("set role {role}"))
            .await
            .unwrap();
        client
            .batch_execute(r#"set request.jwt.claims = '{"sub":"user_1"}'"#)
            .await
            .unwrap();
        for call in state.into_iter().chain(entry_points) {
            let code = client
                .batch_execute(call)
                .await
                .unwrap_err()
                .code()
                .cloned();
            assert_eq!(
                code,
                Some(SqlState::INSUFFICIENT_PRIVILEGE),
                "{role}: {call}"
            );
        }
    }
    let rows = client
        .query("select id from public.users", &[])
        .await
        .unwrap();
    let own: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(own, ["user_1"]);
    client.batch_execute("set role anon").await.unwrap();
    let read = client.batch_execute("select from public.users").await;
    assert_eq!(
        read.unwrap_err().code(),
        Some(&SqlState::INSUFFICIENT_PRIVILEGE)
    );
}

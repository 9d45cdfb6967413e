//! The rules of the database contract.

use serde_json::{Value, json};
use stack::{Log, Postgres};
use tokio_postgres::error::SqlState;

use crate::{T, database::Database, deletion, user};

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
    let last_sync = database.last_sync("user_1").await;
    assert!(last_sync.at.is_some());
    assert_eq!(last_sync.source.as_deref(), Some("page_load"));
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
    // The page load may have read the user between the two changes.
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
async fn a_change_to_any_column_is_an_update_and_no_change_only_confirms() {
    let database = Database::start().await;
    let first = user("user_1", T, "Ada");
    database.page_load(&first).await;
    let row = database.row("user_1").await;
    let before = database.last_sync("user_1").await;
    assert_eq!(database.event("msg_1", &first).await, "unchanged");
    assert_eq!(database.row("user_1").await, row);
    let after = database.last_sync("user_1").await;
    assert!(after.at > before.at);
    assert_eq!(after.source.as_deref(), Some("webhook"));

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
        let row = database.row(id).await.unwrap();
        assert_eq!(row["deleted_at"], "2025-11-13T02:29:59+00:00");
        for (column, value) in row.as_object().unwrap() {
            let is_kept = ["id", "created_at", "updated_at", "deleted_at"];
            let is_kept = is_kept.contains(&column.as_str());
            assert!(is_kept || value.is_null(), "{column} is not erased");
        }
    }
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
        database.last_sync("user_1").await,
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
        database.last_sync("user_1").await,
    );
    assert_eq!(after, before);
    assert_eq!(database.ledger("user_1").await, ["created"]);

    database.put_in_doubt("user_1").await;
    assert_eq!(database.status("user_1", None, None).await, "in_doubt");
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
        let row = database.row(&id).await.unwrap();
        assert!(row["deleted_at"].is_string(), "round {round}: {row}");
        assert_eq!(row["first_name"], Value::Null, "round {round}");
    }
}

#[tokio::test]
async fn the_migrations_run_twice_and_keep_the_data() {
    let database = Database::start().await;
    database.page_load(&user("user_1", T, "Ada")).await;
    let before = (
        database.row("user_1").await,
        database.last_sync("user_1").await,
    );
    database.postgres.migrate().await.unwrap();
    let after = (
        database.row("user_1").await,
        database.last_sync("user_1").await,
    );
    assert_eq!(after, before);
    assert_eq!(
        database.page_load(&user("user_1", T, "Ada")).await,
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
async fn each_role_has_only_the_privileges_it_needs() {
    let database = Database::start().await;
    database.page_load(&user("user_1", T, "Ada")).await;
    database.page_load(&user("user_2", T, "Bob")).await;
    let client = database.postgres.connect().await.unwrap();
    let calls = [
        "select public.user_sync_row('{}')",
        "select public.user_sync_find('user_1')",
        "select public.user_sync_store('{}', 'page_load')",
        "select public.user_sync_doubt('user_1')",
        "select public.user_sync_erase('user_1', now(), 'page_load')",
        "select public.user_sync_status('user_1')",
        "select public.user_sync_apply('{}', 'page_load')",
        "select public.user_sync_reject('a', 'b', 'c', 'd')",
        "select from public.user_sync_events",
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
        for call in calls {
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

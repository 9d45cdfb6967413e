//! The worked example of somebody's own table: other columns, the same rules.

use serde_json::{Value, json};
use stack::{Log, Postgres};
use tokio_postgres::error::SqlState;

use crate::{Database, T, apply, deletion, outcome, user};

const MAPPING: &str = "supabase/examples/profiles.sql";

const TABLE_AS_IT_WAS: &str = "tests/profiles.sql";
const RULES: &str = "supabase/migrations/20261123000001_user_sync.sql";
const HEALTH: &str = "supabase/migrations/20261124000000_user_sync_health.sql";

/// A database whose users are profiles, as the role that the functions call with.
pub async fn start() -> Database {
    let postgres = Postgres::start(Log::default()).await.unwrap();
    for file in [TABLE_AS_IT_WAS, MAPPING, RULES, HEALTH] {
        postgres.run_sql(file).await.unwrap();
    }
    Database::on(postgres).await
}

impl Database {
    async fn profile(&self, id: &str) -> Value {
        let sql = "select to_jsonb(p)::text from public.profiles as p where clerk_user_id = $1";
        let row = self.client.query_one(sql, &[&id]).await.unwrap();
        serde_json::from_str(row.get(0)).unwrap()
    }

    /// Writes a user who claims an address, and tells who gave it up.
    async fn claim(&self, id: &str, updated_at: i64, email: &str) -> Value {
        let answer = apply(&self.client, &claiming(id, updated_at, email), None).await;
        answer.unwrap()["displaced"].take()
    }
}

fn claiming(id: &str, updated_at: i64, email: &str) -> Value {
    let mut user = user(id, updated_at, "Ada");
    user["email_addresses"][1]["email_address"] = json!(email);
    user
}

#[tokio::test]
async fn a_profile_keeps_its_own_key_and_columns() {
    let database = start().await;
    let before = database.profile("user_old").await;
    assert_eq!(database.status("user_old", None, None).await, "outdated");
    let mut full = user("user_old", T, "Ada");
    full["last_name"] = json!("Lovelace");
    assert_eq!(database.page_load(&full).await, "updated");
    let after = database.profile("user_old").await;
    for (column, value) in [
        ("id", before["id"].clone()),
        ("plan", json!("pro")),
        ("email", json!("user_old@example.com")),
        ("full_name", json!("Ada Lovelace")),
        ("avatar_url", json!("https://img.example.com/a.png")),
    ] {
        assert_eq!(after[column], value, "{column}");
    }
    assert_eq!(database.status("user_old", None, None).await, "present");
    assert_eq!(
        database.page_load(&user("user_new", T, "Bob")).await,
        "created"
    );
    assert_eq!(database.profile("user_new").await["plan"], "free");
}

#[tokio::test]
async fn the_rules_hold_on_profiles_too() {
    let database = start().await;
    let first = user("user_1", T, "Ada");
    assert_eq!(database.event("msg_1", &first).await, "created");
    assert_eq!(database.event("msg_1", &first).await, "duplicate");
    assert_eq!(database.event("msg_2", &first).await, "unchanged");
    let older = user("user_1", T - 1, "older");
    assert_eq!(database.event("msg_3", &older).await, "stale");
    assert_eq!(database.profile("user_1").await["full_name"], "Ada");

    for id in ["user_1", "user_never_seen"] {
        assert_eq!(database.event(id, &deletion(id)).await, "deleted");
        let revival = user(id, T + 5_000_000, "Ghost");
        assert_eq!(database.page_load(&revival).await, "deleted");
        let tombstone = database.profile(id).await;
        assert_eq!(tombstone["email"], format!("{id}@no-email.invalid"));
        assert_eq!(tombstone["full_name"], Value::Null);
        assert_eq!(database.status(id, None, None).await, "deleted");
    }
    assert_eq!(
        database.claim("user_2", T, "user_1@example.com").await,
        json!([])
    );
}

#[tokio::test]
async fn many_users_may_have_no_email_address() {
    let database = start().await;
    for id in ["user_1", "user_2"] {
        let mut phone_only = user(id, T, "Ada");
        phone_only["primary_email_address_id"] = Value::Null;
        assert_eq!(database.page_load(&phone_only).await, "created");
        assert_eq!(
            database.profile(id).await["email"],
            format!("{id}@no-email.invalid")
        );
    }
}

#[tokio::test]
async fn the_newer_user_keeps_an_address_and_the_older_one_is_read_again() {
    let database = start().await;
    let shared = "shared@example.com";
    assert_eq!(database.claim("user_1", T, shared).await, json!([]));
    assert_eq!(
        database.claim("user_2", T + 1, shared).await,
        json!(["user_1"])
    );
    // A late event of the older one's does not win the address back.
    assert_eq!(database.claim("user_1", T, shared).await, json!(["user_1"]));
    for (id, email, status) in [
        ("user_1", "user_1@no-email.invalid", "outdated"),
        ("user_2", shared, "present"),
    ] {
        assert_eq!(database.profile(id).await["email"], email);
        assert_eq!(database.status(id, None, None).await, status, "{id}");
    }

    // Read again from Clerk, they have another address.
    assert_eq!(
        database.claim("user_1", T + 2, "own@example.com").await,
        json!([])
    );
    assert_eq!(database.profile("user_1").await["email"], "own@example.com");
    assert_eq!(database.status("user_1", None, None).await, "present");
    // Of two changes in one millisecond the one that comes last keeps it.
    assert_eq!(
        database.claim("user_3", T + 1, shared).await,
        json!(["user_2"])
    );
}

#[tokio::test]
async fn of_all_who_claim_an_address_at_once_the_newest_has_it_in_the_end() {
    let database = start().await;
    let claim = |n| claiming(&format!("user_{n}"), T + n, "shared@example.com");
    let claims = (0..32).map(|n| (claim(n), None)).collect();
    database.write_at_once(claims).await;
    for n in 0..31 {
        let id = format!("user_{n}");
        let email = &database.profile(&id).await["email"];
        assert_eq!(*email, format!("{id}@no-email.invalid"));
    }
    let newest = database.profile("user_31").await;
    assert_eq!(newest["email"], "shared@example.com");
}

#[tokio::test]
async fn whoever_has_moved_on_from_an_address_loses_nothing_to_its_next_holder() {
    let database = start().await;
    let claims = |n: i64| {
        let id = format!("user_{n}");
        let own = format!("own-{n}@example.com");
        let shared = claiming(&id, T + n, "shared@example.com");
        [(shared, None), (claiming(&id, T + 100 + n, &own), None)]
    };
    for _round in 0..4 {
        let claims = (0..32).flat_map(claims).collect();
        database.write_at_once(claims).await;
        for n in 0..32 {
            let profile = database.profile(&format!("user_{n}")).await;
            assert_eq!(profile["email"], format!("own-{n}@example.com"));
        }
        let again = "delete from public.profiles where clerk_user_id <> 'user_old'";
        let postgres = database.postgres.connect().await.unwrap();
        postgres.batch_execute(again).await.unwrap();
    }
}

#[tokio::test]
async fn the_mapping_may_be_run_again_and_over_the_stock_migrations() {
    let postgres = Postgres::start(Log::default()).await.unwrap();
    postgres.migrate().await.unwrap();
    for file in [TABLE_AS_IT_WAS, MAPPING, MAPPING] {
        postgres.run_sql(file).await.unwrap();
    }
    let client = postgres.connect().await.unwrap();
    let database = Database::on(postgres).await;
    let written = apply(&database.client, &user("user_1", T, "Ada"), None).await;
    assert_eq!(outcome(&written.unwrap()), "created");
    assert_eq!(database.profile("user_1").await["full_name"], "Ada");
    client.batch_execute("set role anon").await.unwrap();
    for call in [
        "select public.user_sync_row('{}')",
        "select public.user_sync_no_email('user_1')",
    ] {
        let refusal = client.batch_execute(call).await.unwrap_err();
        assert_eq!(refusal.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
    }
}

//! The worked example of a table of your own: other columns, the same rules.

use serde_json::{Value, json};
use stack::{Log, Postgres};
use tokio_postgres::error::SqlState;

use crate::{T, database::Database, deletion, user};

const TABLE: &str = "tests/profiles.sql";
const MAPPING: &str = "supabase/examples/profiles.sql";
const RULES: &str = "supabase/migrations/20261125000000_user_sync.sql";
const HEALTH: &str = "supabase/migrations/20261125000002_user_sync_health.sql";

/// A database whose users are in `public.profiles`.
pub async fn start() -> Database {
    let postgres = Postgres::start(Log::default()).await.unwrap();
    for file in [TABLE, RULES, MAPPING, HEALTH] {
        postgres.run_sql(file).await.unwrap();
    }
    Database::on(postgres).await
}

impl Database {
    pub async fn profile(&self, id: &str) -> Value {
        let profile = "select to_jsonb(p) from public.profiles as p where clerk_user_id";
        let profile = self.ask_as_owner(&format!("{profile} = '{id}'")).await;
        serde_json::from_str(&profile).unwrap()
    }

    /// Writes a user who has this address, and returns who gave it up.
    async fn claim(&self, id: &str, updated_at: i64, email: &str) -> Value {
        let answer = self.apply(&with_email(id, updated_at, email), None).await;
        answer.unwrap()["displaced"].take()
    }
}

/// A user with this primary address.
fn with_email(id: &str, updated_at: i64, email: &str) -> Value {
    let mut user = user(id, updated_at, "Ada");
    user["email_addresses"][1]["email_address"] = json!(email);
    user
}

#[tokio::test]
async fn a_profile_keeps_its_own_key_and_columns() {
    let database = start().await;
    let before = database.profile("user_old").await;
    assert_eq!(database.status("user_old", None, None).await, "in_doubt");
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
        assert_eq!(database.status(id, None, None).await, "deleted");
    }
    let tombstone = database.profile("user_1").await;
    assert_eq!(tombstone["email"], "user_1@no-email.invalid");
    assert_eq!(tombstone["full_name"], Value::Null);
    // A user who was never seen gets no row.
    let profiles = "select count(*) from public.profiles";
    assert_eq!(database.ask_as_owner(profiles).await, "2");
    assert_eq!(
        database.claim("user_2", T, "user_1@example.com").await,
        json!([])
    );
}

#[tokio::test]
async fn many_users_can_have_no_email_address() {
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
    // A late event for the older user does not win the address back.
    assert_eq!(database.claim("user_1", T, shared).await, json!(["user_1"]));
    for (id, email, status) in [
        ("user_1", "user_1@no-email.invalid", "in_doubt"),
        ("user_2", shared, "present"),
    ] {
        assert_eq!(database.profile(id).await["email"], email);
        assert_eq!(database.status(id, None, None).await, status, "{id}");
    }

    // After another read from Clerk the older user has a new address.
    assert_eq!(
        database.claim("user_1", T + 2, "own@example.com").await,
        json!([])
    );
    assert_eq!(database.profile("user_1").await["email"], "own@example.com");
    assert_eq!(database.status("user_1", None, None).await, "present");
    // Of two changes in one millisecond the last one written keeps the address.
    assert_eq!(
        database.claim("user_3", T + 1, shared).await,
        json!(["user_2"])
    );
}

#[tokio::test]
async fn the_newest_of_many_users_who_claim_an_address_at_once_keeps_it() {
    let database = start().await;
    let claim = |n| with_email(&format!("user_{n}"), T + n, "shared@example.com");
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
async fn a_user_with_a_new_address_loses_nothing_to_the_next_owner_of_the_old_one() {
    let database = start().await;
    let claims = |n: i64| {
        let id = format!("user_{n}");
        let own = format!("own-{n}@example.com");
        let shared = with_email(&id, T + n, "shared@example.com");
        [(shared, None), (with_email(&id, T + 100 + n, &own), None)]
    };
    for _round in 0..4 {
        let claims = (0..32).flat_map(claims).collect();
        database.write_at_once(claims).await;
        for n in 0..32 {
            let profile = database.profile(&format!("user_{n}")).await;
            assert_eq!(profile["email"], format!("own-{n}@example.com"));
        }
        let again = "delete from public.profiles where clerk_user_id <> 'user_old';
            delete from user_sync.users";
        database.run_as_owner(again).await;
    }
}

#[tokio::test]
async fn the_mapping_runs_twice_and_over_the_stock_migrations() {
    let postgres = Postgres::start(Log::default()).await.unwrap();
    postgres.migrate().await.unwrap();
    for file in [TABLE, MAPPING, MAPPING] {
        postgres.run_sql(file).await.unwrap();
    }
    let client = postgres.connect().await.unwrap();
    let database = Database::on(postgres).await;
    assert_eq!(
        database.page_load(&user("user_1", T, "Ada")).await,
        "created"
    );
    assert_eq!(database.profile("user_1").await["full_name"], "Ada");
    client.batch_execute("set role anon").await.unwrap();
    for call in [
        "select user_sync.write_row('{}')",
        "select user_sync.no_email('user_1')",
    ] {
        let refusal = client.batch_execute(call).await.unwrap_err();
        assert_eq!(refusal.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
    }
}

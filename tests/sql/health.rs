//! The health that an operator sees, out of the ledger alone.

use serde_json::{Value, json};
use tokio_postgres::error::DbError;

use self::What::{Deletion, PageLoad, Reconcile, Rejection, Stale, Webhook};
use crate::{Database, T, deletion, profiles, user};

/// What has happened to whom, and how long ago.
type Happened = (What, &'static str, &'static str);

#[derive(Clone, Copy, Debug)]
enum What {
    PageLoad,
    Reconcile,
    /// A webhook that says what the other paths say.
    Webhook,
    /// One that is older than what they say.
    Stale,
    Deletion,
    Rejection,
}

/// The verdict; then arrived, lost, rejected, lost since the last webhook, and the orphans healed
/// on all days.
type Health = (&'static str, [i64; 5]);

impl Database {
    /// The health once all of this has happened. It happens in one transaction, which is undone:
    /// `now()` stands still, so bounds are exact, and the ledger is empty afterwards.
    async fn health_after(&self, happened: &[Happened]) -> Value {
        self.client.batch_execute("begin").await.unwrap();
        self.happen(happened).await;
        let health = self.health().await;
        self.client.batch_execute("rollback").await.unwrap();
        health
    }

    async fn happen(&self, happened: &[Happened]) {
        for (number, (what, id, ago)) in happened.iter().enumerate() {
            let moment = format!("now() - interval '{ago}'");
            self.note(&format!("msg_{number}"), *what, id, &moment)
                .await;
        }
    }

    /// Checks the health after each of these, one after the other.
    async fn check(&self, cases: &[(Health, &[Happened])]) {
        for ((verdict, figures), happened) in cases {
            let health = self.health_after(happened).await;
            let days = health["days"].as_array().unwrap();
            let orphans = days.iter().filter_map(|day| day["orphans_healed"].as_i64());
            let told = json!([
                health["arrived"],
                health["lost"],
                health["rejected"],
                health["lost_since_last_webhook"],
                orphans.sum::<i64>(),
            ]);
            assert_eq!(told, json!(figures), "{happened:?}");
            assert_eq!(health["verdict"], *verdict, "{happened:?}");
        }
    }

    async fn health(&self) -> Value {
        serde_json::from_str(&self.ask("public.user_sync_health()").await).unwrap()
    }

    /// What an SQL expression says.
    async fn ask(&self, expression: &str) -> String {
        let sql = format!("select ({expression})::text");
        self.client.query_one(&sql, &[]).await.unwrap().get(0)
    }

    /// Lets something happen through the real functions, and dates what the ledger says of it.
    async fn note(&self, event_id: &str, what: What, id: &str, moment: &str) {
        match what {
            PageLoad => drop(self.page_load(&user(id, T, "Ada")).await),
            Webhook => drop(self.event(event_id, &user(id, T, "Ada")).await),
            Stale => drop(self.event(event_id, &user(id, T - 1, "older")).await),
            Deletion => drop(self.event(event_id, &deletion(id)).await),
            Reconcile => {
                let sql = "select public.user_sync_apply($1::text::jsonb, 'reconcile')";
                let user = user(id, T, "Ada").to_string();
                self.client.execute(sql, &[&user]).await.unwrap();
            }
            Rejection => {
                let sql = "select public.user_sync_reject($1, 'user.created', $2, 'no time')";
                self.client.execute(sql, &[&event_id, &id]).await.unwrap();
            }
        }
        let date = format!(
            "update public.user_sync_events set recorded_at = {moment}
            where number = (select max(number) from public.user_sync_events)"
        );
        assert_eq!(self.client.execute(&date, &[]).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn an_empty_ledger_is_quiet_and_has_thirty_days_of_nothing() {
    let database = Database::start().await;
    database.client.batch_execute("begin").await.unwrap();
    let health = database.health().await;
    let mut days = Vec::new();
    for ago in (0..30).rev() {
        let day = format!("(now() at time zone 'UTC')::date - {ago}");
        days.push(json!({
            "day": database.ask(&day).await,
            "webhook": 0,
            "page_load": 0,
            "reconcile": 0,
            "orphans_healed": 0,
        }));
    }
    assert_eq!(
        health,
        json!({
            "verdict": "quiet",
            "arrived": 0,
            "lost": 0,
            "rejected": 0,
            "lost_since_last_webhook": 0,
            "last_webhook_at": null,
            "paths": [
                { "source": "webhook", "last_event_at": null },
                { "source": "page_load", "last_event_at": null },
                { "source": "reconcile", "last_event_at": null },
            ],
            "days": days,
        })
    );
}

#[tokio::test]
async fn the_verdict_is_by_what_arrived_and_who_was_lost_and_when() {
    let database = Database::start().await;
    database
        .check(&[
            (("quiet", [0, 0, 0, 0, 0]), &[]),
            (
                ("working", [1, 0, 0, 0, 0]),
                &[(Webhook, "user_1", "1 hour")],
            ),
            (
                ("silent", [0, 1, 0, 1, 1]),
                &[(PageLoad, "user_1", "1 hour")],
            ),
            (
                ("silent", [0, 1, 0, 1, 1]),
                &[(Reconcile, "user_1", "1 hour")],
            ),
            (
                ("silent", [1, 1, 0, 1, 1]),
                &[
                    (Webhook, "user_1", "2 hours"),
                    (PageLoad, "user_2", "1 hour"),
                ],
            ),
            (
                ("leaking", [1, 1, 0, 0, 1]),
                &[
                    (PageLoad, "user_2", "2 hours"),
                    (Webhook, "user_1", "1 hour"),
                ],
            ),
            // It is the time that counts, not the number in the ledger.
            (
                ("leaking", [1, 1, 0, 0, 1]),
                &[
                    (Webhook, "user_1", "1 hour"),
                    (PageLoad, "user_2", "2 hours"),
                ],
            ),
            (
                ("leaking", [2, 1, 0, 0, 1]),
                &[
                    (Webhook, "user_1", "3 hours"),
                    (PageLoad, "user_2", "2 hours"),
                    (Webhook, "user_3", "1 hour"),
                ],
            ),
            (
                ("silent", [1, 2, 0, 1, 2]),
                &[
                    (PageLoad, "user_1", "3 hours"),
                    (Webhook, "user_2", "2 hours"),
                    (PageLoad, "user_3", "1 hour"),
                ],
            ),
            // A page load that confirms a user has lost nothing.
            (
                ("quiet", [0, 0, 0, 0, 0]),
                &[
                    (Webhook, "user_1", "2 days"),
                    (PageLoad, "user_1", "1 hour"),
                ],
            ),
        ])
        .await;
}

#[tokio::test]
async fn only_the_last_24_hours_count_but_the_last_webhook_may_be_older() {
    let database = Database::start().await;
    database
        .check(&[
            (
                ("working", [1, 0, 0, 0, 0]),
                &[(Webhook, "user_1", "23:59:59.999999")],
            ),
            (
                ("quiet", [0, 0, 0, 0, 0]),
                &[(Webhook, "user_1", "24 hours")],
            ),
            (
                ("silent", [0, 1, 0, 1, 1]),
                &[(PageLoad, "user_1", "23:59:59.999999")],
            ),
            (
                ("quiet", [0, 0, 0, 0, 1]),
                &[(PageLoad, "user_1", "24 hours")],
            ),
            (
                ("quiet", [0, 0, 1, 0, 0]),
                &[(Rejection, "user_1", "23:59:59.999999")],
            ),
            (
                ("quiet", [0, 0, 0, 0, 0]),
                &[(Rejection, "user_1", "24 hours")],
            ),
            (
                ("silent", [0, 1, 0, 1, 2]),
                &[
                    (Webhook, "user_1", "28 hours"),
                    (PageLoad, "user_2", "26 hours"),
                    (PageLoad, "user_3", "22 hours"),
                ],
            ),
            (
                ("working", [1, 0, 0, 0, 1]),
                &[
                    (PageLoad, "user_1", "26 hours"),
                    (Webhook, "user_2", "1 hour"),
                ],
            ),
        ])
        .await;
}

#[tokio::test]
async fn a_user_is_lost_when_no_webhook_has_told_of_them_for_a_minute() {
    let database = Database::start().await;
    database
        .check(&[
            (
                ("quiet", [0, 0, 0, 0, 0]),
                &[(PageLoad, "user_1", "59.999999 seconds")],
            ),
            (
                ("silent", [0, 1, 0, 1, 1]),
                &[(PageLoad, "user_1", "1 minute")],
            ),
            (
                ("quiet", [0, 0, 0, 0, 0]),
                &[(Reconcile, "user_1", "59.999999 seconds")],
            ),
            (
                ("working", [1, 0, 0, 0, 0]),
                &[
                    (PageLoad, "user_1", "59 seconds"),
                    (Webhook, "user_2", "1 hour"),
                ],
            ),
        ])
        .await;
}

#[tokio::test]
async fn any_accepted_webhook_of_a_user_takes_them_off_the_count() {
    let database = Database::start().await;
    database
        .check(&[
            (
                ("working", [1, 0, 0, 0, 0]),
                &[
                    (PageLoad, "user_1", "00:00:02"),
                    (Webhook, "user_1", "00:00:01"),
                ],
            ),
            (
                ("working", [1, 0, 0, 0, 0]),
                &[
                    (PageLoad, "user_1", "20 hours"),
                    (Webhook, "user_1", "1 hour"),
                ],
            ),
            (
                ("quiet", [0, 0, 0, 0, 0]),
                &[
                    (PageLoad, "user_1", "20 days"),
                    (Webhook, "user_1", "19 days"),
                ],
            ),
            (
                ("working", [1, 0, 0, 0, 0]),
                &[
                    (Reconcile, "user_1", "2 hours"),
                    (Stale, "user_1", "1 hour"),
                ],
            ),
            (
                ("working", [1, 0, 0, 0, 0]),
                &[
                    (PageLoad, "user_1", "2 hours"),
                    (Deletion, "user_1", "1 hour"),
                ],
            ),
            // Told of before: the row was taken away by hand.
            (
                ("working", [1, 0, 0, 0, 0]),
                &[
                    (PageLoad, "user_1", "1 hour"),
                    (Webhook, "user_1", "2 hours"),
                ],
            ),
            // Nobody is created who was deleted before.
            (
                ("working", [1, 0, 0, 0, 0]),
                &[
                    (Deletion, "user_1", "2 hours"),
                    (PageLoad, "user_1", "1 hour"),
                ],
            ),
            // No other path tells.
            (
                ("silent", [0, 1, 0, 1, 1]),
                &[
                    (PageLoad, "user_1", "3 hours"),
                    (PageLoad, "user_1", "2 hours"),
                    (Reconcile, "user_1", "1 hour"),
                ],
            ),
            // One of two.
            (
                ("leaking", [1, 1, 0, 0, 1]),
                &[
                    (PageLoad, "user_1", "3 hours"),
                    (PageLoad, "user_2", "2 hours"),
                    (Webhook, "user_2", "1 hour"),
                ],
            ),
        ])
        .await;
}

#[tokio::test]
async fn a_rejected_webhook_tells_of_nobody_and_is_no_sign_of_life() {
    let database = Database::start().await;
    database
        .check(&[
            (
                ("quiet", [0, 0, 1, 0, 0]),
                &[(Rejection, "user_1", "1 hour")],
            ),
            (
                ("working", [1, 0, 1, 0, 0]),
                &[
                    (Webhook, "user_1", "2 hours"),
                    (Rejection, "user_1", "1 hour"),
                ],
            ),
            (
                ("silent", [0, 1, 1, 1, 1]),
                &[
                    (PageLoad, "user_1", "2 hours"),
                    (Rejection, "user_1", "1 hour"),
                ],
            ),
            (
                ("silent", [1, 1, 1, 1, 1]),
                &[
                    (Webhook, "user_2", "3 hours"),
                    (PageLoad, "user_1", "2 hours"),
                    (Rejection, "user_3", "1 hour"),
                ],
            ),
        ])
        .await;
}

#[tokio::test]
async fn each_path_has_its_last_event_however_old() {
    let database = Database::start().await;
    let happened = [
        (Webhook, "user_1", "700 days"),
        (Webhook, "user_2", "600 days"),
        (Rejection, "user_3", "1 hour"),
        (PageLoad, "user_4", "3 hours"),
        (PageLoad, "user_1", "2 hours"),
        (Reconcile, "user_5", "40 days"),
    ];
    database.client.batch_execute("begin").await.unwrap();
    database.happen(&happened).await;
    let health = database.health().await;
    let mut paths = Vec::new();
    for (source, ago) in [
        ("webhook", "600 days"),
        ("page_load", "2 hours"),
        ("reconcile", "40 days"),
    ] {
        let moment = format!("to_jsonb(now() - interval '{ago}') #>> '{{}}'");
        let moment = database.ask(&moment).await;
        paths.push(json!({ "source": source, "last_event_at": moment }));
    }
    assert_eq!(health["last_webhook_at"], paths[0]["last_event_at"]);
    assert_eq!(health["paths"], json!(paths));
}

/// The beginning of today.
const TODAY: &str = "date_trunc('day', now(), 'UTC')";

#[tokio::test]
async fn a_day_is_of_utc_and_there_are_thirty_whatever_the_time_zone_of_the_caller() {
    let database = Database::start().await;
    for zone in ["UTC", "Pacific/Kiritimati", "America/New_York"] {
        for (moment, counted) in [
            ("", Some(29)),
            ("- interval '1 microsecond'", Some(28)),
            ("- interval '24 hours'", Some(28)),
            ("- interval '24 hours 1 microsecond'", Some(27)),
            ("- 29 * interval '24 hours'", Some(0)),
            (
                "- 29 * interval '24 hours' - interval '1 microsecond'",
                None,
            ),
        ] {
            let begin = format!("begin; set local timezone = '{zone}'");
            database.client.batch_execute(&begin).await.unwrap();
            let moment = format!("{TODAY} {moment}");
            database.note("msg_1", PageLoad, "user_1", &moment).await;
            let health = database.health().await;
            let days = health["days"].as_array().unwrap();
            let found = days.iter().position(|day| day["page_load"] == 1);
            assert_eq!((days.len(), found), (30, counted), "{zone}: {moment}");
            if let Some(place) = counted {
                let day = format!("(({moment}) at time zone 'UTC')::date");
                assert_eq!(days[place]["day"], database.ask(&day).await, "{zone}");
            }
            database.client.batch_execute("rollback").await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_user_counts_on_the_day_of_the_first_write_and_by_the_path_that_did_it() {
    let database = Database::start().await;
    database.client.batch_execute("begin").await.unwrap();
    let happened = [
        (Webhook, "user_1", 2),
        (Webhook, "user_2", 2),
        (Webhook, "user_3", 2),
        (PageLoad, "user_4", 2),
        (PageLoad, "user_5", 2),
        (Webhook, "user_5", 1),
        (Reconcile, "user_6", 2),
        (Reconcile, "user_7", 2),
        (Reconcile, "user_8", 2),
        (Reconcile, "user_9", 2),
        (Webhook, "user_9", 1),
        (PageLoad, "user_1", 1),
        (Deletion, "user_2", 1),
        (Deletion, "user_10", 1),
        (Rejection, "user_11", 1),
        (PageLoad, "user_12", 1),
    ];
    for (number, (what, id, days)) in happened.into_iter().enumerate() {
        let moment = format!("{TODAY} - {days} * interval '24 hours'");
        database
            .note(&format!("msg_{number}"), what, id, &moment)
            .await;
    }
    let health = database.health().await;
    for (place, counts) in [(27, [3, 2, 4, 4]), (28, [0, 1, 0, 1]), (29, [0, 0, 0, 0])] {
        let day = &health["days"][place];
        let named = ["webhook", "page_load", "reconcile", "orphans_healed"];
        assert_eq!(json!(named.map(|name| &day[name])), json!(counts), "{day}");
    }
}

#[tokio::test]
async fn a_table_of_ones_own_has_the_same_health() {
    let database = profiles::start().await;
    database
        .check(&[
            (("quiet", [0, 0, 0, 0, 0]), &[]),
            // They were in the table before.
            (
                ("quiet", [0, 0, 0, 0, 0]),
                &[(PageLoad, "user_old", "1 hour")],
            ),
            (
                ("leaking", [1, 1, 0, 0, 1]),
                &[
                    (PageLoad, "user_1", "2 hours"),
                    (Webhook, "user_2", "1 hour"),
                ],
            ),
        ])
        .await;
}

#[tokio::test]
async fn the_migration_runs_twice_and_the_health_stays() {
    let database = Database::start().await;
    database.event("msg_1", &user("user_1", T, "Ada")).await;
    let before = database.health().await;
    assert_eq!(before["verdict"], "working");
    database.postgres.migrate().await.unwrap();
    assert_eq!(database.health().await, before);
}

#[tokio::test]
async fn nobody_but_the_service_role_sees_the_health() {
    let database = Database::start().await;
    // Not only may they not read the ledger, for which the code would be the same.
    let refused = Some("permission denied for function user_sync_health");
    for (role, refusal) in [
        ("anon", refused),
        ("authenticated", refused),
        ("service_role", None),
    ] {
        let client = database.postgres.connect().await.unwrap();
        let call = format!("set role {role}; select public.user_sync_health()");
        let error = client.batch_execute(&call).await.err();
        let message = error.as_ref().and_then(|error| error.as_db_error());
        assert_eq!(message.map(DbError::message), refusal, "{role}");
    }
}

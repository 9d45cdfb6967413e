//! The health that an operator sees, read from the ledger.

use serde_json::{Value, json};
use tokio_postgres::error::DbError;

use self::Kind::{Deletion, PageLoad, Reconcile, Rejection, Stale, Webhook};
use crate::{T, database::Database, deletion, profiles, user};

/// A write: its kind, the user's id, and how long ago it was.
type Write = (Kind, &'static str, &'static str);

#[derive(Clone, Copy, Debug)]
enum Kind {
    PageLoad,
    Reconcile,
    /// A webhook with the same version of the user as the other sources.
    Webhook,
    /// A webhook with an older version.
    Stale,
    Deletion,
    Rejection,
}

/// The verdict, then arrived, lost, rejected, lost since the last webhook, and orphans healed on
/// all days.
type Health = (&'static str, [i64; 5]);

impl Database {
    /// The health after these writes. All are in one transaction, which is rolled back: `now()`
    /// does not move, so limits are exact, and the ledger is empty again afterwards.
    async fn health_after(&self, writes: &[Write]) -> Value {
        self.run("begin").await;
        self.write_all(writes).await;
        let health = self.health().await;
        self.run("rollback").await;
        health
    }

    async fn write_all(&self, writes: &[Write]) {
        for (number, (kind, id, ago)) in writes.iter().enumerate() {
            let time = format!("now() - interval '{ago}'");
            self.write(&format!("msg_{number}"), *kind, id, &time).await;
        }
    }

    /// Checks the health after the writes of each case.
    async fn check(&self, cases: &[(Health, &[Write])]) {
        for ((verdict, figures), writes) in cases {
            let health = self.health_after(writes).await;
            let days = health["days"].as_array().unwrap();
            let orphans = days.iter().filter_map(|day| day["orphans_healed"].as_i64());
            let actual = json!([
                health["arrived"],
                health["lost"],
                health["rejected"],
                health["lost_since_last_webhook"],
                orphans.sum::<i64>(),
            ]);
            assert_eq!(actual, json!(figures), "{writes:?}");
            assert_eq!(health["verdict"], *verdict, "{writes:?}");
        }
    }

    async fn health(&self) -> Value {
        serde_json::from_str(&self.ask("public.user_sync_health()").await).unwrap()
    }

    /// Writes through the real functions, then changes the time of the new ledger entry.
    async fn write(&self, event_id: &str, kind: Kind, id: &str, time: &str) {
        let before = self.last_entry().await;
        match kind {
            PageLoad => drop(self.page_load(&user(id, T, "Ada")).await),
            Webhook => drop(self.event(event_id, &user(id, T, "Ada")).await),
            Stale => drop(self.event(event_id, &user(id, T - 1, "older")).await),
            Deletion => drop(self.event(event_id, &deletion(id)).await),
            Reconcile => self.reconcile(&user(id, T, "Ada")).await,
            Rejection => self.reject(event_id, id).await,
        }
        self.date_entries_after(before, time).await;
    }
}

#[tokio::test]
async fn an_empty_ledger_is_quiet_and_has_thirty_empty_days() {
    let database = Database::start().await;
    database.run("begin").await;
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
            "sources": [
                { "source": "webhook", "last_event_at": null },
                { "source": "page_load", "last_event_at": null },
                { "source": "reconcile", "last_event_at": null },
            ],
            "days": days,
        })
    );
}

#[tokio::test]
async fn the_verdict_depends_on_what_arrived_and_who_was_lost_and_when() {
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
            // The time counts, not the order in the ledger.
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
            // A page load that only confirms a user does not count as lost.
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
async fn only_the_last_24_hours_count_but_the_last_webhook_can_be_older() {
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
async fn a_user_is_lost_when_no_webhook_reports_them_for_a_minute() {
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
async fn a_user_with_any_accepted_webhook_is_not_lost() {
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
            // Reported before: somebody deleted the row by hand.
            (
                ("working", [1, 0, 0, 0, 0]),
                &[
                    (PageLoad, "user_1", "1 hour"),
                    (Webhook, "user_1", "2 hours"),
                ],
            ),
            // A deleted user is not created again.
            (
                ("working", [1, 0, 0, 0, 0]),
                &[
                    (Deletion, "user_1", "2 hours"),
                    (PageLoad, "user_1", "1 hour"),
                ],
            ),
            // No other source counts as a report.
            (
                ("silent", [0, 1, 0, 1, 1]),
                &[
                    (PageLoad, "user_1", "3 hours"),
                    (PageLoad, "user_1", "2 hours"),
                    (Reconcile, "user_1", "1 hour"),
                ],
            ),
            // One of two users.
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
async fn a_rejected_webhook_reports_nobody_and_does_not_count_as_arrived() {
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
async fn each_source_has_its_last_event_of_any_age() {
    let database = Database::start().await;
    let writes = [
        (Webhook, "user_1", "700 days"),
        (Webhook, "user_2", "600 days"),
        (Rejection, "user_3", "1 hour"),
        (PageLoad, "user_4", "3 hours"),
        (PageLoad, "user_1", "2 hours"),
        (Reconcile, "user_5", "40 days"),
    ];
    database.run("begin").await;
    database.write_all(&writes).await;
    let health = database.health().await;
    let mut sources = Vec::new();
    for (source, ago) in [
        ("webhook", "600 days"),
        // The later one changed nothing, and is not in the ledger.
        ("page_load", "3 hours"),
        ("reconcile", "40 days"),
    ] {
        let time = format!("to_jsonb(now() - interval '{ago}') #>> '{{}}'");
        let time = database.ask(&time).await;
        sources.push(json!({ "source": source, "last_event_at": time }));
    }
    assert_eq!(health["last_webhook_at"], sources[0]["last_event_at"]);
    assert_eq!(health["sources"], json!(sources));
}

/// The start of today.
const TODAY: &str = "date_trunc('day', now(), 'UTC')";

#[tokio::test]
async fn the_thirty_days_are_in_utc_in_every_time_zone_of_the_caller() {
    let database = Database::start().await;
    for zone in ["UTC", "Pacific/Kiritimati", "America/New_York"] {
        for (time, expected) in [
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
            database.run(&begin).await;
            let time = format!("{TODAY} {time}");
            database.write("msg_1", PageLoad, "user_1", &time).await;
            let health = database.health().await;
            let days = health["days"].as_array().unwrap();
            let index = days.iter().position(|day| day["page_load"] == 1);
            assert_eq!((days.len(), index), (30, expected), "{zone}: {time}");
            if let Some(index) = expected {
                let day = format!("(({time}) at time zone 'UTC')::date");
                assert_eq!(days[index]["day"], database.ask(&day).await, "{zone}");
            }
            database.run("rollback").await;
        }
    }
}

#[tokio::test]
async fn a_user_counts_on_the_day_and_for_the_source_of_the_first_write() {
    let database = Database::start().await;
    database.run("begin").await;
    let writes = [
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
    for (number, (kind, id, days)) in writes.into_iter().enumerate() {
        let time = format!("{TODAY} - {days} * interval '24 hours'");
        let event_id = format!("msg_{number}");
        database.write(&event_id, kind, id, &time).await;
    }
    let health = database.health().await;
    for (index, counts) in [(27, [3, 2, 4, 4]), (28, [0, 1, 0, 1]), (29, [0, 0, 0, 0])] {
        let day = &health["days"][index];
        let names = ["webhook", "page_load", "reconcile", "orphans_healed"];
        assert_eq!(json!(names.map(|name| &day[name])), json!(counts), "{day}");
    }
}

#[tokio::test]
async fn a_table_of_your_own_has_the_same_health() {
    let database = profiles::start().await;
    database
        .check(&[
            (("quiet", [0, 0, 0, 0, 0]), &[]),
            // This user was already in the table.
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
async fn the_migrations_run_twice_and_the_health_stays() {
    let database = Database::start().await;
    database.event("msg_1", &user("user_1", T, "Ada")).await;
    let before = database.health().await;
    assert_eq!(before["verdict"], "working");
    database.postgres.migrate().await.unwrap();
    assert_eq!(database.health().await, before);
}

#[tokio::test]
async fn only_the_service_role_sees_the_health() {
    let database = Database::start().await;
    // Without access to the ledger the error code would be the same, but not the message.
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

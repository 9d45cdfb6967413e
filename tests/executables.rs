//! How the executables of either platform start.

use std::process::Command;

use serde_json::{Value, json};
use stack::{Log, Stack, Target, build, clerk::Delivery};

#[test]
fn an_executable_names_all_that_is_missing_and_exits_with_1() {
    for target in [Target::Vercel, Target::Lambda] {
        let [user_sync, clerk_webhook] = build(target).unwrap();
        for (executable, expected) in [
            (
                user_sync,
                "[UserSync] cannot start, the configuration needs mending:
  LOG_FORMAT must be `text` or `json`
  CLERK_SECRET_KEY is missing: the instance's secret key, sk_…
  SUPABASE_URL must be a URL that begins with `https://`
  SUPABASE_SECRET_KEY or SUPABASE_SERVICE_ROLE_KEY is missing: the project's secret key, sb_secret_…
",
            ),
            (
                clerk_webhook,
                "[ClerkWebhook] cannot start, the configuration needs mending:
  LOG_FORMAT must be `text` or `json`
  CLERK_WEBHOOK_SIGNING_SECRET is missing: the endpoint's signing secret, whsec_…
  SUPABASE_URL must be a URL that begins with `https://`
  SUPABASE_SECRET_KEY or SUPABASE_SERVICE_ROLE_KEY is missing: the project's secret key, sb_secret_…
",
            ),
        ] {
            let run = Command::new(executable)
                .env_clear()
                .env("SUPABASE_URL", "abc.supabase.co")
                .env("LOG_FORMAT", "xml")
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(run.stderr).unwrap(), expected);
            assert_eq!(run.status.code(), Some(1));
            assert!(run.stdout.is_empty());
        }
    }
}

#[tokio::test]
async fn json_lines_hold_the_same_words() {
    let mut stack = Stack::start(Target::Vercel, &Log::default()).await.unwrap();
    stack.configure(&[("LOG_FORMAT", "json")]).await.unwrap();
    stack.clerk.set_delivery(Delivery::Drop);
    let id = stack.clerk.sign_up(&json!({ "email": "ada@example.com" }));
    stack.load_page(&id, &json!({})).await.unwrap();
    for (level, message) in [
        (
            "WARN",
            format!("[UserSync] User {id}... missing from database. Syncing..."),
        ),
        (
            "INFO",
            format!("[UserSync] ✓ User {id}... synced successfully (ada@example.com)"),
        ),
    ] {
        let log = stack.functions.log();
        log.wait_for(&message).unwrap();
        let text = log.text();
        let line = text.lines().find(|line| line.contains(&message)).unwrap();
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["fields"]["message"], message);
        assert_eq!(line["level"], level);
    }
}

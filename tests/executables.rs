//! How the executables for both platforms start, and how their log lines look.

use std::process::Command;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};
use stack::{FUNCTIONS, Log, Stack, SupabaseFault, Target, build, clerk::Delivery};

#[test]
fn an_executable_names_every_wrong_variable_and_exits_with_1() {
    for target in [Target::Vercel, Target::Lambda] {
        let executables = build(target).unwrap();
        for (name, expected) in [
            (
                "user-sync",
                "[UserSync] cannot start; fix these variables:
  LOG_FORMAT must be `text` or `json`
  SUPABASE_URL must be a URL that begins with `https://`
  SUPABASE_SECRET_KEY or SUPABASE_SERVICE_ROLE_KEY is missing: the project's secret key, `sb_secret_…`, or its legacy `service_role` JWT
  CLERK_SECRET_KEY is missing: the instance's secret key, `sk_…`
",
            ),
            (
                "clerk-webhook",
                "[ClerkWebhook] cannot start; fix these variables:
  LOG_FORMAT must be `text` or `json`
  SUPABASE_URL must be a URL that begins with `https://`
  SUPABASE_SECRET_KEY or SUPABASE_SERVICE_ROLE_KEY is missing: the project's secret key, `sb_secret_…`, or its legacy `service_role` JWT
  CLERK_WEBHOOK_SIGNING_SECRET is missing: the endpoint's signing secret, `whsec_…`; several, separated by commas, while one is rotated
",
            ),
        ] {
            let run = Command::new(&executables[name])
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
async fn each_function_logs_what_it_uses_when_it_starts() {
    let stack = Stack::start(Target::Vercel, &Log::default()).await.unwrap();
    let log = stack.functions.log();
    let (supabase, clerk) = (stack.supabase.url(), stack.clerk.api_url());
    let supabase = format!("Supabase at {supabase} with a key of the kind sb_secret");
    let origin = stack.clerk.origin();
    let fingerprints = stack.clerk.webhook_signing_secrets().map(|secret| {
        let hash = digest(&SHA256, secret.as_bytes());
        hash.as_ref()[..4]
            .iter()
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    });
    let [first, second] = fingerprints;
    for uses in [
        format!("{supabase}; webhooks signed with a secret of the fingerprint {first} or {second}"),
        format!(
            "{supabase}; Clerk at {clerk} with a key of the kind sk_live; sessions of {origin}, verified without network (CLERK_JWT_KEY)"
        ),
    ] {
        log.wait_for(&uses).unwrap();
    }
    let version = concat!("] ", env!("CARGO_PKG_VERSION"), " (");
    let started = log.text().matches(version).count();
    assert_eq!(started, FUNCTIONS.len(), "{}", log.text());
}

#[tokio::test]
async fn json_lines_have_the_same_messages() {
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

#[tokio::test]
async fn log_lines_on_lambda_are_cloudwatch_metrics() {
    let mut stack = Stack::start(Target::Lambda, &Log::default()).await.unwrap();
    let format = [("AWS_LAMBDA_LOG_FORMAT", "JSON")];
    stack.configure(&format).await.unwrap();
    let id = stack.clerk.sign_up(&json!({ "email": "ada@example.com" }));
    stack.clerk.deliveries_done().await.unwrap();
    stack.age_row(&id).await.unwrap();
    stack.load_page(&id, &json!({})).await.unwrap();
    let down = SupabaseFault::Status(http::StatusCode::BAD_GATEWAY);
    stack.supabase.faults().plan("", down, None);
    stack.load_page(&id, &json!({})).await.unwrap();
    let log = stack.functions.log();
    log.wait_for("503").unwrap();
    let lines = log.take();
    let lines = lines
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok());
    let counted: Vec<Value> = lines
        .filter(|line: &Value| line["_aws"].is_object())
        .collect();
    for (metric, value, dimension, word) in [
        ("UsersRefreshed", 1, "", ""),
        ("UsersHealed", 0, "", ""),
        ("WebhookEvents", 1, "Outcome", "created"),
        ("UpstreamErrors", 1, "Service", "supabase"),
    ] {
        let line = counted.iter().find(|line| !line[metric].is_null());
        let line = line.unwrap_or_else(|| panic!("no line counts {metric}: {counted:?}"));
        assert_eq!(line[metric], value, "{line}");
        assert_eq!(line[dimension].as_str().unwrap_or_default(), word, "{line}");
    }
}

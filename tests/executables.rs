//! How the executables of either platform start.

use std::process::Command;

use stack::{Target, build};

#[test]
fn an_executable_names_all_that_is_missing_and_exits_with_1() {
    for target in [Target::Vercel, Target::Lambda] {
        let [user_sync, clerk_webhook] = build(target).unwrap();
        for (executable, expected) in [
            (
                user_sync,
                "[UserSync] cannot start, the configuration needs mending:
  CLERK_SECRET_KEY is missing: the instance's secret key, sk_…
  SUPABASE_URL must be a URL that begins with `https://`
  SUPABASE_SECRET_KEY or SUPABASE_SERVICE_ROLE_KEY is missing: the project's secret key, sb_secret_…
",
            ),
            (
                clerk_webhook,
                "[ClerkWebhook] cannot start, the configuration needs mending:
  CLERK_WEBHOOK_SIGNING_SECRET is missing: the endpoint's signing secret, whsec_…
  SUPABASE_URL must be a URL that begins with `https://`
  SUPABASE_SECRET_KEY or SUPABASE_SERVICE_ROLE_KEY is missing: the project's secret key, sb_secret_…
",
            ),
        ] {
            let run = Command::new(executable)
                .env_clear()
                .env("SUPABASE_URL", "abc.supabase.co")
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(run.stderr).unwrap(), expected);
            assert_eq!(run.status.code(), Some(1));
            assert!(run.stdout.is_empty());
        }
    }
}

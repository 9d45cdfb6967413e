//! `cargo xtask dev`: runs both functions and everything that they need on this machine.

use std::{future::pending, path::Path};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::json;
use stack::{Environment, Functions, Log, Stack, Target, Web, clerk::Delivery, story};
use tokio::signal::unix::{SignalKind, signal};

use crate::description::Description;

/// The app's port with real services. It is part of the app's origin.
const WEB_PORT: &str = "3000";

/// How the functions run, and what for.
#[derive(Args)]
pub struct Arguments {
    /// Run the functions under `cargo lambda watch` instead of as Vercel's executables
    #[arg(long)]
    lambda: bool,
    /// Play the story of an orphaned user on the local parts; exit with 0 if every step succeeds
    #[arg(long)]
    once: bool,
}

/// Starts everything and waits for Ctrl-C, or plays the story. In any case, it stops at the end
/// everything that it started.
pub async fn run(arguments: Arguments) -> Result<()> {
    let target = if arguments.lambda {
        Target::Lambda
    } else {
        Target::Vercel
    };
    tokio::select! {
        biased;
        stopped = wait_for_signal() => {
            stopped?;
            eprintln!("Stopping …");
            ensure!(!arguments.once, "the story was stopped before its last step");
            Ok(())
        }
        result = play_or_serve(target, arguments.once) => result,
    }
}

async fn play_or_serve(target: Target, once: bool) -> Result<()> {
    match real_environment()? {
        Some(environment) if !once => serve_on_real_services(target, &environment).await,
        _ => {
            eprintln!("Starting PostgreSQL, PostgREST, a stand-in for Clerk, and both functions …");
            let log = if once { Log::default() } else { Log::shown() };
            let stack = Stack::start(target, &log).await?;
            let _description = Description::of(&stack)?;
            if once {
                return play_the_story(&stack).await;
            }
            let web = Web::develop(&stack.web_environment(), &log).await?;
            print_guide(&stack, &web);
            pending().await
        }
    }
}

async fn play_the_story(stack: &Stack) -> Result<()> {
    let mut step = 0;
    let played = story::play(stack, |sentence| {
        step += 1;
        println!("{step}. ✓ {sentence}");
    });
    played.await.with_context(|| {
        let log = stack.functions.log().tail();
        format!("the story failed after step {step}; the functions' last lines:\n{log}")
    })?;
    println!("Every step succeeded.");
    Ok(())
}

async fn serve_on_real_services(target: Target, environment: &Environment) -> Result<()> {
    let web_environment = web_environment(environment)?;
    eprintln!("Starting both functions and the app on the services of .env …");
    let log = Log::shown();
    let functions = Functions::start(target, &functions_environment(environment), &log).await?;
    let (user_sync, clerk_webhook) = (functions.url("user-sync"), functions.url("clerk-webhook"));
    let addresses = [
        ("USER_SYNC_URL", &user_sync),
        ("CLERK_WEBHOOK_URL", &clerk_webhook),
    ];
    let addresses = addresses.map(|(name, url)| (name.to_owned(), url.clone()));
    let web_environment = web_environment.into_iter().chain(addresses).collect();
    let web = Web::develop(&web_environment, &log).await?;
    let web_url = web.url();
    let urls = json!({
        "webUrl": web_url, "userSyncUrl": user_sync, "clerkWebhookUrl": clerk_webhook,
    });
    let _description = Description::write(&urls)?;
    println!(
        "
  the app         {web_url}
  user-sync       {user_sync}
  clerk-webhook   {clerk_webhook}

The app also serves both functions, under /api. To receive webhooks from Clerk, point a tunnel at
the app and give Clerk the tunnel's URL with /api/webhooks/clerk. Ctrl-C stops everything.
"
    );
    pending().await
}

/// The app's variables, made from those of the functions. The functions check their own.
fn web_environment(environment: &Environment) -> Result<Environment> {
    let mut variables = environment.clone();
    let mut missing = Vec::new();
    // The app reads only the first name of each.
    let supabase_url = ["SUPABASE_URL", "NEXT_PUBLIC_SUPABASE_URL"];
    let publishable_key = ["NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY", "CLERK_PUBLISHABLE_KEY"];
    for (names, what) in [
        (
            &supabase_url[..],
            "the project's URL, https://….supabase.co",
        ),
        (
            &["SUPABASE_SECRET_KEY"],
            "the project's secret key, sb_secret_…; the app does not accept a service_role key",
        ),
        (&publishable_key, "the instance's publishable key, pk_…"),
    ] {
        let mut values = names.iter().filter_map(|name| environment.get(*name));
        match values.find(|value| !value.is_empty()) {
            Some(value) => drop(variables.insert(names[0].to_owned(), value.clone())),
            None => missing.push(format!("\n  {}: {what}", names.join(" or "))),
        }
    }
    ensure!(
        missing.is_empty(),
        "the app needs more variables; set these in .env:{}",
        missing.concat()
    );
    variables.insert("PORT".to_owned(), WEB_PORT.to_owned());
    Ok(variables)
}

/// The functions' variables. `.env` may list only the origins of the deployed app, so this adds the
/// origin of the app on this machine.
fn functions_environment(environment: &Environment) -> Environment {
    let mut variables = environment.clone();
    if let Some(parties) = variables.get_mut("CLERK_AUTHORIZED_PARTIES")
        && !parties.is_empty()
    {
        *parties = format!("{parties},http://localhost:{WEB_PORT}");
    }
    variables
}

/// The variables in `.env`, if they are for a real Clerk or a real Supabase.
fn real_environment() -> Result<Option<Environment>> {
    let file = stack::root().join(".env");
    if !file.exists() {
        return Ok(None);
    }
    let environment = read_environment(&file)?;
    let is_set = |name: &str| environment.get(name).is_some_and(|value| !value.is_empty());
    let is_real = is_set("SUPABASE_URL") || is_set("CLERK_SECRET_KEY");
    Ok(is_real.then_some(environment))
}

fn read_environment(file: &Path) -> Result<Environment> {
    dotenvy::from_path_iter(file)
        .and_then(Iterator::collect)
        .with_context(|| format!("cannot read {}", file.display()))
}

/// Prints the addresses, and what to try with a user whose webhook was lost.
fn print_guide(stack: &Stack, web: &Web) {
    let clerk = &stack.clerk;
    clerk.set_delivery(Delivery::Drop);
    let orphan = clerk.sign_up(&json!({ "email": "ada@example.com", "first_name": "Ada" }));
    clerk.set_delivery(Delivery::Deliver);

    let (user_sync, clerk_webhook) = (
        stack.functions.url("user-sync"),
        stack.functions.url("clerk-webhook"),
    );
    let (supabase, postgres) = (stack.supabase.url(), stack.postgres.url("postgres"));
    let (web, clerk, control) = (web.url(), clerk.api_url(), clerk.control_url());
    let key = &stack.supabase.keys().secret_key;
    println!(
        "
  the app               {web}
  user-sync             {user_sync}
  clerk-webhook         {clerk_webhook}
  Supabase              {supabase}
  PostgreSQL            {postgres}
  Clerk (stand-in)      {clerk}
  all with their keys   target/stack.json

Ada has signed up, and her webhook was lost. Sign in to the app as ada@example.com, with any
password. The app also serves both functions, under /api. Or do it by hand. She loads a page:
  curl -X POST {user_sync} -H \"Authorization: Bearer $(curl -s -X POST {control}/users/{orphan}/session)\"
She changes her name, and the webhook arrives:
  curl -X PATCH {control}/users/{orphan} --json '{{\"first_name\":\"Augusta\"}}'
Her row:
  curl '{supabase}/rest/v1/users?id=eq.{orphan}' -H 'apikey: {key}'

Ctrl-C stops everything.
"
    );
}

/// Waits for Ctrl-C or SIGTERM.
async fn wait_for_signal() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        variables.iter().map(owned).collect()
    }

    #[test]
    fn all_missing_variables_of_the_app_are_named_at_once() {
        let legacy = [
            ("NEXT_PUBLIC_SUPABASE_URL", "https://abc.supabase.co"),
            ("SUPABASE_SECRET_KEY", ""),
            ("SUPABASE_SERVICE_ROLE_KEY", "eyJ"),
        ];
        let error = web_environment(&environment(&legacy)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the app needs more variables; set these in .env:\
             \n  SUPABASE_SECRET_KEY: the project's secret key, sb_secret_…; the app does not accept a service_role key\
             \n  NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY or CLERK_PUBLISHABLE_KEY: the instance's publishable key, pk_…"
        );
    }

    #[test]
    fn the_app_gets_the_values_of_the_functions_under_its_own_names() {
        let complete = [
            ("NEXT_PUBLIC_SUPABASE_URL", "https://abc.supabase.co"),
            ("SUPABASE_SECRET_KEY", "sb_secret_abc"),
            ("CLERK_PUBLISHABLE_KEY", "pk_test_abc"),
        ];
        let variables = web_environment(&environment(&complete)).unwrap();
        assert_eq!(variables["SUPABASE_URL"], "https://abc.supabase.co");
        assert_eq!(
            variables["NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY"],
            "pk_test_abc"
        );
        assert_eq!(variables["PORT"], "3000");
    }

    #[test]
    fn the_app_on_this_machine_is_added_to_the_authorized_parties() {
        for (value, expected) in [
            ("", ""),
            (
                "https://app.example.com",
                "https://app.example.com,http://localhost:3000",
            ),
        ] {
            let name = "CLERK_AUTHORIZED_PARTIES";
            let variables = functions_environment(&environment(&[(name, value)]));
            assert_eq!(variables[name], expected);
        }
        assert!(functions_environment(&environment(&[])).is_empty());
    }
}

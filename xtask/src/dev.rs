//! `cargo xtask dev`: both functions and all that they need, running on this machine.

use std::{future::pending, path::Path};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::json;
use stack::{Environment, Functions, Log, Stack, Target, Web, clerk::Delivery, story};
use tokio::signal::unix::{SignalKind, signal};

use crate::description::Description;

/// The app's port on real services: that of its own origin.
const WEB_PORT: &str = "3000";

/// How the functions run, and what for.
#[derive(Args)]
pub struct Arguments {
    /// Run the functions under `cargo lambda watch`, not as Vercel's executables
    #[arg(long)]
    lambda: bool,
    /// Play the story of an orphaned user on the local parts, and exit with 0 if it comes true
    #[arg(long)]
    once: bool,
}

/// Starts everything and waits for Ctrl-C, or plays the story. However it ends, what was started
/// ends with it.
pub async fn run(arguments: Arguments) -> Result<()> {
    let target = if arguments.lambda {
        Target::Lambda
    } else {
        Target::Vercel
    };
    tokio::select! {
        biased;
        stopped = until_stopped() => {
            stopped?;
            eprintln!("Stopping …");
            ensure!(!arguments.once, "the story was stopped before its end");
            Ok(())
        }
        ended = play_or_serve(target, arguments.once) => ended,
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
                return tell_the_story(&stack).await;
            }
            let web = Web::develop(&stack.web_environment(), &log).await?;
            invite(&stack, &web);
            pending().await
        }
    }
}

async fn tell_the_story(stack: &Stack) -> Result<()> {
    let mut step = 0;
    let told = story::play(stack, |sentence| {
        step += 1;
        println!("{step}. ✓ {sentence}");
    });
    told.await.with_context(|| {
        let log = stack.functions.log().tail();
        format!("the story broke off after step {step}; the functions' last lines:\n{log}")
    })?;
    println!("The story came true.");
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

The app serves both functions too, under /api. Lead a tunnel to it to receive webhooks from Clerk,
at /api/webhooks/clerk. Ctrl-C stops everything.
"
    );
    pending().await
}

/// What the app needs, out of the functions' own variables. The functions check theirs themselves.
fn web_environment(environment: &Environment) -> Result<Environment> {
    let mut variables = environment.clone();
    let mut missing = Vec::new();
    // The app reads the first of the names.
    let supabase_url = ["SUPABASE_URL", "NEXT_PUBLIC_SUPABASE_URL"];
    let publishable_key = ["NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY", "CLERK_PUBLISHABLE_KEY"];
    for (names, what) in [
        (
            &supabase_url[..],
            "the project's URL, https://….supabase.co",
        ),
        (
            &["SUPABASE_SECRET_KEY"],
            "the project's secret key, sb_secret_…; the app takes no service_role key",
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
        "the app needs more than .env says; set there:{}",
        missing.concat()
    );
    variables.insert("PORT".to_owned(), WEB_PORT.to_owned());
    Ok(variables)
}

/// What the functions need. `.env` may name the origins of the deployed app alone, and sessions of
/// the app here name its own.
fn functions_environment(environment: &Environment) -> Environment {
    let mut variables = environment.clone();
    if let Some(parties) = variables.get_mut("CLERK_AUTHORIZED_PARTIES")
        && !parties.is_empty()
    {
        *parties = format!("{parties},http://localhost:{WEB_PORT}");
    }
    variables
}

/// What `.env` says, where it names a real Clerk or a real Supabase.
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

/// Prints the addresses, and what to try about a user whose webhook was lost.
fn invite(stack: &Stack, web: &Web) {
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
  all of it, with keys  target/stack.json

Ada has signed up, and her webhook was lost. Sign in to the app as ada@example.com, with any password;
it serves both functions too, under /api. Or, in her place, by hand: she loads a page:
  curl -X POST {user_sync} -H \"Authorization: Bearer $(curl -s -X POST {control}/users/{orphan}/session)\"
She changes her name, and the webhook arrives:
  curl -X PATCH {control}/users/{orphan} --json '{{\"first_name\":\"Augusta\"}}'
Her row:
  curl '{supabase}/rest/v1/users?id=eq.{orphan}' -H 'apikey: {key}'

Ctrl-C stops everything.
"
    );
}

/// Waits for Ctrl-C, or for the signal that ends a process politely.
async fn until_stopped() -> Result<()> {
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
    fn all_that_the_app_lacks_is_named_at_once() {
        let legacy = [
            ("NEXT_PUBLIC_SUPABASE_URL", "https://abc.supabase.co"),
            ("SUPABASE_SECRET_KEY", ""),
            ("SUPABASE_SERVICE_ROLE_KEY", "eyJ"),
        ];
        let error = web_environment(&environment(&legacy)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the app needs more than .env says; set there:\
             \n  SUPABASE_SECRET_KEY: the project's secret key, sb_secret_…; the app takes no service_role key\
             \n  NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY or CLERK_PUBLISHABLE_KEY: the instance's publishable key, pk_…"
        );
    }

    #[test]
    fn the_app_takes_what_the_functions_have_under_its_own_names() {
        let whole = [
            ("NEXT_PUBLIC_SUPABASE_URL", "https://abc.supabase.co"),
            ("SUPABASE_SECRET_KEY", "sb_secret_abc"),
            ("CLERK_PUBLISHABLE_KEY", "pk_test_abc"),
        ];
        let variables = web_environment(&environment(&whole)).unwrap();
        assert_eq!(variables["SUPABASE_URL"], "https://abc.supabase.co");
        assert_eq!(
            variables["NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY"],
            "pk_test_abc"
        );
        assert_eq!(variables["PORT"], "3000");
    }

    #[test]
    fn where_origins_are_named_the_app_here_is_one_of_them() {
        for (named, told) in [
            ("", ""),
            (
                "https://app.example.com",
                "https://app.example.com,http://localhost:3000",
            ),
        ] {
            let name = "CLERK_AUTHORIZED_PARTIES";
            let variables = functions_environment(&environment(&[(name, named)]));
            assert_eq!(variables[name], told);
        }
        assert!(functions_environment(&environment(&[])).is_empty());
    }
}

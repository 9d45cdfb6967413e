//! `cargo xtask dev`: both functions and all that they need, running on this machine.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};
use stack::{Environment, Functions, Log, Stack, Target, story};
use tokio::signal::unix::{SignalKind, signal};

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

/// Starts everything and waits for Ctrl-C, or plays the story.
pub async fn run(arguments: Arguments) -> Result<()> {
    let target = if arguments.lambda {
        Target::Lambda
    } else {
        Target::Vercel
    };
    if arguments.once {
        return tell_the_story(target).await;
    }
    match real_environment()? {
        Some(environment) => serve_on_real_services(target, &environment).await,
        None => serve_on_local_parts(target).await,
    }
}

async fn tell_the_story(target: Target) -> Result<()> {
    let stack = start(target, &Log::default()).await?;
    let mut step = 0;
    story::play(&stack, |sentence| {
        step += 1;
        println!("{step}. ✓ {sentence}");
    })
    .await
    .with_context(|| format!("the story broke off after step {step}"))?;
    println!("The story came true.");
    Ok(())
}

async fn serve_on_local_parts(target: Target) -> Result<()> {
    let stack = start(target, &Log::shown()).await?;
    let description = Description::of(&stack)?;
    stack.clerk.set_delivery(stack::clerk::Delivery::Drop);
    let orphan = stack
        .clerk
        .sign_up(&json!({ "email": "ada@example.com", "first_name": "Ada" }));
    stack.clerk.set_delivery(stack::clerk::Delivery::Deliver);
    print_addresses(&stack);
    print_what_to_try(&stack, orphan["id"].as_str().unwrap_or_default());
    until_stopped().await?;
    drop(description);
    Ok(())
}

async fn serve_on_real_services(target: Target, environment: &Environment) -> Result<()> {
    eprintln!("Starting both functions on the services of .env …");
    let functions = Functions::start(target, environment, &Log::shown()).await?;
    println!();
    println!("  user-sync       {}", functions.user_sync_url());
    println!("  clerk-webhook   {}", functions.clerk_webhook_url());
    println!(
        "\nLead a tunnel to clerk-webhook to receive webhooks from Clerk. Ctrl-C stops both.\n"
    );
    until_stopped().await
}

async fn start(target: Target, log: &Log) -> Result<Stack> {
    eprintln!("Starting PostgreSQL, PostgREST, a stand-in for Clerk, and both functions …");
    Stack::start(target, log).await
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

/// `target/stack.json`: every address and key that a script needs, there while the stack runs.
struct Description(PathBuf);

impl Description {
    fn of(stack: &Stack) -> Result<Self> {
        let file = stack::root().join("target/stack.json");
        let text = serde_json::to_string_pretty(&describe(stack))?;
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Self(file))
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        // It may have been deleted by hand, which is as good.
        drop(fs::remove_file(&self.0));
    }
}

fn describe(stack: &Stack) -> Value {
    let keys = stack.supabase.keys();
    json!({
        "userSyncUrl": stack.functions.user_sync_url(),
        "clerkWebhookUrl": stack.functions.clerk_webhook_url(),
        "supabaseUrl": stack.supabase.url(),
        "supabaseSecretKey": keys.secret_key,
        "supabasePublishableKey": keys.publishable_key,
        "serviceRoleJwt": keys.service_role_jwt,
        "anonJwt": keys.anon_jwt,
        "databaseUrl": stack.postgres.url("postgres"),
        "clerkApiUrl": stack.clerk.api_url(),
        "clerkSecretKey": stack.clerk.secret_key(),
        "clerkJwtKey": stack.clerk.jwt_key(),
        "clerkPublishableKey": stack.clerk.publishable_key(),
        "clerkWebhookSigningSecret": stack.clerk.webhook_signing_secret(),
        "clerkControlUrl": stack.clerk.control_url(),
    })
}

fn print_addresses(stack: &Stack) {
    println!();
    for (name, address) in [
        ("user-sync", stack.functions.user_sync_url()),
        ("clerk-webhook", stack.functions.clerk_webhook_url()),
        ("Supabase", stack.supabase.url().to_owned()),
        ("PostgreSQL", stack.postgres.url("postgres")),
        ("Clerk (stand-in)", stack.clerk.api_url().to_owned()),
        (
            "all of it, with keys",
            Path::new("target/stack.json").display().to_string(),
        ),
    ] {
        println!("  {name:22}{address}");
    }
}

/// Three lines to copy, about a user whose webhook was lost.
fn print_what_to_try(stack: &Stack, orphan: &str) {
    let control = stack.clerk.control_url();
    let (sync, supabase) = (stack.functions.user_sync_url(), stack.supabase.url());
    let key = &stack.supabase.keys().secret_key;
    println!(
        "
Ada has signed up, and her webhook was lost. She loads a page:
  curl -X POST {sync} -H \"Authorization: Bearer $(curl -s -X POST {control}/users/{orphan}/session)\"
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
    eprintln!("Stopping …");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_read_as_it_stands() {
        let example = read_environment(&stack::root().join(".env.example")).unwrap();
        let filled: Vec<_> = example
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(filled, ["LOG_FORMAT=text", "USER_SYNC_MAX_AGE=24h"]);
        assert_eq!(example.len(), 10);
    }
}

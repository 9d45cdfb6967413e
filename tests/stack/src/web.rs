//! The app in `web/`: the page that heals its visitor.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use reqwest::Client;
use tokio::time::{Instant, sleep};

use crate::{
    Environment, Stack, port,
    process::{Log, Process, Stop},
    repository::{copy_files, files, root},
    tools,
};

/// How long the app may take until it answers.
const TIME_TO_START: Duration = Duration::from_mins(1);

/// How long one answer may take during the start. It may never come.
const TIME_TO_ANSWER: Duration = Duration::from_secs(5);

/// The app, served until this is dropped.
pub struct Web {
    url: String,
    _process: Process,
}

impl Web {
    /// Serves the app for development: a change of a file shows at once.
    pub async fn develop(environment: &Environment, log: &Log) -> Result<Self> {
        install()?;
        serve(&folder(), "dev", environment, log).await
    }

    /// Builds the app for deployment, and serves the build.
    pub async fn start(environment: &Environment, log: &Log) -> Result<Self> {
        install()?;
        build_and_serve(&folder(), environment, log).await
    }

    /// Does the same with a copy of the app at another address. Its layout wrapper is one of those in
    /// `web/browser/layouts`.
    pub async fn start_with_layout(
        layout: &str,
        environment: &Environment,
        log: &Log,
    ) -> Result<Self> {
        install()?;
        // In the app's folder it finds the app's packages, unless it has a lock file of its own.
        let variant = folder().join(".layouts").join(layout);
        let mut names = files(&folder())?;
        names.retain(|name| {
            let left_out = ["biome.", "browser/", "package-lock.json", "playwright."];
            let is_left_out = left_out.iter().any(|start| name.starts_with(start));
            !is_left_out && !name.contains(".test.")
        });
        copy_files(&folder(), &names, &variant)?;
        fs::copy(
            folder().join(format!("browser/layouts/{layout}.tsx")),
            variant.join("components/layout/layout-wrapper.tsx"),
        )?;
        let mut environment = environment.clone();
        environment.insert("PORT".to_owned(), port::free()?.to_string());
        build_and_serve(&variant, &environment, log).await
    }

    /// Where people open it.
    pub fn url(&self) -> &str {
        &self.url
    }
}

fn folder() -> PathBuf {
    root().join("web")
}

fn install() -> Result<()> {
    tools::install_web()?;
    tools::clerk_scripts()?;
    Ok(())
}

async fn build_and_serve(folder: &Path, environment: &Environment, log: &Log) -> Result<Web> {
    eprintln!("next build …");
    tools::run(next(folder, "build").envs(environment), "the app in web/")?;
    serve(folder, "start", environment, log).await
}

async fn serve(folder: &Path, how: &str, environment: &Environment, log: &Log) -> Result<Web> {
    let port = environment.get("PORT").context("PORT is not set")?;
    let url = format!("http://localhost:{port}");
    let mut command = next(folder, how);
    command
        .args(["--hostname", "localhost", "--port", port])
        .envs(environment);
    let mut process = Process::start("web", &command, Stop::Terminate, log.clone())?;
    let client = Client::builder().timeout(TIME_TO_ANSWER).build()?;
    let deadline = Instant::now() + TIME_TO_START;
    while !is_up(&client, &url).await {
        process.check_alive()?;
        if Instant::now() > deadline {
            bail!("the app does not come up at {url}:\n{}", log.tail());
        }
        sleep(Duration::from_millis(50)).await;
    }
    // What answers is ours, and not a server that was on this port before.
    process.check_alive()?;
    Ok(Web {
        url,
        _process: process,
    })
}

async fn is_up(client: &Client, url: &str) -> bool {
    let answer = client.get(format!("{url}/sign-in")).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

fn next(folder: &Path, command: &str) -> Command {
    let mut next = Command::new("node");
    next.arg(root().join("web/node_modules/next/dist/bin/next"))
        .arg(command)
        .current_dir(folder)
        .env("NEXT_TELEMETRY_DISABLED", "1");
    next
}

impl Stack {
    /// The environment of the app on this stack, at the address that its Clerk expects.
    pub fn web_environment(&self) -> Environment {
        let port = self.clerk.origin().rsplit(':').next().unwrap_or_default();
        let variables = [
            ("PORT", port),
            ("USER_SYNC_URL", &self.functions.url("user-sync")),
            ("CLERK_WEBHOOK_URL", &self.functions.url("clerk-webhook")),
            ("SUPABASE_URL", self.supabase.url()),
            ("SUPABASE_SECRET_KEY", &self.supabase.keys().secret_key),
            ("CLERK_SECRET_KEY", self.clerk.secret_key()),
            ("CLERK_JWT_KEY", self.clerk.jwt_key()),
            ("CLERK_API_URL", self.clerk.api_url()),
            ("CLERK_FAPI_URL", self.clerk.frontend_api_url()),
            ("CLERK_CONTROL_URL", &self.clerk.control_url()),
            (
                "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY",
                self.clerk.publishable_key(),
            ),
            ("NEXT_PUBLIC_CLERK_PROXY_URL", "/__clerk"),
        ];
        variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }
}

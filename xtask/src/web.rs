//! `cargo xtask web`: checks the app, runs its unit tests, and tests the deployed build in a browser
//! on the local parts.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use stack::{Log, Stack, Target, Web};

use crate::description::Description;

/// Runs all of it.
pub async fn run() -> Result<()> {
    stack::install_web()?;
    npm("run check")?;
    npm("test")?;
    let chromium = stack::chromium()?;
    let log = Log::default();
    let stack = Stack::start(Target::Vercel, &log).await?;
    stack.postgres.run_sql("web/browser/database.sql").await?;
    let _description = Description::of(&stack)?;
    let environment = stack.web_environment();
    let waiting = Web::start_with_layout("that-waits", &environment, &log).await?;
    check_that_the_tests_notice(&waiting, &chromium)?;
    drop(waiting);
    let without_provider = Web::start_with_layout("without-provider", &environment, &log).await?;
    let _web = Web::start(&environment, &log).await?;
    let mut tests = browser_tests(&chromium);
    tests.env("WITHOUT_PROVIDER_URL", without_provider.url());
    run_npm(&mut tests, "a test in the browser failed").with_context(|| {
        format!(
            "the last lines of the app and the functions:\n{}",
            log.tail()
        )
    })
}

/// Pages of this app wait for the call, so the browser tests must fail: because the page is missing,
/// and for no other reason.
fn check_that_the_tests_notice(waiting: &Web, chromium: &Path) -> Result<()> {
    let tests = browser_tests(chromium)
        .args(["--", "--grep", "a call that hangs for a minute"])
        .env("WEB_URL", waiting.url())
        .output()?;
    let output = String::from_utf8_lossy(&tests.stdout);
    // Playwright prints the locator that failed, besides lines of the test.
    let is_missing_page = |line: &str| {
        line.contains("Locator:") && line.contains("getByRole('heading', { name: 'Profile' })")
    };
    ensure!(
        !tests.status.success()
            && output.contains("1 failed")
            && output.lines().any(is_missing_page),
        "the browser's tests do not notice a page that waits for the call:\n{output}"
    );
    println!("✓ the browser's tests notice a page that waits for the call");
    Ok(())
}

fn browser_tests(chromium: &Path) -> Command {
    let mut tests = npm_command("run browser");
    tests.env("CHROMIUM", chromium);
    tests
}

fn npm(arguments: &str) -> Result<()> {
    eprintln!("\n→ npm {arguments}");
    let failure = format!("npm {arguments} failed: see above");
    run_npm(&mut npm_command(arguments), &failure)
}

fn run_npm(npm: &mut Command, failure: &str) -> Result<()> {
    let status = npm.status().context("cannot run npm")?;
    ensure!(status.success(), "{failure}");
    Ok(())
}

fn npm_command(arguments: &str) -> Command {
    let mut npm = Command::new("npm");
    npm.args(arguments.split(' '))
        .current_dir(stack::root().join("web"));
    npm
}

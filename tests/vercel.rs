//! The Vercel CLI, run as a person who has cloned this repository runs it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use stack::{Entry, FUNCTIONS, Log, Stack, Target, build, story};

#[tokio::test]
#[ignore = "installs the Vercel CLI, which takes a while; cargo xtask vercel runs this"]
async fn every_step_of_the_story_succeeds_under_vercel_dev() {
    let log = Log::default();
    let stack = Stack::start(Target::VercelDev, &log).await.unwrap();
    let result = story::play(&stack, |_step| {}).await;
    assert!(result.is_ok(), "{result:?}\n{}", log.tail());
}

/// The CLI ignores an unknown setting without a warning.
#[test]
#[ignore = "installs the Vercel CLI, which takes a while; cargo xtask vercel runs this"]
fn the_settings_in_vercel_json_are_in_the_output() -> Result<()> {
    for executable in build(Target::VercelBuild)?.into_values() {
        let function = executable
            .parent()
            .context("the executable is not in a folder")?;
        let config = read(&function.join(".vc-config.json"))?;
        ensure!(
            config["memory"] == 1024 && config["maxDuration"] == 15,
            "{config}"
        );
        let output = function
            .ancestors()
            .find(|folder| folder.ends_with("output"));
        let config = read(
            &output
                .context("the executable is not in the output")?
                .join("config.json"),
        )?;
        let route = &config["routes"][0];
        ensure!(
            route["headers"] == json!({ "Cache-Control": "no-store" }),
            "{config}"
        );
        ensure!(route["src"] == "^/api(?:/(.*))$", "{config}");
    }
    Ok(())
}

/// The CLI builds with the features of the whole workspace, but links only what a function calls.
#[test]
#[ignore = "installs the Vercel CLI, which takes a while; cargo xtask vercel runs this"]
fn an_executable_contains_only_what_its_function_needs() -> Result<()> {
    let executables = build(Target::VercelBuild)?;
    let contains = |name: &str, text: &str| -> Result<bool> {
        let executable = fs::read(&executables[name])?;
        let mut windows = executable.windows(text.len());
        Ok(windows.any(|bytes| bytes == text.as_bytes()))
    };
    for (text, owner) in [
        ("svix-signature", "clerk-webhook"),
        ("__session", "user-sync"),
    ] {
        for Entry { name, .. } in FUNCTIONS {
            ensure!(contains(name, text)? == (*name == owner), "{name}: {text}");
            let has_lambda = contains(name, "AWS_LAMBDA_RUNTIME_API")?;
            ensure!(!has_lambda, "{name} contains Lambda's runtime");
        }
    }
    Ok(())
}

/// As its own project, the app passes calls on to the function of another project.
#[test]
#[ignore = "installs the Vercel CLI, which takes a while; cargo xtask vercel runs this"]
fn the_app_can_be_its_own_project() -> Result<()> {
    let project = stack::artefacts().join("vercel-web");
    copy_app(&project, |_| true)?;
    let user_sync = "https://functions.example.com/api/user/sync";
    let output = build_app(&project, &[("USER_SYNC_URL", user_sync)])?;
    let config = read(&output.join("config.json"))?;
    let is_rewrite = |route: &&Value| {
        let destination = route["dest"].as_str();
        destination.is_some_and(|destination| destination.starts_with(user_sync))
    };
    let rewrite = config["routes"]
        .as_array()
        .and_then(|routes| routes.iter().find(is_rewrite));
    let rewrite = rewrite.with_context(|| format!("no route leads to the function: {config}"))?;
    let source = rewrite["src"].as_str().unwrap_or_default();
    ensure!(source.starts_with("^/api/user/sync"), "{rewrite}");
    ensure!(output.join("functions/members.func").exists(), "no page");
    Ok(())
}

/// `docs/DEPLOY.md` says what to copy into an app, and what to write into its `vercel.json`.
#[test]
#[ignore = "installs the Vercel CLI, which takes a while; cargo xtask vercel runs this"]
fn the_functions_can_be_in_the_project_of_an_app() -> Result<()> {
    let project = stack::artefacts().join("vercel-one-project");
    // With its own configuration, this app would look for the functions in another project.
    copy_app(&project, |name| name != "next.config.ts")?;
    let guide = fs::read_to_string(stack::root().join("docs/DEPLOY.md"))?;
    let root = stack::root().to_string_lossy();
    let copy = code_block(&guide, "```sh\nSYNC=")?.replace("../self-healing-user-sync", &root);
    let copied = Command::new("bash")
        .args(["-ec", &copy])
        .current_dir(&project)
        .status()?;
    ensure!(copied.success(), "the guide's commands failed:\n{copy}");
    let settings = code_block(&guide, "```json\n")?;
    fs::write(project.join("vercel.json"), settings)?;

    let output = build_app(&project, &[])?;
    for built in [
        "members.func",
        "api/user/sync.func/executable",
        "api/webhooks/clerk.func/executable",
    ] {
        ensure!(output.join("functions").join(built).exists(), "no {built}");
    }
    Ok(())
}

fn copy_app(project: &Path, is_wanted: impl Fn(&str) -> bool) -> Result<()> {
    let app = stack::root().join("web");
    let mut names = stack::files(&app)?;
    names.retain(|name| is_wanted(name));
    stack::copy_files(&app, &names, project)
}

fn build_app(project: &Path, variables: &[(&str, &str)]) -> Result<PathBuf> {
    let publishable_key = "pk_live_Y2xlcmsuZXhhbXBsZS5jb20k";
    let variables = [
        &[("NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY", publishable_key)],
        variables,
    ]
    .concat();
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    stack::vercel_output(project, &variables.collect())
}

fn read(file: &Path) -> Result<Value> {
    Ok(serde_json::from_slice(&fs::read(file)?)?)
}

/// The text of the first code block that starts with `start`: its fence, and possibly some text.
fn code_block(text: &str, start: &str) -> Result<String> {
    let (_, block) = text
        .split_once(start)
        .with_context(|| format!("no code block starts with {start:?}"))?;
    let (block, _) = block
        .split_once("```")
        .context("the code block does not end")?;
    let (_, first_words) = start.split_once('\n').unwrap_or_default();
    Ok(format!("{first_words}{block}"))
}

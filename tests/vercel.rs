//! The Vercel CLI, as somebody runs it who has cloned this repository.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use stack::{Log, Stack, Target, build, story};

#[tokio::test]
#[ignore = "it installs the Vercel CLI, which takes a while: cargo xtask vercel runs it"]
async fn the_story_comes_true_under_vercel_dev() {
    let log = Log::default();
    let stack = Stack::start(Target::VercelDev, &log).await.unwrap();
    let told = story::play(&stack, |_step| {}).await;
    assert!(told.is_ok(), "{told:?}\n{}", log.tail());
}

/// The CLI says nothing of a setting that it does not know.
#[test]
#[ignore = "it installs the Vercel CLI, which takes a while: cargo xtask vercel runs it"]
fn what_vercel_json_says_is_in_the_output() -> Result<()> {
    for executable in build(Target::VercelBuild)? {
        let function = executable.parent().context("it is in a folder")?;
        let config = read(&function.join(".vc-config.json"))?;
        ensure!(
            config["memory"] == 1024 && config["maxDuration"] == 15,
            "{config}"
        );
        let output = function
            .ancestors()
            .find(|folder| folder.ends_with("output"));
        let config = read(&output.context("it is in the output")?.join("config.json"))?;
        let route = &config["routes"][0];
        ensure!(
            route["headers"] == json!({ "Cache-Control": "no-store" }),
            "{config}"
        );
        ensure!(route["src"] == "^/api(?:/(.*))$", "{config}");
    }
    Ok(())
}

fn read(file: &Path) -> Result<Value> {
    Ok(serde_json::from_slice(&fs::read(file)?)?)
}

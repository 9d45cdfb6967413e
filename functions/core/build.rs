//! Which commit is built, for the line that each function logs at its start: Vercel says it, and
//! elsewhere git does.

use std::{env, process::Command};

fn main() {
    println!("cargo::rerun-if-env-changed=VERCEL_GIT_COMMIT_SHA");
    // It grows with every commit. A downloaded archive has none.
    if let Some(log) = ask_git(&["--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    let commit = env::var("VERCEL_GIT_COMMIT_SHA").ok();
    let commit = commit.filter(|commit| !commit.is_empty());
    let commit = commit.or_else(|| ask_git(&["HEAD"]));
    let commit = commit.unwrap_or_else(|| "unknown".to_owned());
    println!(
        "cargo::rustc-env=COMMIT={}",
        commit.get(..7).unwrap_or(&commit)
    );
}

fn ask_git(what: &[&str]) -> Option<String> {
    let asked = Command::new("git")
        .arg("rev-parse")
        .args(what)
        .output()
        .ok()?;
    let answer = String::from_utf8(asked.stdout).ok()?;
    asked.status.success().then(|| answer.trim().to_owned())
}

//! Which commit is built, for the line that each function logs at its start: Vercel says it, and
//! elsewhere git does.

use std::{env, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-env-changed=VERCEL_GIT_COMMIT_SHA");
    // It grows with every commit. A downloaded archive has none.
    let log = "../../.git/logs/HEAD";
    if Path::new(log).exists() {
        println!("cargo::rerun-if-changed={log}");
    }
    let commit = env::var("VERCEL_GIT_COMMIT_SHA").ok().or_else(ask_git);
    let commit = commit.unwrap_or_else(|| "unknown".to_owned());
    println!(
        "cargo::rustc-env=COMMIT={}",
        commit.get(..7).unwrap_or(&commit)
    );
}

fn ask_git() -> Option<String> {
    let asked = Command::new("git")
        .args(["rev-parse", "HEAD"])
        .output()
        .ok()?;
    let commit = String::from_utf8(asked.stdout).ok()?;
    asked.status.success().then(|| commit.trim().to_owned())
}

//! Sets `COMMIT` for the line that each function logs when it starts. Vercel has the commit in a
//! variable; elsewhere git knows it.

use std::{env, process::Command};

fn main() {
    println!("cargo::rerun-if-env-changed=VERCEL_GIT_COMMIT_SHA");
    // Git adds a line to this file with each commit. A downloaded archive does not have it.
    if let Some(log) = git_rev_parse(&["--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    let commit = env::var("VERCEL_GIT_COMMIT_SHA").ok();
    let commit = commit.filter(|commit| !commit.is_empty());
    let commit = commit.or_else(|| git_rev_parse(&["HEAD"]));
    let commit = commit.unwrap_or_else(|| "unknown".to_owned());
    println!(
        "cargo::rustc-env=COMMIT={}",
        commit.get(..7).unwrap_or(&commit)
    );
}

fn git_rev_parse(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("rev-parse")
        .args(arguments)
        .output()
        .ok()?;
    let answer = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| answer.trim().to_owned())
}

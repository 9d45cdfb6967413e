//! `cargo xtask test`: every check and every test there is.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Runs all of it, and stops at the first step that fails.
pub fn run() -> Result<()> {
    cargo("fmt --all --check")?;
    cargo("clippy --workspace --all-targets -- --deny warnings")?;
    cargo("test --workspace")?;
    cargo("run --package xtask -- soak --histories 2000")?;
    cargo("run --package xtask -- web")?;
    cargo("run --package xtask -- vercel")?;
    cargo("run --package xtask -- sam")
}

/// Runs one command of cargo's in the repository.
pub fn cargo(arguments: &str) -> Result<()> {
    eprintln!("\n→ cargo {arguments}");
    let status = Command::new("cargo")
        .args(arguments.split(' '))
        .current_dir(stack::root())
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "cargo {arguments} failed");
    Ok(())
}

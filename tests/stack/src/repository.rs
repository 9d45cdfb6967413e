//! The repository that all of this is about.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};

/// The root of the repository.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// Copies the files that git knows or would know, those that have changed since the last time. What
/// the copy holds beside them stays, but for the migrations: each file there is run.
pub fn copy_repository(to: &Path) -> Result<()> {
    let migrations = to.join("supabase/migrations");
    if migrations.exists() {
        fs::remove_dir_all(migrations)?;
    }
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .context("cannot run git")?;
    for name in String::from_utf8(listed.stdout)?.lines() {
        // A file that was deleted and not yet committed is known to git, and not there.
        let Ok(text) = fs::read(root().join(name)) else {
            continue;
        };
        let copy = to.join(name);
        if fs::read(&copy).ok().as_ref() != Some(&text) {
            fs::create_dir_all(copy.parent().unwrap_or(to))?;
            fs::write(copy, text)?;
        }
    }
    Ok(())
}

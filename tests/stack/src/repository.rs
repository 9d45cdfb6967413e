//! The files of this repository.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

/// The root of the repository.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// The names of the files in a folder of the repository that git tracks or does not ignore.
pub fn files(folder: &Path) -> Result<BTreeSet<String>> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(folder)
        .output()
        .context("cannot run git")?;
    ensure!(
        listed.status.success(),
        "git cannot list the files of the repository: {}",
        String::from_utf8_lossy(&listed.stderr)
    );
    let names = String::from_utf8(listed.stdout)?;
    // Git also lists a deleted file until the deletion is committed.
    let exists = |name: &&str| folder.join(name).exists();
    Ok(names.lines().filter(exists).map(str::to_owned).collect())
}

/// Copies the files with these names, if they have changed since the last copy. Removes files of the
/// last copy that are no longer in `names`. Other files in `to` stay.
pub fn copy_files(from: &Path, names: &BTreeSet<String>, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let list = to.join(".copied");
    for name in fs::read_to_string(&list).unwrap_or_default().lines() {
        if !names.contains(name) {
            fs::remove_file(to.join(name))?;
        }
    }
    for name in names {
        let (text, copy) = (fs::read(from.join(name))?, to.join(name));
        if fs::read(&copy).ok().as_ref() != Some(&text) {
            fs::create_dir_all(copy.parent().unwrap_or(to))?;
            fs::write(copy, text)?;
        }
    }
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    Ok(fs::write(list, names.join("\n"))?)
}

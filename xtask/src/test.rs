//! `cargo xtask test`: every check and every test.

use std::{
    fs::{self, File},
    io::Write,
    process::Command,
    sync::mpsc,
    thread,
};

use anyhow::{Context, Result, ensure};
use stack::Process;

/// These find most mistakes soonest, and keep every core busy.
const CHECKS: [&str; 3] = [
    "fmt --all --check",
    "clippy --workspace --all-targets -- --deny warnings",
    "test --workspace --no-run",
];

/// These run at once: tests wait for servers, and release builds fill the cores meanwhile.
const TRACKS: [Track; 3] = [
    Track {
        commands: &[
            "test --workspace",
            "xtask soak --histories 2000",
            "xtask web",
        ],
        log: None,
    },
    Track {
        commands: &["xtask vercel --only tests"],
        log: Some("vercel.log"),
    },
    Track {
        commands: &["xtask sam --only template", "xtask sam --only tests"],
        log: Some("sam.log"),
    },
];

/// These measure, so nothing else runs beside them.
const FIGURES: [&str; 2] = ["xtask vercel --only figures", "xtask sam --only figures"];

/// Runs all of it, and stops at the first failure.
pub fn run() -> Result<()> {
    CHECKS.into_iter().try_for_each(cargo)?;
    run_tracks()?;
    FIGURES.into_iter().try_for_each(cargo)
}

/// Runs one cargo command in the repository.
pub fn cargo(arguments: &str) -> Result<()> {
    eprintln!("\n→ cargo {arguments}");
    let status = command(arguments).status().context("cannot run cargo")?;
    ensure!(status.success(), "cargo {arguments} failed");
    Ok(())
}

fn command(arguments: &str) -> Command {
    let mut command = Command::new("cargo");
    command
        .args(arguments.split(' '))
        .current_dir(stack::root());
    command
}

/// The first failure is returned at once. It ends this process, and so whatever the others run.
fn run_tracks() -> Result<()> {
    let (sender, results) = mpsc::channel();
    for track in TRACKS {
        let sender = sender.clone();
        thread::spawn(move || sender.send(track.run()));
    }
    drop(sender);
    results.into_iter().collect()
}

/// Cargo commands, one after the other.
struct Track {
    commands: &'static [&'static str],
    /// The file in `target/` for their output, which is shown when they have ended. Without one, the
    /// output is shown at once.
    log: Option<&'static str>,
}

impl Track {
    fn run(&self) -> Result<()> {
        let Some(name) = self.log else {
            return self.run_into(None);
        };
        let path = stack::root().join("target").join(name);
        eprintln!("\n→ {}, into {}", self.commands.join(", "), path.display());
        let result = self.run_into(Some(&File::create(&path)?));
        eprintln!("{}", String::from_utf8_lossy(&fs::read(path)?));
        result
    }

    fn run_into(&self, mut file: Option<&File>) -> Result<()> {
        for arguments in self.commands {
            let line = format!("\n→ cargo {arguments}\n");
            match &mut file {
                Some(file) => file.write_all(line.as_bytes())?,
                None => eprint!("{line}"),
            }
            let status = Process::run("cargo", &command(arguments), file)?;
            ensure!(status.success(), "cargo {arguments} failed");
        }
        Ok(())
    }
}

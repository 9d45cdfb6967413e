//! `cargo xtask test`: every check and every test there is.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    process::Command,
    slice::Iter,
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use stack::Process;

/// What finds most mistakes soonest. It keeps every core busy.
const CHECKS: [&str; 3] = [
    "fmt --all --check",
    "clippy --workspace --all-targets -- --deny warnings",
    "test --workspace --no-run",
];

/// What waits more than it computes.
const TESTS: [&str; 3] = [
    "test --workspace",
    "xtask soak --histories 2000",
    "xtask web",
];

/// What is built and tested at the same time.
const ARTEFACTS: [&str; 2] = ["xtask vercel --only tests", "xtask sam --only tests"];

/// What is measured when nothing else runs.
const FIGURES: [&str; 2] = ["xtask vercel --only figures", "xtask sam --only figures"];

/// Runs all of it, and stops at the first step that fails.
pub fn run() -> Result<()> {
    CHECKS.into_iter().try_for_each(cargo)?;
    test_side_by_side()?;
    FIGURES.into_iter().try_for_each(cargo)
}

/// Runs one command of cargo's in the repository.
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

/// Runs the tests, whose output is shown as it comes, and beside them the artefacts, whose output
/// is shown as a whole at the end. Where one side fails, the other is stopped.
fn test_side_by_side() -> Result<()> {
    let output = stack::root().join("target/artefacts.log");
    eprintln!(
        "\nMeanwhile the artefacts are built and tested; see {}",
        output.display()
    );
    let mut tests = Steps::new(&TESTS, None);
    let mut artefacts = Steps::new(&ARTEFACTS, Some(File::create(&output)?));
    loop {
        let tests_are_done = tests.advance()?;
        match artefacts.advance() {
            Ok(true) if tests_are_done => return show(&output),
            Ok(_) => sleep(Duration::from_millis(100)),
            Err(error) => {
                drop(tests);
                show(&output)?;
                return Err(error);
            }
        }
    }
}

fn show(output: &Path) -> Result<()> {
    eprintln!("{}", String::from_utf8_lossy(&fs::read(output)?));
    Ok(())
}

/// Commands of cargo's that run one after the other. Dropping them ends the one that runs.
struct Steps {
    left: Iter<'static, &'static str>,
    running: Option<(&'static str, Process)>,
    output: Option<File>,
}

impl Steps {
    /// What they print goes to a file, or is shown where there is none.
    fn new(arguments: &'static [&'static str], output: Option<File>) -> Self {
        Self {
            left: arguments.iter(),
            running: None,
            output,
        }
    }

    /// Starts the next command where none runs, and says whether all have passed.
    fn advance(&mut self) -> Result<bool> {
        if let Some((arguments, process)) = &mut self.running {
            let Some(status) = process.ended()? else {
                return Ok(false);
            };
            ensure!(status.success(), "cargo {arguments} failed");
            self.running = None;
        }
        let Some(arguments) = self.left.next() else {
            return Ok(true);
        };
        self.announce(arguments)?;
        let process = Process::start_printing("cargo", &command(arguments), self.output.as_ref())?;
        self.running = Some((arguments, process));
        Ok(false)
    }

    fn announce(&mut self, arguments: &str) -> Result<()> {
        let line = format!("\n→ cargo {arguments}\n");
        match &mut self.output {
            Some(file) => file.write_all(line.as_bytes())?,
            None => eprint!("{line}"),
        }
        Ok(())
    }
}

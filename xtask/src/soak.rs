//! `cargo xtask soak`: random histories, with faults, on the real parts.

use std::{fs, path::PathBuf, time::Duration};

use ::soak::{Failure, Harness, Options, Step};
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use stack::Target;

use crate::mutants;

/// What to run, and for how long.
#[derive(Args)]
pub struct Arguments {
    /// How many histories of 40 steps to run [default: 2,000 without --minutes]
    #[arg(long)]
    histories: Option<u64>,
    /// Start no new history after this many minutes
    #[arg(long)]
    minutes: Option<u64>,
    /// The seed of the first history. Each later history has the next number
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What runs the functions
    #[arg(long, value_enum, default_value_t = Host::InProcess)]
    target: Host,
    /// Run the history in this file again
    #[arg(long, conflicts_with_all = ["histories", "minutes", "seed", "duplicates"])]
    replay: Option<PathBuf>,
    /// Put deliberate faults into a copy of the code, and check that each is caught
    #[arg(long, exclusive = true)]
    mutants: bool,
    /// Deliver every event twice in the orders of one user; takes some minutes
    #[arg(long)]
    duplicates: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Host {
    InProcess,
    Vercel,
    Lambda,
}

impl From<Host> for Target {
    fn from(host: Host) -> Self {
        match host {
            Host::InProcess => Self::InProcess,
            Host::Vercel => Self::Vercel,
            Host::Lambda => Self::Lambda,
        }
    }
}

/// Runs everything, and fails with the shortest history that fails.
pub async fn run(arguments: Arguments) -> Result<()> {
    if arguments.mutants {
        return mutants::run();
    }
    let target = arguments.target.into();
    if let Some(file) = arguments.replay {
        let text = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let steps: Vec<Step> = serde_json::from_slice(&text)?;
        ::soak::replay(target, &steps).await?;
        println!("The history in {} passes.", file.display());
        return Ok(());
    }
    let harness = Harness::start(target).await?;
    for (scenario, orders) in ::soak::orders::run(&harness, arguments.duplicates).await? {
        println!("{orders:>9}  orders of {scenario}");
    }
    drop(harness);
    ::soak::crowd::run(target).await?;
    println!("Many calls at once: no user is lost, and nothing is done twice.");
    let options = Options {
        target,
        seed: arguments.seed,
        histories: match (arguments.histories, arguments.minutes) {
            (Some(histories), _) => histories,
            (None, Some(_)) => u64::MAX - arguments.seed,
            (None, None) => 2_000,
        },
        time: arguments.minutes.map(Duration::from_mins),
    };
    match ::soak::run(&options, |report| eprintln!("{}", report.progress())).await? {
        Ok(report) => {
            println!("Every history passes. Seeds from {}:", options.seed);
            println!("{report}");
            Ok(())
        }
        Err(failure) => fail(&failure, arguments.target),
    }
}

/// Saves the history, and says how to run it again.
fn fail(failure: &Failure, target: Host) -> Result<()> {
    let seed = failure.seed;
    let file = format!("target/soak-{seed}.json");
    let text = serde_json::to_string_pretty(&failure.steps)?;
    fs::write(stack::root().join(&file), text)?;
    let option = if failure.fails_alone {
        format!("--replay {file}")
    } else {
        format!("--seed {seed}")
    };
    let target = Target::from(target).to_string().replace('_', "-");
    bail!("{failure}\nTo run it again: cargo xtask soak --target {target} {option}")
}

//! `cargo xtask soak`: random histories, with faults, on the real parts.

use std::{fs, path::PathBuf, time::Duration};

use ::soak::{Failure, Options, Stage, Step};
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use stack::Target;

use crate::mutants;

/// What is played, and for how long.
#[derive(Args)]
pub struct Arguments {
    /// How many histories of 40 steps to play; without --minutes 2,000
    #[arg(long)]
    histories: Option<u64>,
    /// Begin no other history after so many minutes
    #[arg(long)]
    minutes: Option<u64>,
    /// The seed of the first history; each further one has the next number
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What runs the functions
    #[arg(long, value_enum, default_value_t = Host::InProcess)]
    target: Host,
    /// Play the one history of this file again
    #[arg(long, conflicts_with_all = ["histories", "minutes", "seed", "duplicates"])]
    play: Option<PathBuf>,
    /// Plant deliberate faults in a copy of the code, and check that each is caught
    #[arg(long, exclusive = true)]
    mutants: bool,
    /// Let every event of one user come twice in the exhaustive orders, which takes some minutes
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

/// Plays, and fails with the shortest history that does.
pub async fn run(arguments: Arguments) -> Result<()> {
    if arguments.mutants {
        return mutants::run();
    }
    let target = arguments.target.into();
    if let Some(file) = arguments.play {
        let text = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let steps: Vec<Step> = serde_json::from_slice(&text)?;
        ::soak::play(target, &steps).await?;
        println!("The history of {} is as it must be.", file.display());
        return Ok(());
    }
    let stage = Stage::start(target).await?;
    for (plot, orders) in ::soak::orders::run(&stage, arguments.duplicates).await? {
        println!("{orders:>9}  orders of {plot}");
    }
    drop(stage);
    ::soak::crowd::run(target).await?;
    println!("Many at once: none is lost, and nothing is done twice.");
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
            println!(
                "Every history is as it must be. Seeds from {}:",
                options.seed
            );
            println!("{report}");
            Ok(())
        }
        Err(failure) => fail(&failure, arguments.target),
    }
}

/// Tells how the history can be played again.
fn fail(failure: &Failure, target: Host) -> Result<()> {
    let seed = failure.seed;
    let file = format!("target/soak-{seed}.json");
    let text = serde_json::to_string_pretty(&failure.steps)?;
    fs::write(stack::root().join(&file), text)?;
    let what = if failure.fails_alone {
        format!("--play {file}")
    } else {
        format!("--seed {seed}")
    };
    let target = Target::from(target).to_string().replace('_', "-");
    bail!("{failure}\nTo play it again: cargo xtask soak --target {target} {what}")
}

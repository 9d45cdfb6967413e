//! Runs random histories of users, with faults, on the real PostgreSQL, PostgREST and handlers, and
//! compares the database with a model. This checks what `docs/PROOF.md` promises.

mod changes;
pub mod crowd;
mod database;
mod harness;
mod history;
mod model;
pub mod orders;
mod report;
mod shrink;
mod steps;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use stack::Target;
use tokio::task::JoinSet;

use self::history::History;
pub use self::{
    harness::Harness,
    report::Report,
    shrink::Failure,
    steps::{Step, generate},
};

/// The number of steps in a history.
pub const STEPS: usize = 40;

/// How many histories run at once on one stack.
fn at_once(target: Target) -> usize {
    match target {
        Target::InProcess => 48,
        // Killing a function's process ends the calls of all histories.
        Target::Vercel
        | Target::Lambda
        | Target::VercelDev
        | Target::VercelBuild
        | Target::SamBuild => 4,
    }
}

/// How many histories run on a stack before it is replaced.
const ON_ONE_STACK: usize = 1_000;

/// What to run.
pub struct Options {
    /// What runs the functions.
    pub target: Target,
    /// The seed of the first history. Each other history has the next number.
    pub seed: u64,
    /// How many histories.
    pub histories: u64,
    /// Start no other history after this time.
    pub time: Option<Duration>,
}

/// Runs histories until all are done, the time is over, or one fails. Calls `on_progress` after each
/// stack.
pub async fn run(
    options: &Options,
    mut on_progress: impl FnMut(&Report),
) -> Result<Result<Report, Failure>> {
    let start = Instant::now();
    let mut report = Report::default();
    let last = options.seed + options.histories;
    let is_over = || options.time.is_some_and(|time| start.elapsed() >= time);
    let mut seeds = (options.seed..last).take_while(|_| !is_over()).peekable();
    while seeds.peek().is_some() {
        let harness = Arc::new(Harness::start(options.target).await?);
        let mut seeds = seeds.by_ref().take(ON_ONE_STACK);
        let mut running = JoinSet::new();
        let mut passed = 0;
        loop {
            while running.len() < at_once(options.target)
                && let Some(seed) = seeds.next()
            {
                let harness = Arc::clone(&harness);
                running.spawn(async move {
                    let result = History::run(&harness, &generate(seed, STEPS)).await;
                    result.map_err(|error| (seed, error))
                });
            }
            let Some(result) = running.join_next().await else {
                break;
            };
            if let Err((seed, error)) = result? {
                running.shutdown().await;
                return Ok(Err(Failure::shrink(options.target, seed, &error).await?));
            }
            passed += 1;
        }
        harness.finish().await?;
        report.add(passed, harness.take_counts(), start.elapsed());
        on_progress(&report);
    }
    Ok(Ok(report))
}

/// Runs one history again, on its own stack.
pub async fn replay(target: Target, steps: &[Step]) -> Result<()> {
    let harness = Harness::start(target).await?;
    History::run(&harness, steps).await?;
    harness.finish().await
}

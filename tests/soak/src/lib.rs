//! Random histories of users, played on the real PostgreSQL, PostgREST and handlers against a model
//! of Clerk, with faults. `docs/PROOF.md` says what is promised; this is how it is checked.

mod changes;
pub mod crowd;
mod history;
pub mod orders;
mod play;
mod report;
mod shrink;
mod stage;
mod users;
mod witness;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use stack::Target;
use tokio::task::JoinSet;

use self::play::History;
pub use self::{
    history::{Step, generate},
    report::Report,
    shrink::Failure,
    stage::Stage,
};

/// How many steps a history has.
pub const STEPS: usize = 40;

/// How many histories are under way at once on one stack.
fn at_once(target: Target) -> usize {
    match target {
        Target::InProcess => 48,
        // Whoever kills a function's process ends the calls of all.
        Target::Vercel
        | Target::Lambda
        | Target::VercelDev
        | Target::VercelBuild
        | Target::SamBuild => 4,
    }
}

/// How many histories a stack sees before the next one takes its place.
const ON_ONE_STACK: usize = 1_000;

/// What is to be played.
pub struct Options {
    /// What runs the functions.
    pub target: Target,
    /// The seed of the first history; each further one has the next number.
    pub seed: u64,
    /// How many histories.
    pub histories: u64,
    /// When to begin no other history, whatever is left.
    pub time: Option<Duration>,
}

/// Plays histories until all are played, the time is over, or one fails. `tell` hears of each stack
/// that has done its share.
pub async fn run(
    options: &Options,
    mut tell: impl FnMut(&Report),
) -> Result<Result<Report, Failure>> {
    let start = Instant::now();
    let mut report = Report::default();
    let last = options.seed + options.histories;
    let is_over = || options.time.is_some_and(|time| start.elapsed() >= time);
    let mut seeds = (options.seed..last).take_while(|_| !is_over()).peekable();
    while seeds.peek().is_some() {
        let stage = Arc::new(Stage::start(options.target).await?);
        let mut seeds = seeds.by_ref().take(ON_ONE_STACK);
        let mut under_way = JoinSet::new();
        let mut played = 0;
        loop {
            while under_way.len() < at_once(options.target)
                && let Some(seed) = seeds.next()
            {
                let stage = Arc::clone(&stage);
                under_way.spawn(async move {
                    let result = History::play(&stage, &generate(seed, STEPS)).await;
                    result.map_err(|error| (seed, error))
                });
            }
            let Some(result) = under_way.join_next().await else {
                break;
            };
            if let Err((seed, error)) = result? {
                under_way.shutdown().await;
                return Ok(Err(Failure::shrink(options.target, seed, &error).await?));
            }
            played += 1;
        }
        stage.finish().await?;
        report.add(played, stage.take_counts(), start.elapsed());
        tell(&report);
    }
    Ok(Ok(report))
}

/// Plays one history on a stack of its own.
pub async fn play(target: Target, steps: &[Step]) -> Result<()> {
    let stage = Stage::start(target).await?;
    History::play(&stage, steps).await?;
    stage.finish().await
}

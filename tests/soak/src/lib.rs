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
use futures_util::{StreamExt, stream};
use stack::Target;

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
        Target::Vercel | Target::Lambda => 4,
    }
}

/// How many histories a stack sees before the next one takes its place.
const ON_ONE_STACK: u64 = 500;

/// What is to be played.
pub struct Options {
    /// What runs the functions.
    pub target: Target,
    /// The seed of the first history; each further one has the next number.
    pub seed: u64,
    /// How many histories.
    pub histories: u64,
    /// When to stop, whatever is left.
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
    let is_over = |report: &Report| {
        report.histories >= options.histories
            || options.time.is_some_and(|time| start.elapsed() >= time)
    };
    while !is_over(&report) {
        let stage = Arc::new(Stage::start(options.target).await?);
        let first = options.seed + report.histories;
        let count = ON_ONE_STACK.min(options.histories - report.histories);
        let mut played = stream::iter(first..first + count)
            .map(|seed| {
                let stage = Arc::clone(&stage);
                tokio::spawn(
                    async move { (seed, History::play(&stage, &generate(seed, STEPS)).await) },
                )
            })
            .buffer_unordered(at_once(options.target));
        while let Some(history) = played.next().await {
            let (seed, result) = history?;
            if let Err(error) = result {
                drop(played);
                return Ok(Err(Failure::shrink(options.target, seed, &error).await?));
            }
        }
        drop(played);
        stage.check_what_is_told().await?;
        report.add(count, stage.take_counts(), start.elapsed());
        tell(&report);
    }
    Ok(Ok(report))
}

/// Plays one history on a stack of its own.
pub async fn play(target: Target, steps: &[Step]) -> Result<()> {
    let stage = Stage::start(target).await?;
    History::play(&stage, steps).await?;
    stage.check_what_is_told().await
}

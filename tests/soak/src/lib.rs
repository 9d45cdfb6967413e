//! Random histories of users, played on the real PostgreSQL, PostgREST and handlers against a model
//! of Clerk, with faults. `docs/PROOF.md` says what is promised; this is how it is checked.

pub mod crowd;
mod history;
pub mod orders;
mod play;
mod report;
mod shrink;
mod users;
mod witness;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use futures_util::{StreamExt, stream};
use stack::Target;

pub use self::{
    history::{Step, generate},
    play::Stage,
    report::Report,
    shrink::Failure,
};

/// How many steps a history has.
pub const STEPS: usize = 40;

/// How many histories are under way at once on one stack.
const AT_ONCE: usize = 48;

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
                tokio::spawn(async move { (seed, stage.play(&generate(seed, STEPS)).await) })
            })
            .buffer_unordered(AT_ONCE);
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
    stage.play(steps).await?;
    stage.check_what_is_told().await
}

impl Stage {
    /// No secret and no personal data may stand in the log or in the ledger, the healed user's line
    /// aside.
    async fn check_what_is_told(&self) -> Result<()> {
        let keys = self.stack.supabase.keys();
        let [secret, next_secret] = self.stack.clerk.webhook_signing_secrets();
        let private = [
            "@example.com",
            "Name-",
            "PRIVATE-METADATA",
            "UNSAFE-METADATA",
            "Bearer ",
            &secret,
            &next_secret,
            self.stack.clerk.secret_key(),
            &keys.secret_key,
            &keys.service_role_jwt,
        ];
        let healed = |line: &String| line.contains("[UserSync] ✓ User ");
        let mut told = self.stack.functions.log().take();
        told.retain(|line| !healed(line));
        told.push(serde_json::to_string(&self.stack.ledger().await?)?);
        for line in told {
            for text in private {
                ensure!(!line.contains(text), "the log or the ledger tells: {line}");
            }
        }
        Ok(())
    }
}

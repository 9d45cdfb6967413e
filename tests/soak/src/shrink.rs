//! A history that failed → the shortest one that still fails.

use std::fmt;

use anyhow::{Error, Result};
use stack::Target;

use crate::{STEPS, Stage, Step, generate, play::History};

/// A history that failed.
pub struct Failure {
    /// What makes it.
    pub seed: u64,
    /// What is not as it must be.
    pub error: String,
    /// The shortest history that was found to fail. The whole one where it fails only beside
    /// others.
    pub steps: Vec<Step>,
    /// Whether it fails alone too.
    pub fails_alone: bool,
}

/// How often a history is tried before it counts as one that does not fail: what depends on time
/// does not fail every time.
const TRIES: usize = 3;

impl Failure {
    /// Takes steps away for as long as the history still fails: halves first, then ever less.
    pub(crate) async fn shrink(target: Target, seed: u64, error: &Error) -> Result<Self> {
        let stage = Stage::start(target).await?;
        let mut failure = Self {
            seed,
            error: format!("{error:#}"),
            steps: generate(seed, STEPS),
            fails_alone: false,
        };
        let whole = failure.steps.clone();
        failure.try_with(&stage, &whole).await;
        let mut size = failure.steps.len() / 2;
        while size > 0 && failure.fails_alone {
            // The first step stays: without a user there is nobody whom the others can be about.
            let mut start = 1;
            while start < failure.steps.len() {
                let mut fewer = failure.steps.clone();
                fewer.drain(start..(start + size).min(fewer.len()));
                if !failure.try_with(&stage, &fewer).await {
                    start += size;
                }
            }
            size /= 2;
        }
        Ok(failure)
    }

    /// Whether these steps fail too, which then are the shortest.
    async fn try_with(&mut self, stage: &Stage, steps: &[Step]) -> bool {
        for _ in 0..TRIES {
            if let Err(error) = History::play(stage, steps).await {
                self.error = format!("{error:#}");
                self.steps = steps.to_vec();
                self.fails_alone = true;
                return true;
            }
        }
        false
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, error, .. } = self;
        writeln!(formatter, "the history of seed {seed} failed: {error}")?;
        if self.fails_alone {
            writeln!(
                formatter,
                "The shortest history that still fails has {} steps:",
                self.steps.len()
            )?;
        } else {
            writeln!(formatter, "Alone it does not fail. It is:")?;
        }
        for step in &self.steps {
            writeln!(formatter, "  {step:?}")?;
        }
        Ok(())
    }
}

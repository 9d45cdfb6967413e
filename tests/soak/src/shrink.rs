//! Shrinks a history that failed to the shortest one that still fails.

use std::fmt;

use anyhow::{Error, Result};
use stack::Target;

use crate::{Harness, STEPS, Step, generate, history::History};

/// A history that failed.
pub struct Failure {
    /// The seed that generates it.
    pub seed: u64,
    /// What is wrong.
    pub error: String,
    /// The shortest history found that fails. The whole one if it fails only beside others.
    pub steps: Vec<Step>,
    /// Whether it also fails alone.
    pub fails_alone: bool,
}

/// How often a history must pass before it counts as passing: a failure that depends on timing does
/// not happen every time.
const TRIES: usize = 3;

impl Failure {
    /// Removes steps as long as the history still fails: half of them first, then smaller parts.
    pub(crate) async fn shrink(target: Target, seed: u64, error: &Error) -> Result<Self> {
        let harness = Harness::start(target).await?;
        let mut failure = Self {
            seed,
            error: format!("{error:#}"),
            steps: generate(seed, STEPS),
            fails_alone: false,
        };
        let whole = failure.steps.clone();
        failure.still_fails(&harness, &whole).await;
        let mut size = failure.steps.len() / 2;
        while size > 0 && failure.fails_alone {
            // The first step stays: the others need a user.
            let mut start = 1;
            while start < failure.steps.len() {
                let mut fewer = failure.steps.clone();
                fewer.drain(start..(start + size).min(fewer.len()));
                if !failure.still_fails(&harness, &fewer).await {
                    start += size;
                }
            }
            size /= 2;
        }
        Ok(failure)
    }

    /// Whether these steps fail too. If so, they are the shortest from now on.
    async fn still_fails(&mut self, harness: &Harness, steps: &[Step]) -> bool {
        for _ in 0..TRIES {
            if let Err(error) = History::run(harness, steps).await {
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
            writeln!(formatter, "It does not fail alone. Its steps:")?;
        }
        for step in &self.steps {
            writeln!(formatter, "  {step:?}")?;
        }
        Ok(())
    }
}

//! What was played, in numbers.

use std::{collections::BTreeMap, fmt, time::Duration};

/// How much was played, and how often what happened.
#[derive(Clone, Default)]
pub struct Report {
    /// How many histories.
    pub histories: u64,
    counts: BTreeMap<String, u64>,
    time: Duration,
}

impl Report {
    /// Adds what one stack has seen.
    pub fn add(&mut self, histories: u64, counts: BTreeMap<String, u64>, time: Duration) {
        self.histories += histories;
        self.time = time;
        for (what, count) in counts {
            *self.counts.entry(what).or_default() += count;
        }
    }

    /// One line about the progress.
    pub fn progress(&self) -> String {
        let seconds = self.time.as_secs().max(1);
        let rate = self.histories / seconds;
        format!(
            "{} histories in {seconds} s ({rate} per second)",
            self.histories
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.progress())?;
        for (what, count) in &self.counts {
            writeln!(formatter, "  {count:>9}  {what}")?;
        }
        Ok(())
    }
}

//! How much was run, in numbers.

use std::{collections::BTreeMap, fmt, time::Duration};

/// How many histories were run, and how often each thing happened.
#[derive(Clone, Default)]
pub struct Report {
    /// How many histories.
    pub histories: u64,
    counts: BTreeMap<String, u64>,
    time: Duration,
}

impl Report {
    /// Adds the numbers of one stack.
    pub fn add(&mut self, histories: u64, counts: BTreeMap<String, u64>, time: Duration) {
        self.histories += histories;
        self.time = time;
        for (what, count) in counts {
            *self.counts.entry(what).or_default() += count;
        }
    }

    /// The progress in one line.
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

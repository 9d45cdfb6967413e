//! What a function costs its host.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

/// What one instance of a function took.
#[derive(Clone, Copy, Debug)]
pub struct Footprint {
    /// The size of the executable, in bytes.
    pub payload: u64,
    /// From the start of the program to its first answer.
    pub cold_start: Duration,
    /// The most memory that it held so far, in bytes.
    pub peak_memory: u64,
}

/// The most memory that a process has held so far, in bytes. Linux alone tells it, and all that ships
/// is for Linux.
pub fn peak_memory(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line
        .context("the process has ended")?
        .trim_end_matches("kB");
    Ok(kibibytes.trim().parse::<u64>()? * 1024)
}

/// The first process that a process has started.
pub fn child_of(process: u32) -> Result<u32> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"))?;
    let child = children.split_whitespace().next();
    Ok(child.context("it has started no process")?.parse()?)
}

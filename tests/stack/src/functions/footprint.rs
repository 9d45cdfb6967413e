//! The resources that a function uses.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, bail};

/// The resources that one instance of a function has used.
#[derive(Clone, Copy, Debug)]
pub struct Footprint {
    /// The size of the executable, in bytes.
    pub payload: u64,
    /// From the start of the program to its first answer.
    pub cold_start: Duration,
    /// The most memory that it has used at once, in bytes.
    pub peak_memory: u64,
    /// The CPU time that it has used.
    pub cpu_time: Duration,
}

impl Footprint {
    /// The footprint of a process. Only Linux reports it, and everything deployed runs on Linux.
    pub fn of(executable: &Path, cold_start: Duration, process: u32) -> Result<Self> {
        Ok(Self {
            payload: fs::metadata(executable)?.len(),
            cold_start,
            peak_memory: peak_memory(process)?,
            cpu_time: cpu_time(process)?,
        })
    }
}

/// The sum of user and system time. Both are in hundredths of a second, in fields 14 and 15 of
/// <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>.
fn cpu_time(process: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name of the program, in parentheses, may contain spaces.
    let (_, fields) = stat.rsplit_once(") ").context("the process has ended")?;
    let times = fields.split(' ').skip(11).take(2);
    let hundredths: u64 = times.filter_map(|time| time.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(hundredths * 10))
}

fn peak_memory(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line
        .context("the process has ended")?
        .trim_end_matches("kB");
    Ok(kibibytes.trim().parse::<u64>()? * 1024)
}

/// The child of a process that runs this executable. Any thread may have started it.
pub fn child_of(process: u32, executable: &Path) -> Result<u32> {
    let executable = fs::canonicalize(executable)?;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let children = fs::read_to_string(thread?.path().join("children"))?;
        for child in children.split_whitespace() {
            if fs::read_link(format!("/proc/{child}/exe")).ok().as_ref() == Some(&executable) {
                return Ok(child.parse()?);
            }
        }
    }
    bail!("process {process} does not run {}", executable.display())
}

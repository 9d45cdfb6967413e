//! A function as its own program, which can crash.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Result, bail, ensure};
use http::StatusCode;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout},
};

use super::footprint::Footprint;
use crate::process::{Log, Process, Stop};

/// How long a program may take to answer for the first time. `vercel dev` builds it first.
const TIME_TO_START: Duration = Duration::from_mins(5);

/// A program that serves one URL until this is dropped, also after a crash.
pub struct Executable {
    name: &'static str,
    command: Command,
    url: String,
    log: Log,
    process: Mutex<Process>,
    cold_start: Duration,
}

impl Executable {
    /// Starts a program that serves the function at `url`, and waits until it answers.
    pub async fn start(
        name: &'static str,
        command: Command,
        url: String,
        log: Log,
    ) -> Result<Self> {
        let start = Instant::now();
        let process = run(name, &command, &url, &log).await?;
        Ok(Self {
            cold_start: start.elapsed(),
            name,
            command,
            url,
            log,
            process: Mutex::new(process),
        })
    }

    /// The URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The footprint of the program so far.
    pub async fn footprint(&self) -> Result<Footprint> {
        let process = self.process.lock().await.id();
        let executable = Path::new(self.command.get_program());
        Footprint::of(executable, self.cold_start, process)
    }

    /// Ends the program with SIGKILL, starts it again, and waits until it answers.
    pub async fn crash(&self) -> Result<()> {
        let mut process = self.process.lock().await;
        process.kill()?;
        *process = run(self.name, &self.command, &self.url, &self.log).await?;
        Ok(())
    }
}

async fn run(name: &'static str, command: &Command, url: &str, log: &Log) -> Result<Process> {
    let mut process = Process::start(name, command, Stop::Terminate, log.clone())?;
    let deadline = Instant::now() + TIME_TO_START;
    let status = loop {
        // `cargo lambda` starts the function at its first call, and answers when it runs.
        let left = deadline.saturating_duration_since(Instant::now());
        if let Ok(Ok(answer)) = timeout(left, reqwest::get(format!("{url}/api/user/sync"))).await {
            break answer.status();
        }
        process.check_alive()?;
        if Instant::now() > deadline {
            bail!("{name} does not answer at {url}:\n{}", log.tail());
        }
        sleep(Duration::from_millis(1)).await;
    };
    // The answer must be from our program, not from a server that used this port already.
    process.check_alive()?;
    ensure!(
        status == StatusCode::METHOD_NOT_ALLOWED,
        "{name} answers a GET with {status}:\n{}",
        log.tail()
    );
    Ok(process)
}

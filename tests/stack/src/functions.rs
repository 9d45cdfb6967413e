//! Both functions, run as one of their hosts runs them.

mod executable;
mod in_process;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use user_sync_core::{ClerkWebhook, UserSync};

use self::executable::Executable;
use crate::{port, process::Log, server::Server, tools};

/// What runs the functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The executables that Vercel runs.
    Vercel,
    /// The executables that AWS Lambda runs, under `cargo lambda watch`.
    Lambda,
    /// The core's handlers, in this process.
    InProcess,
}

impl Target {
    /// Every target.
    pub const ALL: [Self; 3] = [Self::Vercel, Self::Lambda, Self::InProcess];
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Vercel => "vercel",
            Self::Lambda => "lambda",
            Self::InProcess => "in_process",
        })
    }
}

/// The environment of the functions: a variable's name and its value.
pub type Environment = BTreeMap<String, String>;

/// The two functions, answering until this is dropped.
pub struct Functions {
    target: Target,
    user_sync: Running,
    clerk_webhook: Running,
    log: Log,
}

#[expect(clippy::large_enum_variant, reason = "a process has a few of them")]
enum Running {
    Executable(Executable),
    InProcess(Server),
}

impl Functions {
    /// Builds the functions, where they are executables, starts both, and waits until they
    /// answer.
    pub async fn start(target: Target, environment: &Environment, log: &Log) -> Result<Self> {
        let mut log = log.clone();
        let (user_sync, clerk_webhook) = match target {
            Target::Vercel => {
                let [user_sync, clerk_webhook] = build(target)?;
                (
                    vercel("user-sync", &user_sync, environment, &log).await?,
                    vercel("clerk-webhook", &clerk_webhook, environment, &log).await?,
                )
            }
            Target::Lambda => {
                // `cargo lambda` builds too, and then finds all of it built.
                build(target)?;
                (
                    lambda("user-sync", environment, &log).await?,
                    lambda("clerk-webhook", environment, &log).await?,
                )
            }
            Target::InProcess => {
                log = in_process::log();
                let user_sync = in_process::serve::<UserSync>(environment).await?;
                let clerk_webhook = in_process::serve::<ClerkWebhook>(environment).await?;
                (
                    Running::InProcess(user_sync),
                    Running::InProcess(clerk_webhook),
                )
            }
        };
        Ok(Self {
            target,
            user_sync,
            clerk_webhook,
            log,
        })
    }

    /// What runs them.
    pub fn target(&self) -> Target {
        self.target
    }

    /// `POST /api/user/sync`.
    pub fn user_sync_url(&self) -> String {
        format!("{}/api/user/sync", self.user_sync.url())
    }

    /// `POST /api/webhooks/clerk`.
    pub fn clerk_webhook_url(&self) -> String {
        format!("{}/api/webhooks/clerk", self.clerk_webhook.url())
    }

    /// What the functions have logged.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Kills `user-sync` in the midst of what it does, and starts it again.
    pub async fn crash_user_sync(&self) -> Result<()> {
        self.user_sync.crash().await
    }

    /// Kills `clerk-webhook` in the midst of what it does, and starts it again.
    pub async fn crash_clerk_webhook(&self) -> Result<()> {
        self.clerk_webhook.crash().await
    }
}

impl Running {
    fn url(&self) -> &str {
        match self {
            Self::Executable(executable) => executable.url(),
            Self::InProcess(server) => server.url(),
        }
    }

    async fn crash(&self) -> Result<()> {
        match self {
            Self::Executable(executable) => executable.crash().await,
            Self::InProcess(_) => bail!("a handler in process cannot crash alone"),
        }
    }
}

/// Builds the executables of a target, once in this process, with progress on standard error: that
/// of `user-sync`, and that of `clerk-webhook`. The handlers in process have none.
pub fn build(target: Target) -> Result<[PathBuf; 2]> {
    static BUILT: Mutex<BTreeMap<Target, [PathBuf; 2]>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(executables) = built.get(&target) {
        return Ok(executables.clone());
    }
    let executables = match target {
        Target::Vercel => [
            build_binary("vercel-functions", "vercel-user-sync")?,
            build_binary("vercel-functions", "vercel-clerk-webhook")?,
        ],
        Target::Lambda => [
            build_binary("user-sync", "user-sync")?,
            build_binary("clerk-webhook", "clerk-webhook")?,
        ],
        Target::InProcess => bail!("the handlers in process are no executables"),
    };
    Ok(built.entry(target).or_insert(executables).clone())
}

/// Builds one binary of a package alone, as the platforms' tools do: packages that are built
/// together unite their features.
fn build_binary(package: &str, name: &str) -> Result<PathBuf> {
    let output = Command::new("cargo")
        .args(["build", "--message-format=json-render-diagnostics"])
        .args(["--package", package, "--bin", name])
        .current_dir(tools::root())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    ensure!(output.status.success(), "cargo cannot build {name}");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
        .with_context(|| format!("cargo has built no {name}"))
}

async fn vercel(
    name: &'static str,
    executable: &Path,
    environment: &Environment,
    log: &Log,
) -> Result<Running> {
    let port = port::free()?;
    let mut command = Command::new(executable);
    command
        .envs(environment)
        .env("VERCEL_DEV_PORT", port.to_string());
    let url = format!("http://127.0.0.1:{port}");
    let executable = Executable::start(name, command, url, log.clone()).await?;
    Ok(Running::Executable(executable))
}

async fn lambda(name: &'static str, environment: &Environment, log: &Log) -> Result<Running> {
    let port = port::free()?;
    let mut command = Command::new(tools::cargo_lambda()?);
    command
        .args(["lambda", "watch", "--quiet", "--ignore-changes"])
        .args(["--package", name, "--invoke-address", "127.0.0.1"])
        .args(["--invoke-port", &port.to_string()])
        .envs(environment)
        .current_dir(tools::root());
    let url = format!("http://127.0.0.1:{port}/lambda-url/{name}");
    let executable = Executable::start(name, command, url, log.clone()).await?;
    Ok(Running::Executable(executable))
}

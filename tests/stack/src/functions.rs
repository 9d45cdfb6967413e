//! Both functions, run as one of their hosts runs them.

use std::{
    collections::BTreeMap,
    fmt,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use http::StatusCode;
use serde_json::Value;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};
use user_sync_core::{ClerkWebhook, UserSync};

use crate::{
    in_process, port,
    process::{Log, Process, Stop},
    server::Server,
    tools,
};

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

struct Running {
    url: String,
    // Held for what its end does.
    _host: Host,
}

enum Host {
    Process { _process: Process },
    Server { _server: Server },
}

impl Running {
    fn of_server(server: Server) -> Self {
        Self {
            url: server.url().to_owned(),
            _host: Host::Server { _server: server },
        }
    }
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
                    Running::of_server(user_sync),
                    Running::of_server(clerk_webhook),
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
        format!("{}/api/user/sync", self.user_sync.url)
    }

    /// `POST /api/webhooks/clerk`.
    pub fn clerk_webhook_url(&self) -> String {
        format!("{}/api/webhooks/clerk", self.clerk_webhook.url)
    }

    /// What the functions have logged.
    pub fn log(&self) -> &Log {
        &self.log
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
    let process = Process::start(name, &command, Stop::Terminate, log.clone())?;
    listening(port, process).await
}

async fn lambda(name: &'static str, environment: &Environment, log: &Log) -> Result<Running> {
    let port = port::free()?;
    let mut command = Command::new(tools::cargo_lambda()?);
    command
        .args(["lambda", "watch", "--quiet", "--ignore-changes"])
        .args(["--package", name])
        .args([
            "--invoke-address",
            "127.0.0.1",
            "--invoke-port",
            &port.to_string(),
        ])
        .envs(environment)
        .current_dir(tools::root());
    let process = Process::start(name, &command, Stop::Terminate, log.clone())?;
    let mut running = listening(port, process).await?;
    running.url.push_str("/lambda-url/");
    running.url.push_str(name);
    // The first call starts the function, and waits for as long as that takes.
    let first = tokio::time::timeout(TIME_TO_START, reqwest::get(&running.url)).await;
    ensure!(
        matches!(&first, Ok(Ok(answer)) if answer.status() == StatusCode::METHOD_NOT_ALLOWED),
        "{name} does not start:\n{}",
        log.tail()
    );
    Ok(running)
}

/// How long a function may take until it answers.
const TIME_TO_START: Duration = Duration::from_secs(30);

async fn listening(port: u16, mut process: Process) -> Result<Running> {
    let deadline = Instant::now() + TIME_TO_START;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        .await
        .is_err()
    {
        process.check_alive()?;
        if Instant::now() > deadline {
            bail!("{process:?} does not listen on port {port}");
        }
        sleep(Duration::from_millis(10)).await;
    }
    process.check_alive()?;
    Ok(Running {
        url: format!("http://127.0.0.1:{port}"),
        _host: Host::Process { _process: process },
    })
}

//! Both functions, run as one of their hosts runs them.

mod build;
mod executable;
mod footprint;
mod function_url;
mod in_process;

use std::{collections::BTreeMap, fmt, fs, path::Path, process::Command, sync::Arc};

use anyhow::{Result, bail};
use user_sync_core::{ClerkWebhook, UserSync};

pub use self::{
    build::{artefacts, build, check_template, vercel_output},
    footprint::Footprint,
};
use self::{executable::Executable, function_url::FunctionUrl};
use crate::{port, process::Log, repository::root, server::Server, tools};

/// What runs the functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The executables that Vercel runs, quickly built.
    Vercel,
    /// The executables that AWS Lambda runs, quickly built, under `cargo lambda watch`.
    Lambda,
    /// The core's handlers, in this process.
    InProcess,
    /// `vercel dev --local`: one server for both, which starts a new process for each request.
    VercelDev,
    /// What `vercel build` makes to be deployed.
    VercelBuild,
    /// What `sam build` makes to be deployed, behind AWS's own emulator.
    SamBuild,
}

impl Target {
    /// Every target that serves as many requests as a test makes.
    pub const ALL: [Self; 5] = [
        Self::Vercel,
        Self::Lambda,
        Self::InProcess,
        Self::VercelBuild,
        Self::SamBuild,
    ];

    /// Whether it is what ships. That takes minutes to build.
    pub fn is_artefact(self) -> bool {
        match self {
            Self::Vercel | Self::Lambda | Self::InProcess | Self::VercelDev => false,
            Self::VercelBuild | Self::SamBuild => true,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Vercel => "vercel",
            Self::Lambda => "lambda",
            Self::InProcess => "in_process",
            Self::VercelDev => "vercel_dev",
            Self::VercelBuild => "vercel_build",
            Self::SamBuild => "sam_build",
        })
    }
}

/// The environment of the functions: a variable's name and its value.
pub type Environment = BTreeMap<String, String>;

/// The two functions, answering until this is dropped.
pub struct Functions {
    target: Target,
    user_sync: Arc<Running>,
    clerk_webhook: Arc<Running>,
    log: Log,
}

#[expect(clippy::large_enum_variant, reason = "a process has a few of them")]
enum Running {
    Executable(Executable),
    FunctionUrl(FunctionUrl),
    InProcess(Server),
}

impl Functions {
    /// Builds the functions, where they are executables, starts both, and waits until they
    /// answer.
    pub async fn start(target: Target, environment: &Environment, log: &Log) -> Result<Self> {
        let mut log = log.clone();
        let (user_sync, clerk_webhook) = match target {
            Target::Vercel | Target::VercelBuild => {
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
            Target::VercelDev => {
                let both = vercel_dev(environment, &log).await?;
                (Arc::clone(&both), both)
            }
            Target::SamBuild => {
                let [user_sync, clerk_webhook] = build(target)?;
                let user_sync = FunctionUrl::start("user-sync", &user_sync, environment, &log);
                let clerk_webhook =
                    FunctionUrl::start("clerk-webhook", &clerk_webhook, environment, &log);
                (
                    Arc::new(Running::FunctionUrl(user_sync.await?)),
                    Arc::new(Running::FunctionUrl(clerk_webhook.await?)),
                )
            }
            Target::InProcess => {
                log = in_process::log();
                let user_sync = in_process::serve::<UserSync>(environment).await?;
                let clerk_webhook = in_process::serve::<ClerkWebhook>(environment).await?;
                (
                    Arc::new(Running::InProcess(user_sync)),
                    Arc::new(Running::InProcess(clerk_webhook)),
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

    /// What each of the executables has cost so far.
    pub async fn footprints(&self) -> Result<[(&'static str, Footprint); 2]> {
        Ok([
            ("user-sync", self.user_sync.footprint().await?),
            ("clerk-webhook", self.clerk_webhook.footprint().await?),
        ])
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
            Self::FunctionUrl(function_url) => function_url.url(),
            Self::InProcess(server) => server.url(),
        }
    }

    async fn footprint(&self) -> Result<Footprint> {
        match self {
            Self::Executable(executable) => executable.footprint().await,
            Self::FunctionUrl(function_url) => function_url.footprint(),
            Self::InProcess(_) => bail!("a handler in process costs what the process does"),
        }
    }

    async fn crash(&self) -> Result<()> {
        match self {
            Self::Executable(executable) => executable.crash().await,
            Self::FunctionUrl(_) => bail!("the emulator starts no function anew"),
            Self::InProcess(_) => bail!("a handler in process cannot crash alone"),
        }
    }
}

async fn vercel(
    name: &'static str,
    executable: &Path,
    environment: &Environment,
    log: &Log,
) -> Result<Arc<Running>> {
    let port = port::free()?;
    let mut command = Command::new(executable);
    command
        .envs(environment)
        .env("VERCEL_DEV_PORT", port.to_string());
    let url = format!("http://127.0.0.1:{port}");
    let executable = Executable::start(name, command, url, log.clone()).await?;
    Ok(Arc::new(Running::Executable(executable)))
}

async fn vercel_dev(environment: &Environment, log: &Log) -> Result<Arc<Running>> {
    let project = build::vercel_project("dev")?;
    let variables = environment.iter().map(|(name, value)| {
        let value = value.replace('\n', "\\n");
        format!("{name}=\"{value}\"\n")
    });
    fs::write(project.join(".env"), variables.collect::<String>())?;
    let port = port::free()?;
    let mut command = build::vercel(&project)?;
    command
        .args(["dev", "--local", "--yes"])
        .args(["--listen", &format!("127.0.0.1:{port}")])
        // It builds as `cargo build` does, and finds most of it built.
        .env("CARGO_TARGET_DIR", root().join("target"));
    let url = format!("http://127.0.0.1:{port}");
    let executable = Executable::start("vercel dev", command, url, log.clone()).await?;
    Ok(Arc::new(Running::Executable(executable)))
}

/// `cargo lambda`, in the repository.
pub fn cargo_lambda() -> Result<Command> {
    let mut command = Command::new(tools::cargo_tools()?.join("cargo-lambda"));
    command.arg("lambda").current_dir(root());
    Ok(command)
}

async fn lambda(name: &'static str, environment: &Environment, log: &Log) -> Result<Arc<Running>> {
    let port = port::free()?;
    let mut command = cargo_lambda()?;
    command
        .args(["watch", "--quiet", "--ignore-changes"])
        .args(["--package", name, "--invoke-address", "127.0.0.1"])
        .args(["--invoke-port", &port.to_string()])
        .envs(environment);
    let url = format!("http://127.0.0.1:{port}/lambda-url/{name}");
    let executable = Executable::start(name, command, url, log.clone()).await?;
    Ok(Arc::new(Running::Executable(executable)))
}

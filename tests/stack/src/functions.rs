//! Every function, run in the way that one of its hosts runs it.

mod build;
mod executable;
mod footprint;
mod function_url;
mod in_process;

use std::{collections::BTreeMap, fmt, fs, path::Path, process::Command, sync::Arc};

use anyhow::{Result, bail};
use user_sync_core::{
    config::Variable,
    function::{self, Function, StartError},
};

pub use self::{
    build::{artefacts, build, check_template, vercel_output},
    footprint::Footprint,
};
use self::{executable::Executable, function_url::FunctionUrl};
use crate::{port, process::Log, repository::root, server::Server, tools};

/// A function, and its names on its hosts.
pub struct Entry {
    /// The name of its package, and of its executable on Lambda. Vercel's has the prefix `vercel-`.
    pub name: &'static str,
    /// The path of its URL.
    pub route: &'static str,
    /// The name in brackets at the start of its log lines.
    pub label: &'static str,
    /// The variables that it reads.
    pub variables: &'static [&'static Variable],
    /// Builds it from variables, and returns its description.
    pub configure: fn(LookUp) -> Result<String, StartError>,
    serve_in_process: for<'a> fn(&'a Environment) -> in_process::Serving<'a>,
}

/// Returns the value of a variable by its name.
pub type LookUp<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Every function. The tests, the soak and all targets use this table.
pub const FUNCTIONS: &[Entry] = &[
    entry::<user_sync::UserSync>("user-sync", "/api/user/sync"),
    entry::<clerk_webhook::ClerkWebhook>("clerk-webhook", "/api/webhooks/clerk"),
];

const fn entry<F: Function>(name: &'static str, route: &'static str) -> Entry {
    Entry {
        name,
        route,
        label: F::LABEL,
        variables: F::VARIABLES,
        configure: |look_up| Ok(function::build::<F>(look_up)?.0.describe()),
        serve_in_process: in_process::serve::<F>,
    }
}

/// Every variable, with the names of the functions that read it. The most used ones come first.
pub fn variables() -> Vec<(&'static Variable, Vec<&'static str>)> {
    let mut readers: Vec<(&Variable, Vec<_>)> = Vec::new();
    for function in FUNCTIONS {
        for variable in function.variables {
            match readers
                .iter_mut()
                .find(|(known, _)| known.names == variable.names)
            {
                Some((_, names)) => names.push(function.name),
                None => readers.push((variable, vec![function.name])),
            }
        }
    }
    readers.sort_by_key(|(_, names)| std::cmp::Reverse(names.len()));
    readers
}

/// What runs the functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The executables for Vercel, from a development build.
    Vercel,
    /// The executables for AWS Lambda, from a development build, under `cargo lambda watch`.
    Lambda,
    /// The functions as libraries, in this process.
    InProcess,
    /// `vercel dev --local`: one server for all functions, which starts a process for each request.
    VercelDev,
    /// The output of `vercel build`, which is deployed.
    VercelBuild,
    /// The output of `sam build`, which is deployed, in AWS's own emulator.
    SamBuild,
}

impl Target {
    /// Every target that can serve the many requests of the tests.
    pub const ALL: [Self; 5] = [
        Self::Vercel,
        Self::Lambda,
        Self::InProcess,
        Self::VercelBuild,
        Self::SamBuild,
    ];

    /// Whether this is what is deployed, which takes minutes to build.
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

/// The environment of the functions: the value of each variable, by its name.
pub type Environment = BTreeMap<String, String>;

/// The functions, served until this is dropped.
pub struct Functions {
    target: Target,
    running: BTreeMap<&'static str, Arc<Running>>,
    log: Log,
}

#[expect(clippy::large_enum_variant, reason = "a process has a few of them")]
enum Running {
    Executable(Executable),
    FunctionUrl(FunctionUrl),
    InProcess(Server),
}

impl Functions {
    /// Builds the executables, if the target has any, starts all functions, and waits until they
    /// answer.
    pub async fn start(target: Target, environment: &Environment, log: &Log) -> Result<Self> {
        let log = match target {
            Target::InProcess => in_process::log(),
            _ => log.clone(),
        };
        let mut running = BTreeMap::new();
        if target == Target::VercelDev {
            let all = Arc::new(Running::Executable(vercel_dev(environment, &log).await?));
            running.extend(
                FUNCTIONS
                    .iter()
                    .map(|function| (function.name, Arc::clone(&all))),
            );
        } else {
            for function in FUNCTIONS {
                let started = start(target, function, environment, &log).await?;
                running.insert(function.name, Arc::new(started));
            }
        }
        Ok(Self {
            target,
            running,
            log,
        })
    }

    /// The target that runs them.
    pub fn target(&self) -> Target {
        self.target
    }

    /// The URL of the function with this name.
    pub fn url(&self, name: &str) -> String {
        let route = FUNCTIONS.iter().find(|function| function.name == name);
        let route = route.map_or("", |function| function.route);
        format!("{}{route}", self.running[name].url())
    }

    /// What the functions have logged.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The footprint of each function so far, in the order of [`FUNCTIONS`].
    pub async fn footprints(&self) -> Result<Vec<(&'static str, Footprint)>> {
        let mut footprints = Vec::new();
        for &Entry { name, .. } in FUNCTIONS {
            footprints.push((name, self.running[name].footprint().await?));
        }
        Ok(footprints)
    }

    /// Kills the function with this name, even during a call, and starts it again.
    pub async fn crash(&self, name: &str) -> Result<()> {
        self.running[name].crash().await
    }
}

async fn start(
    target: Target,
    function: &Entry,
    environment: &Environment,
    log: &Log,
) -> Result<Running> {
    let name = function.name;
    Ok(match target {
        Target::Vercel | Target::VercelBuild => {
            Running::Executable(vercel(name, &build(target)?[name], environment, log).await?)
        }
        Target::Lambda => {
            // `cargo lambda` builds too, but then everything is built already.
            build(target)?;
            Running::Executable(lambda(name, environment, log).await?)
        }
        Target::SamBuild => {
            let bootstrap = &build(target)?[name];
            Running::FunctionUrl(FunctionUrl::start(name, bootstrap, environment, log).await?)
        }
        Target::InProcess => Running::InProcess((function.serve_in_process)(environment).await?),
        Target::VercelDev => bail!("vercel dev serves all functions at once"),
    })
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
            Self::InProcess(_) => bail!("a function in this process has no footprint of its own"),
        }
    }

    async fn crash(&self) -> Result<()> {
        match self {
            Self::Executable(executable) => executable.crash().await,
            Self::FunctionUrl(_) => bail!("the emulator cannot start a function again"),
            Self::InProcess(_) => bail!("a function in this process cannot crash alone"),
        }
    }
}

async fn vercel(
    name: &'static str,
    executable: &Path,
    environment: &Environment,
    log: &Log,
) -> Result<Executable> {
    let port = port::free()?;
    let mut command = Command::new(executable);
    command
        .envs(environment)
        .env("VERCEL_DEV_PORT", port.to_string());
    let url = format!("http://127.0.0.1:{port}");
    Executable::start(name, command, url, log.clone()).await
}

async fn vercel_dev(environment: &Environment, log: &Log) -> Result<Executable> {
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
        // The CLI runs `cargo build`. In this folder most of it is built already.
        .env("CARGO_TARGET_DIR", root().join("target"));
    let url = format!("http://127.0.0.1:{port}");
    Executable::start("vercel dev", command, url, log.clone()).await
}

/// `cargo lambda`, run in the repository.
pub fn cargo_lambda() -> Result<Command> {
    let mut command = Command::new(tools::cargo_tools()?.join("cargo-lambda"));
    command.arg("lambda").current_dir(root());
    Ok(command)
}

async fn lambda(name: &'static str, environment: &Environment, log: &Log) -> Result<Executable> {
    let port = port::free()?;
    let mut command = cargo_lambda()?;
    command
        .args(["watch", "--quiet", "--ignore-changes"])
        .args(["--invoke-address", "127.0.0.1"])
        .args(["--invoke-port", &port.to_string()])
        .envs(environment);
    let url = format!("http://127.0.0.1:{port}/lambda-url/{name}");
    Executable::start(name, command, url, log.clone()).await
}

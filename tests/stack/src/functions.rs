//! Every function, run as one of its hosts runs it.

mod build;
mod executable;
mod footprint;
mod function_url;
mod in_process;

use std::{collections::BTreeMap, fmt, fs, path::Path, process::Command, sync::Arc};

use anyhow::{Result, bail};
use clerk_webhook::ClerkWebhook;
use user_sync::UserSync;
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

/// A function, and what its hosts call it.
pub struct Entry {
    /// The name of its package and of its executable on Lambda; `vercel-` stands before it on Vercel.
    pub name: &'static str,
    /// Where it answers.
    pub route: &'static str,
    /// What its log lines begin with.
    pub label: &'static str,
    /// What it reads.
    pub variables: &'static [&'static Variable],
    /// Builds it from variables, and says what it would use.
    pub configure: fn(LookUp) -> Result<String, StartError>,
    serve_in_process: for<'a> fn(&'a Environment) -> in_process::Serving<'a>,
}

/// The value of a variable, by its name.
pub type LookUp<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Every function. The tests, the soak and all targets go by this table.
pub const FUNCTIONS: [Entry; 2] = [
    entry::<UserSync>("user-sync", "/api/user/sync"),
    entry::<ClerkWebhook>("clerk-webhook", "/api/webhooks/clerk"),
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

/// Every variable, and the names of the functions that read it: first those that all of them read.
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
    /// The executables that Vercel runs, quickly built.
    Vercel,
    /// The executables that AWS Lambda runs, quickly built, under `cargo lambda watch`.
    Lambda,
    /// The functions themselves, in this process.
    InProcess,
    /// `vercel dev --local`: one server for all, which starts a new process for each request.
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

    /// Whether it is what ships, which takes minutes to build.
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

/// The functions, answering until this is dropped.
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
    /// Builds the functions, where they are executables, starts all of them, and waits until they
    /// answer.
    pub async fn start(target: Target, environment: &Environment, log: &Log) -> Result<Self> {
        let log = match target {
            Target::InProcess => in_process::log(),
            _ => log.clone(),
        };
        let mut running = BTreeMap::new();
        if target == Target::VercelDev {
            let all = Arc::new(Running::Executable(vercel_dev(environment, &log).await?));
            running.extend(FUNCTIONS.map(|function| (function.name, Arc::clone(&all))));
        } else {
            for function in FUNCTIONS {
                let started = start(target, &function, environment, &log).await?;
                running.insert(function.name, Arc::new(started));
            }
        }
        Ok(Self {
            target,
            running,
            log,
        })
    }

    /// What runs them.
    pub fn target(&self) -> Target {
        self.target
    }

    /// Where the function of this name answers.
    pub fn url(&self, name: &str) -> String {
        let route = FUNCTIONS.into_iter().find(|function| function.name == name);
        let route = route.map_or("", |function| function.route);
        format!("{}{route}", self.running[name].url())
    }

    /// What the functions have logged.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// What each of the executables has cost so far, in the order of [`FUNCTIONS`].
    pub async fn footprints(&self) -> Result<Vec<(&'static str, Footprint)>> {
        let mut footprints = Vec::new();
        for Entry { name, .. } in FUNCTIONS {
            footprints.push((name, self.running[name].footprint().await?));
        }
        Ok(footprints)
    }

    /// Kills the function of this name in the middle of its work, and starts it again.
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
            // `cargo lambda` builds too, and then finds all of it built.
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
            Self::InProcess(_) => bail!("a function in process costs what the process does"),
        }
    }

    async fn crash(&self) -> Result<()> {
        match self {
            Self::Executable(executable) => executable.crash().await,
            Self::FunctionUrl(_) => bail!("the emulator does not start a function again"),
            Self::InProcess(_) => bail!("a function in process cannot crash alone"),
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
        // It builds as `cargo build` does, and finds most of it built.
        .env("CARGO_TARGET_DIR", root().join("target"));
    let url = format!("http://127.0.0.1:{port}");
    Executable::start("vercel dev", command, url, log.clone()).await
}

/// `cargo lambda`, in the repository.
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

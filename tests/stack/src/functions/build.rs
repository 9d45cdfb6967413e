//! The executables of the functions, as they are run here or as a platform's own tool builds them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{Entry, Environment, FUNCTIONS, Target};
use crate::{
    repository::{copy_files, files, root},
    tools,
};

/// The executable of each function, by the function's name.
pub type Executables = BTreeMap<&'static str, PathBuf>;

/// Builds the executables of a target, once in this process, with progress on standard error.
/// Functions in process have none.
pub fn build(target: Target) -> Result<Executables> {
    static BUILT: Mutex<BTreeMap<Target, Executables>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(executables) = built.get(&target) {
        return Ok(executables.clone());
    }
    let executables = match target {
        Target::Vercel => build_binaries("vercel-")?,
        Target::Lambda => build_binaries("")?,
        Target::VercelBuild => vercel_build()?,
        Target::SamBuild => sam_build()?,
        Target::VercelDev | Target::InProcess => bail!("{target} has no executables"),
    };
    for executable in executables.values() {
        ensure!(
            executable.exists(),
            "{} was not built",
            executable.display()
        );
    }
    Ok(built.entry(target).or_insert(executables).clone())
}

/// Builds the binary of each function, with the features of the whole workspace, as `cargo xtask`
/// and the tests are built. So each dependency is compiled once.
fn build_binaries(prefix: &str) -> Result<Executables> {
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--workspace"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(root())
        .stderr(Stdio::inherit());
    for Entry { name, .. } in FUNCTIONS {
        cargo.args(["--bin", &format!("{prefix}{name}")]);
    }
    let output = cargo.output().context("cannot run cargo")?;
    ensure!(output.status.success(), "cargo cannot build the functions");
    let messages: Vec<Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    executables(|Entry { name, .. }| {
        let name = format!("{prefix}{name}");
        let mut built = messages
            .iter()
            .filter(|message| message["target"]["name"] == name);
        built
            .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
            .with_context(|| format!("cargo built no {name}"))
    })
}

fn executables(find: impl Fn(&Entry) -> Result<PathBuf>) -> Result<Executables> {
    let found = FUNCTIONS
        .iter()
        .map(|function| Ok((function.name, find(function)?)));
    found.collect()
}

/// Where the platforms' tools build. Each has a cargo folder of its own: their flags differ, so each
/// would build again what the other one built.
pub fn artefacts() -> PathBuf {
    root().join("target/artefacts")
}

/// A copy of the repository for the Vercel CLI. Each of its commands has one of its own: they clear
/// each other's output.
pub fn vercel_project(command: &str) -> Result<PathBuf> {
    let project = artefacts().join(format!("vercel-{command}"));
    copy_files(root(), &files(root())?, &project)?;
    Ok(project)
}

/// The Vercel CLI, in a project, which is linked to one of no account.
pub fn vercel(project: &Path) -> Result<Command> {
    fs::create_dir_all(project.join(".vercel"))?;
    fs::write(project.join(".vercel/project.json"), r#"{"settings":{}}"#)?;
    let mut vercel = Command::new(tools::vercel()?);
    vercel
        .current_dir(project)
        .env("PATH", tools::path_with(&[&tools::cargo_tools()?])?)
        .env("CARGO_TARGET_DIR", artefacts().join("cargo-vercel"))
        .env("VERCEL_TELEMETRY_DISABLED", "1");
    Ok(vercel)
}

fn vercel_build() -> Result<Executables> {
    let output = vercel_output(&vercel_project("build")?, &Environment::new())?;
    executables(|function| Ok(output.join(format!("functions{}.func/executable", function.route))))
}

/// Builds any project as Vercel does, to be deployed, and returns the folder of the output.
pub fn vercel_output(project: &Path, environment: &Environment) -> Result<PathBuf> {
    eprintln!("vercel build --prod --standalone …");
    let mut command = vercel(project)?;
    command
        .args(["build", "--prod", "--yes", "--standalone"])
        .envs(environment);
    tools::run(&mut tools::patient(&command), "the Vercel CLI")?;
    Ok(project.join(".vercel/output"))
}

/// Checks `template.yaml` with AWS's own linters.
pub fn check_template() -> Result<()> {
    sam("sam", &["validate", "--lint"])?;
    sam("cfn-lint", &["template.yaml"])
}

fn sam_build() -> Result<Executables> {
    let output = artefacts().join("sam");
    eprintln!("sam build …");
    sam("sam", &["build", "--build-dir", &output.to_string_lossy()])?;
    executables(|function| Ok(output.join(format!("{}Function/bootstrap", function.label))))
}

/// Runs a program of AWS's, with no account.
fn sam(program: &str, arguments: &[&str]) -> Result<()> {
    let (sam_tools, cargo_tools) = (tools::sam_tools()?, tools::cargo_tools()?);
    let mut command = Command::new(sam_tools.join(program));
    command
        .args(arguments)
        .current_dir(root())
        .env("PATH", tools::path_with(&[&cargo_tools])?)
        .env("CARGO_TARGET_DIR", artefacts().join("cargo-sam"))
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("SAM_CLI_TELEMETRY", "0");
    tools::run(&mut tools::patient(&command), "aws-sam-cli")
}

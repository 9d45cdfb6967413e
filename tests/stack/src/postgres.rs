//! A PostgreSQL server, prepared like a Supabase project.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, NoTls};

use crate::{
    port,
    process::{Log, Process, Stop},
    repository::root,
    tools,
};

/// A server with its data in a temporary folder. Dropping it ends the server and removes the data.
pub struct Postgres {
    // Before the folder, so that the server ends before its files are removed.
    server: Mutex<Option<Process>>,
    folder: TempDir,
    port: u16,
    log: Log,
}

impl Postgres {
    /// Starts a server whose only database is prepared like a new Supabase project.
    pub async fn start(log: Log) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("user-sync-postgres-")
            .tempdir()?;
        let postgres = Self {
            server: Mutex::default(),
            port: port::free()?,
            folder,
            log,
        };
        postgres.prepare_folder()?;
        postgres.run().await?;
        let admin = postgres.connect_as("supabase_admin").await?;
        admin
            .batch_execute(include_str!("supabase_project.sql"))
            .await
            .context("cannot prepare the database like a Supabase project")?;
        Ok(postgres)
    }

    /// The connection string of a role that can log in: `postgres` or `authenticator`.
    pub fn url(&self, role: &str) -> String {
        format!("postgresql://{role}@127.0.0.1:{}/postgres", self.port)
    }

    /// A new connection as Supabase's `postgres` role.
    pub async fn connect(&self) -> Result<Client> {
        self.connect_as("postgres").await
    }

    /// Runs every file of `supabase/migrations`, in order, as the `postgres` role.
    pub async fn migrate(&self) -> Result<()> {
        let folder = root().join("supabase/migrations");
        let mut files: Vec<_> = fs::read_dir(&folder)?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        files.sort();
        for file in files {
            self.run_sql(&file).await?;
        }
        Ok(())
    }

    /// Runs one SQL file, named from the root of the repository, as the `postgres` role.
    pub async fn run_sql(&self, file: impl AsRef<Path>) -> Result<()> {
        let file = file.as_ref();
        let sql = fs::read_to_string(root().join(file))?;
        let client = self.connect().await?;
        client
            .batch_execute(&sql)
            .await
            .with_context(|| format!("{} failed", file.display()))
    }

    /// Kills the server, like a crash.
    pub fn kill(&self) -> Result<()> {
        let server = self.server().take();
        server.context("PostgreSQL is not running")?.kill()
    }

    /// Starts the server again, on the same data and port, and waits until it answers.
    pub async fn run(&self) -> Result<()> {
        let mut command = self.command("postgres")?;
        command
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .args(["-c", "listen_addresses=127.0.0.1"])
            .args(["-c", &format!("port={}", self.port)])
            .args(["-c", "unix_socket_directories="])
            .args(["-c", "max_connections=200"])
            .args(["-c", "timezone=UTC"])
            // Tests kill processes, not machines, so what was written is safe in the page cache.
            .args(["-c", "fsync=off"]);
        let mut server = Process::start("postgres", &command, Stop::Interrupt, self.log.clone())?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.connect_as("supabase_admin").await.is_err() {
            server.check_alive()?;
            if Instant::now() > deadline {
                bail!("PostgreSQL does not answer on port {}", self.port);
            }
            sleep(Duration::from_millis(10)).await;
        }
        // If ours has ended, another server has answered on this port.
        server.check_alive()?;
        *self.server() = Some(server);
        Ok(())
    }

    fn server(&self) -> MutexGuard<'_, Option<Process>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect_as(&self, role: &str) -> Result<Client> {
        let (client, connection) = tokio_postgres::connect(&self.url(role), NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// PostgreSQL refuses to run as root, so root runs it as `nobody`. The programs are copied to a
    /// folder that `nobody` can read, which may not be true of the repository.
    fn prepare_folder(&self) -> Result<()> {
        let (folder, programs) = (self.folder.path(), tools::postgresql()?);
        let data = folder.join("data");
        fs::create_dir(&data)?;
        if self.is_root()? {
            fs::create_dir(self.programs())?;
            let copy = |how| {
                let mut copy = Command::new("cp");
                copy.arg(how).arg(programs.join(".")).arg(self.programs());
                tools::run(copy.stderr(Stdio::null()), "coreutils")
            };
            // Links are free, but need both folders on one file system.
            copy("-Rl").or_else(|_| copy("-R"))?;
            fs::set_permissions(folder, Permissions::from_mode(0o755))?;
            chown(&data, Some(NOBODY), Some(NOBODY))?;
        } else {
            symlink(programs, self.programs())?;
        }
        let mut initdb = self.command("initdb")?;
        initdb
            .args([
                "--username=supabase_admin",
                "--auth=trust",
                "--encoding=UTF8",
            ])
            .args(["--locale=C", "--no-sync", "--no-instructions", "-D"])
            .arg(data)
            .stdout(Stdio::null());
        tools::run(&mut initdb, "PostgreSQL's own libraries")
    }

    fn command(&self, name: &str) -> Result<Command> {
        let program = self.programs().join("bin").join(name);
        let mut command = if self.is_root()? {
            let mut command = Command::new("setpriv");
            command.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")]);
            command.arg("--clear-groups").arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(self.folder.path());
        Ok(command)
    }

    fn programs(&self) -> PathBuf {
        self.folder.path().join("postgresql")
    }

    fn is_root(&self) -> Result<bool> {
        Ok(self.folder.path().metadata()?.uid() == 0)
    }
}

/// The user id and the group id of nobody on Linux.
const NOBODY: u32 = 65_534;

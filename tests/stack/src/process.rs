//! A child process that ends with this process.

use std::{
    fmt,
    fs::File,
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// Starts a watcher, and then becomes the program, so that the process id is the program's. The
/// watcher waits on a pipe that closes when our process ends, even by SIGKILL, and then stops the
/// whole process group. `$1` is the signal.
const GUARD: &str = r#"
signal=$1; shift
exec 3<&0 </dev/null
(cat <&3; kill -s "$signal" -- "-$$") >/dev/null 2>&1 &
exec 3<&-
exec "$@"
"#;

/// How long a program may take to end after the signal.
const TIME_TO_END: Duration = Duration::from_secs(5);

/// The signal that asks a program to end.
#[derive(Clone, Copy, Debug)]
pub enum Stop {
    /// SIGTERM, for most programs.
    Terminate,
    /// SIGINT, PostgreSQL's fast shutdown: open transactions are rolled back.
    Interrupt,
}

/// A running program and its output. Dropping it ends the program and every process that it
/// started.
pub struct Process {
    name: &'static str,
    child: Child,
    lifeline: Option<ChildStdin>,
    log: Log,
}

impl Process {
    /// Starts `command` in its own process group.
    pub fn start(name: &'static str, command: &Command, stop: Stop, log: Log) -> Result<Self> {
        let mut guarded = guarded(command, stop);
        guarded.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Self::spawn(name, &mut guarded, log)?;
        let child = &mut process.child;
        process.log.follow(name, child.stdout.take());
        process.log.follow(name, child.stderr.take());
        Ok(process)
    }

    /// Runs `command` to its end, which comes at the latest with the end of this process. Its output
    /// goes to the file, or is shown if there is none.
    pub fn run(name: &'static str, command: &Command, output: Option<&File>) -> Result<ExitStatus> {
        let mut guarded = guarded(command, Stop::Terminate);
        if let Some(file) = output {
            guarded.stdout(file.try_clone()?).stderr(file.try_clone()?);
        }
        let mut process = Self::spawn(name, &mut guarded, Log::default())?;
        Ok(process.child.wait()?)
    }

    fn spawn(name: &'static str, guarded: &mut Command, log: Log) -> Result<Self> {
        let mut child = guarded
            .process_group(0)
            .stdin(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let lifeline = child.stdin.take();
        Ok(Self {
            name,
            child,
            lifeline,
            log,
        })
    }

    /// The program's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails, with the program's last lines, if it has ended.
    pub fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended ({status}):\n{}", self.name, self.log.tail()),
        }
    }

    /// Kills the program, like a crash: it cannot clean up.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

/// The command, guarded as [`GUARD`] says.
fn guarded(command: &Command, stop: Stop) -> Command {
    let signal = match stop {
        Stop::Terminate => "TERM",
        Stop::Interrupt => "INT",
    };
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", GUARD, "guard", signal]);
    run_by(shell, command)
}

/// The command as the last arguments of another program, which runs it.
pub fn run_by(mut program: Command, command: &Command) -> Command {
    program.arg(command.get_program()).args(command.get_args());
    for (variable, value) in command.get_envs() {
        match value {
            Some(value) => program.env(variable, value),
            None => program.env_remove(variable),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        program.current_dir(folder);
    }
    program
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        let deadline = Instant::now() + TIME_TO_END;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        // Its time is over. A failure here cannot be reported to anybody.
        let group = format!("-{}", self.child.id());
        drop(Command::new("kill").args(["-KILL", "--", &group]).status());
        drop(self.child.wait());
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (process {})", self.name, self.child.id())
    }
}

/// The output of programs, by line. Clones share the lines.
#[derive(Clone, Default)]
pub struct Log {
    shared: Arc<(Mutex<Vec<String>>, Condvar)>,
    is_shown: bool,
}

impl Log {
    /// A log that also writes each line to standard error, for `cargo xtask dev`.
    pub fn shown() -> Self {
        Self {
            is_shown: true,
            ..Self::default()
        }
    }

    /// Adds a line.
    pub fn add(&self, name: &str, line: &str) {
        if self.is_shown {
            eprintln!("{name:>14} | {line}");
        }
        self.lines().push(line.to_owned());
        self.shared.1.notify_all();
    }

    /// Returns all lines so far, and removes them.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lines())
    }

    /// All lines so far.
    pub fn text(&self) -> String {
        self.lines().join("\n")
    }

    /// Waits up to five seconds until a line contains `text`.
    pub fn wait_for(&self, text: &str) -> Result<()> {
        let is_missing = |lines: &mut Vec<String>| !lines.iter().any(|line| line.contains(text));
        let (lines, time) = self
            .shared
            .1
            .wait_timeout_while(self.lines(), Duration::from_secs(5), is_missing)
            .unwrap_or_else(PoisonError::into_inner);
        drop(lines);
        if time.timed_out() {
            bail!(
                "no log line contains {text:?}; the last lines are:\n{}",
                self.tail()
            );
        }
        Ok(())
    }

    /// The last lines.
    pub fn tail(&self) -> String {
        let lines = self.lines();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn follow(&self, name: &'static str, output: Option<impl Read + Send + 'static>) {
        let Some(output) = output else { return };
        let log = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let Ok(line) = line else { return };
                log.add(name, &line);
            }
        });
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

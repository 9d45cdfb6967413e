//! `cargo xtask dev`, used as a person uses it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;

/// A running `cargo xtask dev`, and what it has printed.
struct Dev {
    child: Child,
    printed: Vec<String>,
    // Only one may run, because there is one `target/stack.json`.
    _alone: MutexGuard<'static, ()>,
}

impl Dev {
    fn start(arguments: &[&str]) -> Self {
        let alone = alone();
        let mut child = xtask(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut printed = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let is_last = line == "Ctrl-C stops everything.";
            printed.push(line);
            if is_last {
                break;
            }
        }
        Self {
            child,
            printed,
            _alone: alone,
        }
    }

    fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.child.id());
        assert!(shell(&kill).1);
    }

    /// Its child processes, their children, and so on.
    fn descendants(&self) -> BTreeSet<u32> {
        let mut found = BTreeSet::from([self.child.id()]);
        let all = processes();
        loop {
            let before = found.len();
            let children = all.iter().filter(|(_, parent)| found.contains(parent));
            let children: Vec<_> = children.map(|(process, _)| *process).collect();
            found.extend(children);
            if found.len() == before {
                found.remove(&self.child.id());
                return found;
            }
        }
    }
}

/// Lets one test of this process run at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn xtask(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(arguments).stderr(Stdio::null());
    command
}

fn shell(line: &str) -> (String, bool) {
    let run = Command::new("sh").args(["-c", line]).output().unwrap();
    let success = run.status.success();
    (String::from_utf8(run.stdout).unwrap(), success)
}

/// Every process on this machine, with its parent.
fn processes() -> Vec<(u32, u32)> {
    let (listed, success) = shell("ps -A -o pid=,ppid=");
    assert!(success, "ps failed; it is in the package procps");
    let numbers = |line: &str| {
        let mut numbers = line
            .split_whitespace()
            .map(|number| number.parse().unwrap());
        (numbers.next().unwrap(), numbers.next().unwrap())
    };
    listed.lines().map(numbers).collect()
}

fn description() -> Option<Value> {
    let text = fs::read(stack::root().join("target/stack.json")).ok()?;
    serde_json::from_slice(&text).ok()
}

/// The ports of all addresses in `target/stack.json`.
fn ports(description: &Value) -> Vec<u16> {
    [
        "userSyncUrl",
        "clerkWebhookUrl",
        "supabaseUrl",
        "databaseUrl",
        "clerkApiUrl",
        "clerkFrontendApiUrl",
        "webUrl",
    ]
    .map(|name| {
        let url = description[name].as_str().unwrap();
        let (_, port) = url.rsplit_once(':').unwrap();
        port.split('/').next().unwrap().parse().unwrap()
    })
    .into()
}

/// Polls a condition that has no event, such as the end of processes that are not our children.
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within 10 s");
        sleep(Duration::from_millis(20));
    }
}

fn are_all_gone(descendants: &BTreeSet<u32>, ports: &[u16]) -> bool {
    let is_running = |process: &(u32, u32)| descendants.contains(&process.0);
    let is_open = |port: &u16| TcpStream::connect(("127.0.0.1", *port)).is_ok();
    !processes().iter().any(is_running) && !ports.iter().any(is_open)
}

#[test]
fn the_printed_commands_work_and_ctrl_c_stops_everything() {
    let mut dev = Dev::start(&["dev"]);
    let description = description().expect("target/stack.json exists while it runs");
    let names: Vec<_> = description.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        names,
        [
            "anonJwt",
            "clerkApiUrl",
            "clerkControlUrl",
            "clerkFrontendApiUrl",
            "clerkJwtKey",
            "clerkPublishableKey",
            "clerkSecretKey",
            "clerkWebhookSigningSecret",
            "clerkWebhookUrl",
            "databaseUrl",
            "serviceRoleJwt",
            "supabasePublishableKey",
            "supabaseSecretKey",
            "supabaseUrl",
            "userSyncUrl",
            "webUrl",
        ]
    );

    let is_command = |line: &&String| line.starts_with("  curl");
    let lines: Vec<_> = dev.printed.iter().filter(is_command).collect();
    let [load_a_page, change_the_name, row] = lines.as_slice() else {
        panic!("three commands are printed: {lines:?}")
    };
    assert!(shell(load_a_page).0.contains(r#""status":"created""#));
    assert!(shell(change_the_name).1);
    wait_until("the webhook of the change", || {
        shell(row).0.contains(r#""first_name":"Augusta""#)
    });

    // The app's address also serves both functions.
    let web = description["webUrl"].as_str().unwrap();
    let post = |path| shell(&format!("curl -s -X POST -w '%{{http_code}}' {web}{path}")).0;
    let synced = post("/api/user/sync");
    assert!(
        synced.contains("session_missing") && synced.ends_with("401"),
        "{synced}"
    );
    let delivered = post("/api/webhooks/clerk");
    assert!(delivered.ends_with("400"), "{delivered}");

    let (descendants, ports) = (dev.descendants(), ports(&description));
    assert!(!are_all_gone(&descendants, &ports));
    dev.signal("INT");
    assert!(dev.child.wait().unwrap().success());
    wait_until("the end of everything", || {
        are_all_gone(&descendants, &ports)
    });
    assert!(self::description().is_none(), "target/stack.json is gone");
}

#[test]
fn sigkill_leaves_nothing_running() {
    for arguments in [&["dev"][..], &["dev", "--lambda"]] {
        let mut dev = Dev::start(arguments);
        let (descendants, ports) = (dev.descendants(), ports(&description().unwrap()));
        dev.signal("KILL");
        dev.child.wait().unwrap();
        wait_until("the end of everything", || {
            are_all_gone(&descendants, &ports)
        });
    }
}

#[test]
fn every_step_of_the_story_succeeds_on_both_targets() {
    let _alone = alone();
    for arguments in [&["dev", "--once"][..], &["dev", "--once", "--lambda"]] {
        let run = xtask(arguments).output().unwrap();
        let printed = String::from_utf8(run.stdout).unwrap();
        assert!(run.status.success(), "{printed}");
        assert_eq!(printed.matches(". ✓ ").count(), 8, "{printed}");
    }
}

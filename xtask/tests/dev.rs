//! `cargo xtask dev`, as a person uses it.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

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
    // There is one `target/stack.json`.
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

    /// All processes under it.
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

/// Tests of one process take turns.
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

/// Every process of the machine, with its parent.
fn processes() -> Vec<(u32, u32)> {
    let (listed, success) = shell("ps -A -o pid=,ppid=");
    assert!(success, "ps comes with procps");
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

/// Waits for what has no event to wait for: the end of processes that are not our children.
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within 10 s");
        sleep(Duration::from_millis(20));
    }
}

fn is_all_gone(descendants: &BTreeSet<u32>, ports: &[u16]) -> bool {
    let is_running = |process: &(u32, u32)| descendants.contains(&process.0);
    let is_open = |port: &u16| TcpStream::connect(("127.0.0.1", *port)).is_ok();
    !processes().iter().any(is_running) && !ports.iter().any(is_open)
}

#[test]
fn what_it_prints_works_and_ctrl_c_leaves_nothing_behind() {
    let mut dev = Dev::start(&["dev"]);
    let description = description().expect("target/stack.json is there while it runs");
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

    let is_to_try = |line: &&String| line.starts_with("  curl");
    let lines: Vec<_> = dev.printed.iter().filter(is_to_try).collect();
    let [load_a_page, change_the_name, row] = lines.as_slice() else {
        panic!("three lines to try: {lines:?}")
    };
    assert!(shell(load_a_page).0.contains(r#""status":"created""#));
    assert!(shell(change_the_name).1);
    wait_until("the webhook of the change", || {
        shell(row).0.contains(r#""first_name":"Augusta""#)
    });

    // The app's address is that of both functions, too.
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
    assert!(!is_all_gone(&descendants, &ports));
    dev.signal("INT");
    assert!(dev.child.wait().unwrap().success());
    wait_until("the end of everything", || {
        is_all_gone(&descendants, &ports)
    });
    assert!(self::description().is_none(), "target/stack.json is gone");
}

#[test]
fn a_killed_one_leaves_nothing_running() {
    for arguments in [&["dev"][..], &["dev", "--lambda"]] {
        let mut dev = Dev::start(arguments);
        let (descendants, ports) = (dev.descendants(), ports(&description().unwrap()));
        dev.signal("KILL");
        dev.child.wait().unwrap();
        wait_until("the end of everything", || {
            is_all_gone(&descendants, &ports)
        });
    }
}

#[test]
fn the_story_comes_true_on_either_target() {
    let _alone = alone();
    for arguments in [&["dev", "--once"][..], &["dev", "--once", "--lambda"]] {
        let run = xtask(arguments).output().unwrap();
        let told = String::from_utf8(run.stdout).unwrap();
        assert!(run.status.success(), "{told}");
        assert_eq!(told.matches(". ✓ ").count(), 8, "{told}");
    }
}

//! `cargo xtask soak --mutants`: deliberate faults in the SQL and in the core, each of which the soak
//! must catch. This is what shows that it can fail.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

/// A fault: a text of a file, and what stands there instead.
struct Mutant {
    name: &'static str,
    file: &'static str,
    text: &'static str,
    instead: &'static str,
    /// What the soak complains of, in one of these words. By any other failure nothing is caught.
    complaints: &'static [&'static str],
}

const RULES: &str = "supabase/migrations/20261123000001_user_sync.sql";
const USERS: &str = "supabase/migrations/20261123000000_users.sql";

const MUTANTS: [Mutant; 8] = [
    Mutant {
        name: "the second change of a millisecond loses",
        file: RULES,
        text: "changed_at < stored.updated_at",
        instead: "changed_at <= stored.updated_at",
        complaints: &["the row is not as in Clerk"],
    },
    Mutant {
        name: "two changes of a millisecond leave no doubt",
        file: RULES,
        text: "perform public.user_sync_doubt(clerk_id);",
        instead: "null;",
        complaints: &["the row is not as in Clerk"],
    },
    Mutant {
        name: "a tombstone is not looked at",
        file: RULES,
        text: "if stored.deleted_at is not null then",
        instead: "if false then",
        complaints: &["a deleted user came back", "a tombstone keeps"],
    },
    Mutant {
        name: "the writes of one user do not stand in line",
        file: RULES,
        text: "perform pg_advisory_xact_lock(hashtextextended(clerk_id, 0));",
        instead: "",
        complaints: &[
            "made the row",
            "the row went back",
            "a deleted user came back",
            "a tombstone keeps",
        ],
    },
    Mutant {
        name: "the receipt is written although the row is not",
        file: RULES,
        text: "    answer := public.user_sync_store(clerk_user, via);\n",
        instead: "    begin
      answer := public.user_sync_store(clerk_user, via);
    exception when others then
      answer := '{\"outcome\": \"updated\", \"email\": null, \"displaced\": []}';
    end;\n",
        complaints: &[" has Some("],
    },
    Mutant {
        name: "the first e-mail address counts as the primary one",
        file: USERS,
        text: "where address ->> 'id' = clerk_user ->> 'primary_email_address_id'",
        instead: "limit 1",
        complaints: &["the row is of no version"],
    },
    Mutant {
        name: "a webhook that failed is answered with 200",
        file: "functions/core/src/clerk_webhook.rs",
        text: "Err(error) => Err(error.into()),\n        }\n    }\n\n    /// The caller",
        instead: "Err(_) => Ok(Outcome::Ignored),\n        }\n    }\n\n    /// The caller",
        complaints: &["has no receipt", "receipts", "is lost"],
    },
    Mutant {
        name: "no call is made again, not after a deadlock either",
        file: "functions/core/src/upstream.rs",
        text: "const FURTHER_ATTEMPTS: usize = 2;",
        instead: "const FURTHER_ATTEMPTS: usize = 0;",
        complaints: &["not every answer is a 2xx"],
    },
];

/// Plants one fault after the other in a copy of this repository, and soaks it.
pub fn run() -> Result<()> {
    let copy = copy_of_the_repository()?;
    if let Some(reason) = soak(&copy)? {
        bail!("the copy fails with no fault in it: {reason}");
    }
    let mut caught = 0;
    for mutant in &MUTANTS {
        let file = copy.join(mutant.file);
        let sound = fs::read_to_string(&file)?;
        ensure!(
            sound.matches(mutant.text).count() == 1,
            "{} does not say {:?} once",
            mutant.file,
            mutant.text
        );
        fs::write(&file, sound.replace(mutant.text, mutant.instead))?;
        let verdict = soak(&copy);
        fs::write(&file, sound)?;
        match verdict? {
            Some(told) => match mutant
                .complaints
                .iter()
                .find(|words| told.contains(**words))
            {
                Some(words) => {
                    caught += 1;
                    println!("caught    {}\n          by: … {words} …", mutant.name);
                }
                None => println!("FAILED    {}\n          by: {told}", mutant.name),
            },
            None => println!("SURVIVED  {}", mutant.name),
        }
    }
    println!("{caught} of {} caught", MUTANTS.len());
    ensure!(caught == MUTANTS.len(), "a fault went by");
    Ok(())
}

/// Soaks the copy, and returns what it complains of, if of anything.
fn soak(copy: &Path) -> Result<Option<String>> {
    let cargo = |command: &str| {
        let mut cargo = Command::new("cargo");
        cargo
            .args([command, "--quiet", "--package", "xtask"])
            // A folder of its own: cargo would take what it has built here for what it builds there.
            .env("CARGO_TARGET_DIR", copy.join("target"))
            .env("RUST_BACKTRACE", "0")
            .current_dir(copy);
        cargo
    };
    let built = cargo("build").status().context("cannot run cargo")?;
    ensure!(built.success(), "the faulty copy does not build");
    let run = cargo("run")
        .args(["--", "soak", "--histories", "200"])
        .stdout(Stdio::null())
        .output()?;
    let told = String::from_utf8_lossy(&run.stderr);
    let reason = told.split_once("Error: ").map_or("", |(_, reason)| reason);
    Ok((!run.status.success()).then(|| reason.trim().to_owned()))
}

fn copy_of_the_repository() -> Result<PathBuf> {
    let copy = stack::root().join("target/mutants");
    stack::copy_files(stack::root(), &stack::files(stack::root())?, &copy)?;
    // PostgreSQL and PostgREST are installed already.
    let tools = copy.join("target/tools");
    if !tools.exists() {
        fs::create_dir_all(copy.join("target"))?;
        symlink(stack::root().join("target/tools"), tools)?;
    }
    Ok(copy)
}

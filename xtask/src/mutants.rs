//! `cargo xtask soak --mutants`: the soak must catch each of these deliberate faults in the SQL and
//! in the functions. This shows that the soak can fail.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

/// A fault: the replacement of a text in a file.
struct Mutant {
    name: &'static str,
    file: &'static str,
    text: &'static str,
    replacement: &'static str,
    /// The soak's error must contain one of these. Any other error does not count as caught.
    errors: &'static [&'static str],
}

const RULES: &str = "supabase/migrations/20261123000001_user_sync.sql";
const USERS: &str = "supabase/migrations/20261123000000_users.sql";

const MUTANTS: [Mutant; 8] = [
    Mutant {
        name: "the second change in one millisecond loses",
        file: RULES,
        text: "changed_at < stored.updated_at",
        replacement: "changed_at <= stored.updated_at",
        errors: &["the row differs from Clerk"],
    },
    Mutant {
        name: "two changes in one millisecond do not put the row in doubt",
        file: RULES,
        text: "perform public.user_sync_doubt(clerk_id);",
        replacement: "null;",
        errors: &["the row differs from Clerk"],
    },
    Mutant {
        name: "a tombstone is ignored",
        file: RULES,
        text: "if stored.deleted_at is not null then",
        replacement: "if false then",
        errors: &["a deleted user came back", "a tombstone keeps"],
    },
    Mutant {
        name: "the writes of one user do not wait for each other",
        file: RULES,
        text: "perform pg_advisory_xact_lock(hashtextextended(clerk_id, 0));",
        replacement: "",
        errors: &[
            "created the row",
            "the row went back",
            "a deleted user came back",
            "a tombstone keeps",
        ],
    },
    Mutant {
        name: "the receipt is written without the row",
        file: RULES,
        text: "    answer := public.user_sync_store(clerk_user, source);\n",
        replacement: "    begin
      answer := public.user_sync_store(clerk_user, source);
    exception when others then
      answer := '{\"outcome\": \"updated\", \"email\": null, \"displaced\": []}';
    end;\n",
        errors: &["has the wrong address"],
    },
    Mutant {
        name: "the first e-mail address counts as the primary one",
        file: USERS,
        text: "where address ->> 'id' = clerk_user ->> 'primary_email_address_id'",
        replacement: "limit 1",
        errors: &["the row matches no version"],
    },
    Mutant {
        name: "a webhook that failed is answered with 200",
        file: "functions/clerk-webhook/src/lib.rs",
        text: "Err(error) => Err(error.into()),",
        replacement: "Err(_) => Ok(EventOutcome::Ignored),",
        errors: &["has no receipt", "receipts", "is lost"],
    },
    Mutant {
        name: "no call is retried, not even after a deadlock",
        file: "functions/core/src/upstream.rs",
        text: "const RETRIES: usize = 2;",
        replacement: "const RETRIES: usize = 0;",
        errors: &["a call failed"],
    },
];

/// Puts each fault in turn into a copy of this repository, and runs the soak there.
pub fn run() -> Result<()> {
    let copy = copy_of_the_repository()?;
    if let Some(reason) = soak(&copy)? {
        bail!("the soak fails in the copy without a fault: {reason}");
    }
    let mut caught = 0;
    for mutant in &MUTANTS {
        let file = copy.join(mutant.file);
        let original = fs::read_to_string(&file)?;
        ensure!(
            original.matches(mutant.text).count() == 1,
            "{} does not have {:?} exactly once",
            mutant.file,
            mutant.text
        );
        fs::write(&file, original.replace(mutant.text, mutant.replacement))?;
        let verdict = soak(&copy);
        fs::write(&file, original)?;
        match verdict? {
            Some(error) => match mutant
                .errors
                .iter()
                .find(|expected| error.contains(**expected))
            {
                Some(expected) => {
                    caught += 1;
                    println!("caught    {}\n          by: … {expected} …", mutant.name);
                }
                None => println!("FAILED    {}\n          by: {error}", mutant.name),
            },
            None => println!("SURVIVED  {}", mutant.name),
        }
    }
    println!("{caught} of {} caught", MUTANTS.len());
    ensure!(caught == MUTANTS.len(), "a fault was not caught");
    Ok(())
}

/// Runs the soak in the copy, and returns its error if it fails.
fn soak(copy: &Path) -> Result<Option<String>> {
    let cargo = |command: &str| {
        let mut cargo = Command::new("cargo");
        cargo
            .args([command, "--quiet", "--package", "xtask"])
            // In a shared folder, cargo could take a build of this repository for one of the copy.
            .env("CARGO_TARGET_DIR", copy.join("target"))
            .env("RUST_BACKTRACE", "0")
            .current_dir(copy);
        cargo
    };
    let built = cargo("build").status().context("cannot run cargo")?;
    ensure!(built.success(), "the copy with the fault does not build");
    let run = cargo("run")
        .args(["--", "soak", "--histories", "200"])
        .stdout(Stdio::null())
        .output()?;
    let output = String::from_utf8_lossy(&run.stderr);
    let reason = output
        .split_once("Error: ")
        .map_or("", |(_, reason)| reason);
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

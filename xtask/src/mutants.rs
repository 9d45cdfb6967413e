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

const RULES: &str = "supabase/migrations/20261125000000_user_sync.sql";

const MUTANTS: [Mutant; 10] = [
    Mutant {
        name: "the second change in one millisecond loses",
        file: RULES,
        text: "changed_at < seen.updated_at",
        replacement: "changed_at <= seen.updated_at",
        errors: &["the row differs from Clerk"],
    },
    Mutant {
        name: "two changes in one millisecond do not put the row in doubt",
        file: RULES,
        text: "set in_doubt_since = clock_timestamp()",
        replacement: "set in_doubt_since = null",
        errors: &["the row differs from Clerk"],
    },
    Mutant {
        name: "a lost row that an equal version makes again is not in doubt",
        file: RULES,
        text: "changed_at = seen.updated_at and result <> 'unchanged'",
        replacement: "changed_at = seen.updated_at and result = 'updated'",
        errors: &["the row differs from Clerk"],
    },
    Mutant {
        name: "who read Clerk before a doubt arose ends it",
        file: RULES,
        text: "user_sync_apply.read_at > seen.in_doubt_since",
        replacement: "true",
        errors: &["the row differs from Clerk"],
    },
    Mutant {
        name: "a tombstone is ignored",
        file: RULES,
        text: "when is_deletion or seen.deleted_at is not null then 'deleted'",
        replacement: "when is_deletion then 'deleted'",
        errors: &["a deleted user came back", "a tombstone keeps"],
    },
    Mutant {
        name: "a write does not notice that another one came first",
        file: RULES,
        text: "where state.id = clerk_id and state.xmin = seen.version;",
        replacement: "where state.id = clerk_id;",
        errors: &[
            "the row went back",
            "a deleted user came back",
            "a tombstone keeps",
        ],
    },
    Mutant {
        name: "the receipt is written without the row",
        file: RULES,
        text: "    answer := user_sync.write_row(clerk_user);\n",
        replacement: "    begin
      answer := user_sync.write_row(clerk_user);
    exception when others then
      answer := '{\"outcome\": \"updated\", \"email\": null, \"displaced\": []}';
    end;\n",
        errors: &["has the wrong address"],
    },
    Mutant {
        name: "the first e-mail address counts as the primary one",
        file: RULES,
        text: "'strict $[*] ? (@.id == $id)'",
        replacement: "'lax $[0]'",
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

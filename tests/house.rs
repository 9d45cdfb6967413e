//! The structure stays as it is: what may depend on what.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use anyhow::{Result, ensure};

/// Core contains only what at least two callers share. (Inside `clerk`, the Backend API has one
/// until reconcile comes.)
#[test]
fn each_public_module_of_core_has_two_dependents() -> Result<()> {
    let functions = stack::root().join("functions");
    let modules = fs::read_to_string(functions.join("core/src/lib.rs"))?;
    let modules = modules.lines();
    let modules = modules.filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let mut dependents: BTreeMap<_, BTreeSet<_>> =
        modules.map(|module| (module, BTreeSet::new())).collect();
    for file in stack::files(&functions)? {
        let Some((name, _)) = file.split_once("/src/") else {
            continue;
        };
        let imports = modules_of_core_in(&fs::read_to_string(functions.join(&file))?);
        for (module, dependents) in &mut dependents {
            if imports.contains(*module) {
                dependents.insert(name.to_owned());
            }
        }
    }
    for (module, dependents) in dependents {
        ensure!(
            dependents.len() > 1,
            "core::{module} is used only by {dependents:?}"
        );
    }
    Ok(())
}

/// The modules of core that a source file imports.
fn modules_of_core_in(source: &str) -> BTreeSet<String> {
    let imports = source.split("user_sync_core::").skip(1);
    let imports = imports.filter_map(|rest| Some(rest.split_once(';')?.0));
    imports.flat_map(first_names).collect()
}

/// The first name of each path in an import: `a` of `a::b`, `a` and `c` of `{a::{b, d}, c}`.
fn first_names(imports: &str) -> Vec<String> {
    let outermost = usize::from(imports.starts_with('{'));
    let mut depth = 0;
    let mut outer = String::new();
    for letter in imports.chars() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ if depth == outermost => outer.push(letter),
            _ => {}
        }
    }
    let names = outer
        .split(',')
        .filter_map(|path| path.trim().split("::").next());
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn first_names_are_read_at_the_outermost_level() {
    for (imports, names) in [
        ("function::{Function, handle}", &["function"][..]),
        ("config::list", &["config"]),
        (
            "{\n    clerk::{ClerkTime, backend_api::{BackendApi}},\n    log,\n}",
            &["clerk", "log"],
        ),
    ] {
        assert_eq!(first_names(imports), names, "{imports}");
    }
}

/// The build of a function contains only what that function needs, and core knows no platform.
#[test]
fn no_crate_contains_what_belongs_to_another() -> Result<()> {
    for (package, foreign) in [
        (
            "user-sync-core",
            &[
                "svix",
                "cookie",
                "jsonwebtoken",
                "lambda_http",
                "vercel_runtime",
                "user_sync",
                "clerk_webhook",
            ][..],
        ),
        ("user-sync", &["svix", "vercel_runtime", "clerk_webhook"]),
        (
            "clerk-webhook",
            &["cookie", "jsonwebtoken", "vercel_runtime", "user_sync"],
        ),
        ("vercel-functions", &["lambda_http"]),
        ("lambda", &["vercel_runtime"]),
    ] {
        let dependencies = dependencies_of(package)?;
        for name in foreign {
            assert!(
                !dependencies.contains(*name),
                "{package} contains {name}; see: cargo tree --package {package} --invert {name}"
            );
        }
    }
    Ok(())
}

fn dependencies_of(package: &str) -> Result<BTreeSet<String>> {
    let tree = Command::new("cargo")
        .args([
            "tree",
            "--package",
            package,
            "--edges",
            "normal",
            "--prefix",
            "none",
        ])
        .args(["--format", "{lib}", "--offline"])
        .current_dir(stack::root())
        .output()?;
    ensure!(tree.status.success(), "{tree:?}");
    let names = String::from_utf8(tree.stdout)?;
    let names = names
        .lines()
        .map(|name| name.trim_end_matches(" (*)").to_owned());
    Ok(names.collect())
}

/// `postgrest` requires an HTTP and TLS stack with open advisories; see `patches/reqwest`.
#[test]
fn there_is_one_http_stack_and_one_tls_stack() {
    let lock = include_str!("../Cargo.lock");
    for name in [
        "hyper",
        "h2",
        "http",
        "rustls",
        "rustls-webpki",
        "tokio-rustls",
        "aws-lc-rs",
    ] {
        let versions = lock.matches(&format!("\nname = \"{name}\"\n")).count();
        assert_eq!(
            versions, 1,
            "versions of {name}; see: cargo tree --invert {name}"
        );
    }
}

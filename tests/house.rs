//! The structure stays as it is: what may depend on what.

use std::{collections::BTreeSet, fs, process::Command};

use anyhow::{Result, ensure};

/// Core contains only what at least two callers share.
#[test]
fn each_public_module_of_core_has_two_dependents() -> Result<()> {
    let modules = fs::read_to_string(stack::root().join("functions/core/src/lib.rs"))?;
    let modules = modules
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod "));
    for module in modules.map(|module| module.trim_end_matches(';')) {
        let mut dependents = Vec::new();
        for name in ["user-sync", "clerk-webhook", "lambda", "vercel"] {
            if modules_of_core_in(name)?.contains(module) {
                dependents.push(name);
            }
        }
        ensure!(
            dependents.len() > 1,
            "core::{module} is used only by {dependents:?}"
        );
    }
    Ok(())
}

/// The modules of core that a crate imports.
fn modules_of_core_in(name: &str) -> Result<BTreeSet<String>> {
    let folder = stack::root().join("functions").join(name).join("src");
    let mut modules = BTreeSet::new();
    for file in fs::read_dir(folder)? {
        let source = fs::read_to_string(file?.path())?;
        for imports in source.split("user_sync_core::").skip(1) {
            let imports = imports.split_once(';').map_or("", |(imports, _)| imports);
            modules.extend(first_names(imports));
        }
    }
    Ok(modules)
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
            ][..],
        ),
        ("user-sync", &["svix", "vercel_runtime"]),
        (
            "clerk-webhook",
            &["cookie", "jsonwebtoken", "vercel_runtime"],
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

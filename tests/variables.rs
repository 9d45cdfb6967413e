//! How the functions read their variables, and that documents and templates list the same ones.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
};

use anyhow::{Context, Result, ensure};
use stack::{Entry, FUNCTIONS, variables};
use user_sync_core::config::Unset;

#[test]
fn a_function_reads_exactly_the_variables_in_its_table() {
    for Entry {
        configure,
        variables,
        ..
    } in FUNCTIONS
    {
        let read = RefCell::new(BTreeSet::new());
        let look_up = |name: &str| {
            read.borrow_mut().insert(name.to_owned());
            None
        };
        configure(&look_up).unwrap_err();
        let table = variables.iter().flat_map(|variable| variable.names);
        let table: BTreeSet<_> = table.map(|name| (*name).to_owned()).collect();
        assert_eq!(read.into_inner(), table);
    }
}

/// Builds a function from these variables. Returns what it uses, or all its mistakes.
fn configured(function: &Entry, set: &[(&str, &str)]) -> Result<String, String> {
    let look_up = |name: &str| {
        let (_, value) = set.iter().find(|(set, _)| *set == name)?;
        Some((*value).to_owned())
    };
    (function.configure)(&look_up).map_err(|error| error.to_string())
}

#[test]
fn all_missing_variables_are_named_at_once() {
    for function in FUNCTIONS {
        let missing = configured(function, &[]).unwrap_err();
        let missing: Vec<_> = missing.lines().skip(1).map(str::to_owned).collect();
        let required = function.variables.iter();
        let required = required.filter(|variable| variable.unset == Unset::Required);
        let expected = required.map(|variable| {
            format!(
                "  {} is missing: {}",
                variable.names.join(" or "),
                variable.holds
            )
        });
        assert_eq!(missing, expected.collect::<Vec<_>>());
    }
}

#[test]
fn a_complete_environment_is_accepted() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let two_secrets = format!("{secret},{secret}");
    let complete = [
        ("SUPABASE_URL", "https://abc.supabase.co/"),
        ("SUPABASE_SECRET_KEY", "sb_secret_abc"),
        ("CLERK_SECRET_KEY", "sk_test_abc"),
        ("CLERK_WEBHOOK_SIGNING_SECRET", two_secrets.as_str()),
    ];
    for function in FUNCTIONS {
        let uses = configured(function, &complete).unwrap();
        let supabase = "Supabase at https://abc.supabase.co with a key of the kind sb_secret";
        assert!(uses.starts_with(supabase), "{uses}");
    }
}

#[test]
fn a_mistake_has_the_name_and_not_the_value() {
    for (name, value) in [
        ("SUPABASE_URL", "abc.supabase.co"),
        ("SUPABASE_SECRET_KEY", "sb_publishable_hunter2"),
        ("SUPABASE_SECRET_KEY", "hunter2"),
        ("SUPABASE_SERVICE_ROLE_KEY", "hunter2"),
        ("SUPABASE_URL", "https://hunter2.supabase.co/rest/v1"),
        ("NEXT_PUBLIC_SUPABASE_URL", "hunter2"),
        ("CLERK_SECRET_KEY", "pk_test_hunter2"),
        ("CLERK_SECRET_KEY", "sk_hunter2\u{7f}"),
        ("CLERK_API_URL", "ftp://hunter2"),
        ("CLERK_API_URL", "https://api.clerk.com/v1"),
        ("CLERK_JWT_KEY", "hunter2"),
        ("CLERK_PUBLISHABLE_KEY", "hunter2"),
        ("NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY", "sk_hunter2"),
        ("USER_SYNC_MAX_AGE", "hunter2"),
        ("CLERK_WEBHOOK_SIGNING_SECRET", "hunter2"),
        ("LOG_FORMAT", "hunter2"),
    ] {
        let reads = |function: &Entry| {
            let mut names = function
                .variables
                .iter()
                .flat_map(|variable| variable.names);
            names.any(|known| *known == name)
        };
        for function in FUNCTIONS.iter().filter(|function| reads(function)) {
            let mistakes = configured(function, &[(name, value)]).unwrap_err();
            assert!(mistakes.contains(&format!("\n  {name} ")), "{mistakes}");
            assert!(!mistakes.contains("hunter2"), "{mistakes}");
        }
    }
}

#[test]
fn env_example_lists_every_variable() -> Result<()> {
    let mut lines = vec![
        "# Copy to .env and fill in, to run `cargo xtask dev` on your real Clerk and Supabase."
            .to_owned(),
    ];
    let mut section = String::new();
    for (variable, functions) in variables() {
        let readers = readers(&functions);
        if readers != section {
            lines.extend([String::new(), format!("# {readers}")]);
            section = readers;
        }
        let (value, unset) = match variable.unset {
            Unset::Required => ("", "required".to_owned()),
            Unset::Default(value) => (value, format!("default: {value}")),
            Unset::Optional(effect) => ("", format!("without it: {effect}")),
        };
        let comment = format!("# {} ({unset})", variable.holds).replace('`', "");
        lines.extend([String::new(), comment]);
        lines.push(format!("{}={value}", variable.names[0]));
        for alias in &variable.names[1..] {
            lines.push(format!("# If that is not set:\n{alias}="));
        }
    }
    let expected = lines.join("\n") + "\n";
    let example = read(".env.example")?;
    ensure!(example == expected, ".env.example should be:\n{expected}");
    Ok(())
}

#[test]
fn env_example_can_be_read_without_changes() -> Result<()> {
    let example = dotenvy::from_path_iter(stack::root().join(".env.example"))?;
    let example: BTreeMap<_, _> = example.collect::<Result<_, _>>()?;
    let mut expected = BTreeMap::new();
    for (variable, _) in variables() {
        for name in variable.names {
            expected.insert((*name).to_owned(), String::new());
        }
        if let Unset::Default(value) = variable.unset {
            expected.insert(variable.names[0].to_owned(), value.to_owned());
        }
    }
    ensure!(example == expected, "{example:?}");
    Ok(())
}

#[test]
fn the_table_in_configure_md_lists_every_variable() -> Result<()> {
    let rows = variables().into_iter().map(|(variable, functions)| {
        let unset = match variable.unset {
            Unset::Required => "required".to_owned(),
            Unset::Default(value) => format!("`{value}`"),
            Unset::Optional(effect) => effect.to_owned(),
        };
        let names = format!("`{}`", variable.names.join("` or `"));
        let (readers, holds) = (readers(&functions), variable.holds);
        format!("| {names} | {readers} | {holds} | {unset} |\n")
    });
    let rows: String = rows.collect();
    let guide = read("docs/CONFIGURE.md")?;
    ensure!(
        guide.contains(&rows),
        "docs/CONFIGURE.md should have these rows:\n{rows}"
    );
    Ok(())
}

fn readers(functions: &[&str]) -> String {
    if functions.len() == FUNCTIONS.len() {
        "all functions".to_owned()
    } else {
        functions.join(", ")
    }
}

/// On Lambda its own log format decides the shape of lines, and Clerk has its usual URL.
const NOT_IN_THE_TEMPLATE: [&str; 2] = ["LOG_FORMAT", "CLERK_API_URL"];

#[test]
fn the_template_sets_every_variable() -> Result<()> {
    let template = read("template.yaml")?;
    let is_name = |text: &&str| {
        let is_letter = |letter| letter == '_' || char::is_ascii_uppercase(&letter);
        text.contains('_') && text.chars().all(is_letter)
    };
    let keys = template
        .lines()
        .filter_map(|line| line.trim().split_once(':'));
    let set: BTreeSet<_> = keys.map(|(key, _)| key).filter(is_name).collect();
    let expected = variables()
        .into_iter()
        .map(|(variable, _)| variable.names[0]);
    let expected = expected.filter(|name| !NOT_IN_THE_TEMPLATE.contains(name));
    assert_eq!(set, expected.collect());
    Ok(())
}

#[test]
fn the_deploy_button_asks_for_every_required_variable() -> Result<()> {
    let readme = read("README.md")?;
    let (_, query) = readme
        .split_once("&env=")
        .context("README.md has no deploy button")?;
    let (asked, _) = query
        .split_once('&')
        .context("nothing follows the variables in the button's URL")?;
    let asked: BTreeSet<_> = asked.split(',').collect();
    let known = variables();
    let known = known.iter().map(|(variable, _)| variable.names[0]);
    ensure!(asked.is_subset(&known.collect()), "{asked:?}");
    for (variable, _) in variables() {
        let name = variable.names[0];
        let is_required = variable.unset == Unset::Required;
        ensure!(!is_required || asked.contains(name), "{name} is missing");
    }
    Ok(())
}

fn read(file: &str) -> Result<String> {
    Ok(fs::read_to_string(stack::root().join(file))?)
}

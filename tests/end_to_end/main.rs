//! One suite, played unchanged against the executables that Vercel runs, those that Lambda runs,
//! and the handlers in process, all on a real PostgreSQL and a real PostgREST.
//!
//! `cargo test --test end_to_end vercel::` plays it against one of them, and
//! `cargo test --test end_to_end vercel_build:: -- --ignored` against what ships, as `cargo xtask vercel`
//! and `cargo xtask sam` do.

mod configuration;
mod deliveries;
mod faults;
mod healing;
mod refusals;
mod shapes;

use std::{process::ExitCode, sync::Arc};

use anyhow::{Result, anyhow};
use libtest_mimic::{Arguments, Failed, Trial};
use stack::{Log, Stack, Target, clerk::Delivery};
use tokio::{runtime::Runtime, sync::OnceCell};

/// What a scenario plays on.
#[derive(Clone, Copy)]
enum Scenario {
    /// A stack that others play on too. Webhooks are lost there: a scenario delivers by hand.
    Shared(fn(&Runtime, &Stack) -> Result<()>),
    /// A stack of its own, to break and to reconfigure.
    Lone(fn(&Runtime, Stack) -> Result<()>),
}

/// Names a scenario as its function is named.
macro_rules! scenario {
    ($kind:ident $function:path) => {
        (
            stringify!($function),
            Scenario::$kind(|runtime, stack| runtime.block_on($function(stack))),
        )
    };
}

const SCENARIOS: &[(&str, Scenario)] = &[
    scenario!(Shared healing::the_story_comes_true),
    scenario!(Shared healing::a_page_load_by_cookie_heals_too),
    scenario!(Shared healing::many_page_loads_at_once_make_one_row),
    scenario!(Shared healing::many_copies_of_a_webhook_at_once_leave_one_receipt),
    scenario!(Shared healing::the_exact_bytes_of_a_webhook_count_however_they_are_written),
    scenario!(Shared healing::a_user_whom_clerk_does_not_know_is_gone_and_not_remembered),
    scenario!(Lone healing::a_users_own_table_heals_by_other_sql_alone),
    scenario!(Shared shapes::a_user_of_every_shape_becomes_the_right_row_on_either_path),
    scenario!(Lone refusals::bad_input_is_refused_and_changes_nothing),
    scenario!(Lone refusals::a_user_who_cannot_be_stored_is_told_apart),
    scenario!(Lone deliveries::a_webhook_is_the_usual_path),
    scenario!(Lone deliveries::events_held_back_and_reordered_end_as_clerk_has_them),
    scenario!(Lone deliveries::a_failing_webhook_is_delivered_again_until_it_succeeds),
    scenario!(Lone configuration::sessions_are_verified_with_the_key_set_too),
    scenario!(Lone configuration::the_older_supabase_key_works_too),
    scenario!(Lone configuration::a_wrong_key_is_named_in_the_log_and_not_to_the_caller),
    scenario!(Lone configuration::no_secret_and_no_personal_data_is_logged),
    scenario!(Lone faults::the_database_down),
    scenario!(Lone faults::supabase_silent),
    scenario!(Lone faults::an_answer_lost_after_the_write),
    scenario!(Lone faults::clerk_down),
    scenario!(Lone faults::clerk_slow),
    scenario!(Lone faults::clerk_rate_limiting),
];

fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    // Scenarios wait for servers more than for a core.
    arguments.test_threads.get_or_insert(6);
    let runtime = Arc::new(Runtime::new()?);
    let trials = Target::ALL
        .into_iter()
        .flat_map(|target| trials(target, &runtime))
        .collect();
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

/// All scenarios on one target. Their shared stack ends with the last of them.
fn trials(target: Target, runtime: &Arc<Runtime>) -> impl Iterator<Item = Trial> {
    let shared = Arc::new(OnceCell::new());
    let runtime = Arc::clone(runtime);
    SCENARIOS.iter().map(move |&(name, scenario)| {
        let (runtime, shared) = (Arc::clone(&runtime), Arc::clone(&shared));
        let trial = Trial::test(format!("{target}::{name}"), move || {
            let played = match scenario {
                Scenario::Shared(play) => runtime
                    .block_on(shared.get_or_try_init(|| start(target)))
                    .and_then(|stack| {
                        stack.clerk.set_delivery(Delivery::Drop);
                        with_log(stack.functions.log(), || play(&runtime, stack))
                    }),
                Scenario::Lone(play) => runtime.block_on(start(target)).and_then(|stack| {
                    let log = stack.functions.log().clone();
                    with_log(&log, || play(&runtime, stack))
                }),
            };
            played.map_err(|error| Failed::from(format!("{error:#}")))
        });
        trial.with_ignored_flag(target.is_artefact())
    })
}

async fn start(target: Target) -> Result<Stack> {
    Stack::start(target, &Log::default()).await
}

/// Plays, and adds what the functions have logged to the error.
fn with_log(log: &Log, play: impl FnOnce() -> Result<()>) -> Result<()> {
    play().map_err(|error| anyhow!("{error:#}\nThe functions' last lines:\n{}", log.tail()))
}

//! One suite of scenarios. It runs unchanged on the executables for Vercel, on those for Lambda,
//! and on the functions in this process, always with a real PostgreSQL and a real PostgREST.
//!
//! `cargo test --test end_to_end vercel::` runs it on one of these targets.
//! `cargo test --test end_to_end vercel_build:: -- --ignored` runs it on what is deployed, as
//! `cargo xtask vercel` and `cargo xtask sam` do.

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

/// A scenario, by the stack that it runs on.
#[derive(Clone, Copy)]
enum Scenario {
    /// A stack that other scenarios use too. Webhooks are lost there: a scenario delivers by hand.
    Shared(fn(&Runtime, &Stack) -> Result<()>),
    /// Its own stack, to break and to reconfigure.
    Own(fn(&Runtime, Stack) -> Result<()>),
}

/// Gives a scenario the name of its function.
macro_rules! scenario {
    ($kind:ident $function:path) => {
        (
            stringify!($function),
            Scenario::$kind(|runtime, stack| runtime.block_on($function(stack))),
        )
    };
}

const SCENARIOS: &[(&str, Scenario)] = &[
    scenario!(Shared healing::every_step_of_the_story_succeeds),
    scenario!(Shared healing::a_page_load_with_a_cookie_heals_too),
    scenario!(Shared healing::many_page_loads_at_once_make_one_row),
    scenario!(Shared healing::many_copies_of_a_webhook_at_once_leave_one_receipt),
    scenario!(Shared healing::a_function_sees_the_exact_bytes_of_a_webhook),
    scenario!(Shared healing::a_user_unknown_to_clerk_gets_no_tombstone),
    scenario!(Own healing::another_table_needs_only_other_sql),
    scenario!(Shared shapes::every_shape_of_user_becomes_the_right_row_from_each_source),
    scenario!(Own refusals::bad_input_is_refused_and_changes_nothing),
    scenario!(Own refusals::a_user_who_cannot_be_stored_is_rejected),
    scenario!(Own deliveries::webhooks_are_the_usual_source),
    scenario!(Own deliveries::late_and_reordered_events_end_with_the_state_in_clerk),
    scenario!(Own deliveries::a_failing_webhook_is_delivered_again_until_it_succeeds),
    scenario!(Own configuration::sessions_are_verified_with_clerks_key_set),
    scenario!(Own configuration::a_legacy_supabase_key_works_too),
    scenario!(Own configuration::a_wrong_key_is_named_in_the_log_but_not_in_the_answer),
    scenario!(Own configuration::no_secret_and_no_personal_data_is_logged),
    scenario!(Own faults::database_down),
    scenario!(Own faults::supabase_silent),
    scenario!(Own faults::answer_lost_after_the_write),
    scenario!(Own faults::user_locked),
    scenario!(Own faults::clerk_down),
    scenario!(Own faults::clerk_slow),
    scenario!(Own faults::clerk_rate_limiting),
];

fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    // Scenarios mostly wait for servers, so more of them run at once than there are cores.
    arguments.test_threads.get_or_insert(6);
    let runtime = Arc::new(Runtime::new()?);
    let trials = Target::ALL
        .into_iter()
        .flat_map(|target| trials(target, &runtime))
        .collect();
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

/// All scenarios on one target. Their shared stack stops after the last of them.
fn trials(target: Target, runtime: &Arc<Runtime>) -> impl Iterator<Item = Trial> {
    let shared = Arc::new(OnceCell::new());
    let runtime = Arc::clone(runtime);
    SCENARIOS.iter().map(move |&(name, scenario)| {
        let (runtime, shared) = (Arc::clone(&runtime), Arc::clone(&shared));
        let trial = Trial::test(format!("{target}::{name}"), move || {
            let result = match scenario {
                Scenario::Shared(run) => runtime
                    .block_on(shared.get_or_try_init(|| start(target)))
                    .and_then(|stack| {
                        stack.clerk.set_delivery(Delivery::Drop);
                        with_log(stack.functions.log(), || run(&runtime, stack))
                    }),
                Scenario::Own(run) => runtime.block_on(start(target)).and_then(|stack| {
                    let log = stack.functions.log().clone();
                    with_log(&log, || run(&runtime, stack))
                }),
            };
            result.map_err(|error| Failed::from(format!("{error:#}")))
        });
        trial.with_ignored_flag(target.is_artefact())
    })
}

async fn start(target: Target) -> Result<Stack> {
    Stack::start(target, &Log::default()).await
}

/// Runs a scenario. Adds what the functions have logged to its error.
fn with_log(log: &Log, run: impl FnOnce() -> Result<()>) -> Result<()> {
    run().map_err(|error| anyhow!("{error:#}\nThe functions' last lines:\n{}", log.tail()))
}

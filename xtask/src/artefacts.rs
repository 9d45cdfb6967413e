//! `cargo xtask vercel` and `cargo xtask sam`: build with the platform's own tool, test the result,
//! and measure it.

#![expect(
    clippy::cast_precision_loss,
    reason = "figures with one or two decimals"
)]

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::json;
use stack::{Log, Stack, Target, clerk::Delivery};

use crate::test::cargo;

/// What to do. Without an option, everything.
#[derive(Args)]
pub struct Arguments {
    /// Do only this part
    #[arg(long, value_enum)]
    only: Option<Part>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Part {
    /// Check the template (of SAM)
    Template,
    /// Build, and run the tests on the result
    Tests,
    /// Build, and measure the result
    Figures,
}

impl Arguments {
    fn include(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }
}

/// Builds with `vercel build`.
pub async fn vercel(arguments: Arguments) -> Result<()> {
    if arguments.include(Part::Tests) {
        cargo("test --test end_to_end vercel_build:: -- --ignored")?;
        cargo("test --test vercel -- --ignored")?;
    }
    if arguments.include(Part::Figures) {
        measure(Target::VercelBuild).await?;
    }
    Ok(())
}

/// Checks the template, and builds with `sam build`.
pub async fn sam(arguments: Arguments) -> Result<()> {
    if arguments.include(Part::Template) {
        stack::check_template()?;
    }
    if arguments.include(Part::Tests) {
        cargo("test --test end_to_end sam_build:: -- --ignored")?;
    }
    if arguments.include(Part::Figures) {
        measure(Target::SamBuild).await?;
    }
    Ok(())
}

/// How often a function is started; the median counts.
const STARTS: usize = 5;

/// How many calls of each kind are timed, one after the other; the median counts.
const CALLS: usize = 300;

/// Prints what each function costs, with Clerk and Supabase on this machine.
async fn measure(target: Target) -> Result<()> {
    let mut cold_starts: BTreeMap<_, Vec<Duration>> = BTreeMap::new();
    for _ in 1..STARTS {
        let stack = Stack::start(target, &Log::default()).await?;
        for (name, footprint) in stack.functions.footprints().await? {
            cold_starts
                .entry(name)
                .or_default()
                .push(footprint.cold_start);
        }
    }
    let stack = Stack::start(target, &Log::default()).await?;
    stack.clerk.set_delivery(Delivery::Drop);
    let before = stack.functions.footprints().await?;
    let [heals, looks, webhooks] = time_calls(&stack).await?;
    let after = stack.functions.footprints().await?;

    println!(
        "
                  payload   cold start   peak memory   CPU per call"
    );
    for ((name, before), (_, after)) in before.into_iter().zip(after) {
        let cold_starts = cold_starts.entry(name).or_default();
        cold_starts.push(after.cold_start);
        let calls = if name == "user-sync" {
            2 * CALLS
        } else {
            CALLS
        };
        let cpu_time = after.cpu_time.saturating_sub(before.cpu_time);
        println!(
            "{name:14} {:>7.1} MB {:>9} ms {:>10.1} MB {:>11.2} ms",
            megabytes(after.payload),
            median(cold_starts).as_millis(),
            megabytes(after.peak_memory),
            milliseconds(cpu_time) / calls as f64,
        );
    }
    println!(
        "an answer takes {:.1} ms (a page load that heals), {:.1} ms (any other), {:.1} ms (a webhook)",
        milliseconds(heals),
        milliseconds(looks),
        milliseconds(webhooks)
    );
    Ok(())
}

/// The median time of a page load that heals, of one that finds nothing to do, and of a webhook.
async fn time_calls(stack: &Stack) -> Result<[Duration; 3]> {
    let mut times = [(); 3].map(|()| Vec::new());
    let claims = json!({});
    for _ in 0..CALLS {
        let id = stack.clerk.sign_up(&json!({ "email": "ada@example.com" }));
        for kind in &mut times[..2] {
            let start = Instant::now();
            stack.load_page(&id, &claims).await?;
            kind.push(start.elapsed());
        }
        let id = stack.clerk.sign_up(&json!({ "email": "ada@example.com" }));
        let event = stack.clerk.last_event_of(&id)?;
        let start = Instant::now();
        stack.deliver(&event).await?;
        times[2].push(start.elapsed());
    }
    Ok(times.map(|mut times| median(&mut times)))
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

//! `cargo xtask vercel` and `cargo xtask sam`: what ships is built by the platform's own tool, tested
//! as it is, and measured.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use stack::{Footprint, Log, Stack, Target};

use crate::test::cargo;

/// Builds as Vercel does, and tests it.
pub async fn vercel() -> Result<()> {
    cargo("test --test end_to_end vercel_build:: -- --ignored")?;
    cargo("test --test vercel_dev -- --ignored")?;
    measure(Target::VercelBuild).await
}

/// Checks the template, builds as AWS SAM does, and tests it.
pub async fn sam() -> Result<()> {
    stack::check_template()?;
    cargo("test --test end_to_end sam_build:: -- --ignored")?;
    measure(Target::SamBuild).await
}

/// How often a function is started; the median counts.
const STARTS: usize = 5;

/// How many page loads and webhooks the peak of memory is of.
const CALLS: usize = 500;

async fn measure(target: Target) -> Result<()> {
    let mut footprints = Vec::new();
    for start in 1..=STARTS {
        let stack = Stack::start(target, &Log::default()).await?;
        if start == STARTS {
            call(&stack).await?;
        }
        footprints.push(stack.functions.footprints().await?);
    }
    println!(
        "{:14} {:>10} {:>12} {:>12}",
        "", "payload", "cold start", "peak memory"
    );
    for function in 0..2 {
        let (name, last) = footprints[STARTS - 1][function];
        let mut cold_starts: Vec<_> = footprints
            .iter()
            .map(|both| both[function].1.cold_start)
            .collect();
        cold_starts.sort();
        print_line(name, last, cold_starts[STARTS / 2]);
    }
    Ok(())
}

async fn call(stack: &Stack) -> Result<()> {
    for _ in 0..CALLS {
        let id = stack.clerk.sign_up(&json!({ "email": "ada@example.com" }));
        stack.load_page(&id, &json!({})).await?;
    }
    stack.clerk.deliveries_done().await
}

#[expect(clippy::cast_precision_loss, reason = "megabytes with one digit")]
fn print_line(name: &str, footprint: Footprint, cold_start: Duration) {
    let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    println!(
        "{name:14} {:>10} {:>12} {:>12}",
        megabytes(footprint.payload),
        format!("{} ms", cold_start.as_millis()),
        megabytes(footprint.peak_memory),
    );
}

//! The project's commands.

mod artefacts;
mod description;
mod dev;
mod mutants;
mod soak;
mod test;
mod web;

use anyhow::Result;
use clap::Parser;

/// The commands of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Command {
    /// Starts everything and prints the addresses; Ctrl-C stops it
    Dev(dev::Arguments),
    /// Runs every check and every test
    Test,
    /// Tests the app, also in a browser
    Web,
    /// Builds with Vercel's own tool, tests the result, and measures it
    Vercel(artefacts::Arguments),
    /// Builds for AWS Lambda with SAM, tests the result, and measures it
    Sam(artefacts::Arguments),
    /// Runs random histories with faults, and checks them against a model of Clerk
    Soak(soak::Arguments),
}

#[tokio::main]
async fn main() -> Result<()> {
    match Command::parse() {
        Command::Dev(arguments) => dev::run(arguments).await,
        Command::Test => test::run(),
        Command::Web => web::run().await,
        Command::Vercel(arguments) => artefacts::vercel(arguments).await,
        Command::Sam(arguments) => artefacts::sam(arguments).await,
        Command::Soak(arguments) => soak::run(arguments).await,
    }
}

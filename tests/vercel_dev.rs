//! `vercel dev --local`, as somebody runs it who has cloned this repository.

use stack::{Log, Stack, Target, story};

#[tokio::test]
#[ignore = "it installs the Vercel CLI, which takes a while: cargo xtask vercel runs it"]
async fn the_story_comes_true_under_vercel_dev() {
    let log = Log::default();
    let stack = Stack::start(Target::VercelDev, &log).await.unwrap();
    let told = story::play(&stack, |_step| {}).await;
    assert!(told.is_ok(), "{told:?}\n{}", log.tail());
}

//! What both functions share, and all that they do. No platform type appears here: an entry
//! point turns its platform's request into an [`http::Request`] of bytes, and back.
//!
//! What a request meets, in order:
//!
//! | step | `POST /api/user/sync` | `POST /api/webhooks/clerk` |
//! |---|---|---|
//! | handler | `user_sync` | `clerk_webhook` |
//! | verify the exact bytes | `clerk::session`, `clerk::keys` | `clerk::webhook` |
//! | parse | `clerk` | `clerk::webhook` |
//! | read the user | `clerk::users` | the event carries it |
//! | one call that writes | `supabase` | `supabase` |
//! | answer | `answer`, or `problem` | `answer`, or `problem` |
//!
//! Each of the outside services is reached through `upstream`, which holds the time-outs and
//! the retries.

mod answer;
mod clerk;
mod clerk_webhook;
mod config;
mod log;
mod problem;
mod start;
mod supabase;
mod upstream;
mod user_sync;

pub use clerk_webhook::ClerkWebhook;
pub use config::{ConfigError, Variables};
pub use log::{LogFormat, init as init_log, init_with as init_log_with};
pub use start::{Function, start};
pub use user_sync::UserSync;

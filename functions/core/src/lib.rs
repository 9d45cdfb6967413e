//! What at least two callers share, independent of the platform: Clerk's types, the calls to Clerk
//! and Supabase, and the way from a request to its answer.
//!
//! Data flows one way. A platform passes an [`http::Request`] of bytes to [`function::handle`]. The
//! function verifies the bytes, parses them, writes in one call, and answers:
//!
//! | step | module |
//! |---|---|
//! | read the environment, once | [`config`] |
//! | start, and answer requests | [`function`] |
//! | ids, times and users; read a user from Clerk | [`clerk`] |
//! | read and write users in Supabase | [`supabase`] |
//! | time-outs and retries for both services | [`upstream`] |
//! | what a failure says to the caller and to the log | [`problem`] |
//! | log lines, and what they count | [`log`] |

pub mod clerk;
pub mod config;
pub mod function;
pub mod log;
pub mod problem;
mod response;
mod secret;
pub mod supabase;
pub mod upstream;

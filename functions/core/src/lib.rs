//! What at least two functions share, and no platform: the words of Clerk, the two outside
//! services, and the way from a request to its answer.
//!
//! Data runs one way. A platform hands an [`http::Request`] of bytes to [`function::handle`]; the
//! function verifies the bytes, parses them, makes one call that writes, and answers:
//!
//! | step | module |
//! |---|---|
//! | read the environment, once | [`config`] |
//! | start, and answer requests | [`function`] |
//! | ids, times and users; read a user from Clerk | [`clerk`] |
//! | read and write the state of a user | [`supabase`] |
//! | time-outs and retries under both | [`upstream`] |
//! | what the caller and the log learn of a failure | [`problem`] |
//! | log lines, and what they count | [`log`] |

pub mod clerk;
pub mod config;
pub mod function;
pub mod log;
pub mod problem;
pub mod supabase;
pub mod upstream;

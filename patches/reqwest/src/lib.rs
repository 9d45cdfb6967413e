//! Hands reqwest 0.13 to `postgrest` 1.6, which asks for 0.11 by that name.
//!
//! reqwest 0.11 pulls in rustls-webpki 0.101 and h2 0.3, both with open advisories
//! (RUSTSEC-2026-0098, -0099, -0104, -0258). Remove this once `postgrest` moves on.
pub use current::*;

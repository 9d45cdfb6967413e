//! Free ports.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, TcpListener},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result};

use crate::random;

/// Below the range that the system uses for outgoing connections, so that a port stays free while
/// its server restarts.
const RANGE: std::ops::Range<u16> = 12_000..32_000;

/// A local port that is free now, and that this process has not used before.
pub fn free() -> Result<u16> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    (0..1_000)
        .map(|_| random::within(RANGE))
        .find(|&port| {
            let is_free = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
            is_free && given.insert(port)
        })
        .context("there is no free port")
}

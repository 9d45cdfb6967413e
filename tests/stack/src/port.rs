//! Ports that nobody else has.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, TcpListener},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result};

use crate::random;

/// Below the range that the system gives to outgoing connections: a server that is restarted finds
/// its port as it left it.
const RANGE: std::ops::Range<u16> = 12_000..32_000;

/// A port of this machine that is free now, and that this process has given to nobody else.
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

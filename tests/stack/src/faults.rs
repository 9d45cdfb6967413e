//! What goes wrong with which requests of a server.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Mutex, PoisonError},
};

/// The faults that are in force, and those that struck.
#[derive(Debug)]
pub struct Faults<F> {
    planned: Mutex<Vec<Planned<F>>>,
    struck: Mutex<BTreeMap<String, u64>>,
}

#[derive(Debug)]
struct Planned<F> {
    about: String,
    fault: F,
    /// For how many more requests; `None` for all.
    left: Option<usize>,
}

impl<F> Default for Faults<F> {
    fn default() -> Self {
        Self {
            planned: Mutex::default(),
            struck: Mutex::default(),
        }
    }
}

impl<F: Copy + Debug> Faults<F> {
    /// Fails the next `times` requests (`None` for all) that name `about`; every request names "".
    pub fn plan(&self, about: &str, fault: F, times: Option<usize>) {
        let planned = Planned {
            about: about.to_owned(),
            fault,
            left: times,
        };
        self.all(|all| all.push(planned));
    }

    /// Ends the faults of the requests that name `about`; of all requests for "".
    pub fn end(&self, about: &str) {
        self.all(|all| all.retain(|planned| !planned.about.contains(about)));
    }

    /// What befalls a request: `names` is the text of it that may name somebody.
    pub fn next(&self, names: &str) -> Option<F> {
        let fault = self.all(|all| {
            let planned = all
                .iter_mut()
                .find(|planned| planned.left != Some(0) && names.contains(&planned.about))?;
            planned.left = planned.left.map(|left| left - 1);
            Some(planned.fault)
        })?;
        let mut struck = self.struck.lock().unwrap_or_else(PoisonError::into_inner);
        *struck.entry(format!("{fault:?}")).or_default() += 1;
        Some(fault)
    }

    /// How often each has struck so far, which then begins anew.
    pub fn take_struck(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.struck.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn all<T>(&self, change: impl FnOnce(&mut Vec<Planned<F>>) -> T) -> T {
        change(&mut self.planned.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

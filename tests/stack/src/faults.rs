//! Faults: which requests to a server fail, and how.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Mutex, PoisonError},
};

/// The planned faults, and a count of those that happened.
#[derive(Debug)]
pub struct Faults<F> {
    planned: Mutex<Vec<Planned<F>>>,
    struck: Mutex<BTreeMap<String, u64>>,
}

#[derive(Debug)]
struct Planned<F> {
    about: String,
    fault: F,
    /// How many more requests fail. `None` for all.
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
    /// Fails the next `times` requests (`None` for all) that contain `about`. Every request contains
    /// "".
    pub fn plan(&self, about: &str, fault: F, times: Option<usize>) {
        let planned = Planned {
            about: about.to_owned(),
            fault,
            left: times,
        };
        self.all(|all| all.push(planned));
    }

    /// Ends the faults whose `about` contains this text. Use "" for all faults.
    pub fn end(&self, about: &str) {
        self.all(|all| all.retain(|planned| !planned.about.contains(about)));
    }

    /// Whether a fault of this request is planned, or was and is not ended.
    pub fn are_planned(&self, request: &str) -> bool {
        self.all(|all| all.iter().any(|planned| request.contains(&planned.about)))
    }

    /// The fault of the next request. `request` is the text to search.
    pub fn next(&self, request: &str) -> Option<F> {
        let fault = self.all(|all| {
            let planned = all
                .iter_mut()
                .find(|planned| planned.left != Some(0) && request.contains(&planned.about))?;
            planned.left = planned.left.map(|left| left - 1);
            Some(planned.fault)
        })?;
        let mut struck = self.struck.lock().unwrap_or_else(PoisonError::into_inner);
        *struck.entry(format!("{fault:?}")).or_default() += 1;
        Some(fault)
    }

    /// Returns how often each fault has happened, and sets all counts to zero.
    pub fn take_struck(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.struck.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn all<T>(&self, change: impl FnOnce(&mut Vec<Planned<F>>) -> T) -> T {
        change(&mut self.planned.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

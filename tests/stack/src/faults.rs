//! What goes wrong with which requests of a server.

use std::sync::{Mutex, PoisonError};

/// The faults that are in force.
#[derive(Debug)]
pub struct Faults<F>(Mutex<Vec<Planned<F>>>);

#[derive(Debug)]
struct Planned<F> {
    about: String,
    fault: F,
    /// For how many more requests; `None` for all.
    left: Option<usize>,
}

impl<F> Default for Faults<F> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<F: Copy> Faults<F> {
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
        self.all(|all| {
            let planned = all
                .iter_mut()
                .find(|planned| planned.left != Some(0) && names.contains(&planned.about))?;
            planned.left = planned.left.map(|left| left - 1);
            Some(planned.fault)
        })
    }

    fn all<T>(&self, change: impl FnOnce(&mut Vec<Planned<F>>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

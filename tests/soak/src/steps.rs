//! The steps of a history, generated from a seed.
//!
//! Steps refer to users and events by number, modulo how many there are, so a history still runs
//! when steps are removed from it.

use fastrand::Rng;
use serde::{Deserialize, Serialize};

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Step {
    /// Something changes in Clerk. Its event waits until a call delivers it.
    Change(Change),
    /// The functions are called, with all calls at once.
    Call(Vec<Call>),
    /// Something changes in Clerk while the functions are called, and its event is delivered at once.
    Meanwhile {
        /// The calls.
        calls: Vec<Call>,
        /// The change.
        change: Change,
        /// How long after the start of the calls.
        after_microseconds: u64,
    },
    /// A process is killed in the middle of a call, and started again.
    Kill {
        /// The call.
        call: Call,
        /// What is killed.
        victim: Victim,
        /// How long after the start of the call.
        after_microseconds: u64,
    },
    /// The next requests about a user fail.
    Fail {
        /// The user.
        user: usize,
        /// How they fail.
        fault: Fault,
        /// How many requests.
        times: usize,
    },
    /// A user's row is deleted from the app's table, as a restore of that table would.
    LoseRow {
        /// The user.
        user: usize,
    },
    /// An event is lost and never delivered.
    Lose {
        /// Which of the events that are not delivered yet.
        event: usize,
    },
}

/// A change in Clerk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// Another user.
    SignUp,
    /// A new first name.
    Rename(usize),
    /// Two new first names in one millisecond.
    RenameTwice(usize),
    /// A new first name in the millisecond of the user's last change.
    RenameAgain(usize),
    /// Another e-mail address, which becomes the primary one.
    AddAddress(usize),
    /// A user gives up their e-mail address, and another takes it.
    HandOver {
        /// The user who gives it up.
        from: usize,
        /// The user who takes it.
        to: usize,
    },
    /// A user is banned, or unbanned.
    Ban(usize),
    /// A user is deleted.
    Delete(usize),
}

/// A call to one of the functions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Call {
    /// An event is delivered for the first time. Without such an event nothing happens.
    Deliver {
        /// Which of those events.
        event: usize,
        /// Which endpoint delivers it. There are two while secrets are rotated.
        endpoint: Endpoint,
    },
    /// An event is delivered again.
    Repeat {
        /// Which of those events.
        event: usize,
    },
    /// A user loads a page. The user may be deleted: a session token stays valid for a minute.
    LoadPage {
        /// The user.
        user: usize,
        /// Whether the token expires in a second.
        expires_soon: bool,
        /// Whether the token has the claim `updated_at`.
        has_updated_at: bool,
    },
}

/// One of two endpoints, each with its own secret.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Endpoint {
    /// The one with the old secret.
    Old,
    /// The one with the new secret.
    New,
}

/// The process that is killed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Victim {
    /// The function that serves the call.
    Function,
    /// PostgreSQL, with SIGKILL.
    Postgres,
    /// PostgREST, with SIGKILL.
    Postgrest,
}

/// How requests about a user fail.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Fault {
    /// Supabase's gateway answers 502.
    SupabaseError,
    /// The connection is reset before the statement runs.
    SupabaseHangsUpBefore,
    /// The connection is reset after the statement has committed.
    SupabaseHangsUpAfter,
    /// The answer is late, but within the time-out.
    SupabaseLate,
    /// The answer is later than the time-out.
    SupabaseTooLate,
    /// Clerk answers 429.
    ClerkRateLimits,
    /// Clerk answers 500.
    ClerkError,
    /// Clerk resets the connection.
    ClerkHangsUp,
    /// Clerk answers late, but within the time-out.
    ClerkLate,
    /// Clerk never answers.
    ClerkSilent,
}

/// Generates the steps of a seed.
pub fn generate(seed: u64, steps: usize) -> Vec<Step> {
    let mut generator = Generator(Rng::with_seed(seed));
    let first = Step::Change(Change::SignUp);
    let others = (1..steps).map(|_| generator.step());
    std::iter::once(first).chain(others).collect()
}

struct Generator(Rng);

impl Generator {
    fn step(&mut self) -> Step {
        match self.0.u32(0..10_000) {
            0..3_300 => Step::Change(self.change()),
            3_300..7_500 => Step::Call(self.calls()),
            7_500..8_200 => Step::Meanwhile {
                calls: self.calls(),
                change: self.change(),
                after_microseconds: self.0.u64(0..4_000),
            },
            8_200..8_500 => Step::Lose { event: self.any() },
            8_500..8_600 => Step::LoseRow { user: self.any() },
            8_600..9_698 => Step::Fail {
                user: self.any(),
                fault: self.fault(),
                times: self.0.usize(1..4),
            },
            9_698..9_996 => self.kill(Victim::Function),
            9_996..9_998 => self.kill(Victim::Postgrest),
            _ => self.kill(Victim::Postgres),
        }
    }

    fn change(&mut self) -> Change {
        match self.0.u32(0..100) {
            0..15 => Change::SignUp,
            15..45 => Change::Rename(self.any()),
            45..50 => Change::RenameTwice(self.any()),
            50..55 => Change::RenameAgain(self.any()),
            55..68 => Change::AddAddress(self.any()),
            68..80 => Change::HandOver {
                from: self.any(),
                to: self.any(),
            },
            80..87 => Change::Ban(self.any()),
            _ => Change::Delete(self.any()),
        }
    }

    fn calls(&mut self) -> Vec<Call> {
        let count = match self.0.u32(0..10) {
            0..6 => 1,
            6..8 => 2,
            _ => self.0.usize(3..6),
        };
        let first = self.call();
        // Often all are the same call: several tabs, or several deliveries of one event.
        let all_equal = self.0.bool();
        let others = (1..count).map(|_| match &first {
            Call::Deliver { event, .. } if all_equal => Call::Deliver {
                event: *event,
                endpoint: Endpoint::New,
            },
            call if all_equal => call.clone(),
            _ => self.call(),
        });
        let others: Vec<_> = others.collect();
        std::iter::once(first).chain(others).collect()
    }

    fn call(&mut self) -> Call {
        match self.0.u32(0..100) {
            0..45 => Call::Deliver {
                event: self.any(),
                endpoint: if self.0.bool() {
                    Endpoint::Old
                } else {
                    Endpoint::New
                },
            },
            45..60 => Call::Repeat { event: self.any() },
            _ => Call::LoadPage {
                user: self.any(),
                expires_soon: self.0.u32(0..10) == 0,
                has_updated_at: self.0.bool(),
            },
        }
    }

    fn kill(&mut self, victim: Victim) -> Step {
        Step::Kill {
            call: self.call(),
            victim,
            after_microseconds: self.0.u64(0..6_000),
        }
    }

    fn fault(&mut self) -> Fault {
        match self.0.u32(0..1_000) {
            0..150 => Fault::SupabaseError,
            150..350 => Fault::SupabaseHangsUpBefore,
            350..550 => Fault::SupabaseHangsUpAfter,
            550..700 => Fault::SupabaseLate,
            700..710 => Fault::SupabaseTooLate,
            710..780 => Fault::ClerkRateLimits,
            780..860 => Fault::ClerkError,
            860..930 => Fault::ClerkHangsUp,
            930..990 => Fault::ClerkLate,
            _ => Fault::ClerkSilent,
        }
    }

    fn any(&mut self) -> usize {
        self.0.usize(0..1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_generates_the_same_steps() {
        assert_eq!(generate(7, 40), generate(7, 40));
        assert_ne!(generate(7, 40), generate(8, 40));
        assert_eq!(generate(7, 40).len(), 40);
    }
}

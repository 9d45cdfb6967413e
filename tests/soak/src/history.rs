//! What can befall an app's users: the steps of a history, made from a seed.
//!
//! Users and events are named by number, modulo how many there are: a history stays playable when
//! steps are taken out of it.

use fastrand::Rng;
use serde::{Deserialize, Serialize};

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Step {
    /// Something changes in Clerk, which makes an event. It waits until it is delivered.
    Change(Change),
    /// The functions are called, all at once.
    Call(Vec<Call>),
    /// Something changes in Clerk while the functions are called, and its event is delivered at once.
    Meanwhile {
        /// The calls.
        calls: Vec<Call>,
        /// What changes.
        change: Change,
        /// How long after the calls have begun.
        after_microseconds: u64,
    },
    /// Something is killed in the middle of a call, and started again.
    Kill {
        /// The call.
        call: Call,
        /// What is killed.
        victim: Victim,
        /// How long after the call has begun.
        after_microseconds: u64,
    },
    /// The next requests about a user fail.
    Fail {
        /// Whom they are about.
        user: usize,
        /// How they fail.
        fault: Fault,
        /// How many of them.
        times: usize,
    },
    /// An event is lost for good.
    Lose {
        /// Which of those that were not delivered.
        event: usize,
    },
}

/// Something that changes in Clerk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// A user more.
    SignUp,
    /// Another first name.
    Rename(usize),
    /// Two other first names, in one millisecond.
    RenameTwice(usize),
    /// One more e-mail address, which becomes the primary one.
    AddAddress(usize),
    /// A user gives up their e-mail address, and another takes it.
    HandOver {
        /// Who gives it up.
        from: usize,
        /// Who takes it.
        to: usize,
    },
    /// A user is banned, or no longer.
    Ban(usize),
    /// A user is deleted.
    Delete(usize),
}

/// A call of one of the functions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Call {
    /// An event is delivered that was not delivered before; where there is none, nothing happens.
    Deliver {
        /// Which of those.
        event: usize,
        /// By which of the endpoints that are there while secrets are rotated.
        endpoint: Endpoint,
    },
    /// An event is delivered that was delivered before.
    Repeat {
        /// Which of those.
        event: usize,
    },
    /// A user loads a page. They may be deleted: a session token outlives its user by a minute.
    LoadPage {
        /// Who.
        user: usize,
        /// Whether the token has a second to live.
        expires_soon: bool,
        /// Whether the token says when the user was changed.
        tells_of_change: bool,
    },
}

/// One of two endpoints with a secret each.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Endpoint {
    /// With the secret that was there.
    Old,
    /// With the secret that replaces it.
    New,
}

/// What is killed.
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
    /// The answer comes late, and in time.
    SupabaseLate,
    /// The answer comes after the time-out.
    SupabaseTooLate,
    /// Clerk answers 429.
    ClerkRateLimits,
    /// Clerk answers 500.
    ClerkError,
    /// Clerk resets the connection.
    ClerkHangsUp,
    /// Clerk answers late, and in time.
    ClerkLate,
    /// Clerk never answers.
    ClerkSilent,
}

/// Makes the history of a seed.
pub fn generate(seed: u64, steps: usize) -> Vec<Step> {
    let mut generator = Generator(Rng::with_seed(seed));
    let first = Step::Change(Change::SignUp);
    let further = (1..steps).map(|_| generator.step());
    std::iter::once(first).chain(further).collect()
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
            8_200..8_600 => Step::Lose { event: self.any() },
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
            45..55 => Change::RenameTwice(self.any()),
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
        let how_many = match self.0.u32(0..10) {
            0..6 => 1,
            6..8 => 2,
            _ => self.0.usize(3..6),
        };
        let first = self.call();
        // Several of one are as likely as several of any: tabs, and endpoints.
        let all_alike = self.0.bool();
        let further = (1..how_many).map(|_| match &first {
            Call::Deliver { event, .. } if all_alike => Call::Deliver {
                event: *event,
                endpoint: Endpoint::New,
            },
            call if all_alike => call.clone(),
            _ => self.call(),
        });
        let further: Vec<_> = further.collect();
        std::iter::once(first).chain(further).collect()
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
                tells_of_change: self.0.bool(),
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
    fn a_seed_makes_the_same_history_every_time() {
        assert_eq!(generate(7, 40), generate(7, 40));
        assert_ne!(generate(7, 40), generate(8, 40));
        assert_eq!(generate(7, 40).len(), 40);
    }
}

//! Plays a history on a stage, and checks after every step what must be true.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use stack::{Answer, SupabaseFault, Target, clerk::Fault as ClerkFault};
use tokio::time::{sleep, timeout};

use crate::{
    history::{Call, Change, Endpoint, Fault, Step, Victim},
    stage::{Request, Stage},
    users::{Event, State, User, is_of},
    witness::patiently,
};

/// A call on its way, and what a 2xx will mean.
struct Ready {
    about: About,
    request: Request,
}

enum About {
    Event(usize),
    Page {
        user: usize,
        /// Clerk's version when the call began; none of a deleted user.
        changed_at: Option<i64>,
        tells_of_change: bool,
        was_buried: bool,
    },
}

/// A history that is being played.
pub struct History<'a> {
    /// Where it is played.
    pub stage: &'a Stage,
    /// Its users, by number.
    pub users: Vec<User>,
    /// All events about them, as they happened.
    pub events: Vec<Event>,
}

impl<'a> History<'a> {
    /// Nobody has signed up yet.
    pub fn new(stage: &'a Stage) -> Self {
        Self {
            stage,
            users: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Plays a history. An error says what is not as it must be, and after which step.
    pub async fn play(stage: &'a Stage, steps: &[Step]) -> Result<()> {
        let mut history = Self::new(stage);
        for (number, step) in steps.iter().enumerate() {
            let name = || format!("step {number}, {step:?}");
            history.step(step).await.with_context(name)?;
            history.check().await.with_context(name)?;
            stage.check_log().with_context(name)?;
        }
        history.finish().await.context("at the end")
    }

    async fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Change(change) => self.change(change).map(drop),
            Step::Call(calls) => self.call(calls).await,
            Step::Meanwhile {
                calls,
                change,
                after_microseconds,
            } => self.meanwhile(calls, change, *after_microseconds).await,
            Step::Kill {
                call,
                victim,
                after_microseconds,
            } => self.kill(call, *victim, *after_microseconds).await,
            Step::Fail { user, fault, times } => {
                self.fail(*user, *fault, *times);
                Ok(())
            }
            Step::Lose { event } => {
                if let Some(event) = self.pick(*event, State::Waiting) {
                    self.events[event].state = State::Lost;
                    self.stage.count("events dropped");
                }
                Ok(())
            }
        }
    }

    /// One of the events in a state, by number.
    fn pick(&self, number: usize, state: State) -> Option<usize> {
        self.pick_where(number, |event| event.state == state)
    }

    fn pick_where(&self, number: usize, is_one: impl Fn(&Event) -> bool) -> Option<usize> {
        let all = (0..self.events.len()).filter(|event| is_one(&self.events[*event]));
        let all: Vec<_> = all.collect();
        (!all.is_empty()).then(|| all[number % all.len()])
    }

    fn prepare(&self, call: &Call) -> Option<Ready> {
        match call {
            Call::Deliver { event, endpoint } => {
                let event = self.pick(*event, State::Waiting)?;
                Some(self.delivery(event, *endpoint))
            }
            Call::Repeat { event } => {
                let was_delivered =
                    |event: &Event| matches!(event.state, State::Tried | State::Accepted);
                let event = self.pick_where(*event, was_delivered)?;
                self.stage.count("events repeated");
                Some(self.delivery(event, Endpoint::Old))
            }
            Call::LoadPage {
                user,
                expires_soon,
                tells_of_change,
            } => {
                let user = user % self.users.len();
                let mut claims = json!({});
                if *expires_soon {
                    claims["exp"] = json!(seconds_now() + 1);
                }
                if *tells_of_change {
                    claims["updated_at"] = json!(self.users[user].changed_at());
                }
                Some(self.page(user, claims))
            }
        }
    }

    fn delivery(&self, event: usize, endpoint: Endpoint) -> Ready {
        self.stage.count("events delivered");
        Ready {
            about: About::Event(event),
            request: Request::Event {
                event: self.events[event].webhook.clone(),
                endpoint,
            },
        }
    }

    fn page(&self, user: usize, claims: Value) -> Ready {
        self.stage.count("pages loaded");
        let known = &self.users[user];
        Ready {
            about: About::Page {
                user,
                changed_at: (!known.is_deleted).then(|| known.changed_at()),
                tells_of_change: claims.get("updated_at").is_some(),
                was_buried: known.is_buried,
            },
            request: Request::Page {
                user_id: known.id.clone(),
                claims,
            },
        }
    }

    async fn call(&mut self, calls: &[Call]) -> Result<()> {
        let ready: Vec<_> = calls.iter().filter_map(|call| self.prepare(call)).collect();
        self.mark_as_tried(&ready);
        let requests = ready.iter().map(|ready| self.stage.make(&ready.request));
        let answers = join_all(requests).await;
        for (ready, answer) in ready.iter().zip(answers) {
            self.learn(&ready.about, answer)?;
        }
        Ok(())
    }

    async fn meanwhile(
        &mut self,
        calls: &[Call],
        change: &Change,
        after_microseconds: u64,
    ) -> Result<()> {
        let ready: Vec<_> = calls.iter().filter_map(|call| self.prepare(call)).collect();
        self.mark_as_tried(&ready);
        let stage = self.stage;
        let requests = join_all(ready.iter().map(|ready| stage.make(&ready.request)));
        let changed = async {
            sleep(Duration::from_micros(after_microseconds)).await;
            let events = self.change(change)?;
            let ready: Vec<_> = events
                .map(|event| self.delivery(event, Endpoint::Old))
                .collect();
            self.mark_as_tried(&ready);
            for ready in ready {
                let answer = stage.make(&ready.request).await;
                self.learn(&ready.about, answer)?;
            }
            anyhow::Ok(())
        };
        let (answers, changed) = join(requests, changed).await;
        changed?;
        for (ready, answer) in ready.iter().zip(answers) {
            self.learn(&ready.about, answer)?;
        }
        Ok(())
    }

    async fn kill(&mut self, call: &Call, victim: Victim, after_microseconds: u64) -> Result<()> {
        let Some(ready) = self.prepare(call) else {
            return Ok(());
        };
        self.mark_as_tried(std::slice::from_ref(&ready));
        let after = Duration::from_micros(after_microseconds);
        let request = self.stage.make(&ready.request);
        let answer = if victim == Victim::Function && self.is_in_process() {
            // Its connection closes, and the handler is dropped wherever it waits.
            let Ok(answer) = timeout(after, request).await else {
                self.stage.count("fault: a handler ended");
                return Ok(());
            };
            answer
        } else {
            let killed = async {
                sleep(after).await;
                self.stage.kill(victim, &ready.request).await
            };
            let (answer, killed) = join(request, killed).await;
            killed?;
            self.stage.count(format!("fault: {victim:?} killed"));
            answer
        };
        self.learn(&ready.about, answer)
    }

    fn is_in_process(&self) -> bool {
        self.stage.stack.functions.target() == Target::InProcess
    }

    fn mark_as_tried(&mut self, ready: &[Ready]) {
        for ready in ready {
            if let About::Event(event) = ready.about
                && self.events[event].state == State::Waiting
            {
                self.events[event].state = State::Tried;
            }
        }
    }

    /// Takes an answer at its word: what a 2xx promises is checked from here on.
    fn learn(&mut self, about: &About, answer: Result<Answer>) -> Result<()> {
        let answer = match answer {
            Ok(answer) => answer,
            // Another history may have killed the executable.
            Err(_) if !self.is_in_process() => {
                self.stage.count("answers: none");
                return Ok(());
            }
            Err(error) => return Err(error.context("a call was not answered")),
        };
        self.stage.count(format!("answers: {}", answer.status));
        match *about {
            About::Event(event) => match answer.status {
                200 => {
                    let event = &mut self.events[event];
                    event.state = State::Accepted;
                    let user = &mut self.users[event.user];
                    match event.changed_at {
                        Some(changed_at) if answer.body["outcome"] != "deleted" => {
                            user.is_at_least(changed_at);
                        }
                        _ => user.is_buried = true,
                    }
                }
                503 => {}
                _ => bail!("a webhook was answered {answer:?}"),
            },
            About::Page {
                user,
                changed_at,
                tells_of_change,
                was_buried,
            } => match answer.status {
                200 => {
                    ensure!(!was_buried, "a deleted user's page says {answer:?}");
                    let is_healed = answer.body["status"] != "present";
                    let changed_at = changed_at.filter(|_| is_healed || tells_of_change);
                    self.users[user].is_at_least(changed_at.unwrap_or_default());
                }
                410 => ensure!(self.users[user].is_deleted, "a live user's page says 410"),
                502 | 503 => {}
                _ => bail!("a page load was answered {answer:?}"),
            },
        }
        Ok(())
    }

    fn fail(&self, user: usize, fault: Fault, times: usize) {
        let id = &self.users[user % self.users.len()].id;
        let supabase = |fault| {
            self.stage
                .stack
                .supabase
                .faults()
                .plan(id, fault, Some(times));
        };
        let clerk = |fault| self.stage.stack.clerk.faults().plan(id, fault, Some(times));
        match fault {
            Fault::SupabaseError => supabase(SupabaseFault::Status(http::StatusCode::BAD_GATEWAY)),
            Fault::SupabaseHangsUpBefore => supabase(SupabaseFault::HangUp),
            Fault::SupabaseHangsUpAfter => supabase(SupabaseFault::HangUpAfterTheStatement),
            Fault::SupabaseLate => supabase(SupabaseFault::Slow(LATE)),
            Fault::SupabaseTooLate => supabase(SupabaseFault::Slow(TOO_LATE)),
            Fault::ClerkRateLimits => clerk(ClerkFault::RateLimited { retry_after: 1 }),
            Fault::ClerkError => clerk(ClerkFault::ServerError),
            Fault::ClerkHangsUp => clerk(ClerkFault::HangUp),
            Fault::ClerkLate => clerk(ClerkFault::Slow {
                milliseconds: u64::try_from(LATE.as_millis()).unwrap_or_default(),
            }),
            Fault::ClerkSilent => clerk(ClerkFault::Silent),
        }
    }

    /// Compares the database with all that is known.
    pub async fn check(&mut self) -> Result<()> {
        let ids: Vec<_> = self.users.iter().map(|user| user.id.as_str()).collect();
        let postgres = &self.stage.stack.postgres;
        let sight = self.stage.witness.look(postgres, &ids).await?;
        for user in &mut self.users {
            user.check(sight.rows.get(&user.id))?;
        }
        for event in &self.events {
            let receipt = sight.receipts.get(&event.webhook.id);
            event.check(receipt.map(String::as_str), &self.users[event.user])?;
        }
        let is_ours = |id: &String| self.events.iter().any(|event| event.webhook.id == *id);
        ensure!(
            sight.receipts.keys().all(is_ours),
            "there is a receipt for an event that never was"
        );
        Ok(())
    }

    /// Faults stop. Each user loads a page, or gets what they missed: then all is as in Clerk.
    async fn finish(&mut self) -> Result<()> {
        let stack = &self.stage.stack;
        for user in &self.users {
            stack.supabase.faults().end(&user.id);
            stack.clerk.faults().end(&user.id);
            // Whoever was ended may have left a statement behind.
            stack.supabase.quiet(&user.id).await;
        }
        self.check().await?;
        for user in 0..self.users.len() {
            // By the length of the history, so that either way is taken by half of them.
            if self.users[user].is_deleted || (user + self.events.len()).is_multiple_of(2) {
                self.redeliver_to(user).await?;
            } else {
                self.load_a_page_a_day_later(user).await?;
            }
        }
        self.check().await?;
        self.is_as_in_clerk().await
    }

    /// Fails unless the table says of each user what Clerk says.
    pub async fn is_as_in_clerk(&self) -> Result<()> {
        let ids: Vec<_> = self.users.iter().map(|user| user.id.as_str()).collect();
        let postgres = &self.stage.stack.postgres;
        let sight = self.stage.witness.look(postgres, &ids).await?;
        for user in &self.users {
            let row = sight.rows.get(&user.id).context("a user has no row")?;
            let is_as_in_clerk = if user.is_deleted {
                user.is_buried
            } else {
                is_of(row, user.current())
            };
            ensure!(
                is_as_in_clerk,
                "the row is not as in Clerk: {row}, {}",
                user.current()
            );
        }
        Ok(())
    }

    async fn redeliver_to(&mut self, user: usize) -> Result<()> {
        for event in 0..self.events.len() {
            let known = &self.events[event];
            if known.user == user && known.state != State::Accepted {
                self.until_accepted(|history| history.delivery(event, Endpoint::Old))
                    .await?;
            }
        }
        // No event tells which of two versions of one millisecond is newer; a page load does.
        if !self.users[user].is_deleted && self.users[user].is_ambiguous() {
            self.until_accepted(|history| history.page(user, json!({})))
                .await?;
        }
        Ok(())
    }

    async fn load_a_page_a_day_later(&mut self, user: usize) -> Result<()> {
        let id = self.users[user].id.clone();
        if self.users[user].at_least.is_some() {
            patiently(|| self.stage.stack.age_row(&id)).await?;
        }
        self.until_accepted(|history| history.page(user, json!({})))
            .await
    }

    /// Delivers an event, with no fault: it must be accepted at once.
    pub async fn deliver(&mut self, event: usize) -> Result<()> {
        let ready = self.delivery(event, Endpoint::Old);
        self.mark_as_tried(std::slice::from_ref(&ready));
        self.make(&ready, &[200]).await
    }

    /// Loads a page, with no fault: it must heal at once, but for a user whom Clerk has no more.
    pub async fn load_page(&mut self, user: usize) -> Result<()> {
        let ready = self.page(user, json!({}));
        let expected: &[u16] = if self.users[user].is_deleted {
            &[200, 410]
        } else {
            &[200]
        };
        self.make(&ready, expected).await
    }

    async fn make(&mut self, ready: &Ready, expected: &[u16]) -> Result<()> {
        let answer = self.stage.make(&ready.request).await?;
        let status = answer.status;
        self.learn(&ready.about, Ok(answer))?;
        ensure!(
            expected.contains(&status),
            "a call was answered {status}, with no fault"
        );
        Ok(())
    }

    /// Makes a call until it is answered with a 2xx, as Svix and a visitor do.
    async fn until_accepted(&mut self, prepare: impl Fn(&Self) -> Ready) -> Result<()> {
        for _attempt in 0..50 {
            let ready = prepare(self);
            self.mark_as_tried(std::slice::from_ref(&ready));
            let answer = self.stage.make(&ready.request).await;
            let is_accepted = answer.as_ref().is_ok_and(|answer| answer.status == 200);
            self.learn(&ready.about, answer)?;
            if is_accepted {
                return Ok(());
            }
            sleep(Duration::from_millis(100)).await;
        }
        bail!("a call was not accepted in fifty attempts, with no fault")
    }
}

/// Late, and within the time-out.
const LATE: Duration = Duration::from_millis(20);

/// Past the functions' time-out of 3 s for an attempt.
const TOO_LATE: Duration = Duration::from_millis(3_200);

fn seconds_now() -> u64 {
    let since_1970 = std::time::UNIX_EPOCH.elapsed();
    since_1970.map_or(0, |time| time.as_secs())
}

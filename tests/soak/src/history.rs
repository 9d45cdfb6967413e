//! Runs the steps of a history, and checks the database against the model after every step.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use stack::{Answer, SupabaseFault, Target, clerk::Fault as ClerkFault};
use tokio::time::{sleep, timeout};

use crate::{
    database::retry_while_down,
    harness::{Harness, Request},
    model::{Event, EventState, User},
    steps::{Call, Change, Endpoint, Fault, Step, Victim},
};

/// A call that is prepared, and what its answer is about.
struct PreparedCall {
    subject: Subject,
    request: Request,
}

enum Subject {
    Event(usize),
    Page {
        user: usize,
        /// The newest version in Clerk when the call started. None for a deleted user.
        changed_at: Option<i64>,
        has_updated_at: bool,
        had_tombstone: bool,
    },
}

/// A history that is running.
pub struct History<'a> {
    /// What it runs on.
    pub harness: &'a Harness,
    /// Its users, by number.
    pub users: Vec<User>,
    /// All events about these users, oldest first.
    pub events: Vec<Event>,
}

impl<'a> History<'a> {
    /// A history without users.
    pub fn new(harness: &'a Harness) -> Self {
        Self {
            harness,
            users: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Runs these steps. An error says what is wrong, and after which step.
    pub async fn run(harness: &'a Harness, steps: &[Step]) -> Result<()> {
        let mut history = Self::new(harness);
        for (number, step) in steps.iter().enumerate() {
            let name = || format!("step {number}, {step:?}");
            history.step(step).await.with_context(name)?;
            history.check().await.with_context(name)?;
            harness.check_log().with_context(name)?;
        }
        history.finish().await.context("after the last step")
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
            Step::LoseRow { user } => {
                let user = user % self.users.len();
                self.lose_row(user).await
            }
            Step::Lose { event } => {
                if let Some(event) = self.pick(*event, EventState::Waiting) {
                    self.events[event].state = EventState::Lost;
                    self.harness.count("events dropped");
                }
                Ok(())
            }
        }
    }

    /// Takes a user's row out of the app's table.
    pub async fn lose_row(&mut self, user: usize) -> Result<()> {
        let id = &self.users[user].id;
        if retry_while_down(|| self.harness.stack.lose_row(id)).await? {
            self.users[user].is_row_lost = true;
            self.harness.count("rows lost");
        }
        Ok(())
    }

    /// One of the events in this state, by number.
    fn pick(&self, number: usize, state: EventState) -> Option<usize> {
        self.pick_where(number, |event| event.state == state)
    }

    fn pick_where(&self, number: usize, is_match: impl Fn(&Event) -> bool) -> Option<usize> {
        let all = (0..self.events.len()).filter(|event| is_match(&self.events[*event]));
        let all: Vec<_> = all.collect();
        (!all.is_empty()).then(|| all[number % all.len()])
    }

    fn prepare(&self, call: &Call) -> Option<PreparedCall> {
        match call {
            Call::Deliver { event, endpoint } => {
                let event = self.pick(*event, EventState::Waiting)?;
                Some(self.delivery(event, *endpoint))
            }
            Call::Repeat { event } => {
                let is_delivered =
                    |event: &Event| matches!(event.state, EventState::Tried | EventState::Accepted);
                let event = self.pick_where(*event, is_delivered)?;
                self.harness.count("events repeated");
                Some(self.delivery(event, Endpoint::Old))
            }
            Call::LoadPage {
                user,
                expires_soon,
                has_updated_at,
            } => {
                let user = user % self.users.len();
                let mut claims = json!({});
                if *expires_soon {
                    claims["exp"] = json!(seconds_now() + 1);
                }
                if *has_updated_at {
                    claims["updated_at"] = json!(self.users[user].changed_at());
                }
                Some(self.page(user, claims))
            }
        }
    }

    fn delivery(&self, event: usize, endpoint: Endpoint) -> PreparedCall {
        self.harness.count("events delivered");
        PreparedCall {
            subject: Subject::Event(event),
            request: Request::Event {
                event: self.events[event].webhook.clone(),
                endpoint,
            },
        }
    }

    fn page(&self, user: usize, claims: Value) -> PreparedCall {
        self.harness.count("pages loaded");
        let known = &self.users[user];
        PreparedCall {
            subject: Subject::Page {
                user,
                changed_at: (!known.is_deleted).then(|| known.changed_at()),
                has_updated_at: claims.get("updated_at").is_some(),
                had_tombstone: known.has_tombstone,
            },
            request: Request::Page {
                user_id: known.id.clone(),
                claims,
            },
        }
    }

    async fn call(&mut self, calls: &[Call]) -> Result<()> {
        let calls: Vec<_> = calls.iter().filter_map(|call| self.prepare(call)).collect();
        self.mark_as_tried(&calls);
        let requests = calls.iter().map(|call| self.harness.send(&call.request));
        let answers = join_all(requests).await;
        for (call, answer) in calls.iter().zip(answers) {
            self.record(&call.subject, answer)?;
        }
        Ok(())
    }

    async fn meanwhile(
        &mut self,
        calls: &[Call],
        change: &Change,
        after_microseconds: u64,
    ) -> Result<()> {
        let calls: Vec<_> = calls.iter().filter_map(|call| self.prepare(call)).collect();
        self.mark_as_tried(&calls);
        let harness = self.harness;
        let requests = join_all(calls.iter().map(|call| harness.send(&call.request)));
        let changed = async {
            sleep(Duration::from_micros(after_microseconds)).await;
            let events = self.change(change)?;
            let calls: Vec<_> = events
                .map(|event| self.delivery(event, Endpoint::Old))
                .collect();
            self.mark_as_tried(&calls);
            for call in calls {
                let answer = harness.send(&call.request).await;
                self.record(&call.subject, answer)?;
            }
            anyhow::Ok(())
        };
        let (answers, changed) = join(requests, changed).await;
        changed?;
        for (call, answer) in calls.iter().zip(answers) {
            self.record(&call.subject, answer)?;
        }
        Ok(())
    }

    async fn kill(&mut self, call: &Call, victim: Victim, after_microseconds: u64) -> Result<()> {
        let Some(call) = self.prepare(call) else {
            return Ok(());
        };
        self.mark_as_tried(std::slice::from_ref(&call));
        let after = Duration::from_micros(after_microseconds);
        let request = self.harness.send(&call.request);
        let answer = if victim == Victim::Function && self.is_in_process() {
            // The caller closes the connection, which drops the handler at its current await.
            let Ok(answer) = timeout(after, request).await else {
                self.harness.count("fault: a handler ended");
                return Ok(());
            };
            answer
        } else {
            let killed = async {
                sleep(after).await;
                self.harness.kill(victim, &call.request).await
            };
            let (answer, killed) = join(request, killed).await;
            killed?;
            self.harness.count(format!("fault: {victim:?} killed"));
            answer
        };
        self.record(&call.subject, answer)
    }

    fn is_in_process(&self) -> bool {
        self.harness.stack.functions.target() == Target::InProcess
    }

    fn mark_as_tried(&mut self, calls: &[PreparedCall]) {
        for call in calls {
            if let Subject::Event(event) = call.subject
                && self.events[event].state == EventState::Waiting
            {
                self.events[event].state = EventState::Tried;
            }
        }
    }

    /// Records what an answer promises. From then on every check demands it.
    fn record(&mut self, subject: &Subject, answer: Result<Answer>) -> Result<()> {
        let answer = match answer {
            Ok(answer) => answer,
            // Another history may have killed the process.
            Err(_) if !self.is_in_process() => {
                self.harness.count("answers: none");
                return Ok(());
            }
            Err(error) => return Err(error.context("a call got no answer")),
        };
        self.harness.count(format!("answers: {}", answer.status));
        match *subject {
            Subject::Event(event) => match answer.status {
                200 => {
                    let event = &mut self.events[event];
                    event.state = EventState::Accepted;
                    let user = &mut self.users[event.user];
                    match event.changed_at {
                        Some(changed_at) if answer.body["outcome"] != "deleted" => {
                            user.is_at_least(changed_at);
                            let outcome = answer.body["outcome"].as_str().unwrap_or_default();
                            user.is_row_lost &= ["stale", "duplicate"].contains(&outcome);
                        }
                        _ => user.has_tombstone = true,
                    }
                }
                503 => {}
                _ => bail!("a webhook was answered {answer:?}"),
            },
            Subject::Page {
                user,
                changed_at,
                has_updated_at,
                had_tombstone,
            } => match answer.status {
                200 => {
                    ensure!(
                        !had_tombstone,
                        "a deleted user's page load was answered {answer:?}"
                    );
                    let is_synced = answer.body["status"] != "present";
                    let changed_at = changed_at.filter(|_| is_synced || has_updated_at);
                    self.users[user].is_at_least(changed_at.unwrap_or_default());
                    self.users[user].is_row_lost = false;
                }
                410 => ensure!(
                    self.users[user].is_deleted,
                    "a live user's page load was answered 410"
                ),
                502 | 503 => {}
                _ => bail!("a page load was answered {answer:?}"),
            },
        }
        Ok(())
    }

    fn fail(&self, user: usize, fault: Fault, times: usize) {
        let id = &self.users[user % self.users.len()].id;
        let stack = &self.harness.stack;
        let supabase = |fault| stack.supabase.faults().plan(id, fault, Some(times));
        let clerk = |fault| stack.clerk.faults().plan(id, fault, Some(times));
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

    /// Compares the database with the model.
    pub async fn check(&mut self) -> Result<()> {
        let ids: Vec<_> = self.users.iter().map(|user| user.id.as_str()).collect();
        let postgres = &self.harness.stack.postgres;
        let snapshot = self.harness.database.snapshot(postgres, &ids).await?;
        for user in &mut self.users {
            user.check(snapshot.rows.get(&user.id), snapshot.states.get(&user.id))?;
        }
        for event in &self.events {
            let receipt = snapshot.receipts.get(&event.webhook.id);
            event.check(receipt.map(String::as_str), &self.users[event.user])?;
        }
        let is_known = |id: &String| self.events.iter().any(|event| event.webhook.id == *id);
        ensure!(
            snapshot.receipts.keys().all(is_known),
            "there is a receipt for an event that never happened"
        );
        Ok(())
    }

    /// Ends all faults. Each user then loads a page or gets the missed events, after which every row
    /// must match Clerk.
    async fn finish(&mut self) -> Result<()> {
        let stack = &self.harness.stack;
        for user in &self.users {
            stack.supabase.faults().end(&user.id);
            stack.clerk.faults().end(&user.id);
            // A call that was ended may have left a running statement.
            stack.supabase.quiet(&user.id).await;
        }
        self.check().await?;
        for user in 0..self.users.len() {
            // Half of the users take each way.
            if self.users[user].is_deleted || (user + self.events.len()).is_multiple_of(2) {
                self.redeliver_events_of(user).await?;
            } else {
                self.load_page_a_day_later(user).await?;
            }
        }
        self.check().await?;
        self.check_matches_clerk().await
    }

    /// Fails unless the row of every user matches Clerk.
    pub async fn check_matches_clerk(&self) -> Result<()> {
        let ids: Vec<_> = self.users.iter().map(|user| user.id.as_str()).collect();
        let postgres = &self.harness.stack.postgres;
        let snapshot = self.harness.database.snapshot(postgres, &ids).await?;
        for user in &self.users {
            if user.is_deleted {
                ensure!(user.has_tombstone, "{} has no tombstone", user.id);
                continue;
            }
            let row = snapshot.rows.get(&user.id).context("a user has no row")?;
            ensure!(
                row.matches(user.current()),
                "the row differs from Clerk: {row}, expected {}",
                user.current()
            );
        }
        Ok(())
    }

    async fn redeliver_events_of(&mut self, user: usize) -> Result<()> {
        for event in 0..self.events.len() {
            let known = &self.events[event];
            if known.user == user && known.state != EventState::Accepted {
                self.until_accepted(|history| history.delivery(event, Endpoint::Old))
                    .await?;
            }
        }
        // No event says which of two versions of one millisecond is newer, and none that was accepted
        // comes again for a row that was lost. A page load finds out.
        let known = &self.users[user];
        if !known.is_deleted && (known.is_ambiguous() || known.is_row_lost) {
            self.until_accepted(|history| history.page(user, json!({})))
                .await?;
        }
        Ok(())
    }

    async fn load_page_a_day_later(&mut self, user: usize) -> Result<()> {
        let id = self.users[user].id.clone();
        if self.users[user].at_least.is_some() {
            retry_while_down(|| self.harness.stack.age_row(&id)).await?;
        }
        self.until_accepted(|history| history.page(user, json!({})))
            .await
    }

    /// Delivers an event without faults: the first attempt must be accepted.
    pub async fn deliver(&mut self, event: usize) -> Result<()> {
        let call = self.delivery(event, Endpoint::Old);
        self.mark_as_tried(std::slice::from_ref(&call));
        self.send(&call, &[200]).await
    }

    /// Loads a page without faults: the first attempt must succeed, or answer 410 for a deleted user.
    pub async fn load_page(&mut self, user: usize) -> Result<()> {
        let call = self.page(user, json!({}));
        let expected: &[u16] = if self.users[user].is_deleted {
            &[200, 410]
        } else {
            &[200]
        };
        self.send(&call, expected).await
    }

    /// Loads a page without faults. It reads the user from Clerk, if it does so at all, before
    /// `meanwhile`, and writes after it.
    pub async fn load_page_meanwhile(
        &mut self,
        user: usize,
        meanwhile: impl AsyncFnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let call = self.page(user, json!({}));
        let (id, harness) = (self.users[user].id.clone(), self.harness);
        let clerk = &harness.stack.clerk;
        clerk.faults().plan(&id, ClerkFault::Held, Some(1));
        let is_answered = AtomicBool::new(false);
        let page = async {
            let answer = harness.send(&call.request).await;
            is_answered.store(true, Ordering::Relaxed);
            answer
        };
        let others = async {
            while !clerk.is_held(&id) && !is_answered.load(Ordering::Relaxed) {
                sleep(Duration::from_millis(1)).await;
            }
            let result = meanwhile(self).await;
            clerk.faults().end(&id);
            result
        };
        let (answer, result) = join(page, others).await;
        result?;
        let answer = answer?;
        let is_expected = answer.status == 200 || answer.status == 410;
        ensure!(is_expected, "a call without faults was answered {answer:?}");
        self.record(&call.subject, Ok(answer))
    }

    async fn send(&mut self, call: &PreparedCall, expected: &[u16]) -> Result<()> {
        let answer = self.harness.send(&call.request).await?;
        let status = answer.status;
        self.record(&call.subject, Ok(answer))?;
        ensure!(
            expected.contains(&status),
            "a call without faults was answered {status}"
        );
        Ok(())
    }

    /// Repeats a call until it is answered with 200, as Svix and a visitor do.
    async fn until_accepted(&mut self, prepare: impl Fn(&Self) -> PreparedCall) -> Result<()> {
        for _attempt in 0..50 {
            let call = prepare(self);
            self.mark_as_tried(std::slice::from_ref(&call));
            let answer = self.harness.send(&call.request).await;
            let is_accepted = answer.as_ref().is_ok_and(|answer| answer.status == 200);
            self.record(&call.subject, answer)?;
            if is_accepted {
                return Ok(());
            }
            sleep(Duration::from_millis(100)).await;
        }
        bail!("a call without faults was not accepted in fifty attempts")
    }
}

/// Late, but within the time-out.
const LATE: Duration = Duration::from_millis(20);

/// More than the functions' time-out for one attempt, which is 3 s.
const TOO_LATE: Duration = Duration::from_millis(3_200);

fn seconds_now() -> u64 {
    let since_1970 = std::time::UNIX_EPOCH.elapsed();
    since_1970.map_or(0, |time| time.as_secs())
}

//! A stand-in for Clerk's cloud, the one part of the stack that is not real. It speaks the real
//! protocols: the Backend API, the Frontend API, session tokens, and webhooks through Svix.

mod backend_api;
mod control;
mod frontend_api;
mod session;
mod users;
mod webhooks;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::{sync::watch, time::timeout};

pub use self::{
    backend_api::Fault,
    webhooks::{Delivery, Order, WebhookEvent},
};
use self::{
    frontend_api::Clients,
    session::SessionKey,
    users::Users,
    webhooks::{Deliveries, Webhooks},
};
use crate::{faults::Faults, port, random, server::Server};

/// The key of a production instance whose host is `clerk.example.com`.
const PUBLISHABLE_KEY: &str = "pk_live_Y2xlcmsuZXhhbXBsZS5jb20k";

/// A test that waits longer for deliveries fails: this is eight attempts of 15 s.
const PATIENCE: Duration = Duration::from_mins(2);

/// One Clerk instance, served until this is dropped.
pub struct Clerk {
    server: Server,
    frontend_api: Server,
    instance: Arc<Instance>,
}

/// The state that the handle and the servers share.
struct Instance {
    id: String,
    /// The URL of the app that users sign in to.
    origin: String,
    secret_key: String,
    session_key: SessionKey,
    clients: Mutex<Clients>,
    users: Mutex<Users>,
    webhooks: Mutex<Webhooks>,
    deliveries: watch::Sender<Deliveries>,
    faults: Faults<Fault>,
    requests: Mutex<Vec<String>>,
    /// The paths of requests that have read and are held, or were.
    held: Mutex<Vec<String>>,
}

impl Clerk {
    /// Starts an instance without users and without a webhook endpoint.
    pub async fn start() -> Result<Self> {
        let instance = Arc::new(Instance {
            id: format!("ins_{}", random::letters_and_digits(27)),
            origin: format!("http://localhost:{}", port::free()?),
            secret_key: format!("sk_live_{}", random::letters_and_digits(42)),
            session_key: SessionKey::generate()?,
            clients: Mutex::default(),
            users: Mutex::default(),
            webhooks: Mutex::new(Webhooks::new()),
            deliveries: watch::Sender::default(),
            faults: Faults::default(),
            requests: Mutex::default(),
            held: Mutex::default(),
        });
        let router = backend_api::router(Arc::clone(&instance))
            .nest("/control", control::router(Arc::clone(&instance)));
        let frontend_api = frontend_api::router(Arc::clone(&instance));
        Ok(Self {
            server: Server::start(router).await?,
            frontend_api: Server::start(frontend_api).await?,
            instance,
        })
    }

    /// The Backend API's base URL, as `CLERK_API_URL` takes it.
    pub fn api_url(&self) -> &str {
        self.server.url()
    }

    /// Where scripts sign up and change users, and hold webhooks back. See `control.rs`.
    pub fn control_url(&self) -> String {
        format!("{}/control", self.server.url())
    }

    /// The instance's secret key.
    pub fn secret_key(&self) -> &str {
        &self.instance.secret_key
    }

    /// The instance's publishable key. It names the host of the Frontend API, but an app with a
    /// proxy never calls that host. So every stack has the same key, and the app is built only once.
    pub fn publishable_key(&self) -> &'static str {
        PUBLISHABLE_KEY
    }

    /// The URL of the Frontend API for the app's proxy, as `CLERK_FAPI_URL` takes it.
    pub fn frontend_api_url(&self) -> &str {
        self.frontend_api.url()
    }

    /// The URL of the app. Session tokens name it as their authorized party.
    pub fn origin(&self) -> &str {
        &self.instance.origin
    }

    /// The public key for session tokens, as PEM.
    pub fn jwt_key(&self) -> &str {
        self.instance.session_key.pem()
    }

    /// The signing secret of the webhooks, and the one that will replace it.
    pub fn webhook_signing_secrets(&self) -> [String; 2] {
        self.instance.webhooks().signing_secrets().clone()
    }

    /// Signs a user up, and returns their id. `profile` has fields of Clerk's user object. The
    /// short forms `email`, `phone_number` and `web3_wallet` each set a verified primary one.
    pub fn sign_up(&self, profile: &Value) -> String {
        let user = self.instance.sign_up(profile);
        user["id"].as_str().unwrap_or_default().to_owned()
    }

    /// Changes a user. `updated_at` increases by itself, unless `changes` set it.
    pub fn update(&self, id: &str, changes: &Value) -> Result<Value> {
        self.instance.update(id, changes)
    }

    /// Deletes a user.
    pub fn delete(&self, id: &str) -> Result<()> {
        self.instance.delete(id)
    }

    /// Every version of a user, oldest first.
    pub fn history(&self, id: &str) -> Vec<Value> {
        self.instance.users().history(id).to_vec()
    }

    /// A session token of the user, as Clerk's SDK sends it. `claims` replace the usual ones. Null
    /// removes a claim.
    pub fn session_token(&self, user_id: &str, claims: &Value) -> Result<String> {
        self.instance.session_token(user_id, claims)
    }

    /// The newest event about a user.
    pub fn last_event_of(&self, user_id: &str) -> Result<WebhookEvent> {
        let webhooks = self.instance.webhooks();
        let event = webhooks
            .events()
            .iter()
            .rfind(|event| event.user_id == user_id);
        event
            .cloned()
            .with_context(|| format!("there is no event about {user_id}"))
    }

    /// Sends every event from now on to this URL.
    pub fn set_webhook_endpoint(&self, url: &str) {
        self.instance.webhooks().set_endpoint(url);
    }

    /// Sets what happens to each event from now on.
    pub fn set_delivery(&self, delivery: Delivery) {
        self.instance.webhooks().set_delivery(delivery);
    }

    /// Delivers the held events, one after the other.
    pub fn release(&self, order: Order) {
        self.instance.release(order);
    }

    /// Waits until all automatic deliveries are done.
    pub async fn deliveries_done(&self) -> Result<()> {
        let mut deliveries = self.instance.deliveries.subscribe();
        timeout(PATIENCE, deliveries.wait_for(Deliveries::are_done)).await??;
        Ok(())
    }

    /// Waits until the first delivery of an event is answered, or has failed.
    pub async fn attempted(&self, event_id: &str) -> Result<()> {
        let mut deliveries = self.instance.deliveries.subscribe();
        let is_attempted = |all: &Deliveries| !all.attempts(event_id).is_empty();
        timeout(PATIENCE, deliveries.wait_for(is_attempted)).await??;
        Ok(())
    }

    /// The status of the answer to each automatic delivery of an event. 0 for no answer.
    pub fn attempts(&self, event_id: &str) -> Vec<u16> {
        self.instance.deliveries.borrow().attempts(event_id)
    }

    /// The faults of requests to the Backend API, by path.
    pub fn faults(&self) -> &Faults<Fault> {
        &self.instance.faults
    }

    /// Whether a request whose path contains this has read, and is held by its fault.
    pub fn is_held(&self, about: &str) -> bool {
        let held = lock(&self.instance.held);
        held.iter().any(|path| path.contains(about))
    }

    /// The paths of all requests to the Backend API so far.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.instance.requests).clone()
    }
}

impl Instance {
    fn users(&self) -> MutexGuard<'_, Users> {
        lock(&self.users)
    }

    fn webhooks(&self) -> MutexGuard<'_, Webhooks> {
        lock(&self.webhooks)
    }

    fn sign_up(self: &Arc<Self>, profile: &Value) -> Value {
        let user = self.users().sign_up(profile);
        self.emit("user.created", &user);
        user
    }

    fn update(self: &Arc<Self>, id: &str, changes: &Value) -> Result<Value> {
        let user = self.users().update(id, changes)?;
        self.emit("user.updated", &user);
        Ok(user)
    }

    fn delete(self: &Arc<Self>, id: &str) -> Result<()> {
        let user = self.users().delete(id)?;
        let external_id = &user["external_id"];
        let left =
            json!({ "deleted": true, "external_id": external_id, "id": id, "object": "user" });
        self.emit("user.deleted", &left);
        Ok(())
    }

    fn session_token(&self, user_id: &str, claims: &Value) -> Result<String> {
        let claims = session::claims(&self.origin, user_id, claims)?;
        self.session_key.sign(&self.id, &claims)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    since_1970.map_or(0, |time| {
        i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
    })
}

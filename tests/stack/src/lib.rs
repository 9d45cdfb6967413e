//! The local parts that the functions need. All are real except Clerk, which is a stand-in that
//! speaks the real protocols. [`Stack::start`] starts them, and dropping the stack stops them.

mod answer;
pub mod clerk;
mod database;
mod faults;
mod functions;
mod port;
mod postgres;
mod process;
mod random;
mod repository;
mod server;
pub mod story;
mod supabase;
mod tools;
mod web;

use std::time::Duration;

use anyhow::Result;
use http::{HeaderMap, HeaderName, Method, header::AUTHORIZATION};
use serde_json::Value;

pub use answer::Answer;
pub use clerk::Clerk;
use clerk::WebhookEvent;
pub use functions::{
    Entry, Environment, FUNCTIONS, Footprint, Functions, Target, artefacts, build, cargo_lambda,
    check_template, variables, vercel_output,
};
pub use postgres::Postgres;
pub use process::{Log, Process};
pub use repository::{copy_files, files, root};
pub use supabase::{
    Supabase,
    gateway::{Fault as SupabaseFault, Keys as SupabaseKeys},
};
pub use tools::{chromium, install_web};
pub use web::Web;

/// Everything, running and connected.
pub struct Stack {
    /// Every function. It is the first field, so it stops before the parts that it uses.
    pub functions: Functions,
    /// The REST API in front of the database.
    pub supabase: Supabase,
    /// The database, after the migrations.
    pub postgres: Postgres,
    /// The Clerk instance, which sends its webhooks to the functions.
    pub clerk: Clerk,
    client: reqwest::Client,
}

/// How long to wait for an answer. A function's own deadline is 8 s.
const TIMEOUT: Duration = Duration::from_secs(30);

impl Stack {
    /// Starts everything, with the functions on `target`. Their log lines go to `log`.
    pub async fn start(target: Target, log: &Log) -> Result<Self> {
        let postgres = Postgres::start(Log::default()).await?;
        postgres.migrate().await?;
        let supabase = Supabase::start(&postgres, Log::default()).await?;
        let clerk = Clerk::start().await?;
        let environment = environment(&clerk, &supabase);
        let functions = Functions::start(target, &environment, log).await?;
        clerk.set_webhook_endpoint(&functions.url("clerk-webhook"));
        Ok(Self {
            functions,
            supabase,
            postgres,
            clerk,
            client: reqwest::Client::builder().timeout(TIMEOUT).build()?,
        })
    }

    /// Starts the functions again, with `changes` to the variables of this stack. An empty value
    /// unsets a variable.
    pub async fn configure(&mut self, changes: &[(&str, &str)]) -> Result<()> {
        let mut environment = environment(&self.clerk, &self.supabase);
        for (name, value) in changes {
            environment.insert((*name).to_owned(), (*value).to_owned());
        }
        let (target, log) = (self.functions.target(), self.functions.log().clone());
        self.functions = Functions::start(target, &environment, &log).await?;
        self.clerk
            .set_webhook_endpoint(&self.functions.url("clerk-webhook"));
        Ok(())
    }

    /// Loads a page as a signed-in user. Adds `claims` to the session token.
    pub async fn load_page(&self, user_id: &str, claims: &Value) -> Result<Answer> {
        let token = self.clerk.session_token(user_id, claims)?;
        self.load_page_with([(AUTHORIZATION, format!("Bearer {token}"))])
            .await
    }

    /// Loads a page, with these headers instead of a session token.
    pub async fn load_page_with(
        &self,
        headers: impl IntoIterator<Item = (HeaderName, String)>,
    ) -> Result<Answer> {
        let headers = headers
            .into_iter()
            .map(|(name, value)| Ok((name, value.parse()?)))
            .collect::<Result<_>>()?;
        self.post(&self.functions.url("user-sync"), headers, "")
            .await
    }

    /// Delivers an event once. Each call is another delivery.
    pub async fn deliver(&self, event: &WebhookEvent) -> Result<Answer> {
        let headers = self.clerk.sign_webhook(&event.id, &event.payload)?;
        let url = self.functions.url("clerk-webhook");
        self.post(&url, headers, event.payload.clone()).await
    }

    /// Posts to a function.
    pub async fn post(
        &self,
        url: &str,
        headers: HeaderMap,
        body: impl Into<reqwest::Body>,
    ) -> Result<Answer> {
        self.send(Method::POST, url, headers, body).await
    }

    /// Sends any request to a function.
    pub async fn send(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: impl Into<reqwest::Body>,
    ) -> Result<Answer> {
        let request = self.client.request(method, url).headers(headers).body(body);
        Answer::read(request.send().await?).await
    }

    /// How many calls have contained a user's id: to the database, and to Clerk.
    pub fn calls_about(&self, user_id: &str) -> (usize, usize) {
        let requests = self.supabase.requests();
        let database_calls = requests.iter().filter(|body| body.contains(user_id));
        let requests = self.clerk.requests();
        let clerk_calls = requests.iter().filter(|path| path.contains(user_id));
        (database_calls.count(), clerk_calls.count())
    }
}

/// The functions' variables for these local parts. All other variables are empty, so that values in
/// the caller's shell have no effect.
fn environment(clerk: &Clerk, supabase: &Supabase) -> Environment {
    let names = variables()
        .into_iter()
        .flat_map(|(variable, _)| variable.names);
    let unset = names.map(|name| (*name, String::new()));
    let set = [
        ("SUPABASE_URL", supabase.url().to_owned()),
        ("SUPABASE_SECRET_KEY", supabase.keys().secret_key.clone()),
        ("CLERK_SECRET_KEY", clerk.secret_key().to_owned()),
        ("CLERK_API_URL", clerk.api_url().to_owned()),
        ("CLERK_JWT_KEY", clerk.jwt_key().to_owned()),
        ("CLERK_PUBLISHABLE_KEY", clerk.publishable_key().to_owned()),
        ("CLERK_AUTHORIZED_PARTIES", clerk.origin().to_owned()),
        (
            "CLERK_WEBHOOK_SIGNING_SECRET",
            clerk.webhook_signing_secrets().join(","),
        ),
    ];
    unset
        .chain(set)
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

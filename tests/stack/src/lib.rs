//! The local parts that the functions need, all real but for Clerk's cloud, which is a stand-in
//! that speaks the real protocols. [`Stack::start`] starts them, and dropping it ends them.

pub mod clerk;
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

use anyhow::{Context, Result, ensure};
use http::{HeaderMap, HeaderName, Method, header::AUTHORIZATION};
use serde_json::Value;
use tokio_postgres::types::ToSql;

pub use clerk::Clerk;
use clerk::WebhookEvent;
pub use functions::{
    Environment, Footprint, Functions, Target, artefacts, build, cargo_lambda, check_template,
    vercel_output,
};
pub use postgres::Postgres;
pub use process::Log;
pub use repository::{copy_files, files, root};
pub use supabase::{
    Supabase,
    gateway::{Fault as SupabaseFault, Keys as SupabaseKeys},
};
pub use tools::{chromium, install_web};
pub use web::Web;

/// Everything, running and connected.
pub struct Stack {
    /// Both functions. First, since they use what follows.
    pub functions: Functions,
    /// The REST API in front of the database.
    pub supabase: Supabase,
    /// The database, migrated.
    pub postgres: Postgres,
    /// The Clerk instance, whose webhooks go to the functions.
    pub clerk: Clerk,
    client: reqwest::Client,
}

/// A function that has not answered by now never will: its own deadline is 8 s.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a function answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; null where it is not JSON.
    pub body: Value,
}

impl Stack {
    /// Starts everything, with the functions on `target`. `log` takes the functions' lines.
    pub async fn start(target: Target, log: &Log) -> Result<Self> {
        let postgres = Postgres::start(Log::default()).await?;
        postgres.migrate().await?;
        let supabase = Supabase::start(&postgres, Log::default()).await?;
        let clerk = Clerk::start().await?;
        let environment = environment(&clerk, &supabase);
        let functions = Functions::start(target, &environment, log).await?;
        clerk.set_webhook_endpoint(&functions.clerk_webhook_url());
        Ok(Self {
            functions,
            supabase,
            postgres,
            clerk,
            client: reqwest::Client::builder().timeout(PATIENCE).build()?,
        })
    }

    /// Starts the functions anew, with `changes` over the variables that they had. An empty value
    /// unsets one.
    pub async fn configure(&mut self, changes: &[(&str, &str)]) -> Result<()> {
        let mut environment = environment(&self.clerk, &self.supabase);
        for (name, value) in changes {
            environment.insert((*name).to_owned(), (*value).to_owned());
        }
        let (target, log) = (self.functions.target(), self.functions.log().clone());
        self.functions = Functions::start(target, &environment, &log).await?;
        self.clerk
            .set_webhook_endpoint(&self.functions.clerk_webhook_url());
        Ok(())
    }

    /// Loads a page as a signed-in user, whose session token carries `claims` too.
    pub async fn load_page(&self, user_id: &str, claims: &Value) -> Result<Answer> {
        let token = self.clerk.session_token(user_id, claims)?;
        self.load_page_with([(AUTHORIZATION, format!("Bearer {token}"))])
            .await
    }

    /// Loads a page, with these headers in place of a session token.
    pub async fn load_page_with(
        &self,
        headers: impl IntoIterator<Item = (HeaderName, String)>,
    ) -> Result<Answer> {
        let headers = headers
            .into_iter()
            .map(|(name, value)| Ok((name, value.parse()?)))
            .collect::<Result<_>>()?;
        self.post(&self.functions.user_sync_url(), headers, "")
            .await
    }

    /// Delivers an event once, and once more each time it is called.
    pub async fn deliver(&self, event: &WebhookEvent) -> Result<Answer> {
        let headers = self.clerk.sign_webhook(&event.id, &event.payload)?;
        let url = self.functions.clerk_webhook_url();
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

    /// A user's row, or `None` where there is none.
    pub async fn find_row(&self, user_id: &str) -> Result<Option<Value>> {
        let rows = self
            .rows("public.users as it where id = $1", &[&user_id])
            .await?;
        Ok(rows.into_iter().next())
    }

    /// A user's row, which is expected to be there.
    pub async fn row(&self, user_id: &str) -> Result<Value> {
        let row = self.find_row(user_id).await?;
        row.with_context(|| format!("{user_id} has no row"))
    }

    /// Every row of the users table.
    pub async fn all_rows(&self) -> Result<Vec<Value>> {
        self.rows("public.users as it order by id", &[]).await
    }

    /// The ledger's entry for an event.
    pub async fn receipt(&self, event_id: &str) -> Result<Option<Value>> {
        let rows = self
            .rows(
                "public.user_sync_events as it where event_id = $1",
                &[&event_id],
            )
            .await?;
        Ok(rows.into_iter().next())
    }

    /// The whole ledger, oldest first.
    pub async fn ledger(&self) -> Result<Vec<Value>> {
        self.rows("public.user_sync_events as it order by number", &[])
            .await
    }

    async fn rows(&self, of: &str, arguments: &[&(dyn ToSql + Sync)]) -> Result<Vec<Value>> {
        let client = self.postgres.connect().await?;
        let sql = format!("select to_jsonb(it)::text from {of}");
        let rows = client.query(&sql, arguments).await?;
        rows.iter()
            .map(|row| Ok(serde_json::from_str(row.get(0))?))
            .collect()
    }

    /// Makes a row as old as `USER_SYNC_MAX_AGE` allows by default, and a minute older.
    pub async fn age_row(&self, user_id: &str) -> Result<()> {
        let sql = "update public.users set synced_at = now() - interval '24 hours 1 minute' where id = $1";
        let client = self.postgres.connect().await?;
        let rows = client.execute(sql, &[&user_id]).await?;
        ensure!(rows == 1, "{user_id} has no row");
        Ok(())
    }

    /// How many calls have named a user: to the database, and to Clerk.
    pub fn calls_about(&self, user_id: &str) -> (usize, usize) {
        let requests = self.supabase.requests();
        let database_calls = requests.iter().filter(|body| body.contains(user_id));
        let requests = self.clerk.requests();
        let clerk_calls = requests.iter().filter(|path| path.contains(user_id));
        (database_calls.count(), clerk_calls.count())
    }
}

impl Answer {
    async fn read(response: reqwest::Response) -> Result<Self> {
        Ok(Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: serde_json::from_slice(&response.bytes().await?).unwrap_or_default(),
        })
    }

    /// Checks the status and one field of the body.
    pub fn expect(&self, status: u16, field: &str, value: &str) -> Result<()> {
        ensure!(
            self.status == status && self.body[field] == value,
            "expected {status} with {field} {value:?}, got {} {}",
            self.status,
            self.body
        );
        Ok(())
    }

    /// A header of the answer, or nothing.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

fn environment(clerk: &Clerk, supabase: &Supabase) -> Environment {
    let variables = [
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
        // Whatever the caller's shell sets does not count.
        ("SUPABASE_SERVICE_ROLE_KEY", String::new()),
        ("NEXT_PUBLIC_SUPABASE_URL", String::new()),
        ("NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY", String::new()),
        ("USER_SYNC_MAX_AGE", String::new()),
        ("LOG_FORMAT", String::new()),
    ];
    variables
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

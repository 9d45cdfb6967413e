//! Supabase's REST API: a real PostgREST behind a gateway like Supabase's.

pub mod gateway;

use std::{
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;
use tokio::time::{Instant, sleep};

use self::gateway::{Fault, Gateway, Keys};
use crate::{
    faults::Faults,
    port,
    postgres::Postgres,
    process::{Log, Process, Stop},
    random, tools,
};

/// The API of one database, served until this is dropped.
pub struct Supabase {
    gateway: Gateway,
    postgrest: Mutex<Option<Process>>,
    command: Command,
    admin_port: u16,
    log: Log,
}

impl Supabase {
    /// Starts the API on a running database.
    pub async fn start(postgres: &Postgres, log: Log) -> Result<Self> {
        let (port, admin_port) = (port::free()?, port::free()?);
        let secret = random::letters_and_digits(40);
        let mut command = Command::new(tools::postgrest()?);
        command
            .env("PGRST_DB_URI", postgres.url("authenticator"))
            .env("PGRST_DB_SCHEMAS", "public")
            .env("PGRST_DB_ANON_ROLE", "anon")
            .env("PGRST_JWT_SECRET", &secret)
            .env("PGRST_SERVER_HOST", "127.0.0.1")
            .env("PGRST_SERVER_PORT", port.to_string())
            .env("PGRST_ADMIN_SERVER_PORT", admin_port.to_string());
        let keys = Keys {
            secret_key: format!("sb_secret_{}", random::letters_and_digits(31)),
            publishable_key: format!("sb_publishable_{}", random::letters_and_digits(31)),
            service_role_jwt: legacy_key("service_role", &secret)?,
            anon_jwt: legacy_key("anon", &secret)?,
        };
        let supabase = Self {
            gateway: Gateway::start(keys, format!("http://127.0.0.1:{port}")).await?,
            postgrest: Mutex::default(),
            command,
            admin_port,
            log,
        };
        supabase.run_postgrest().await?;
        Ok(supabase)
    }

    /// The project's URL. The API is under `/rest/v1/`.
    pub fn url(&self) -> &str {
        self.gateway.url()
    }

    /// The keys that the gateway accepts.
    pub fn keys(&self) -> &Keys {
        self.gateway.keys()
    }

    /// The bodies of all requests so far, in the order of the answers.
    pub fn requests(&self) -> Vec<String> {
        self.gateway.requests()
    }

    /// Waits until no statement is running whose request contains `about`.
    pub async fn quiet(&self, about: &str) {
        self.gateway.quiet(about).await;
    }

    /// The faults of requests, by body.
    pub fn faults(&self) -> &Faults<Fault> {
        self.gateway.faults()
    }

    /// Kills PostgREST, like a crash.
    pub fn kill_postgrest(&self) -> Result<()> {
        let postgrest = self.postgrest().take();
        postgrest.context("PostgREST is not running")?.kill()
    }

    /// Starts PostgREST again, and waits until it is ready.
    pub async fn run_postgrest(&self) -> Result<()> {
        let log = self.log.clone();
        let postgrest = Process::start("postgrest", &self.command, Stop::Terminate, log)?;
        *self.postgrest() = Some(postgrest);
        self.wait_until_ready().await
    }

    /// Waits until PostgREST has a connection and has read the schema.
    pub async fn wait_until_ready(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_mins(1);
        let ready = format!("http://127.0.0.1:{}/ready", self.admin_port);
        while !is_success(&ready).await {
            if let Some(postgrest) = self.postgrest().as_mut() {
                postgrest.check_alive()?;
            }
            if Instant::now() > deadline {
                bail!("PostgREST is not ready (see {ready})");
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    fn postgrest(&self) -> MutexGuard<'_, Option<Process>> {
        self.postgrest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

async fn is_success(url: &str) -> bool {
    let answer = reqwest::get(url).await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

/// A key of the older kind: a token with the role, valid until 2036.
fn legacy_key(role: &str, secret: &str) -> Result<String> {
    let claims = json!({
        "iss": "supabase", "ref": "local", "role": role,
        "iat": 1_763_000_000, "exp": 2_082_758_400,
    });
    let key = EncodingKey::from_secret(secret.as_bytes());
    Ok(encode(&Header::default(), &claims, &key)?)
}

//! The gateway in front of PostgREST, as at Supabase: it serves `/rest/v1/`, requires an `apikey`,
//! and replaces the newer keys by the token of their role
//! (<https://supabase.com/docs/guides/api/api-keys>).

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::State,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderName, Method, StatusCode, Uri,
    header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, USER_AGENT},
};
use serde_json::json;
use tokio::sync::watch;

use crate::{
    faults::Faults,
    server::{Server, hang_up},
};

/// The keys of a project.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Of the newer kind, for servers: `sb_secret_…`.
    pub secret_key: String,
    /// Of the newer kind, for browsers: `sb_publishable_…`.
    pub publishable_key: String,
    /// Of the older kind, for servers.
    pub service_role_jwt: String,
    /// Of the older kind, for browsers.
    pub anon_jwt: String,
}

/// How the gateway fails.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// It does not forward and answers with this status.
    Status(StatusCode),
    /// It waits before it forwards: the statement runs late, even if the caller is gone.
    Slow(Duration),
    /// It does not forward and never answers.
    Silent,
    /// It forwards, and then never answers: the statement commits, but the caller does not know.
    SilentAfterTheStatement,
    /// It does not forward and hangs up.
    HangUp,
    /// It forwards, and then hangs up in the middle of the answer.
    HangUpAfterTheStatement,
}

/// The gateway, serving until it is dropped.
pub struct Gateway {
    server: Server,
    state: Arc<GatewayState>,
}

struct GatewayState {
    keys: Keys,
    postgrest: String,
    client: reqwest::Client,
    requests: Mutex<Vec<String>>,
    /// The bodies of requests that PostgREST has not answered yet.
    running: watch::Sender<Vec<String>>,
    faults: Faults<Fault>,
}

impl Gateway {
    /// Serves the PostgREST at `postgrest`, a URL.
    pub async fn start(keys: Keys, postgrest: String) -> Result<Self> {
        let state = Arc::new(GatewayState {
            keys,
            postgrest,
            client: reqwest::Client::new(),
            requests: Mutex::default(),
            running: watch::Sender::default(),
            faults: Faults::default(),
        });
        let router = Router::new().fallback(serve).with_state(Arc::clone(&state));
        let server = Server::start(router).await?;
        Ok(Self { server, state })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// The keys that it accepts.
    pub fn keys(&self) -> &Keys {
        &self.state.keys
    }

    /// The bodies of all requests so far, in the order of the answers.
    pub fn requests(&self) -> Vec<String> {
        let requests = self.state.requests.lock();
        requests.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until no statement is running whose request contains `about`.
    pub async fn quiet(&self, about: &str) {
        let is_quiet = |bodies: &Vec<String>| !bodies.iter().any(|body| body.contains(about));
        // It cannot fail: we own the sender.
        drop(self.state.running.subscribe().wait_for(is_quiet).await);
    }

    /// The faults of requests, by body.
    pub fn faults(&self) -> &Faults<Fault> {
        &self.state.faults
    }
}

async fn serve(
    State(state): State<Arc<GatewayState>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    let text = String::from_utf8_lossy(&body).into_owned();
    let forwarded = async |pause| {
        state.running.send_modify(|all| all.push(text.clone()));
        let (state, text) = (Arc::clone(&state), text.clone());
        // A statement runs to its end, even if nobody waits for it.
        let forwarding = tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            let answer = forward(&state, method, &path, headers, body).await;
            state.running.send_modify(|all| {
                let this = all.iter().position(|other| *other == text);
                this.map(|this| all.swap_remove(this));
            });
            answer
        });
        let answer = forwarding.await;
        answer.unwrap_or_else(|_| StatusCode::BAD_GATEWAY.into_response())
    };
    let answer = match state.faults.next(&text) {
        Some(Fault::Status(status)) => status.into_response(),
        Some(Fault::Silent) => std::future::pending().await,
        Some(Fault::HangUp) => hang_up(),
        Some(Fault::Slow(pause)) => forwarded(pause).await,
        Some(Fault::SilentAfterTheStatement) => {
            forwarded(Duration::ZERO).await;
            std::future::pending().await
        }
        Some(Fault::HangUpAfterTheStatement) => {
            forwarded(Duration::ZERO).await;
            hang_up()
        }
        None => forwarded(Duration::ZERO).await,
    };
    let requests = state.requests.lock();
    requests.unwrap_or_else(PoisonError::into_inner).push(text);
    answer
}

async fn forward(
    state: &GatewayState,
    method: Method,
    path: &str,
    mut headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(path) = path.strip_prefix("/rest/v1") else {
        return (
            StatusCode::NOT_FOUND,
            Json(json!({ "message": "no Route matched" })),
        )
            .into_response();
    };
    if let Err(refusal) = authorize(&state.keys, &mut headers) {
        return refusal.into_response();
    }
    for name in [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    let url = format!("{}{path}", state.postgrest);
    let request = state
        .client
        .request(method, url)
        .headers(headers)
        .body(body);
    match request.send().await {
        Ok(answer) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = answer.status();
            *response.headers_mut() = answer.headers().clone();
            for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
                response.headers_mut().remove(name);
            }
            match answer.bytes().await {
                Ok(body) => response.map(|_| Body::from(body)),
                Err(_) => StatusCode::BAD_GATEWAY.into_response(),
            }
        }
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

type Refusal = (StatusCode, Json<serde_json::Value>);

/// Checks the `apikey` of a request, and adds the token that PostgREST knows.
fn authorize(keys: &Keys, headers: &mut HeaderMap) -> Result<(), Refusal> {
    const APIKEY: HeaderName = HeaderName::from_static("apikey");
    let text = |headers: &HeaderMap, name: &HeaderName| {
        let value = headers.get(name)?.to_str().ok()?;
        Some(value.to_owned())
    };
    let Some(key) = text(headers, &APIKEY) else {
        return Err(refuse(
            "No API key found in request",
            "No `apikey` request header or url param was found.",
        ));
    };
    let token = if key == keys.secret_key {
        let agent = text(headers, &USER_AGENT).unwrap_or_default();
        if agent.starts_with("Mozilla/") {
            return Err(refuse(
                "Forbidden use of secret API key in browser",
                "Secret API keys can only be used in a protected environment.",
            ));
        }
        &keys.service_role_jwt
    } else if key == keys.publishable_key {
        &keys.anon_jwt
    } else if key == keys.service_role_jwt || key == keys.anon_jwt {
        // An older key is the role's token. The caller also sends it as a bearer token.
        return Ok(());
    } else {
        return Err(refuse(
            "Invalid API key",
            "Double check your Supabase `anon` or `service_role` API key.",
        ));
    };
    if !headers.contains_key(AUTHORIZATION)
        && let Ok(token) = format!("Bearer {token}").parse()
    {
        headers.insert(AUTHORIZATION, token);
    }
    Ok(())
}

fn refuse(message: &'static str, hint: &'static str) -> Refusal {
    let body = json!({ "message": message, "hint": hint });
    (StatusCode::UNAUTHORIZED, Json(body))
}

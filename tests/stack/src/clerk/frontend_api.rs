//! The part of the Frontend API that Clerk's own SDK needs to sign users up, in and out. Like an
//! instance with a proxy URL it accepts requests only from the app's proxy. Shapes are from Clerk's
//! `OpenAPI` file of 2026-05-12, or from the SDK for fields that the file lacks.
//!
//! Every password is accepted: nothing here tests how Clerk authenticates people.

mod clients;

use std::{
    collections::BTreeMap,
    fs,
    path::{Component, PathBuf},
    sync::{Arc, LazyLock},
};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use axum::{
    Form, Json, Router,
    extract::{FromRequestParts, Path, Query, Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use base64::{Engine, prelude::BASE64_URL_SAFE};
use http::{
    HeaderMap, StatusCode,
    header::{CONTENT_TYPE, COOKIE, SET_COOKIE},
    request::Parts,
};
use reqwest::Url;
use serde_json::{Value, json};

pub use self::clients::Clients;
use self::clients::{Client, Session};
use super::{Instance, PUBLISHABLE_KEY, backend_api::error, lock, now};
use crate::tools;

type Fields = BTreeMap<String, String>;

/// Serves the API, and the SDK's scripts.
pub fn router(instance: Arc<Instance>) -> Router {
    Router::new()
        .route("/v1/environment", get(environment))
        .route("/v1/client", get(client))
        .route("/v1/client/handshake", get(handshake))
        .route("/v1/client/sign_ups", post(sign_up))
        .route("/v1/client/sign_ins", post(sign_in))
        .route(
            "/v1/client/sign_ins/{id}/attempt_first_factor",
            post(enter_password),
        )
        // The SDK sends DELETE as POST with ?_method=DELETE.
        .route("/v1/client/sessions", post(sign_out))
        .route("/v1/client/sessions/{id}/touch", post(touch))
        .route("/v1/client/sessions/{id}/tokens", post(token))
        .route("/v1/client/sessions/{id}/remove", post(end_session))
        .route("/npm/{*path}", get(script))
        .layer(from_fn_with_state(Arc::clone(&instance), admit))
        .with_state(instance)
}

/// A proxy must send the secret key of its instance.
async fn admit(
    State(instance): State<Arc<Instance>>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let key = headers.get("clerk-secret-key");
    if key.is_none_or(|key| key != instance.secret_key.as_str()) {
        return error(StatusCode::UNAUTHORIZED, "authentication_invalid").into_response();
    }
    next.run(request).await
}

/// The id of a browser, from a cookie that pages cannot read.
struct Browser(Option<String>);

impl<S: Sync> FromRequestParts<S> for Browser {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let cookies = parts.headers.get_all(COOKIE).iter();
        let mut cookies = cookies.filter_map(|cookies| cookies.to_str().ok());
        let id = cookies.find_map(|cookies| {
            let mut cookies = cookies.split("; ");
            cookies.find_map(|cookie| cookie.strip_prefix("__client="))
        });
        Ok(Self(id.map(str::to_owned)))
    }
}

impl Instance {
    /// Changes the browser's client, and answers what the SDK expects: the result, and the whole
    /// client.
    fn with_client(
        &self,
        browser: &Browser,
        change: impl FnOnce(&mut Client) -> Value,
    ) -> Response {
        let mut clients = lock(&self.clients);
        let client = clients.of(browser.0.as_deref());
        client.end_sessions_unless(|user_id| self.users().find(user_id).is_some());
        let response = change(client);
        let body = Json(json!({ "response": response, "client": self.client(client) }));
        let cookie = format!("__client={}; Path=/; HttpOnly; SameSite=Lax", client.id());
        let mut answer = body.into_response();
        for cookie in signed_in_cookies(client.sessions().last())
            .into_iter()
            .chain([cookie])
        {
            append_cookie(&mut answer, &cookie);
        }
        answer
    }

    fn client(&self, client: &Client) -> Value {
        let sessions = client
            .sessions()
            .iter()
            .map(|session| self.session(session));
        json!({
            "object": "client", "id": client.id(), "sessions": sessions.collect::<Vec<_>>(),
            "sign_in": client.sign_in(), "sign_up": client.sign_up(),
            "last_active_session_id": client.sessions().last().map(|session| &session.id),
            "last_authentication_strategy": null, "cookie_expires_at": null,
            "captcha_bypass": false, "created_at": client.created_at(), "updated_at": now(),
        })
    }

    fn session(&self, session: &Session) -> Value {
        let mut user = self
            .users()
            .find(&session.user_id)
            .cloned()
            .unwrap_or_default();
        let identifier = email(&user).to_owned();
        // Clerk sends no private metadata to pages. The preview image is left out, so that no page
        // loads it.
        user["private_metadata"] = Value::Null;
        user["image_url"] = json!("");
        user["organization_memberships"] = json!([]);
        json!({
            "object": "session", "id": session.id, "status": "active",
            "expire_at": session.created_at + 7 * 24 * 3_600_000,
            "abandon_at": session.created_at + 30 * 24 * 3_600_000,
            "last_active_at": now(), "actor": null, "tasks": null, "factor_verification_age": [0, -1],
            "last_active_organization_id": null,
            "last_active_token": { "object": "token", "jwt": self.token(session) },
            "public_user_data": {
                "first_name": user["first_name"], "last_name": user["last_name"], "image_url": "",
                "has_image": false, "identifier": identifier, "user_id": session.user_id,
            },
            "user": user, "created_at": session.created_at, "updated_at": now(),
        })
    }

    fn token(&self, session: &Session) -> String {
        let token = self.session_token(&session.user_id, &json!({ "sid": session.id }));
        // This fails only if the key does, and then no page is signed in.
        token.unwrap_or_default()
    }
}

/// The settings of the instance: users sign in with e-mail address and password.
async fn environment(State(instance): State<Arc<Instance>>) -> Response {
    let environment = include_str!("frontend_api/environment.json");
    let environment = environment.replace("ORIGIN", &instance.origin);
    ([(CONTENT_TYPE, "application/json")], environment).into_response()
}

async fn client(State(instance): State<Arc<Instance>>, browser: Browser) -> Response {
    if browser.0.is_none() {
        return Json(json!({ "response": null, "client": null })).into_response();
    }
    instance.with_client(&browser, |client| instance.client(client))
}

async fn sign_up(
    State(instance): State<Arc<Instance>>,
    browser: Browser,
    Form(fields): Form<Fields>,
) -> Response {
    let field = |name: &str| fields.get(name);
    let (Some(email), Some(_)) = (field("email_address"), field("password")) else {
        return refuse("form_param_missing", "email_address");
    };
    let is_taken = instance
        .users()
        .newest_last()
        .any(|user| addresses(user).any(|address| address["email_address"] == email.as_str()));
    if is_taken {
        return refuse("form_identifier_exists", "email_address");
    }
    let profile = json!({
        "email": email, "first_name": field("first_name"), "last_name": field("last_name"),
    });
    let user = instance.sign_up(&profile);
    instance.with_client(&browser, |client| client.complete_sign_up(&user))
}

async fn sign_in(
    State(instance): State<Arc<Instance>>,
    browser: Browser,
    Form(fields): Form<Fields>,
) -> Response {
    let identifier = fields.get("identifier").map_or("", String::as_str);
    let user = instance
        .users()
        .newest_last()
        .rfind(|user| email(user) == identifier)
        .cloned();
    let Some(user) = user else {
        return refuse("form_identifier_not_found", "identifier");
    };
    instance.with_client(&browser, |client| {
        client.begin_sign_in(&user, identifier);
        if fields.contains_key("password") {
            client.complete_sign_in();
        }
        client.sign_in()
    })
}

async fn enter_password(State(instance): State<Arc<Instance>>, browser: Browser) -> Response {
    instance.with_client(&browser, |client| {
        client.complete_sign_in();
        client.sign_in()
    })
}

async fn touch(
    State(instance): State<Arc<Instance>>,
    browser: Browser,
    Path(id): Path<String>,
) -> Response {
    instance.with_client(&browser, |client| {
        let session = client.find(&id);
        session.map_or(Value::Null, |session| instance.session(session))
    })
}

async fn token(
    State(instance): State<Arc<Instance>>,
    browser: Browser,
    Path(id): Path<String>,
) -> Response {
    let mut clients = lock(&instance.clients);
    let session = clients.of(browser.0.as_deref()).find(&id);
    let is_live = |session: &&Session| instance.users().find(&session.user_id).is_some();
    match session.filter(is_live) {
        Some(session) => {
            Json(json!({ "object": "token", "jwt": instance.token(session) })).into_response()
        }
        None => error(StatusCode::NOT_FOUND, "resource_not_found").into_response(),
    }
}

async fn sign_out(State(instance): State<Arc<Instance>>, browser: Browser) -> Response {
    instance.with_client(&browser, |client| {
        client.end_sessions_unless(|_| false);
        json!({ "object": "client", "deleted": true })
    })
}

async fn end_session(
    State(instance): State<Arc<Instance>>,
    browser: Browser,
    Path(id): Path<String>,
) -> Response {
    instance.with_client(&browser, |client| {
        client.end_session(&id);
        json!({ "object": "session", "id": id, "status": "removed" })
    })
}

/// Redirects back to a page whose session token is too old, with a new token: the app's server
/// reads it from a signed cookie.
async fn handshake(
    State(instance): State<Arc<Instance>>,
    browser: Browser,
    Query(query): Query<Fields>,
) -> Response {
    let clients = lock(&instance.clients);
    let session = browser
        .0
        .and_then(|id| clients.find(&id)?.sessions().last());
    let token = session
        .map(|session| instance.token(session))
        .unwrap_or_default();
    let mut cookies = signed_in_cookies(session).to_vec();
    for suffix in cookie_suffixes() {
        cookies.push(format!("__session{suffix}={token}; Path=/; SameSite=Lax"));
    }
    cookies.push("__clerk_handshake=; Path=/; Max-Age=0".to_owned());
    let Ok(payload) = instance
        .session_key
        .sign(&instance.id, &json!({ "handshake": cookies }))
    else {
        return error(StatusCode::INTERNAL_SERVER_ERROR, "internal_clerk_error").into_response();
    };
    let cookie = format!("__clerk_handshake={payload}; Path=/; HttpOnly; SameSite=Lax; Max-Age=60");
    let back = query.get("redirect_url").and_then(|url| page_of_app(url));
    let back = back.as_ref().map_or("/", Url::as_str);
    let mut answer = Redirect::temporary(back).into_response();
    append_cookie(&mut answer, &cookie);
    answer
}

/// The URL of a page, if it belongs to the app or a variant of it: each is on its own port of
/// `localhost`.
fn page_of_app(url: &str) -> Option<Url> {
    let url = Url::parse(url).ok()?;
    (url.scheme() == "http" && url.host_str() == Some("localhost")).then_some(url)
}

/// A script of the SDK. The page asks for a package by major version.
async fn script(Path(path): Path<String>) -> Response {
    // Looked up for the first script: a stack without an app downloads none.
    static FOLDER: LazyLock<Option<PathBuf>> = LazyLock::new(|| tools::clerk_scripts().ok());
    let find = || {
        let (package, file) = path.strip_prefix("@clerk/")?.split_once('@')?;
        let (_version, file) = file.split_once('/')?;
        let file = PathBuf::from(package).join(file);
        let is_normal = |component| matches!(component, Component::Normal(_));
        // Nothing outside the folder is served.
        if !file.components().all(is_normal) {
            return None;
        }
        fs::read(FOLDER.as_ref()?.join(file)).ok()
    };
    match find() {
        Some(script) => ([(CONTENT_TYPE, "text/javascript")], script).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The cookies that say since when a user is signed in, for the app's server. 0 for nobody.
fn signed_in_cookies(session: Option<&Session>) -> [String; 2] {
    let since = session.map_or(0, |session| session.created_at / 1_000);
    cookie_suffixes().map(|suffix| format!("__client_uat{suffix}={since}; Path=/; SameSite=Lax"))
}

/// The suffixes of the cookie names: none, and one that is different for each instance on the
/// domain.
fn cookie_suffixes() -> [String; 2] {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, PUBLISHABLE_KEY.as_bytes());
    let suffix = format!("_{}", &BASE64_URL_SAFE.encode(hash)[..8]);
    [String::new(), suffix]
}

fn append_cookie(answer: &mut Response, cookie: &str) {
    // Ids, numbers and tokens are valid in a header.
    if let Ok(cookie) = cookie.parse() {
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
}

/// The primary e-mail address of a user.
fn email(user: &Value) -> &str {
    let primary = &user["primary_email_address_id"];
    addresses(user)
        .find(|address| &address["id"] == primary)
        .and_then(|address| address["email_address"].as_str())
        .unwrap_or_default()
}

/// All e-mail addresses of a user.
fn addresses(user: &Value) -> impl Iterator<Item = &Value> {
    user["email_addresses"].as_array().into_iter().flatten()
}

fn refuse(code: &str, parameter: &str) -> Response {
    let errors = json!([{
        "code": code, "message": code, "long_message": code, "meta": { "param_name": parameter },
    }]);
    (
        StatusCode::UNPROCESSABLE_ENTITY,
        Json(json!({ "errors": errors })),
    )
        .into_response()
}

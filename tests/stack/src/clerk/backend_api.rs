//! The part of the Backend API that this project uses: one user, pages of users by `created_at`,
//! the number of users, the session keys. Shapes and limits are from Clerk's `OpenAPI` file of
//! 2026-05-12. The error codes are not in that file.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, RawQuery, Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{
    HeaderMap, StatusCode,
    header::{AUTHORIZATION, RETRY_AFTER},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Instance, lock};
use crate::server::hang_up;

/// How the Backend API fails.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Fault {
    /// It answers 429.
    RateLimited {
        /// The seconds of `Retry-After`.
        retry_after: u64,
    },
    /// It answers 500.
    ServerError,
    /// It answers late.
    Slow {
        /// How late.
        milliseconds: u64,
    },
    /// It reads at once, and answers when this fault is ended.
    Held,
    /// It never answers.
    Silent,
    /// It hangs up in the middle of an answer.
    HangUp,
}

/// Serves `/v1`.
pub fn router(instance: Arc<Instance>) -> Router {
    Router::new()
        .route("/v1/jwks", get(session_keys))
        .route("/v1/users", get(list_users))
        .route("/v1/users/count", get(count_users))
        .route("/v1/users/{id}", get(get_user))
        .layer(from_fn_with_state(Arc::clone(&instance), admit))
        .with_state(instance)
}

/// Records the request, applies its fault, and checks the secret key.
async fn admit(
    State(instance): State<Arc<Instance>>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let uri = request.uri().to_string();
    let fault = instance.faults.next(&uri);
    lock(&instance.requests).push(uri);
    match fault {
        Some(Fault::RateLimited { retry_after }) => {
            let error = error(StatusCode::TOO_MANY_REQUESTS, "too_many_requests");
            return ([(RETRY_AFTER, retry_after.to_string())], error).into_response();
        }
        Some(Fault::ServerError) => {
            return error(StatusCode::INTERNAL_SERVER_ERROR, "internal_clerk_error")
                .into_response();
        }
        Some(Fault::Slow { milliseconds }) => {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        }
        Some(Fault::Silent) => std::future::pending().await,
        Some(Fault::HangUp) => return hang_up(),
        Some(Fault::Held) => return hold(&instance, request, next).await,
        None => {}
    }
    let key = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let expected = format!("Bearer {}", instance.secret_key);
    if key != Some(expected.as_str()) {
        return error(StatusCode::UNAUTHORIZED, "authentication_invalid").into_response();
    }
    next.run(request).await
}

async fn hold(instance: &Instance, request: Request, next: Next) -> Response {
    let uri = request.uri().to_string();
    let answer = next.run(request).await;
    lock(&instance.held).push(uri.clone());
    while instance.faults.are_planned(&uri) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    answer
}

async fn session_keys(State(instance): State<Arc<Instance>>) -> Response {
    Json(instance.session_key.jwk_set(&instance.id)).into_response()
}

async fn get_user(State(instance): State<Arc<Instance>>, Path(id): Path<String>) -> Response {
    match instance.users().find(&id) {
        Some(user) => Json(user.clone()).into_response(),
        None => error(StatusCode::NOT_FOUND, "resource_not_found").into_response(),
    }
}

async fn list_users(State(instance): State<Arc<Instance>>, RawQuery(query): RawQuery) -> Response {
    let page = Page::parse(&query.unwrap_or_default());
    match page.and_then(|page| page.of(instance.users().newest_last())) {
        Some(users) => Json(users).into_response(),
        None => error(StatusCode::UNPROCESSABLE_ENTITY, "form_param_invalid").into_response(),
    }
}

/// The number of all users. The SDK asks for it with every list.
async fn count_users(State(instance): State<Arc<Instance>>) -> Response {
    let count = instance.users().newest_last().count();
    Json(json!({ "object": "total_count", "total_count": count })).into_response()
}

/// Which users a list has.
struct Page {
    limit: usize,
    offset: usize,
    starting_after: Option<String>,
    oldest_first: bool,
    user_ids: Vec<String>,
}

impl Page {
    /// `None` if Clerk answers 422.
    fn parse(query: &str) -> Option<Self> {
        let mut page = Self {
            limit: 10,
            offset: 0,
            starting_after: None,
            oldest_first: false,
            user_ids: Vec::new(),
        };
        let base = reqwest::Url::parse("http://localhost").ok()?;
        let url = base.join(&format!("?{query}")).ok()?;
        for (name, value) in url.query_pairs() {
            match name.as_ref() {
                "limit" => {
                    let limit = value.parse().ok()?;
                    page.limit = Some(limit).filter(|limit| (1..=500).contains(limit))?;
                }
                "offset" => page.offset = value.parse().ok()?,
                "starting_after" => page.starting_after = Some(value.into_owned()),
                // A plus sign in a query is a space.
                "order_by" => {
                    page.oldest_first = match value.as_ref() {
                        "-created_at" => false,
                        "created_at" | "+created_at" | " created_at" => true,
                        _ => return None,
                    }
                }
                "user_id" => page.user_ids.push(value.into_owned()),
                _ => {}
            }
        }
        let is_valid =
            page.user_ids.len() <= 100 && (page.starting_after.is_none() || page.offset == 0);
        is_valid.then_some(page)
    }

    /// `None` if the user to start after does not exist. The specification does not say what
    /// happens then, but an empty page would look like the end of the list.
    fn of<'a>(self, newest_last: impl DoubleEndedIterator<Item = &'a Value>) -> Option<Vec<Value>> {
        let is_wanted = |user: &&Value| {
            let id = user["id"].as_str().unwrap_or_default();
            self.user_ids.is_empty() || self.user_ids.iter().any(|wanted| wanted == id)
        };
        let mut users: Vec<_> = newest_last.filter(is_wanted).cloned().collect();
        if !self.oldest_first {
            users.reverse();
        }
        let start = match self.starting_after {
            Some(id) => 1 + users.iter().position(|user| user["id"] == id.as_str())?,
            None => self.offset,
        };
        Some(users.into_iter().skip(start).take(self.limit).collect())
    }
}

/// An error in the shape of `ClerkErrors` in the specification.
pub fn error(status: StatusCode, code: &str) -> (StatusCode, Json<Value>) {
    let message = status.canonical_reason().unwrap_or_default();
    let errors = json!([{ "message": message, "long_message": message, "code": code }]);
    (
        status,
        Json(json!({ "errors": errors, "clerk_trace_id": "trace" })),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(query: &str) -> Option<String> {
        let users: Vec<_> = (1..=12).map(|n| json!({ "id": format!("u{n}") })).collect();
        let page = Page::parse(query)?.of(users.iter())?;
        let ids: Vec<_> = page.iter().filter_map(|user| user["id"].as_str()).collect();
        Some(ids.join(" "))
    }

    #[test]
    fn users_come_in_pages_newest_first() {
        let hundred_ids = "&user_id=u1".repeat(100);
        for (query, ids) in [
            ("", Some("u12 u11 u10 u9 u8 u7 u6 u5 u4 u3")),
            ("limit=2", Some("u12 u11")),
            ("limit=2&offset=3", Some("u9 u8")),
            ("limit=2&starting_after=u9", Some("u8 u7")),
            ("limit=500&starting_after=u2", Some("u1")),
            ("starting_after=u1", Some("")),
            (
                "limit=2&order_by=created_at&starting_after=u9",
                Some("u10 u11"),
            ),
            ("limit=2&order_by=%2Bcreated_at", Some("u1 u2")),
            ("limit=2&order_by=-created_at", Some("u12 u11")),
            ("user_id=u3&user_id=u5&user_id=unknown", Some("u5 u3")),
            (&hundred_ids, Some("u1")),
            (&format!("{hundred_ids}&user_id=u2"), None),
            ("limit=0", None),
            ("limit=501", None),
            ("offset=1&starting_after=u9", None),
            ("starting_after=unknown", None),
        ] {
            assert_eq!(page(query).as_deref(), ids, "{query}");
        }
    }
}

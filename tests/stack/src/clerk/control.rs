//! The stand-in's own API, for scripts and curl: it does what people do in Clerk's pages, and
//! decides what happens to webhooks.
//!
//! | request | does |
//! |---|---|
//! | `POST /control/users` `{profile}` | signs a user up |
//! | `GET /control/users/ID` | every version of the user |
//! | `PATCH /control/users/ID` `{changes}` | changes the user |
//! | `DELETE /control/users/ID` | deletes the user |
//! | `POST /control/users/ID/session` | returns a session token of the user, as text |
//! | `GET /control/events` | all events, oldest first |
//! | `POST /control/events/ID/deliver` | delivers an event (again) |
//! | `PUT /control/webhooks` `{"delivery": "deliver"\|"repeat"\|"drop"\|"hold"}` | sets what happens to events from now on |
//! | `POST /control/webhooks/release` `{"order": "oldest"\|"newest"}` | delivers the held events |
//! | `PUT /control/fault` `{"fault": {"rateLimited": {"retryAfter": 1}} \| … \| null, "requests"?}` | makes the Backend API fail |

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post, put},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Instance,
    backend_api::Fault,
    webhooks::{Delivery, Order, WebhookEvent},
};

type Answer<T> = Result<Json<T>, (StatusCode, String)>;

/// Serves the requests in the module's table, without the prefix `/control`.
pub fn router(instance: Arc<Instance>) -> Router {
    Router::new()
        .route("/users", post(sign_up))
        .route("/users/{id}", get(history).patch(update).delete(delete))
        .route("/users/{id}/session", post(session))
        .route("/events", get(events))
        .route("/events/{id}/deliver", post(deliver))
        .route("/webhooks", put(set_delivery))
        .route("/webhooks/release", post(release))
        .route("/fault", put(set_fault))
        .with_state(instance)
}

async fn sign_up(State(clerk): State<Arc<Instance>>, Json(profile): Json<Value>) -> Json<Value> {
    Json(clerk.sign_up(&profile))
}

async fn history(State(clerk): State<Arc<Instance>>, Path(id): Path<String>) -> Json<Vec<Value>> {
    Json(clerk.users().history(&id).to_vec())
}

async fn update(
    State(clerk): State<Arc<Instance>>,
    Path(id): Path<String>,
    Json(changes): Json<Value>,
) -> Answer<Value> {
    clerk
        .update(&id, &changes)
        .map(Json)
        .map_err(|error| not_found(&error))
}

async fn delete(State(clerk): State<Arc<Instance>>, Path(id): Path<String>) -> Answer<Value> {
    let deleted = clerk
        .delete(&id)
        .map(|()| json!({ "id": id, "deleted": true }));
    deleted.map(Json).map_err(|error| not_found(&error))
}

async fn session(
    State(clerk): State<Arc<Instance>>,
    Path(id): Path<String>,
) -> Result<String, (StatusCode, String)> {
    if clerk.users().history(&id).is_empty() {
        return Err((StatusCode::NOT_FOUND, format!("there is no user {id}")));
    }
    clerk
        .session_token(&id, &Value::Null)
        .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

async fn events(State(clerk): State<Arc<Instance>>) -> Json<Vec<WebhookEvent>> {
    Json(clerk.webhooks().events().to_vec())
}

async fn deliver(State(clerk): State<Arc<Instance>>, Path(id): Path<String>) -> StatusCode {
    let event = clerk
        .webhooks()
        .events()
        .iter()
        .find(|event| event.id == id)
        .cloned();
    let Some(event) = event else {
        return StatusCode::NOT_FOUND;
    };
    clerk.deliver(vec![event]);
    StatusCode::ACCEPTED
}

#[derive(Deserialize)]
struct DeliveryRequest {
    delivery: Delivery,
}

async fn set_delivery(State(clerk): State<Arc<Instance>>, Json(request): Json<DeliveryRequest>) {
    clerk.webhooks().set_delivery(request.delivery);
}

#[derive(Deserialize)]
struct ReleaseRequest {
    order: Order,
}

async fn release(State(clerk): State<Arc<Instance>>, Json(request): Json<ReleaseRequest>) {
    clerk.release(request.order);
}

#[derive(Deserialize)]
struct FaultRequest {
    fault: Option<Fault>,
    requests: Option<usize>,
}

async fn set_fault(State(clerk): State<Arc<Instance>>, Json(request): Json<FaultRequest>) {
    clerk.faults.end("");
    if let Some(fault) = request.fault {
        clerk.faults.plan("", fault, request.requests);
    }
}

fn not_found(error: &anyhow::Error) -> (StatusCode, String) {
    (StatusCode::NOT_FOUND, error.to_string())
}

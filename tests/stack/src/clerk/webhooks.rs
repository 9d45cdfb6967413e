//! Webhooks, signed and delivered as Svix does it for Clerk.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, header::CONTENT_TYPE};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Clerk, Instance, now};
use crate::random;

/// The seconds that Svix waits before each retry (<https://docs.svix.com/retries>).
const RETRIES: [u64; 7] = [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000];

/// The stand-in's clock is this much faster: all eight attempts fit into two seconds.
const CLOCK: u32 = 50_000;

/// How long Svix waits for an answer. This is not shortened, because the functions' own deadline is
/// in real seconds too.
const TIME_TO_ANSWER: Duration = Duration::from_secs(15);

/// An event about a user, as it is delivered.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookEvent {
    /// The `svix-id`, the same in every delivery.
    pub id: String,
    /// For example `user.updated`.
    pub event_type: String,
    /// The user's id.
    pub user_id: String,
    /// The exact body.
    pub payload: String,
}

/// What happens to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// It is delivered, with retries.
    Deliver,
    /// It is delivered twice.
    Repeat,
    /// It is lost.
    Drop,
    /// It is held until it is released.
    Hold,
}

/// The order in which held events are released.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Oldest first.
    Oldest,
    /// Newest first.
    Newest,
}

/// All events so far, and where they are delivered.
pub struct Webhooks {
    signing_secrets: [String; 2],
    endpoint: Option<String>,
    delivery: Delivery,
    events: Vec<WebhookEvent>,
    held: Vec<WebhookEvent>,
}

/// The automatic deliveries: how many are running, and the result of each attempt.
#[derive(Default)]
pub struct Deliveries {
    running: usize,
    attempts: Vec<(String, u16)>,
}

impl Deliveries {
    /// Whether all are done.
    pub fn are_done(&self) -> bool {
        self.running == 0
    }

    /// The status of the answer to each delivery of an event. 0 for no answer.
    pub fn attempts(&self, event_id: &str) -> Vec<u16> {
        let of_event = self.attempts.iter().filter(|(id, _)| id == event_id);
        of_event.map(|(_, status)| *status).collect()
    }
}

impl Webhooks {
    /// There is no endpoint yet. Events are delivered from the time there is one.
    pub fn new() -> Self {
        let secret = |()| {
            let key = BASE64_STANDARD.encode(random::letters_and_digits(24));
            format!("whsec_{key}")
        };
        Self {
            signing_secrets: [(); 2].map(secret),
            endpoint: None,
            delivery: Delivery::Deliver,
            events: Vec::new(),
            held: Vec::new(),
        }
    }

    /// The endpoint's secret, and the one that will replace it. While secrets are rotated, a second
    /// endpoint delivers every event too.
    pub fn signing_secrets(&self) -> &[String; 2] {
        &self.signing_secrets
    }

    /// Sets where events are delivered from now on.
    pub fn set_endpoint(&mut self, url: &str) {
        self.endpoint = Some(url.to_owned());
    }

    /// Sets what happens to each event from now on.
    pub fn set_delivery(&mut self, delivery: Delivery) {
        self.delivery = delivery;
    }

    /// All events, oldest first, delivered or not.
    pub fn events(&self) -> &[WebhookEvent] {
        &self.events
    }
}

impl Clerk {
    /// Signs any bytes for a delivery now.
    pub fn sign_webhook(&self, event_id: &str, payload: impl AsRef<[u8]>) -> Result<HeaderMap> {
        let [secret, _] = self.webhook_signing_secrets();
        sign(&secret, event_id, payload.as_ref())
    }

    /// Signs any bytes like [`Self::sign_webhook`], with the secret that will replace the first.
    pub fn sign_webhook_with_next_secret(
        &self,
        event_id: &str,
        payload: impl AsRef<[u8]>,
    ) -> Result<HeaderMap> {
        let [_, secret] = self.webhook_signing_secrets();
        sign(&secret, event_id, payload.as_ref())
    }
}

impl Instance {
    /// Creates the event for a change, and starts its delivery.
    pub fn emit(self: &Arc<Self>, event_type: &str, data: &Value) {
        let user_id = data["id"].as_str().unwrap_or_default().to_owned();
        let envelope = json!({
            "data": data,
            "event_attributes": { "http_request": { "client_ip": "203.0.113.7", "user_agent": "Mozilla/5.0" } },
            "instance_id": self.id,
            "object": "event",
            "timestamp": now(),
            "type": event_type,
        });
        let event = WebhookEvent {
            id: format!("msg_{}", random::letters_and_digits(27)),
            event_type: event_type.to_owned(),
            user_id,
            payload: envelope.to_string(),
        };
        let mut webhooks = self.webhooks();
        webhooks.events.push(event.clone());
        let copies = match webhooks.delivery {
            Delivery::Deliver => 1,
            Delivery::Repeat => 2,
            Delivery::Drop => 0,
            Delivery::Hold => {
                webhooks.held.push(event.clone());
                0
            }
        };
        drop(webhooks);
        for _ in 0..copies {
            self.deliver(vec![event.clone()]);
        }
    }

    /// Delivers the held events, one after the other.
    pub fn release(self: &Arc<Self>, order: Order) {
        let mut held = std::mem::take(&mut self.webhooks().held);
        match order {
            Order::Oldest => {}
            Order::Newest => held.reverse(),
        }
        self.deliver(held);
    }

    /// Delivers events to the endpoint in order. The next one starts when the one before has
    /// succeeded or failed for good.
    pub fn deliver(self: &Arc<Self>, events: Vec<WebhookEvent>) {
        let Some(url) = self.webhooks().endpoint.clone() else {
            return;
        };
        let instance = Arc::clone(self);
        instance.deliveries.send_modify(|all| all.running += 1);
        tokio::spawn(async move {
            for event in events {
                instance.deliver_with_retries(&url, &event).await;
            }
            instance.deliveries.send_modify(|all| all.running -= 1);
        });
    }

    async fn deliver_with_retries(&self, url: &str, event: &WebhookEvent) {
        let mut pauses = RETRIES.into_iter();
        loop {
            let answer = self.deliver_once(url, event).await.ok();
            let status = answer.as_ref().map_or(0, |answer| answer.status().as_u16());
            let attempt = (event.id.clone(), status);
            self.deliveries
                .send_modify(|all| all.attempts.push(attempt));
            let is_given_up = answer.is_some_and(|answer| {
                let request = answer.headers().get("webhook-delivery");
                request.is_some_and(|request| request == "abort-message")
            });
            if (200..300).contains(&status) || is_given_up {
                return;
            }
            let Some(pause) = pauses.next() else { return };
            tokio::time::sleep(Duration::from_secs(pause) / CLOCK).await;
        }
    }

    async fn deliver_once(&self, url: &str, event: &WebhookEvent) -> Result<reqwest::Response> {
        let [secret, _] = self.webhooks().signing_secrets().clone();
        let headers = sign(&secret, &event.id, event.payload.as_bytes())?;
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIME_TO_ANSWER)
            .build()?;
        let request = client
            .post(url)
            .headers(headers)
            .body(event.payload.clone());
        Ok(request.send().await?)
    }
}

/// HMAC-SHA256 over `id.timestamp.body`
/// (<https://docs.svix.com/receiving/verifying-payloads/how-manual>). The function verifies it with
/// Svix's own library.
fn sign(secret: &str, event_id: &str, payload: &[u8]) -> Result<HeaderMap> {
    let timestamp = now() / 1_000;
    let secret = secret.trim_start_matches("whsec_");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &BASE64_STANDARD.decode(secret)?);
    let signed = [format!("{event_id}.{timestamp}.").as_bytes(), payload].concat();
    let signature = BASE64_STANDARD.encode(hmac::sign(&key, &signed));
    let mut headers = HeaderMap::new();
    headers.insert("svix-id", event_id.parse()?);
    headers.insert("svix-timestamp", timestamp.into());
    headers.insert("svix-signature", format!("v1,{signature}").parse()?);
    headers.insert(CONTENT_TYPE, "application/json".parse()?);
    Ok(headers)
}

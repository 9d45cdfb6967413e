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

/// What Svix waits before each further attempt (<https://docs.svix.com/retries>), in seconds.
const RETRIES: [u64; 7] = [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000];

/// The stand-in's clock runs so much faster: all eight attempts fit into two seconds.
const CLOCK: u32 = 50_000;

/// How long Svix waits for an answer. This one is not shortened: the functions' own deadline is
/// in real seconds too.
const TIME_TO_ANSWER: Duration = Duration::from_secs(15);

/// Something that happened to a user, as it is delivered.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookEvent {
    /// The `svix-id`, the same in every delivery.
    pub id: String,
    /// Such as `user.updated`.
    pub event_type: String,
    /// Whom it is about.
    pub user_id: String,
    /// The exact body.
    pub payload: String,
}

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// It is delivered, with retries.
    Deliver,
    /// It is delivered, and once more.
    Repeat,
    /// It is lost.
    Drop,
    /// It is kept until it is released.
    Hold,
}

/// In which order held events are released.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// As they happened.
    Oldest,
    /// The other way round.
    Newest,
}

/// All events so far, and where they go.
pub struct Webhooks {
    signing_secrets: [String; 2],
    endpoint: Option<String>,
    delivery: Delivery,
    events: Vec<WebhookEvent>,
    held: Vec<WebhookEvent>,
}

/// The automatic deliveries: how many events are on their way, and what came of each attempt.
#[derive(Default)]
pub struct Deliveries {
    under_way: usize,
    attempts: Vec<(String, u16)>,
}

impl Deliveries {
    /// Whether none is under way.
    pub fn are_done(&self) -> bool {
        self.under_way == 0
    }

    /// The statuses that an event's deliveries were answered with; 0 for no answer.
    pub fn attempts(&self, event_id: &str) -> Vec<u16> {
        let of_event = self.attempts.iter().filter(|(id, _)| id == event_id);
        of_event.map(|(_, status)| *status).collect()
    }
}

impl Webhooks {
    /// No endpoint; events are delivered as soon as there is one.
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

    /// The endpoint's secret, and the one that is to replace it: while secrets are rotated a second
    /// endpoint delivers every event too.
    pub fn signing_secrets(&self) -> &[String; 2] {
        &self.signing_secrets
    }

    /// Says where events go from here on.
    pub fn set_endpoint(&mut self, url: &str) {
        self.endpoint = Some(url.to_owned());
    }

    /// Says what becomes of each event from here on.
    pub fn set_delivery(&mut self, delivery: Delivery) {
        self.delivery = delivery;
    }

    /// All events, oldest first, delivered or not.
    pub fn events(&self) -> &[WebhookEvent] {
        &self.events
    }
}

impl Clerk {
    /// Signs any bytes as a delivery that is made now.
    pub fn sign_webhook(&self, event_id: &str, payload: impl AsRef<[u8]>) -> Result<HeaderMap> {
        let [secret, _] = self.webhook_signing_secrets();
        sign(&secret, event_id, payload.as_ref())
    }

    /// Signs any bytes as the endpoint does that is to replace the first one.
    pub fn sign_webhook_anew(
        &self,
        event_id: &str,
        payload: impl AsRef<[u8]>,
    ) -> Result<HeaderMap> {
        let [_, secret] = self.webhook_signing_secrets();
        sign(&secret, event_id, payload.as_ref())
    }
}

impl Instance {
    /// Makes an event of a change, and starts its delivery.
    pub fn tell(self: &Arc<Self>, event_type: &str, data: &Value) {
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

    /// Delivers what was held back, one after the other.
    pub fn release(self: &Arc<Self>, order: Order) {
        let mut held = std::mem::take(&mut self.webhooks().held);
        match order {
            Order::Oldest => {}
            Order::Newest => held.reverse(),
        }
        self.deliver(held);
    }

    /// Delivers events to the endpoint, each once the one before has succeeded or was given up.
    pub fn deliver(self: &Arc<Self>, events: Vec<WebhookEvent>) {
        let Some(url) = self.webhooks().endpoint.clone() else {
            return;
        };
        let instance = Arc::clone(self);
        instance.deliveries.send_modify(|all| all.under_way += 1);
        tokio::spawn(async move {
            for event in events {
                instance.deliver_with_retries(&url, &event).await;
            }
            instance.deliveries.send_modify(|all| all.under_way -= 1);
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
                let asked = answer.headers().get("webhook-delivery");
                asked.is_some_and(|asked| asked == "abort-message")
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
/// (<https://docs.svix.com/receiving/verifying-payloads/how-manual>). Svix's own library verifies it,
/// in the core.
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

//! The browsers that use the instance, and the users who are signed in there.

use serde_json::{Value, json};

use super::email;
use crate::{clerk::now, random};

/// All browsers.
#[derive(Default)]
pub struct Clients(Vec<Client>);

/// One browser.
pub struct Client {
    id: String,
    created_at: i64,
    sessions: Vec<Session>,
    /// The id of the user who is signing in, and the attempt as the SDK sees it.
    sign_in: Option<(String, Value)>,
    sign_up: Value,
}

/// A signed-in user.
pub struct Session {
    pub id: String,
    pub user_id: String,
    /// Milliseconds since 1970.
    pub created_at: i64,
}

impl Clients {
    /// The client of a browser, or a new one.
    pub fn of(&mut self, id: Option<&str>) -> &mut Client {
        let is_known = |client: &Client| Some(client.id.as_str()) == id;
        let known = self.0.iter().position(is_known);
        let index = known.unwrap_or_else(|| {
            self.0.push(Client::new());
            self.0.len() - 1
        });
        &mut self.0[index]
    }

    /// The client with this id.
    pub fn find(&self, id: &str) -> Option<&Client> {
        self.0.iter().find(|client| client.id == id)
    }
}

impl Client {
    fn new() -> Self {
        Self {
            id: format!("client_{}", random::letters_and_digits(27)),
            created_at: now(),
            sessions: Vec::new(),
            sign_in: None,
            sign_up: Value::Null,
        }
    }

    /// Its id, a secret of the browser.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// In milliseconds since 1970.
    pub fn created_at(&self) -> i64 {
        self.created_at
    }

    /// The sessions, newest last.
    pub fn sessions(&self) -> &[Session] {
        &self.sessions
    }

    /// The session with this id.
    pub fn find(&self, id: &str) -> Option<&Session> {
        self.sessions.iter().find(|session| session.id == id)
    }

    /// The latest attempt to sign in, or null.
    pub fn sign_in(&self) -> Value {
        self.sign_in
            .as_ref()
            .map_or(Value::Null, |(_, attempt)| attempt.clone())
    }

    /// The latest attempt to sign up, or null.
    pub fn sign_up(&self) -> &Value {
        &self.sign_up
    }

    /// Asks for the user's password.
    pub fn begin_sign_in(&mut self, user: &Value, identifier: &str) {
        let attempt = json!({
            "object": "sign_in_attempt", "id": format!("sia_{}", random::letters_and_digits(27)),
            "status": "needs_first_factor", "supported_identifiers": ["email_address"],
            "supported_first_factors": [{ "strategy": "password" }],
            "supported_second_factors": null, "first_factor_verification": null,
            "second_factor_verification": null, "identifier": identifier,
            "user_data": {
                "first_name": user["first_name"], "last_name": user["last_name"],
                "image_url": "", "has_image": false,
            },
            "created_session_id": null, "abandon_at": now() + 24 * 3_600_000,
        });
        let id = user["id"].as_str().unwrap_or_default().to_owned();
        self.sign_in = Some((id, attempt));
    }

    /// Completes a sign-in that has begun.
    pub fn complete_sign_in(&mut self) {
        let Some((user_id, mut attempt)) = self.sign_in.take() else {
            return;
        };
        attempt["status"] = json!("complete");
        attempt["first_factor_verification"] = json!({
            "object": "verification_password", "status": "verified", "strategy": "password",
            "attempts": 1, "expire_at": null,
        });
        attempt["created_session_id"] = json!(self.begin_session(&user_id));
        self.sign_in = Some((user_id, attempt));
    }

    /// Signs in a user who has just signed up, and returns the attempt.
    pub fn complete_sign_up(&mut self, user: &Value) -> Value {
        let user_id = user["id"].as_str().unwrap_or_default();
        self.sign_up = json!({
            "object": "sign_up_attempt", "id": format!("sua_{}", random::letters_and_digits(27)),
            "status": "complete", "required_fields": ["email_address", "password"],
            "optional_fields": ["first_name", "last_name"], "missing_fields": [],
            "unverified_fields": [], "verifications": {
                "email_address": null, "phone_number": null, "web3_wallet": null,
                "external_account": null,
            },
            "username": null, "email_address": email(user), "phone_number": null,
            "web3_wallet": null, "first_name": user["first_name"], "last_name": user["last_name"],
            "password_enabled": true, "unsafe_metadata": {}, "public_metadata": {},
            "custom_action": false, "external_id": null, "legal_accepted_at": null,
            "created_session_id": self.begin_session(user_id), "created_user_id": user_id,
            "abandon_at": now() + 24 * 3_600_000,
        });
        self.sign_up.clone()
    }

    /// Ends the sessions of all users except these.
    pub fn end_sessions_unless(&mut self, is_to_stay: impl Fn(&str) -> bool) {
        self.sessions.retain(|session| is_to_stay(&session.user_id));
    }

    /// Ends one session.
    pub fn end_session(&mut self, id: &str) {
        self.sessions.retain(|session| session.id != id);
    }

    /// By default an instance has one session per browser.
    fn begin_session(&mut self, user_id: &str) -> String {
        let id = format!("sess_{}", random::letters_and_digits(27));
        self.sessions = vec![Session {
            id: id.clone(),
            user_id: user_id.to_owned(),
            created_at: now(),
        }];
        id
    }
}

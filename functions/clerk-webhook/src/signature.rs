//! Bytes of a request → verified bytes from Clerk.

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use svix::webhooks::{Webhook, WebhookError};
use user_sync_core::{
    clerk::EventId,
    config::{Unset, Variable, Variables, list},
    problem::{Problem, ProblemType},
};

/// `CLERK_WEBHOOK_SIGNING_SECRET`: one secret, or several while one is rotated.
pub const SIGNING_SECRET: Variable = Variable {
    names: &["CLERK_WEBHOOK_SIGNING_SECRET"],
    holds: "the endpoint's signing secret, `whsec_…`; several, separated by commas, while one is rotated",
    unset: Unset::Required,
};

/// Verifies that a webhook comes from our Clerk instance. Each signing secret is accepted: there
/// are two while a secret is rotated.
pub struct SignatureVerifier(Vec<SigningSecret>);

/// The signing secret of one endpoint.
struct SigningSecret {
    webhook: Webhook,
    fingerprint: String,
}

impl SigningSecret {
    /// Parses a secret, `whsec_…`. Its fingerprint identifies it without revealing it: the first
    /// eight digits that `printf %s whsec_… | sha256sum` prints.
    fn parse(text: &str) -> Result<Self, &'static str> {
        if !text.starts_with("whsec_") {
            return Err("must be a signing secret, which begins with `whsec_`");
        }
        let webhook =
            Webhook::new(text).map_err(|_| "has an incomplete signing secret; copy it again")?;
        let hash = digest(&SHA256, text.as_bytes());
        let fingerprint = hash.as_ref()[..4].iter().map(|byte| format!("{byte:02x}"));
        Ok(Self {
            webhook,
            fingerprint: fingerprint.collect(),
        })
    }
}

impl SignatureVerifier {
    /// Reads [`SIGNING_SECRET`].
    pub fn configure(variables: &mut Variables) -> Option<Self> {
        variables.get(&SIGNING_SECRET, Self::parse)
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let secrets: Vec<_> = list(text)
            .map(SigningSecret::parse)
            .collect::<Result<_, _>>()?;
        if secrets.is_empty() {
            return Err("has only commas; a signing secret begins with `whsec_`");
        }
        Ok(Self(secrets))
    }

    /// What it uses, for the log.
    pub fn describe(&self) -> String {
        let fingerprints: Vec<_> = self
            .0
            .iter()
            .map(|secret| secret.fingerprint.as_str())
            .collect();
        format!(
            "webhooks signed with a secret of the fingerprint {}",
            fingerprints.join(" or ")
        )
    }

    /// Verifies the exact bytes of a request. Only bytes that it returns may be parsed.
    pub fn verify<'a>(
        &self,
        headers: &HeaderMap,
        body: &'a Bytes,
    ) -> Result<SignedEvent<'a>, SignatureError> {
        let id = headers
            .get("svix-id")
            .and_then(|id| id.to_str().ok())
            .ok_or(SignatureError::Headers("svix-id is missing"))?;
        let mut outcome = Err(WebhookError::InvalidSignature);
        for secret in &self.0 {
            outcome = secret.webhook.verify(body, headers);
            if outcome.is_ok() {
                break;
            }
        }
        outcome?;
        Ok(SignedEvent {
            id: EventId::new(id),
            body,
        })
    }
}

/// Why a request is not accepted as one from Clerk.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// A signature header is missing or malformed: the sender is not Svix.
    #[error("the signature's headers cannot be read: {0}")]
    Headers(&'static str),
    /// The signature matches none of our secrets, or its time is over five minutes away. If the
    /// sender is Svix, the operator compares the signing secrets.
    #[error("the signature is not valid: {0}")]
    Signature(&'static str),
}

impl From<SignatureError> for Problem {
    fn from(error: SignatureError) -> Self {
        let kind = match error {
            SignatureError::Headers(_) => ProblemType {
                status: StatusCode::BAD_REQUEST,
                code: "signature_headers",
                title: "The headers of the signature are missing or malformed",
            },
            SignatureError::Signature(_) => ProblemType {
                status: StatusCode::UNAUTHORIZED,
                code: "signature_invalid",
                title: "The signature is not valid",
            },
        };
        Self::new(kind, error.to_string())
    }
}

impl From<WebhookError> for SignatureError {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::MissingHeader(_) => Self::Headers("one of them is missing"),
            WebhookError::InvalidHeader(_) => Self::Headers("one of them is not text"),
            WebhookError::InvalidTimestamp => Self::Headers("svix-timestamp is not a time"),
            WebhookError::TimestampTooOldError => Self::Signature("it is older than five minutes"),
            WebhookError::FutureTimestampError => Self::Signature("it is from the future"),
            // Svix signs text only.
            WebhookError::InvalidPayload => Self::Signature("the body is not UTF-8"),
            WebhookError::InvalidSignature => Self::Signature("it matches none of our secrets"),
            // These two are about a secret, and ours were parsed at the start.
            WebhookError::InvalidSecret(_) | WebhookError::EmptySecret => {
                Self::Signature("a secret cannot be read")
            }
        }
    }
}

/// An event that is verified but not yet parsed.
#[derive(Debug)]
pub struct SignedEvent<'a> {
    /// The event's id.
    pub id: EventId,
    /// The verified bytes.
    pub body: &'a Bytes,
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    const OLD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const NEW_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const FOREIGN_SECRET: &str = "whsec_5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH";
    const BODY: &str =
        r#"{"type":"user.deleted","data":{"id":"user_1"},"timestamp":1763000000123}"#;

    fn now() -> i64 {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        i64::try_from(since_1970.as_secs()).unwrap()
    }

    fn signed(secret: &str, timestamp: i64, body: &str) -> HeaderMap {
        let webhook = Webhook::new(secret).unwrap();
        let signature = webhook.sign("msg_1", timestamp, body.as_bytes()).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("svix-id", "msg_1".parse().unwrap());
        headers.insert("svix-timestamp", timestamp.into());
        headers.insert("svix-signature", signature.parse().unwrap());
        headers
    }

    fn verify(headers: &HeaderMap, body: &str) -> Result<(), SignatureError> {
        let secrets = format!("{OLD_SECRET},{NEW_SECRET}");
        let verifier = SignatureVerifier::parse(&secrets).unwrap();
        verifier
            .verify(headers, &Bytes::from(body.to_owned()))
            .map(drop)
    }

    #[test]
    fn a_secret_is_described_by_its_fingerprint() {
        let verifier = SignatureVerifier::parse(OLD_SECRET).unwrap();
        assert_eq!(
            verifier.describe(),
            "webhooks signed with a secret of the fingerprint 96ad2ccd"
        );
    }

    #[test]
    fn a_value_without_a_complete_secret_is_refused() {
        for value in [",", "hunter2", "whsec_", "whsec_***"] {
            let mistake = SignatureVerifier::parse(value).err().unwrap();
            assert!(!mistake.contains("hunter2"), "{mistake}");
        }
    }

    #[test]
    fn each_of_our_secrets_verifies_and_no_other_does() {
        for (secret, verifies) in [
            (OLD_SECRET, true),
            (NEW_SECRET, true),
            (FOREIGN_SECRET, false),
        ] {
            assert_eq!(verify(&signed(secret, now(), BODY), BODY).is_ok(), verifies);
        }
    }

    #[test]
    fn one_valid_signature_in_the_list_is_enough() {
        let mut headers = signed(FOREIGN_SECRET, now(), BODY);
        let list = [&headers, &signed(OLD_SECRET, now(), BODY)]
            .map(|headers| headers["svix-signature"].to_str().unwrap().to_owned())
            .join(" ");
        headers.insert("svix-signature", list.parse().unwrap());
        assert!(verify(&headers, BODY).is_ok());
    }

    #[test]
    fn a_signature_is_valid_for_five_minutes_in_both_directions() {
        for (seconds, verifies) in [(-298, true), (-302, false), (298, true), (303, false)] {
            let headers = signed(OLD_SECRET, now() + seconds, BODY);
            assert_eq!(verify(&headers, BODY).is_ok(), verifies, "{seconds} s");
        }
    }

    #[test]
    fn one_changed_byte_breaks_the_signature() {
        let headers = signed(OLD_SECRET, now(), BODY);
        let changed = BODY.replace("user_1", "user_2");
        assert!(matches!(
            verify(&headers, &changed),
            Err(SignatureError::Signature(_))
        ));
        let mut other_id = headers;
        other_id.insert("svix-id", "msg_2".parse().unwrap());
        assert!(matches!(
            verify(&other_id, BODY),
            Err(SignatureError::Signature(_))
        ));
    }

    #[test]
    fn each_header_is_required() {
        for name in ["svix-id", "svix-timestamp", "svix-signature"] {
            let mut headers = signed(OLD_SECRET, now(), BODY);
            headers.remove(name);
            assert!(
                matches!(verify(&headers, BODY), Err(SignatureError::Headers(_))),
                "{name}"
            );
        }
    }
}

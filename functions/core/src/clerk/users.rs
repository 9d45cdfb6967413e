//! Clerk's Backend API: the two reads that this project makes of it.

use std::time::Duration;

use http::{HeaderValue, StatusCode, header::AUTHORIZATION};

use crate::{
    clerk::{ClerkUser, ClerkUserId},
    config::bearer,
    upstream::{Answer, Deadline, HttpClient, MayBeRetried, NoAnswer, with_retries},
};

/// The Backend API, seen with an instance's secret key.
#[derive(Clone, Debug)]
pub struct BackendApi {
    http: HttpClient,
    base_url: String,
    key: SecretKey,
}

/// The secret key of an instance, in the header that carries it.
#[derive(Clone, Debug)]
pub struct SecretKey {
    authorization: HeaderValue,
    kind: &'static str,
}

impl SecretKey {
    /// Reads a key: `sk_live_…` of a production instance, `sk_test_…` of a development one.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.starts_with("pk_") {
            return Err("holds a publishable key; the secret key begins with `sk_`");
        }
        let kinds = ["sk_live", "sk_test", "sk"];
        let is_of = |kind: &&&str| {
            text.strip_prefix(**kind)
                .is_some_and(|rest| rest.starts_with('_'))
        };
        let kind = kinds.iter().find(is_of).ok_or("must begin with `sk_`")?;
        let authorization = bearer(text)?;
        Ok(Self {
            authorization,
            kind,
        })
    }
}

impl BackendApi {
    /// `base_url` is `https://api.clerk.com`, or a stand-in's address, with no slash at its end.
    pub fn new(http: HttpClient, base_url: String, key: SecretKey) -> Self {
        Self {
            http,
            base_url,
            key,
        }
    }

    /// What is used, for the log.
    pub fn describe(&self) -> String {
        format!(
            "Clerk at {} with a key of the kind {}",
            self.base_url, self.key.kind
        )
    }

    /// Reads a user as they are now. `None` where Clerk has no such user (any more).
    pub async fn user(
        &self,
        id: &ClerkUserId,
        deadline: Deadline,
    ) -> Result<Option<ClerkUser>, ClerkError> {
        let Some(json) = self.get(&format!("/v1/users/{id}"), deadline).await? else {
            return Ok(None);
        };
        match ClerkUser::parse(&json) {
            Ok(user) if user.id() == id => Ok(Some(user)),
            Ok(_) => Err(ClerkError::Unreadable("it is another user".to_owned())),
            Err(reason) => Err(ClerkError::Unreadable(reason.to_string())),
        }
    }

    /// Reads the public keys that sign the instance's session tokens, as a JWK set.
    pub async fn session_keys(&self, deadline: Deadline) -> Result<String, ClerkError> {
        self.get("/v1/jwks", deadline)
            .await?
            .ok_or(ClerkError::Refused(StatusCode::NOT_FOUND))
    }

    async fn get(&self, path: &str, deadline: Deadline) -> Result<Option<String>, ClerkError> {
        let url = format!("{}{path}", self.base_url);
        with_retries(deadline, || async {
            let request = self
                .http
                .get(&url)
                .header(AUTHORIZATION, &self.key.authorization);
            read(self.http.send(request, deadline).await?)
        })
        .await
    }
}

/// Why Clerk could not be asked. None of these is the fault of the user whose request it was.
#[derive(Debug, thiserror::Error)]
pub enum ClerkError {
    /// The instance has used up its requests; the caller comes back after the pause.
    #[error("Clerk is rate limiting this instance")]
    RateLimited {
        /// What `Retry-After` asked for.
        retry_after: Option<Duration>,
    },
    /// Clerk is not to be reached or failed itself; the caller comes back.
    #[error("Clerk does not answer: {0}")]
    NoAnswer(#[from] NoAnswer),
    /// Clerk answered with its own failure; the caller comes back.
    #[error("Clerk failed with status {status}")]
    Failed {
        /// Clerk's status.
        status: StatusCode,
        /// What `Retry-After` asked for.
        retry_after: Option<Duration>,
    },
    /// Clerk does not accept our request: mostly a wrong secret key, the operator's to mend.
    #[error("Clerk refused the request with status {0}")]
    Refused(StatusCode),
    /// Clerk's answer is not what its specification says.
    #[error("Clerk's answer cannot be read: {0}")]
    Unreadable(String),
}

impl ClerkError {
    /// What the operator can do, for the log.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Refused(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Some(
                "CLERK_SECRET_KEY is not a key of the instance that CLERK_API_URL serves; copy it again from Clerk's dashboard",
            ),
            Self::RateLimited { .. } => Some(
                "set CLERK_JWT_KEY so that verifying a session costs no request, and compare the instance's traffic with Clerk's limits",
            ),
            Self::Refused(_) | Self::NoAnswer(_) | Self::Failed { .. } | Self::Unreadable(_) => {
                None
            }
        }
    }
}

impl MayBeRetried for ClerkError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::NoAnswer(_) | Self::Failed { .. } => true,
            Self::Refused(_) | Self::Unreadable(_) => false,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } | Self::Failed { retry_after, .. } => *retry_after,
            Self::NoAnswer(_) | Self::Refused(_) | Self::Unreadable(_) => None,
        }
    }
}

fn read(answer: Answer) -> Result<Option<String>, ClerkError> {
    match answer.status {
        StatusCode::OK => String::from_utf8(answer.body.into())
            .map(Some)
            .map_err(|_| ClerkError::Unreadable("it is not UTF-8".to_owned())),
        StatusCode::NOT_FOUND => Ok(None),
        StatusCode::TOO_MANY_REQUESTS => Err(ClerkError::RateLimited {
            retry_after: answer.retry_after,
        }),
        status if status.is_server_error() => Err(ClerkError::Failed {
            status,
            retry_after: answer.retry_after,
        }),
        status => Err(ClerkError::Refused(status)),
    }
}

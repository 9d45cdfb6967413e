//! Clerk's Backend API: the two reads that this project makes.

use std::time::Duration;

use http::{HeaderValue, StatusCode, header::AUTHORIZATION};

use crate::{
    clerk::{ClerkUser, ClerkUserId},
    config::{Unset, Variable, Variables},
    log::{Count, Service},
    problem::Problem,
    upstream::{
        Answer, BaseUrl, Deadline, HttpClient, NoAnswer, RetryableError, bearer, with_retries,
    },
};

/// `CLERK_SECRET_KEY`.
pub const SECRET_KEY: Variable = Variable {
    names: &["CLERK_SECRET_KEY"],
    holds: "the instance's secret key, `sk_…`",
    unset: Unset::Refused,
};

/// `CLERK_API_URL`.
pub const API_URL: Variable = Variable {
    names: &["CLERK_API_URL"],
    holds: "the URL of Clerk's Backend API, with no path",
    unset: Unset::Default("https://api.clerk.com"),
};

/// The Backend API of one instance.
#[derive(Clone, Debug)]
pub struct BackendApi {
    http: HttpClient,
    base_url: BaseUrl,
    key: SecretKey,
}

/// The secret key of an instance, in the header that carries it.
#[derive(Clone, Debug)]
struct SecretKey {
    authorization: HeaderValue,
    kind: &'static str,
}

impl SecretKey {
    /// Reads a key: `sk_live_…` of a production instance, `sk_test_…` of a development one.
    fn parse(text: &str) -> Result<Self, &'static str> {
        if text.starts_with("pk_") {
            return Err("holds a publishable key; the secret key begins with `sk_`");
        }
        let kinds = ["sk_live", "sk_test", "sk"];
        let is_kind = |kind: &&&str| {
            text.strip_prefix(**kind)
                .is_some_and(|rest| rest.starts_with('_'))
        };
        let kind = kinds.iter().find(is_kind);
        let kind = kind.ok_or("must begin with `sk_`")?;
        let authorization = bearer(text)?;
        Ok(Self {
            authorization,
            kind,
        })
    }
}

impl BackendApi {
    /// Reads [`SECRET_KEY`] and [`API_URL`].
    pub fn configure(variables: &mut Variables, http: &HttpClient) -> Option<Self> {
        let key = variables.get(&SECRET_KEY, SecretKey::parse);
        let base_url = variables.get(&API_URL, BaseUrl::parse);
        Some(Self {
            http: http.clone(),
            base_url: base_url?,
            key: key?,
        })
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

/// Why Clerk did not answer as it should. The user whose request it was is never at fault.
#[derive(Debug, thiserror::Error)]
pub enum ClerkError {
    /// The instance has used up its requests. The caller comes back after the pause.
    #[error("Clerk is rate limiting this instance")]
    RateLimited {
        /// What `Retry-After` asked for.
        retry_after: Option<Duration>,
    },
    /// Clerk cannot be reached. The caller comes back.
    #[error("Clerk does not answer: {0}")]
    NoAnswer(#[from] NoAnswer),
    /// Clerk itself failed. The caller comes back.
    #[error("Clerk failed with status {status}")]
    Failed {
        /// Clerk's status.
        status: StatusCode,
        /// What `Retry-After` asked for.
        retry_after: Option<Duration>,
    },
    /// Clerk does not accept our request, mostly because of a wrong secret key, which the operator
    /// fixes.
    #[error("Clerk refused the request with status {0}")]
    Refused(StatusCode),
    /// Clerk's answer is not what its specification says.
    #[error("Clerk's answer cannot be read: {0}")]
    Unreadable(String),
}

impl From<ClerkError> for Problem {
    fn from(error: ClerkError) -> Self {
        let (detail, hint) = (error.to_string(), error.hint());
        let count = Some(Count::UpstreamError(Service::Clerk));
        match error {
            ClerkError::RateLimited { retry_after } => Self {
                status: StatusCode::SERVICE_UNAVAILABLE,
                code: "clerk_rate_limited",
                title: "Clerk is rate limiting",
                detail,
                hint,
                count,
                header: Some(Self::retry_after(retry_after)),
            },
            ClerkError::NoAnswer(_)
            | ClerkError::Failed { .. }
            | ClerkError::Refused(_)
            | ClerkError::Unreadable(_) => Self {
                status: StatusCode::BAD_GATEWAY,
                code: "clerk_failed",
                title: "Clerk failed",
                detail,
                hint,
                count,
                header: None,
            },
        }
    }
}

impl ClerkError {
    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Refused(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Some(
                "CLERK_SECRET_KEY does not belong to an instance at CLERK_API_URL; copy it again from Clerk's dashboard",
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

impl RetryableError for ClerkError {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_must_be_a_secret_key_and_never_shows() {
        for (text, kind) in [
            ("sk_live_abc", "sk_live"),
            ("sk_test_abc", "sk_test"),
            ("sk_abc", "sk"),
        ] {
            let key = SecretKey::parse(text).unwrap();
            assert_eq!(key.kind, kind);
            assert!(!format!("{key:?}").contains("abc"));
        }
        for text in ["", "abc", "pk_test_abc", "sk", "sk_abc\u{7f}"] {
            assert!(SecretKey::parse(text).is_err(), "{text}");
        }
    }
}

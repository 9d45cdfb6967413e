//! Clerk's Backend API: the two reads that the functions need.

use std::time::Duration;

use http::{HeaderValue, StatusCode, header::AUTHORIZATION};

use crate::{
    clerk::{ClerkUser, ClerkUserId},
    config::{Unset, Variable, Variables},
    log::{Count, Service},
    problem::{Problem, ProblemType},
    secret::bearer,
    upstream::{Answer, BaseUrl, Deadline, HttpClient, NoAnswer, RetryableError, with_retries},
};

/// `CLERK_SECRET_KEY`.
pub const SECRET_KEY: Variable = Variable {
    names: &["CLERK_SECRET_KEY"],
    holds: "the instance's secret key, `sk_…`",
    unset: Unset::Required,
};

/// `CLERK_API_URL`.
pub const API_URL: Variable = Variable {
    names: &["CLERK_API_URL"],
    holds: "the URL of Clerk's Backend API, with no path",
    unset: Unset::Default("https://api.clerk.com"),
};

/// The Backend API of one Clerk instance.
#[derive(Clone, Debug)]
pub struct BackendApi {
    http: HttpClient,
    base_url: BaseUrl,
    key: SecretKey,
}

/// The secret key of an instance, as the value of a header.
#[derive(Clone, Debug)]
struct SecretKey {
    authorization: HeaderValue,
    kind: &'static str,
}

impl SecretKey {
    /// Parses a key: `sk_live_…` for a production instance, `sk_test_…` for a development one.
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

    /// What it uses, for the log.
    pub fn describe(&self) -> String {
        format!(
            "Clerk at {} with a key of the kind {}",
            self.base_url, self.key.kind
        )
    }

    /// Reads the current state of a user. `None` if Clerk does not have the user (any more).
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
            Ok(_) => Err(ClerkError::Unreadable(
                "it is about another user".to_owned(),
            )),
            Err(reason) => Err(ClerkError::Unreadable(reason.to_string())),
        }
    }

    /// Reads the public keys that verify the instance's session tokens, as the JSON of a JWK set.
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

/// Why a call to Clerk failed. The signed-in user is never at fault.
#[derive(Debug, thiserror::Error)]
pub enum ClerkError {
    /// The instance has made too many requests. The caller tries again after the pause.
    #[error("Clerk is rate limiting this instance")]
    RateLimited {
        /// The pause in `Retry-After`, if any.
        retry_after: Option<Duration>,
    },
    /// Clerk cannot be reached. The caller tries again later.
    #[error("Clerk does not answer: {0}")]
    NoAnswer(#[from] NoAnswer),
    /// Clerk itself failed. The caller tries again later.
    #[error("Clerk failed with status {status}")]
    Failed {
        /// Clerk's status.
        status: StatusCode,
        /// The pause in `Retry-After`, if any.
        retry_after: Option<Duration>,
    },
    /// Clerk does not accept our request, usually because the secret key is wrong. The operator
    /// fixes it.
    #[error("Clerk refused the request with status {0}")]
    Refused(StatusCode),
    /// Clerk's answer does not follow its specification. A retry does not help.
    #[error("Clerk's answer cannot be read: {0}")]
    Unreadable(String),
}

impl From<ClerkError> for Problem {
    fn from(error: ClerkError) -> Self {
        let (detail, hint) = (error.to_string(), error.hint());
        let (kind, header) = match error {
            ClerkError::RateLimited { retry_after } => {
                let kind = ProblemType {
                    status: StatusCode::SERVICE_UNAVAILABLE,
                    code: "clerk_rate_limited",
                    title: "Clerk is rate limiting",
                };
                (kind, Some(Self::retry_after_header(retry_after)))
            }
            ClerkError::NoAnswer(_)
            | ClerkError::Failed { .. }
            | ClerkError::Refused(_)
            | ClerkError::Unreadable(_) => {
                let kind = ProblemType {
                    status: StatusCode::BAD_GATEWAY,
                    code: "clerk_failed",
                    title: "Clerk failed",
                };
                (kind, None)
            }
        };
        Self {
            kind,
            detail,
            hint,
            count: Some(Count::UpstreamError(Service::Clerk)),
            header,
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
                "set CLERK_JWT_KEY so that verifying a session needs no request, and compare the instance's traffic with Clerk's limits",
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
    fn a_key_must_be_a_secret_key_and_debug_does_not_show_it() {
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

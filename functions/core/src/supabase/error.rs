//! What Supabase's errors mean: whether a retry may help, and who fixes them.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;

use crate::{
    log::{Count, Service},
    problem::{Problem, ProblemType},
    upstream::{Answer, NoAnswer, RetryableError},
};

/// Why a call to Supabase failed.
#[derive(Debug, thiserror::Error)]
pub enum SupabaseError {
    /// PostgreSQL cannot store this user, now or later. The user's data is at fault.
    #[error("PostgreSQL cannot store this user (SQLSTATE {sqlstate})")]
    NotStorable {
        /// It is of class 22 (data exception) or 23 (integrity constraint violation).
        /// PostgreSQL's message is left out, because it quotes the data.
        sqlstate: String,
    },
    /// A deadlock, a time-out, a restart or an overload. The caller tries again later.
    #[error("Supabase cannot answer now ({code}, status {status})")]
    Busy {
        /// PostgREST's code or PostgreSQL's SQLSTATE; `none` if a proxy answered.
        code: String,
        /// The HTTP status.
        status: StatusCode,
        /// The pause in `Retry-After`, if any. PostgREST sends it while it has no database.
        retry_after: Option<Duration>,
    },
    /// A function of the migrations failed, but not because of the user's data. Usually somebody
    /// has edited the function. The operator fixes it.
    #[error("a function of the migrations failed ({code}, status {status})")]
    Failed {
        /// PostgREST's code or PostgreSQL's SQLSTATE; `none` if a proxy answered.
        code: String,
        /// The HTTP status.
        status: StatusCode,
    },
    /// Supabase cannot be reached. The caller tries again later.
    #[error("Supabase does not answer: {0}")]
    NoAnswer(#[from] NoAnswer),
    /// An SQL function does not exist. The operator runs the migrations.
    #[error("a function of the migrations is missing ({code})")]
    NotMigrated {
        /// PostgREST's code.
        code: String,
    },
    /// The key may not do this: it is the wrong key, or its role lacks a grant. The operator fixes
    /// it.
    #[error("Supabase refused the key ({code}, status {status})")]
    Refused {
        /// PostgREST's code or PostgreSQL's SQLSTATE; `none` if the gateway answered.
        code: String,
        /// The HTTP status.
        status: StatusCode,
    },
    /// The answer does not fit the contract: the migrations have another version. The operator runs
    /// the right ones.
    #[error("Supabase's answer cannot be read: {0}")]
    Unreadable(String),
}

impl SupabaseError {
    /// Reads an answer that is not a success
    /// (<https://docs.postgrest.org/en/v12/references/errors.html>).
    pub fn from_answer(answer: &Answer) -> Self {
        #[derive(Deserialize)]
        struct Body {
            code: String,
        }
        let (status, retry_after) = (answer.status, answer.retry_after);
        let busy = |code| Self::Busy {
            code,
            status,
            retry_after,
        };
        let code = serde_json::from_slice(&answer.body)
            .map_or_else(|_| "none".to_owned(), |body: Body| body.code);
        match code.as_str() {
            "PGRST202" | "PGRST204" | "PGRST205" => Self::NotMigrated { code },
            // Two writes collided, in a deadlock or on a unique value. At the next attempt, the
            // other write is done.
            "40001" | "40P01" | "23505" => busy(code),
            _ if code.starts_with("22") || code.starts_with("23") => {
                Self::NotStorable { sqlstate: code }
            }
            _ if status.is_server_error() => busy(code),
            _ => match status {
                StatusCode::TOO_MANY_REQUESTS => busy(code),
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Refused { code, status },
                _ => Self::Failed { code, status },
            },
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotMigrated { .. } => Some(
                "run the files of supabase/migrations on this project; if they were run, wait for the schema cache, or run: notify pgrst, 'reload schema'",
            ),
            Self::Refused { code, .. } if code == "42501" => Some(
                "grant the owner of the functions, postgres, what your own mapping reads and writes",
            ),
            Self::Refused { .. } => Some(
                "SUPABASE_SECRET_KEY (or SUPABASE_SERVICE_ROLE_KEY) must be a secret key (sb_secret_…), or the service_role JWT, of the project at SUPABASE_URL",
            ),
            Self::Unreadable(_) => {
                Some("run the files of supabase/migrations that belong to this version")
            }
            Self::NotStorable { .. } => Some(
                "look the SQLSTATE up in PostgreSQL's documentation, appendix A, and compare the user in Clerk with the table",
            ),
            Self::Failed { .. } => Some(
                "look the code up in PostgreSQL's documentation, appendix A, and run the files of supabase/migrations, or fix your own mapping",
            ),
            Self::Busy { code, .. } if code == "23505" => Some(
                "if this lasts, a column of your own table is unique and user_sync.write_row does not take its value from the older user: see supabase/examples/profiles.sql",
            ),
            Self::Busy { .. } | Self::NoAnswer(_) => None,
        }
    }
}

impl From<SupabaseError> for Problem {
    fn from(error: SupabaseError) -> Self {
        let (detail, hint) = (error.to_string(), error.hint());
        match error {
            SupabaseError::NotStorable { .. } => {
                let kind = ProblemType {
                    status: StatusCode::UNPROCESSABLE_ENTITY,
                    code: "user_not_storable",
                    title: "The user cannot be stored",
                };
                Self {
                    hint,
                    ..Self::new(kind, detail)
                }
            }
            SupabaseError::Busy { .. }
            | SupabaseError::Failed { .. }
            | SupabaseError::NoAnswer(_)
            | SupabaseError::NotMigrated { .. }
            | SupabaseError::Refused { .. }
            | SupabaseError::Unreadable(_) => Self {
                kind: ProblemType {
                    status: StatusCode::SERVICE_UNAVAILABLE,
                    code: "supabase_failed",
                    title: "The database is not available",
                },
                detail,
                hint,
                count: Some(Count::UpstreamError(Service::Supabase)),
                header: Some(Self::retry_after_header(error.retry_after())),
            },
        }
    }
}

impl RetryableError for SupabaseError {
    fn is_retryable(&self) -> bool {
        match self {
            // The statement waited for seconds already, for a lock (55P03) or until its own time-out
            // (57014). Repeated at once, such statements would use up the connections of the API.
            Self::Busy { code, .. } => !matches!(code.as_str(), "55P03" | "57014"),
            Self::NoAnswer(_) => true,
            Self::NotStorable { .. }
            | Self::Failed { .. }
            | Self::NotMigrated { .. }
            | Self::Refused { .. }
            | Self::Unreadable(_) => false,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            Self::NotStorable { .. }
            | Self::Failed { .. }
            | Self::NoAnswer(_)
            | Self::NotMigrated { .. }
            | Self::Refused { .. }
            | Self::Unreadable(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn error_of(status: u16, body: &str) -> SupabaseError {
        SupabaseError::from_answer(&Answer {
            status: StatusCode::from_u16(status).unwrap(),
            retry_after: None,
            body: Bytes::from(body.to_owned()),
        })
    }

    #[test]
    fn an_error_is_retried_only_if_that_may_help() {
        for (status, body, retryable) in [
            (500, r#"{"code":"40001"}"#, true),
            (500, r#"{"code":"40P01"}"#, true),
            (409, r#"{"code":"23505"}"#, true),
            (500, r#"{"code":"55P03"}"#, false),
            (500, r#"{"code":"57014"}"#, false),
            (503, r#"{"code":"PGRST001"}"#, true),
            (503, r#"{"code":"PGRST002"}"#, true),
            (504, r#"{"code":"PGRST003"}"#, true),
            (502, "<html>", true),
            (429, "", true),
            (400, r#"{"code":"P0001"}"#, false),
            (404, r#"{"code":"42P01"}"#, false),
            (400, r#"{"code":"22P05","message":"a@example.com"}"#, false),
            (409, r#"{"code":"23502"}"#, false),
            (404, r#"{"code":"PGRST202"}"#, false),
            (401, r#"{"code":"PGRST301"}"#, false),
            (401, r#"{"message":"Invalid API key"}"#, false),
            (403, r#"{"code":"42501"}"#, false),
        ] {
            let error = error_of(status, body);
            assert_eq!(error.is_retryable(), retryable, "{error}");
            assert!(!error.to_string().contains("example.com"));
        }
    }

    #[test]
    fn a_problem_that_the_operator_can_fix_comes_with_a_hint() {
        for (status, body, word) in [
            (404, r#"{"code":"PGRST202"}"#, "supabase/migrations"),
            (401, r#"{"code":"PGRST301"}"#, "SUPABASE_SECRET_KEY"),
            (403, r#"{"code":"42501"}"#, "grant"),
            (409, r#"{"code":"23505"}"#, "profiles.sql"),
        ] {
            assert!(error_of(status, body).hint().unwrap().contains(word));
        }
    }
}

//! A problem: what a failure says to the caller (RFC 9457) and to the log.
//!
//! Each error type turns itself into a problem. A new refusal is one variant and one arm in the
//! file of its error.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde_json::json;

use crate::{
    log::{self, Count, Level},
    response::json_response,
};

/// A failure as a value.
#[derive(Debug)]
pub struct Problem {
    /// What the caller learns.
    pub kind: ProblemType,
    /// The cause, for the log.
    pub detail: String,
    /// How the operator can fix it, for the log.
    pub hint: Option<&'static str>,
    /// What the log line counts.
    pub count: Option<Count>,
    /// A header for the answer, such as `Retry-After`.
    pub header: Option<(HeaderName, HeaderValue)>,
}

/// The public part of a problem. `docs/API.md` lists them all.
#[derive(Debug)]
pub struct ProblemType {
    /// The status of the answer.
    pub status: StatusCode,
    /// A stable name that callers can match on.
    pub code: &'static str,
    /// One sentence for the caller. It contains nothing secret or personal.
    pub title: &'static str,
}

/// How long the caller is asked to wait if the service does not say.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(5);

impl Problem {
    /// A problem without hint, count and header.
    pub fn new(kind: ProblemType, detail: String) -> Self {
        Self {
            kind,
            detail,
            hint: None,
            count: None,
            header: None,
        }
    }

    /// The header that asks the caller to try again, after the service's pause or after 5 s.
    pub(crate) fn retry_after_header(pause: Option<Duration>) -> (HeaderName, HeaderValue) {
        // PostgREST sends 0 while it reconnects to its database. That is too soon for a caller.
        let pause = pause.filter(|pause| !pause.is_zero());
        let seconds = pause.unwrap_or(DEFAULT_RETRY_AFTER).as_secs();
        (RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Logs the problem with the function's label, and returns the answer.
    pub fn into_response(self, label: &str) -> Response<Bytes> {
        self.log(label);
        let body = json!({
            "type": "about:blank",
            "title": self.kind.title,
            "status": self.kind.status.as_u16(),
            "code": self.kind.code,
        });
        let mut response = json_response(self.kind.status, &body);
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.extend(self.header);
        response
    }

    fn log(&self, label: &str) {
        let (status, detail) = (self.kind.status.as_u16(), &self.detail);
        let level = match status {
            500.. => Level::Error,
            410 | 422 => Level::Warn,
            _ => Level::Info,
        };
        let hint = self
            .hint
            .map(|hint| format!(" (hint: {hint})"))
            .unwrap_or_default();
        log::write(
            level,
            self.count,
            format_args!("[{label}] {status}: {detail}{hint}"),
        );
    }
}

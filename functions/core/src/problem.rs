//! A problem: what the caller learns of a failure (RFC 9457), and what the log says. It is made by
//! the error that knows it, so a new refusal is one variant and one arm where it belongs.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};
use serde::Serialize;
use serde_json::json;

use crate::log::{self, Count, Level};

/// A failure as a value. `docs/API.md` lists each status and code.
#[derive(Debug)]
pub struct Problem {
    /// The status of the answer.
    pub status: StatusCode,
    /// One word that stays the same, so that callers may match on it.
    pub code: &'static str,
    /// One sentence for the caller. It gives nothing away.
    pub title: &'static str,
    /// The full story, for the log.
    pub detail: String,
    /// What the operator can do, for the log.
    pub hint: Option<&'static str>,
    /// What the log line counts.
    pub count: Option<Count>,
    /// The header that the caller needs beside the status.
    pub header: Option<(HeaderName, HeaderValue)>,
}

/// What the caller of a passing failure is asked to wait, where the service does not say it.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(5);

impl Problem {
    /// Asks the caller to come back: after the pause that the service asked for, or after 5 s.
    pub fn retry_after(pause: Option<Duration>) -> (HeaderName, HeaderValue) {
        // PostgREST says 0 while it looks for its database: for the next attempt, not for a visitor.
        let pause = pause.filter(|pause| !pause.is_zero());
        let seconds = pause.unwrap_or(DEFAULT_RETRY_AFTER).as_secs();
        (RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Logs the problem under the function's label, and answers.
    pub fn into_response(self, label: &str) -> Response<Bytes> {
        self.log(label);
        let body = json!({
            "type": "about:blank",
            "title": self.title,
            "status": self.status.as_u16(),
            "code": self.code,
        });
        let mut response = answer(self.status, &body);
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.extend(self.header);
        response
    }

    fn log(&self, label: &str) {
        let (status, detail) = (self.status.as_u16(), &self.detail);
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

/// An answer in JSON that no cache keeps: each is about one user at one moment.
pub(crate) fn answer(status: StatusCode, body: &impl Serialize) -> Response<Bytes> {
    let body = json!(body).to_string();
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

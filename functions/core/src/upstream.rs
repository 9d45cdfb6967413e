//! Calls to an outside service: one client, a time-out for each attempt, and up to two retries
//! before the deadline of the request that needs the call.

use std::{fmt, time::Duration};

use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use tokio::time::Instant;

/// How long one attempt may take, from the DNS look-up to the last byte of the answer.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a connection may take to open. A cold TLS handshake across an ocean takes under 1 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The pause between two pings of a connection, and the time-out of each. So a dead connection is
/// noticed within 2 s, which leaves time for another attempt.
const PING: Duration = Duration::from_secs(1);

/// The retries come after about 0.1 s and 0.2 s, each plus a random time of up to the same length.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const RETRIES: usize = 2;

/// When a request must be answered: 8 s after its start, including everything that it waits for.
/// Clerk's webhook sender gives up after 15 s, and a browser tab should not wait longer than 8 s.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    start: Instant,
}

impl Deadline {
    /// The deadline of a request that starts now.
    pub fn for_a_request() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// How much time has passed since the request started.
    pub fn elapsed(self) -> Duration {
        self.start.elapsed()
    }

    /// How much time is left: zero after the deadline.
    pub fn remaining(self) -> Duration {
        Duration::from_secs(8).saturating_sub(self.elapsed())
    }
}

/// An error that knows whether a retry of the same call may succeed.
pub trait RetryableError {
    /// Whether a retry may succeed.
    fn is_retryable(&self) -> bool;
    /// The pause that the service asked for, if any.
    fn retry_after(&self) -> Option<Duration>;
}

/// Makes a call, and retries it while its error is retryable and the deadline allows. A retry waits
/// for at least `Retry-After`. If that is later than the deadline, the error is returned at once.
pub async fn with_retries<T, E, F>(deadline: Deadline, call: impl FnMut() -> F) -> Result<T, E>
where
    E: RetryableError,
    F: Future<Output = Result<T, E>>,
{
    call.retry(
        ExponentialBuilder::default()
            .with_min_delay(FIRST_PAUSE)
            .with_max_times(RETRIES)
            .with_jitter(),
    )
    .when(RetryableError::is_retryable)
    .adjust(|error, pause| {
        let pause = pause?.max(error.retry_after().unwrap_or_default());
        (pause < deadline.remaining()).then_some(pause)
    })
    .await
}

/// Why no answer came. A retry may get one.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// No answer came in time, or the deadline had passed already.
    #[error("no answer in time")]
    TimedOut,
    /// The service cannot be reached, or it closed the connection.
    #[error("no connection: {0}")]
    NoConnection(String),
}

/// The complete answer of an outside service.
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// `Retry-After`, if it was sent in seconds.
    pub retry_after: Option<Duration>,
    /// The whole body.
    pub body: Bytes,
}

/// The address of a service: scheme, host and port, without a slash at the end.
#[derive(Clone, Debug)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// Reads a URL. Refuses a path: with the `/v1` of Clerk's documentation, or with Supabase's
    /// `/rest/v1`, every call would get a 404, which here means something else.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let url = reqwest::Url::parse(text).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or("must be a URL that begins with `https://`")?;
        if url.path() != "/" || url.query().is_some() {
            return Err("must end after the host, without a path");
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The one HTTP client of a process. All calls share it, so that connections are reused.
#[derive(Clone, Debug)]
pub struct HttpClient(reqwest::Client);

impl HttpClient {
    /// Builds the client. It does not follow redirects: a key must not be sent to another host.
    ///
    /// Clerk and Supabase speak HTTP/2, so all requests to one of them share one connection. After
    /// a platform has frozen a function for a while, that connection may be dead. Pings detect
    /// this, and the next attempt opens a new one.
    pub fn new() -> Result<Self, reqwest::Error> {
        reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(PING)
            .http2_keep_alive_timeout(PING)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!(
                "self-healing-user-sync/",
                env!("CARGO_PKG_VERSION")
            ))
            .build()
            .map(Self)
    }

    /// Starts a GET request.
    pub fn get(&self, url: &str) -> reqwest::RequestBuilder {
        self.0.get(url)
    }

    /// Makes one attempt, limited by [`ATTEMPT_TIMEOUT`] and the deadline.
    pub async fn send(
        &self,
        request: reqwest::RequestBuilder,
        deadline: Deadline,
    ) -> Result<Answer, NoAnswer> {
        let limit = ATTEMPT_TIMEOUT.min(deadline.remaining());
        let attempt = async {
            let response = self.0.execute(request.build()?).await?;
            Ok(Answer {
                status: response.status(),
                retry_after: retry_after(response.headers()),
                body: response.bytes().await?,
            })
        };
        match tokio::time::timeout(limit, attempt).await {
            Ok(answer) => answer.map_err(|error: reqwest::Error| no_connection(&error)),
            Err(_) => Err(NoAnswer::TimedOut),
        }
    }
}

/// The seconds in `Retry-After`. Its other form is a date, which neither Clerk nor Supabase sends.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Keeps the deepest cause ("Connection refused"), which reqwest's own text leaves out. Drops the
/// URL, which contains a user's id.
fn no_connection(error: &reqwest::Error) -> NoAnswer {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    if error.is_timeout() {
        NoAnswer::TimedOut
    } else {
        NoAnswer::NoConnection(cause.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Failed {
        retryable: bool,
        retry_after: Option<Duration>,
    }

    impl RetryableError for Failed {
        fn is_retryable(&self) -> bool {
            self.retryable
        }

        fn retry_after(&self) -> Option<Duration> {
            self.retry_after
        }
    }

    async fn count_attempts(retryable: bool, retry_after: Option<u64>) -> u32 {
        let attempts = Cell::new(0);
        let result: Result<(), Failed> = with_retries(Deadline::for_a_request(), || async {
            attempts.set(attempts.get() + 1);
            Err(Failed {
                retryable,
                retry_after: retry_after.map(Duration::from_secs),
            })
        })
        .await;
        assert!(result.is_err());
        attempts.get()
    }

    // All at once, because they wait in real time. Tokio's test clock is a feature, which would
    // compile tokio and all that depends on it a second time.
    #[tokio::test]
    async fn a_call_is_retried_twice_at_most_and_only_if_that_may_help() {
        let attempts = tokio::join!(
            count_attempts(true, None),
            count_attempts(true, Some(1)),
            count_attempts(true, Some(5)),
            count_attempts(true, Some(8)),
            count_attempts(false, None),
        );
        assert_eq!(attempts, (3, 3, 2, 1, 1));
    }

    #[tokio::test]
    async fn a_retry_waits_for_as_long_as_retry_after_says() {
        let start = Instant::now();
        assert_eq!(count_attempts(true, Some(2)).await, 3);
        assert!(start.elapsed() >= Duration::from_secs(4));
    }
}

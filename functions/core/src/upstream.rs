//! Calls to an outside service: one client, a time-out for each attempt, and at most two more
//! attempts inside the deadline of the request that they serve.

use std::{fmt, time::Duration};

use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header::RETRY_AFTER};
use tokio::time::Instant;

/// How long one attempt may take, from the name look-up to the last byte of the answer.
const ATTEMPT: Duration = Duration::from_secs(3);

/// How long a connection may take to open. A cold TLS handshake across an ocean takes under one.
const CONNECT: Duration = Duration::from_secs(2);

/// A dead connection is noticed within two of these, which leaves time for another attempt.
const PING: Duration = Duration::from_secs(1);

/// The two further attempts come after about 0.1 s and 0.2 s, each with up to as much jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const FURTHER_ATTEMPTS: usize = 2;

/// When a request must be answered: 8 s after its start, whatever it waits for. Clerk's webhook
/// sender gives up after 15 s, and a browser tab should not wait for longer.
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

    /// How much time is left; zero when it has passed.
    pub fn remaining(self) -> Duration {
        Duration::from_secs(8).saturating_sub(self.elapsed())
    }
}

/// An error that knows whether the same call may succeed when it is repeated.
pub trait RetryableError {
    /// Whether the call may be repeated at once.
    fn is_retryable(&self) -> bool;
    /// The pause that the service asked for.
    fn retry_after(&self) -> Option<Duration>;
}

/// Makes a call, and repeats it while its error is retryable and the deadline allows. `Retry-After`
/// counts: where it reaches past the deadline, the error is returned at once.
pub async fn with_retries<T, E, F>(deadline: Deadline, call: impl FnMut() -> F) -> Result<T, E>
where
    E: RetryableError,
    F: Future<Output = Result<T, E>>,
{
    call.retry(
        ExponentialBuilder::default()
            .with_min_delay(FIRST_PAUSE)
            .with_max_times(FURTHER_ATTEMPTS)
            .with_jitter(),
    )
    .when(RetryableError::is_retryable)
    .adjust(|error, pause| {
        let pause = pause?.max(error.retry_after().unwrap_or_default());
        (pause < deadline.remaining()).then_some(pause)
    })
    .await
}

/// No answer came.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// Nothing came in time, or the deadline had passed already.
    #[error("no answer in time")]
    TimedOut,
    /// The service cannot be reached, or it closed the connection.
    #[error("no connection: {0}")]
    NoConnection(String),
}

/// What an outside service answered, read to its end.
pub struct Answer {
    /// The status line's code.
    pub status: StatusCode,
    /// `Retry-After`, where it was sent in seconds.
    pub retry_after: Option<Duration>,
    /// The body, whole.
    pub body: Bytes,
}

/// Where a service is reached: scheme and host, and no slash at the end.
#[derive(Clone, Debug)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// Reads a URL. A path is refused: with the `/v1` that Clerk's documentation shows, or with
    /// Supabase's `/rest/v1`, every call would answer 404, which means something else.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let url = reqwest::Url::parse(text).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or("must be a URL that begins with `https://`")?;
        if url.path() != "/" || url.query().is_some() {
            return Err("must end with the host: nothing may follow it");
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A header value that does not show in `Debug`.
pub fn secret_header(text: &str) -> Result<HeaderValue, &'static str> {
    let mut value =
        HeaderValue::from_str(text).map_err(|_| "holds characters that no key contains")?;
    value.set_sensitive(true);
    Ok(value)
}

/// The header value that carries a key as a Bearer.
pub fn bearer(key: &str) -> Result<HeaderValue, &'static str> {
    secret_header(&format!("Bearer {key}"))
}

/// The one client of a process. All its calls share it, so that connections are reused.
#[derive(Clone, Debug)]
pub struct HttpClient(reqwest::Client);

impl HttpClient {
    /// Builds the client. Redirects are not followed: a key must not travel to another host.
    ///
    /// Clerk and Supabase speak HTTP/2, where all requests share one connection. A function that a
    /// platform has frozen wakes up with a dead one: pings find that out, and the next attempt
    /// opens another.
    pub fn new() -> Result<Self, reqwest::Error> {
        reqwest::Client::builder()
            .connect_timeout(CONNECT)
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

    /// Makes one attempt, inside [`ATTEMPT`] and the deadline.
    pub async fn send(
        &self,
        request: reqwest::RequestBuilder,
        deadline: Deadline,
    ) -> Result<Answer, NoAnswer> {
        let time = ATTEMPT.min(deadline.remaining());
        let attempt = async {
            let response = self.0.execute(request.build()?).await?;
            Ok(Answer {
                status: response.status(),
                retry_after: retry_after(response.headers()),
                body: response.bytes().await?,
            })
        };
        match tokio::time::timeout(time, attempt).await {
            Ok(answer) => answer.map_err(|error: reqwest::Error| no_connection(&error)),
            Err(_) => Err(NoAnswer::TimedOut),
        }
    }
}

/// The seconds of `Retry-After`. Its other form, a date, is sent by neither Clerk nor Supabase.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Names the deepest cause ("Connection refused"), which reqwest's own text leaves out, and not the
/// URL, which carries a user's id.
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

    async fn attempts_of_a_call_that_fails_with(retryable: bool, retry_after: Option<u64>) -> u32 {
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

    #[tokio::test(start_paused = true)]
    async fn a_call_is_made_three_times_at_most_and_once_where_that_cannot_help() {
        for (retryable, retry_after, attempts) in [
            (true, None, 3),
            (true, Some(1), 3),
            (true, Some(5), 2),
            (true, Some(8), 1),
            (false, None, 1),
        ] {
            assert_eq!(
                attempts_of_a_call_that_fails_with(retryable, retry_after).await,
                attempts,
                "retryable: {retryable}, Retry-After: {retry_after:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_is_waited_for() {
        let start = Instant::now();
        assert_eq!(attempts_of_a_call_that_fails_with(true, Some(2)).await, 3);
        assert!(start.elapsed() >= Duration::from_secs(4));
    }
}

//! A function: built once from its environment, then asked many times.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header::ALLOW};
use serde::Serialize;

use crate::{
    config::{ConfigError, Variable, Variables},
    log::{self, LogFormat},
    problem::{Problem, answer},
    upstream::HttpClient,
};

/// What a platform runs.
pub trait Function: Send + Sync + Sized + 'static {
    /// What its log lines begin with, in brackets.
    const LABEL: &'static str;

    /// Every variable that it reads.
    const VARIABLES: &'static [&'static Variable];

    /// What it answers with status 200.
    type Answer: Serialize;

    /// Builds the function from the environment, on the one HTTP client. Every variable is read,
    /// so that all mistakes are reported at once; `None` when there was one.
    fn configure(variables: &mut Variables, http: &HttpClient) -> Option<Self>;

    /// What the function will use, in one line without a secret.
    fn describe(&self) -> String;

    /// Answers a POST.
    fn answer(
        &self,
        request: &Request<Bytes>,
    ) -> impl Future<Output = Result<Self::Answer, Problem>> + Send;
}

/// Answers a request. Whatever goes wrong is an answer too.
pub async fn handle<F: Function>(function: &F, request: Request<Bytes>) -> Response<Bytes> {
    let answered = if request.method() == Method::POST {
        function.answer(&request).await
    } else {
        Err(method_not_allowed())
    };
    match answered {
        Ok(body) => answer(StatusCode::OK, &body),
        Err(problem) => problem.into_response(F::LABEL),
    }
}

fn method_not_allowed() -> Problem {
    Problem {
        status: StatusCode::METHOD_NOT_ALLOWED,
        code: "method_not_allowed",
        title: "Only POST is served here",
        detail: "only POST is served here".to_owned(),
        hint: None,
        count: None,
        header: Some((ALLOW, HeaderValue::from_static("POST"))),
    }
}

/// Why a function does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Variables are missing or malformed: the operator's to fix.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The machine has no usable TLS set-up.
    #[error("cannot start; the HTTP client cannot be built: {0}")]
    Http(#[from] reqwest::Error),
}

/// Builds a function from the variables that `look_up` knows.
pub fn build<F: Function>(
    look_up: &dyn Fn(&str) -> Option<String>,
) -> Result<(F, LogFormat), StartError> {
    let http = HttpClient::new()?;
    let built = Variables::read(look_up, |variables| {
        let format = variables.get(&log::FORMAT, str::parse);
        let function = F::configure(variables, &http);
        Some((function?, format?))
    })?;
    Ok(built)
}

/// Builds a function from the environment of the process, for as long as that lives, and logs what
/// it will use. `init_log` sets up the log. Where the function cannot start, says why on standard
/// error and ends the process with code 1.
pub fn start<F: Function>(init_log: fn(LogFormat)) -> &'static F {
    match build::<F>(&|name| std::env::var(name).ok()) {
        Ok((function, format)) => {
            init_log(format);
            let (label, version, commit) = (F::LABEL, env!("CARGO_PKG_VERSION"), env!("COMMIT"));
            tracing::info!("[{label}] {version} ({commit}): {}", function.describe());
            Box::leak(Box::new(function))
        }
        Err(error) => {
            eprintln!("[{}] {error}", F::LABEL);
            std::process::exit(1);
        }
    }
}

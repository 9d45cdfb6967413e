//! A function: built once from its environment, then called many times.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header::ALLOW};
use serde::Serialize;

use crate::{
    config::{ConfigError, Variable, Variables},
    log::{self, LogFormat},
    problem::{Problem, ProblemType},
    response::json_response,
    upstream::{Deadline, HttpClient},
};

/// A function that a platform can serve.
pub trait Function: Send + Sync + Sized + 'static {
    /// The name in brackets at the start of its log lines.
    const LABEL: &'static str;

    /// Every variable that it reads.
    const VARIABLES: &'static [&'static Variable];

    /// The JSON body of an answer with status 200.
    type Answer: Serialize;

    /// Builds the function from its variables, with the one HTTP client. Reads every variable even
    /// after a mistake, so that all mistakes are reported at once. `None` if there was a mistake.
    fn configure(variables: &mut Variables, http: &HttpClient) -> Option<Self>;

    /// What the function uses, in one line without secrets, for the log.
    fn describe(&self) -> String;

    /// Answers a POST request before the deadline.
    fn answer(
        &self,
        request: &Request<Bytes>,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Self::Answer, Problem>> + Send;
}

/// Answers a request. Every failure becomes an answer too.
pub async fn handle<F: Function>(function: &F, request: Request<Bytes>) -> Response<Bytes> {
    let result = if request.method() == Method::POST {
        function.answer(&request, Deadline::for_a_request()).await
    } else {
        Err(method_not_allowed())
    };
    match result {
        Ok(body) => json_response(StatusCode::OK, &body),
        Err(problem) => problem.into_response(F::LABEL),
    }
}

fn method_not_allowed() -> Problem {
    let kind = ProblemType {
        status: StatusCode::METHOD_NOT_ALLOWED,
        code: "method_not_allowed",
        title: "Only POST is served here",
    };
    Problem {
        header: Some((ALLOW, HeaderValue::from_static("POST"))),
        ..Problem::new(kind, "only POST is served here".to_owned())
    }
}

/// Why a function cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Variables are missing or malformed. The operator fixes them.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The HTTP client cannot be built: TLS does not work on this machine.
    #[error("cannot start; the HTTP client cannot be built: {0}")]
    Http(#[from] reqwest::Error),
}

/// Builds a function. `look_up` returns the value of a variable by its name.
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

/// Builds a function from the environment of the process, and logs what it uses. The function is
/// never dropped. `init_log` sets up the log. If the function cannot start, this prints the reason
/// to standard error and exits with code 1.
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

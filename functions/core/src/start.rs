//! How an entry point starts: logging, configuration, and a clear message where it is wrong.

use bytes::Bytes;
use http::{Request, Response};

use crate::{config::Variables, log::LogFormat};

/// A function that a platform runs: built once, then asked many times, at once.
pub trait Function: Send + Sync + Sized + 'static {
    /// What its log lines begin with, in brackets.
    const LABEL: &'static str;

    /// Builds the function from the environment. Every variable is read, so that all that is
    /// wrong with them is reported at once; `None` when anything was.
    fn configure(variables: &mut Variables) -> Option<Self>;

    /// What the function will use, in one line without a secret.
    fn describe(&self) -> String;

    /// Answers a request. It never fails: whatever goes wrong is an answer too.
    fn handle(&self, request: Request<Bytes>) -> impl Future<Output = Response<Bytes>> + Send;
}

/// Builds a function from the environment of the process, for as long as it lives, and logs what
/// it will use, once `init_log` has set up logging. Where a variable is missing or malformed, says
/// so on standard error and ends the process with code 1.
pub fn start<F: Function>(init_log: fn(LogFormat)) -> &'static F {
    let read = Variables::read(
        |name| std::env::var(name).ok(),
        |variables| {
            let format = variables.log_format();
            let function = F::configure(variables);
            Some((format?, function?))
        },
    );
    match read {
        Ok((format, function)) => {
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

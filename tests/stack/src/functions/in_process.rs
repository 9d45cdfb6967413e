//! The functions inside this process, behind an HTTP server as a platform has one.

use std::{io, pin::Pin, sync::LazyLock};

use anyhow::Result;
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
};
use http::{Request, Response};
use user_sync_core::{
    function::{Function, build, handle},
    log::{self, LogFormat},
};

use super::Environment;
use crate::{process::Log, server::Server};

/// A server that is being started.
pub type Serving<'a> = Pin<Box<dyn Future<Output = Result<Server>> + Send + 'a>>;

/// Serves a function. It stays in memory for good, as on a platform: a process has few of them.
pub fn serve<F: Function>(environment: &Environment) -> Serving<'_> {
    Box::pin(async {
        LazyLock::force(&LOG);
        let (function, _) = build::<F>(&|name| environment.get(name).cloned())?;
        let function: &'static F = Box::leak(Box::new(function));
        Server::start(Router::new().fallback(answer::<F>).with_state(function)).await
    })
}

/// What all functions in this process have logged: they share one log, as they share `tracing`.
pub fn log() -> Log {
    LOG.clone()
}

static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let lines = log.clone();
    log::init_with(LogFormat::Text, move || LineWriter(lines.clone()));
    log
});

/// Adds to the log what `tracing` writes, which is one line at a time.
struct LineWriter(Log);

impl io::Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0
            .add("in process", String::from_utf8_lossy(line).trim_end());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn answer<F: Function>(
    State(function): State<&'static F>,
    request: Request<Body>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let response = handle(function, Request::from_parts(head, body)).await;
    response.map(Body::from)
}

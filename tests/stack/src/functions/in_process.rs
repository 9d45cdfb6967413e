//! The functions in this process, behind an HTTP server like a platform's.

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

/// A server that is starting.
pub type Serving<'a> = Pin<Box<dyn Future<Output = Result<Server>> + Send + 'a>>;

/// Serves a function. As on a platform, it is never dropped; a process has only a few of them.
pub fn serve<F: Function>(environment: &Environment) -> Serving<'_> {
    Box::pin(async {
        LazyLock::force(&LOG);
        let (function, _) = build::<F>(&|name| environment.get(name).cloned())?;
        let function: &'static F = Box::leak(Box::new(function));
        Server::start(Router::new().fallback(answer::<F>).with_state(function)).await
    })
}

/// The log of all functions in this process. They share it because they share `tracing`.
pub fn log() -> Log {
    LOG.clone()
}

static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let lines = log.clone();
    log::init_with(LogFormat::Text, move || LineWriter(lines.clone()));
    log
});

/// Adds what `tracing` writes to the log. Each write is one line.
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

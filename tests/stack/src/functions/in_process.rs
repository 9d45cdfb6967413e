//! The core's handlers inside this process, behind an HTTP server as a platform would put it.

use std::{io, sync::LazyLock};

use anyhow::Result;
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
};
use http::{Request, Response};
use user_sync_core::{Function, LogFormat, Variables, init_log_with};

use super::Environment;
use crate::{process::Log, server::Server};

/// Serves a function. It is never taken down, as on a platform: a process holds few of them.
pub async fn serve<F: Function>(environment: &Environment) -> Result<Server> {
    LazyLock::force(&LOG);
    let look_up = |name: &str| environment.get(name).cloned();
    let function: &'static F = Box::leak(Box::new(Variables::read(look_up, F::configure)?));
    let router = Router::new().fallback(answer::<F>).with_state(function);
    Server::start(router).await
}

/// What all functions in this process have logged: they share one log, as they share `tracing`.
pub fn log() -> Log {
    LOG.clone()
}

static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let lines = log.clone();
    init_log_with(LogFormat::Text, move || LineWriter(lines.clone()));
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
    let response = function.handle(Request::from_parts(head, body)).await;
    response.map(Body::from)
}

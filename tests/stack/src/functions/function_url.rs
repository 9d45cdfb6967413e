//! A Lambda function URL: HTTP requests → events → execution environments. AWS's own runtime
//! interface emulator runs each environment.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    response::Response,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{
    HeaderMap, Method, StatusCode, Uri,
    header::{CONTENT_TYPE, COOKIE},
};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    sync::Mutex,
    time::{Instant, sleep},
};

use super::{
    Environment,
    footprint::{Footprint, child_of},
};
use crate::{
    port,
    process::{Log, Process, Stop},
    server::Server,
    tools,
};

/// How many calls are served at once. An environment serves one call at a time. Lambda itself
/// starts more environments when it needs them.
const ENVIRONMENTS: usize = 4;

/// How long an emulator may take until it listens.
const TIME_TO_START: Duration = Duration::from_secs(30);

/// A function with its URL.
pub struct FunctionUrl {
    server: Server,
    emulators: Vec<Process>,
    bootstrap: PathBuf,
    cold_start: Duration,
}

impl FunctionUrl {
    /// Starts the environments of a function, and serves its URL.
    pub async fn start(
        name: &'static str,
        bootstrap: &Path,
        environment: &Environment,
        log: &Log,
    ) -> Result<Self> {
        let mut emulators = Vec::new();
        let mut urls = Vec::new();
        for _ in 0..ENVIRONMENTS {
            let (port, runtime_port) = (port::free()?, port::free()?);
            let mut command = Command::new(tools::runtime_interface_emulator()?);
            command
                .args(["--log-level", "error"])
                .args([
                    "--runtime-interface-emulator-address",
                    &format!("127.0.0.1:{port}"),
                ])
                .args([
                    "--runtime-api-address",
                    &format!("127.0.0.1:{runtime_port}"),
                ])
                .arg(bootstrap)
                .envs(environment)
                .env("AWS_LAMBDA_FUNCTION_NAME", name)
                .env("AWS_LAMBDA_LOG_FORMAT", "JSON");
            let mut emulator = Process::start(name, &command, Stop::Terminate, log.clone())?;
            wait_until_listening(port, &mut emulator).await?;
            emulators.push(emulator);
            urls.push(format!(
                "http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
            ));
        }
        let environments = Arc::new(Environments {
            urls: urls.into_iter().map(Mutex::new).collect(),
            client: reqwest::Client::new(),
        });
        let router = Router::new().fallback(serve).with_state(environments);
        let server = Server::start(router).await?;
        let start = Instant::now();
        let status = reqwest::get(server.url()).await?.status();
        let cold_start = start.elapsed();
        ensure!(
            status == StatusCode::METHOD_NOT_ALLOWED,
            "{name} answers a GET with {status}:\n{}",
            log.tail()
        );
        Ok(Self {
            server,
            emulators,
            bootstrap: bootstrap.to_owned(),
            cold_start,
        })
    }

    /// The footprint of the first environment so far.
    pub fn footprint(&self) -> Result<Footprint> {
        let process = child_of(self.emulators[0].id(), &self.bootstrap)?;
        Footprint::of(&self.bootstrap, self.cold_start, process)
    }

    /// The URL.
    pub fn url(&self) -> &str {
        self.server.url()
    }
}

async fn wait_until_listening(port: u16, emulator: &mut Process) -> Result<()> {
    let deadline = Instant::now() + TIME_TO_START;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        .await
        .is_err()
    {
        emulator.check_alive()?;
        ensure!(
            Instant::now() < deadline,
            "{emulator:?} does not listen on port {port}"
        );
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

struct Environments {
    /// The URL of each environment, locked during a call.
    urls: Vec<Mutex<String>>,
    client: reqwest::Client,
}

impl Environments {
    /// Invokes the first environment that is free.
    async fn invoke(&self, event: &Value) -> Result<Value> {
        let waiting = self.urls.iter().map(|url| Box::pin(url.lock()));
        let (url, _, _) = futures_util::future::select_all(waiting).await;
        let answer = self.client.post(url.as_str()).json(event).send().await?;
        Ok(answer.json().await?)
    }
}

async fn serve(
    State(environments): State<Arc<Environments>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answer = environments
        .invoke(&event(&method, &uri, &headers, &body))
        .await;
    answer
        .and_then(|answer| response(&answer))
        .unwrap_or_else(|_| {
            let mut failed = Response::new(Body::from("Internal Server Error"));
            *failed.status_mut() = StatusCode::BAD_GATEWAY;
            failed
        })
}

/// The event, in payload format 2.0.
fn event(method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Value {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let cookies: Vec<_> = headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|cookies| {
            text(cookies)
                .split("; ")
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    let names = headers.keys().filter(|name| **name != COOKIE);
    let others: Value = names
        .map(|name| {
            let values: Vec<_> = headers.get_all(name).iter().map(text).collect();
            (name.to_string(), json!(values.join(",")))
        })
        .collect::<serde_json::Map<_, _>>()
        .into();
    let content_type = headers.get(CONTENT_TYPE).map(text).unwrap_or_default();
    let (body, is_base64) = match std::str::from_utf8(body) {
        Ok(body) if is_text(&content_type) => (body.to_owned(), false),
        _ => (BASE64_STANDARD.encode(body), true),
    };
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": uri.path(),
        "rawQueryString": uri.query().unwrap_or_default(),
        "cookies": cookies,
        "headers": others,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "local",
            "domainName": "local.lambda-url.eu-central-1.on.aws",
            "domainPrefix": "local",
            "http": {
                "method": method.as_str(),
                "path": uri.path(),
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "local",
            },
            "requestId": "00000000-0000-0000-0000-000000000000",
            "routeKey": "$default",
            "stage": "$default",
            "time": "24/Nov/2026:00:00:00 +0000",
            "timeEpoch": 1_795_478_400_000_u64,
        },
        "body": body,
        "isBase64Encoded": is_base64,
    })
}

/// Whether Lambda passes the body as text. It encodes all other bodies in base64.
fn is_text(content_type: &str) -> bool {
    content_type.starts_with("text/") || content_type.starts_with("application/json")
}

fn response(answer: &Value) -> Result<Response> {
    let status = answer["statusCode"]
        .as_u64()
        .context("the function failed")?;
    let body = answer["body"].as_str().unwrap_or_default();
    let body = match answer["isBase64Encoded"].as_bool() {
        Some(true) => BASE64_STANDARD.decode(body)?,
        _ => body.as_bytes().to_vec(),
    };
    let mut response = http::Response::builder().status(u16::try_from(status)?);
    for (name, value) in answer["headers"].as_object().into_iter().flatten() {
        response = response.header(name, value.as_str().unwrap_or_default());
    }
    Ok(response.body(Body::from(body))?)
}

//! Serves a function on AWS Lambda, behind a function URL, and logs for CloudWatch.

mod cloudwatch;

use lambda_http::{Body, Request, run, service_fn};
use tokio::runtime::Runtime;
use user_sync_core::function::{Function, handle, start};

pub use lambda_http::Error;

/// Serves a function until Lambda ends the process.
pub fn serve<F: Function>() -> Result<(), Error> {
    Runtime::new()?.block_on(async {
        let function = start::<F>(cloudwatch::init_log);
        run(service_fn(move |request: Request| async move {
            let request = request.map(|body| body.to_vec().into());
            let response = handle(function, request).await;
            Ok::<_, Error>(response.map(|body| Body::from(body.to_vec())))
        }))
        .await
    })
}

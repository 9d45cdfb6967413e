//! Serves a function on Vercel.

use http_body_util::BodyExt;
use tokio::runtime::Runtime;
use user_sync_core::{
    function::{Function, handle, start},
    log,
};
use vercel_runtime::{Request, ResponseBody, run, service_fn};

pub use vercel_runtime::Error;

/// Serves a function until Vercel ends the process.
pub fn serve<F: Function>() -> Result<(), Error> {
    Runtime::new()?.block_on(async {
        let function = start::<F>(log::init);
        run(service_fn(move |request: Request| async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let response = handle(function, http::Request::from_parts(head, body)).await;
            Ok::<_, Error>(response.map(ResponseBody::from))
        }))
        .await
    })
}

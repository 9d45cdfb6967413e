//! `POST /api/webhooks/clerk` on Vercel.

use http_body_util::BodyExt;
use user_sync_core::{ClerkWebhook, Function, init_log, start};
use vercel_runtime::{Error, Request, ResponseBody, run, service_fn};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let clerk_webhook = start::<ClerkWebhook>(init_log);
    let answer = move |request: Request| async move {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let response = clerk_webhook
            .handle(http::Request::from_parts(head, body))
            .await;
        Ok::<_, Error>(response.map(ResponseBody::from))
    };
    run(service_fn(answer)).await
}

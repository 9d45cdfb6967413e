//! `POST /api/webhooks/clerk` on AWS Lambda, behind a function URL.

use lambda_http::{Body, Error, Request, run, service_fn};
use user_sync_core::{ClerkWebhook, Function, start};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let clerk_webhook = start::<ClerkWebhook>(cloudwatch::init);
    run(service_fn(move |request: Request| async move {
        let request = request.map(|body| body.to_vec().into());
        let response = clerk_webhook.handle(request).await;
        Ok::<_, Error>(response.map(|body| Body::from(body.to_vec())))
    }))
    .await
}

//! `POST /api/user/sync` on AWS Lambda, behind a function URL.

use lambda_http::{Body, Error, Request, run, service_fn};
use user_sync_core::{Function, UserSync, start};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let user_sync = start::<UserSync>(cloudwatch::init);
    run(service_fn(move |request: Request| async move {
        let request = request.map(|body| body.to_vec().into());
        let response = user_sync.handle(request).await;
        Ok::<_, Error>(response.map(|body| Body::from(body.to_vec())))
    }))
    .await
}

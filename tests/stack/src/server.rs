//! An HTTP server inside this process.

use std::{io, net::Ipv4Addr};

use anyhow::Result;
use axum::{
    Router,
    body::{Body, Bytes},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use tokio::{net::TcpListener, task::JoinHandle};

/// Serves a router on a free port of this machine until it is dropped.
pub struct Server {
    url: String,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts to serve.
    pub async fn start(router: Router) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            // It fails only when the listener does, and then every test says so.
            drop(axum::serve(listener, router).await);
        });
        Ok(Self {
            url: format!("http://{address}"),
            task,
        })
    }

    /// Its address, with no slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer that breaks off: the connection is torn, and the caller cannot tell what was done.
pub fn hang_up() -> Response {
    let torn = stream::once(async { Err::<Bytes, _>(io::Error::other("the answer is torn")) });
    Body::from_stream(torn).into_response()
}

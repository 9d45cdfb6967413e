//! An HTTP server in this process.

use std::{io, net::Ipv4Addr};

use anyhow::Result;
use axum::{
    Router,
    body::{Body, Bytes},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use tokio::{net::TcpListener, task::JoinHandle};

/// Serves a router on a free local port until it is dropped.
pub struct Server {
    url: String,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts the server.
    pub async fn start(router: Router) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            // This fails only if the listener does, and then every test fails.
            drop(axum::serve(listener, router).await);
        });
        Ok(Self {
            url: format!("http://{address}"),
            task,
        })
    }

    /// The URL, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer that is cut off: the connection is reset, and the caller does not know what was done.
pub fn hang_up() -> Response {
    let cut_off =
        stream::once(async { Err::<Bytes, _>(io::Error::other("the answer is cut off")) });
    Body::from_stream(cut_off).into_response()
}

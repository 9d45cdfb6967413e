//! Stands in for reqwest 0.11, which `postgrest` 1.6 asks for, and hands it reqwest 0.13.
//!
//! reqwest 0.11 pulls in rustls-webpki 0.101 and h2 0.3, both with open advisories
//! (RUSTSEC-2026-0098, -0099, -0104, -0258). Remove this once `postgrest` moves on.

pub use current::*;

/// The client that `postgrest` makes for itself. It only builds requests, which the core's one
/// client sends. So it reads no root certificates: that is most of what a client costs at its start.
#[derive(Clone, Debug)]
pub struct Client(current::Client);

impl Client {
    /// A client that trusts nobody.
    pub fn new() -> Self {
        let builder = current::Client::builder().tls_certs_only([]);
        Self(builder.build().unwrap_or_default())
    }

    /// Starts a request.
    pub fn request(&self, method: Method, url: impl IntoUrl) -> RequestBuilder {
        self.0.request(method, url)
    }
}

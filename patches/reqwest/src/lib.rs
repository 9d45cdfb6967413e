//! Replaces reqwest 0.11, which `postgrest` 1.6 requires, with reqwest 0.13.
//!
//! reqwest 0.11 pulls in rustls-webpki 0.101 and h2 0.3, both with open advisories
//! (RUSTSEC-2026-0098, -0099, -0104, -0258). Remove this when `postgrest` no longer needs
//! reqwest 0.11.

pub use current::*;

/// The client that `postgrest` creates. It only builds requests; core's one client sends them. So
/// it loads no root certificates, which would take most of the time of creating a client.
#[derive(Clone, Debug)]
pub struct Client(current::Client);

impl Client {
    /// Creates a client without root certificates.
    pub fn new() -> Self {
        let builder = current::Client::builder().tls_certs_only([]);
        Self(builder.build().unwrap_or_default())
    }

    /// Starts a request.
    pub fn request(&self, method: Method, url: impl IntoUrl) -> RequestBuilder {
        self.0.request(method, url)
    }
}

//! A key in the header that sends it.

use http::HeaderValue;

/// A header value that `Debug` does not show.
pub fn secret_header(text: &str) -> Result<HeaderValue, &'static str> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| "contains characters that no key has; copy it again")?;
    value.set_sensitive(true);
    Ok(value)
}

/// The value of `Authorization` that sends a key as a Bearer token.
pub fn bearer(key: &str) -> Result<HeaderValue, &'static str> {
    secret_header(&format!("Bearer {key}"))
}

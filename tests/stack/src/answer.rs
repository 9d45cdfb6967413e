//! An answer of a function.

use std::{fs, sync::LazyLock};

use anyhow::{Result, ensure};
use http::{HeaderMap, header::CONTENT_TYPE};
use serde_json::Value;

use crate::root;

static API_DOCS: LazyLock<String> =
    LazyLock::new(|| fs::read_to_string(root().join("docs/API.md")).unwrap_or_default());

/// A complete answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; null if it is not JSON.
    pub body: Value,
}

impl Answer {
    /// Reads an answer. Fails if it is a problem that `docs/API.md` does not list.
    pub(crate) async fn read(response: reqwest::Response) -> Result<Self> {
        let answer = Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: serde_json::from_slice(&response.bytes().await?).unwrap_or_default(),
        };
        if answer.header(CONTENT_TYPE.as_str()) == "application/problem+json" {
            let code = answer.body["code"].as_str().unwrap_or_default();
            let row = format!("| {} | `{code}` |", answer.status);
            ensure!(API_DOCS.contains(&row), "docs/API.md has no row {row}");
        }
        Ok(answer)
    }

    /// Checks the status and one field of the body.
    pub fn expect(&self, status: u16, field: &str, value: &str) -> Result<()> {
        ensure!(
            self.status == status && self.body[field] == value,
            "expected {status} with {field} {value:?}, got {} {}",
            self.status,
            self.body
        );
        Ok(())
    }

    /// A header of the answer; empty if it is missing.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

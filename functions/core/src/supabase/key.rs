//! The key that the functions write with, and the headers for it.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, header::AUTHORIZATION};
use serde::Deserialize;

use crate::{
    config::{Unset, Variable},
    secret::{bearer, secret_header},
};

/// `SUPABASE_SECRET_KEY`, or the name of the older kind of key.
pub const KEY: Variable = Variable {
    names: &["SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY"],
    holds: "the project's secret key, `sb_secret_…`, or its legacy `service_role` JWT",
    unset: Unset::Required,
};

/// A key that may write, as the headers that Supabase expects.
#[derive(Debug)]
pub struct SupabaseKey {
    headers: HeaderMap,
    kind: &'static str,
}

impl SupabaseKey {
    /// Parses a secret key (`sb_secret_…`), which goes only into `apikey`, or a legacy
    /// `service_role` JWT, which goes into `Authorization` too
    /// (<https://supabase.com/docs/guides/api/api-keys>).
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "must be a secret key (sb_secret_…) or the service_role JWT";
        let mut headers = HeaderMap::new();
        headers.insert("apikey", secret_header(text)?);
        if text.starts_with("sb_publishable_") {
            return Err(
                "holds a publishable key, which may not write; use the secret key (sb_secret_…)",
            );
        }
        if text.starts_with("sb_secret_") {
            return Ok(Self {
                headers,
                kind: "sb_secret",
            });
        }
        match legacy_role(text).ok_or(EXPECTED)?.as_str() {
            "service_role" => {
                headers.insert(AUTHORIZATION, bearer(text)?);
                Ok(Self {
                    headers,
                    kind: "service_role",
                })
            }
            "anon" => Err("holds the anon key, which may not write; use the service_role key"),
            _ => Err(EXPECTED),
        }
    }

    /// The headers of every request.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The kind of key, for the log.
    pub fn kind(&self) -> &'static str {
        self.kind
    }
}

/// The role in a legacy key. Only Supabase verifies the signature.
fn legacy_role(jwt: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        role: String,
    }
    let [_header, claims, _signature] = jwt.split('.').collect::<Vec<_>>().try_into().ok()?;
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    Some(claims.role)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_into_the_right_headers_and_debug_does_not_show_it() {
        let service_role =
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.c2ln";
        let anon = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJyb2xlIjoiYW5vbiJ9.c2ln";
        let secret = SupabaseKey::parse("sb_secret_abc").unwrap();
        assert_eq!(secret.headers.len(), 1);
        assert_eq!(secret.headers["apikey"], "sb_secret_abc");
        assert_eq!(secret.kind, "sb_secret");
        assert!(!format!("{secret:?}").contains("abc"));
        let legacy = SupabaseKey::parse(service_role).unwrap();
        assert_eq!(legacy.headers["apikey"], service_role);
        assert_eq!(
            legacy.headers[AUTHORIZATION],
            format!("Bearer {service_role}")
        );
        assert_eq!(legacy.kind, "service_role");
        assert!(SupabaseKey::parse(anon).unwrap_err().contains("anon key"));
        let (unsigned, _signature) = service_role.rsplit_once('.').unwrap();
        assert!(SupabaseKey::parse(unsigned).is_err());
    }
}

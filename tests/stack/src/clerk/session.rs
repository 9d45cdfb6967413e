//! Session tokens: the key, and what Clerk puts into them.

use anyhow::{Context, Result};
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rsa::{KeyPair, KeySize},
    signature::KeyPair as _,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use jsonwebtoken::{
    Algorithm, EncodingKey, Header, encode,
    jwk::{Jwk, PublicKeyUse},
};
use serde_json::{Value, json};

use super::now;
use crate::random;

/// The origin that tokens name as their authorized party.
pub const AUTHORIZED_PARTY: &str = "http://localhost:3000";

/// The RSA key of an instance.
pub struct SessionKey {
    private: EncodingKey,
    public_pem: String,
}

impl SessionKey {
    /// Makes a key.
    pub fn generate() -> Result<Self> {
        let pair = KeyPair::generate(KeySize::Rsa2048)?;
        let private: Pkcs8V1Der = pair.as_der()?;
        let public: PublicKeyX509Der = pair.public_key().as_der()?;
        let private_pem = pem("PRIVATE KEY", private.as_ref());
        Ok(Self {
            private: EncodingKey::from_rsa_pem(private_pem.as_bytes())?,
            public_pem: pem("PUBLIC KEY", public.as_ref()),
        })
    }

    /// The public key, as Clerk's dashboard shows it.
    pub fn pem(&self) -> &str {
        &self.public_pem
    }

    /// The public key as a JWK set. Clerk's key id is the instance's.
    pub fn jwk_set(&self, instance_id: &str) -> Result<Value> {
        let mut jwk = Jwk::from_encoding_key(&self.private, Algorithm::RS256)?;
        jwk.common.key_id = Some(instance_id.to_owned());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(json!({ "keys": [jwk] }))
    }

    /// Signs a session token of version 2 for the user, with `claims` over Clerk's own.
    pub fn sign(&self, instance_id: &str, user_id: &str, claims: &Value) -> Result<String> {
        let seconds = now() / 1_000;
        let mut all = json!({
            "azp": AUTHORIZED_PARTY,
            "exp": seconds + 60,
            "fva": [0, -1],
            "iat": seconds,
            "iss": "https://clerk.example.com",
            "jti": random::letters_and_digits(20),
            "nbf": seconds - 10,
            "pla": "u:free",
            "sid": format!("sess_{}", random::letters_and_digits(27)),
            "sts": "active",
            "sub": user_id,
            "v": 2,
        });
        let own = all.as_object_mut().context("claims are an object")?;
        for (name, value) in claims.as_object().into_iter().flatten() {
            match value {
                Value::Null => own.remove(name),
                value => own.insert(name.clone(), value.clone()),
            };
        }
        let header: Header = serde_json::from_value(json!({
            "alg": "RS256", "typ": "JWT", "kid": instance_id, "cat": "cl_B7d4PD111AAA",
        }))?;
        Ok(encode(&header, &all, &self.private)?)
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let base64 = BASE64_STANDARD.encode(der);
    let lines: Vec<_> = base64
        .as_bytes()
        .chunks(64)
        .map(String::from_utf8_lossy)
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

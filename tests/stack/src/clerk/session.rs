//! Session tokens: their key and their claims.

use anyhow::{Context, Result};
use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use super::now;
use crate::random;

/// The claims of a session token of version 2: the user is signed in at `origin`. `changes` replace
/// Clerk's claims. Null removes a claim.
pub fn claims(origin: &str, user_id: &str, changes: &Value) -> Result<Value> {
    let seconds = now() / 1_000;
    let mut claims = json!({
        "azp": origin,
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
    let own = claims
        .as_object_mut()
        .context("the claims are not an object")?;
    for (name, value) in changes.as_object().into_iter().flatten() {
        match value {
            Value::Null => own.remove(name),
            value => own.insert(name.clone(), value.clone()),
        };
    }
    Ok(claims)
}

/// The RSA key of an instance. It does not sign with `jsonwebtoken`, which parses the key for each
/// token: in a run with a million page loads that takes most of the time.
pub struct SessionKey {
    pair: KeyPair,
    public_pem: String,
}

impl SessionKey {
    /// Generates a key.
    pub fn generate() -> Result<Self> {
        let pair = KeyPair::generate(KeySize::Rsa2048)?;
        let public: PublicKeyX509Der = pair.public_key().as_der()?;
        let public_pem = pem("PUBLIC KEY", public.as_ref());
        Ok(Self { pair, public_pem })
    }

    /// The public key, as Clerk's dashboard shows it.
    pub fn pem(&self) -> &str {
        &self.public_pem
    }

    /// The public key as a JWK set. The key id is the instance's id, as in Clerk.
    pub fn jwk_set(&self, instance_id: &str) -> Value {
        let key = self.pair.public_key();
        let number = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        json!({ "keys": [{
            "use": "sig", "kty": "RSA", "kid": instance_id, "alg": "RS256",
            "n": number(key.modulus().big_endian_without_leading_zero()),
            "e": number(key.exponent().big_endian_without_leading_zero()),
        }] })
    }

    /// Signs claims as Clerk signs its tokens.
    pub fn sign(&self, instance_id: &str, claims: &Value) -> Result<String> {
        let header = json!({
            "alg": "RS256", "typ": "JWT", "kid": instance_id, "cat": "cl_B7d4PD111AAA",
        });
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            signed.as_bytes(),
            &mut signature,
        )?;
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature);
        Ok(format!("{signed}.{signature}"))
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

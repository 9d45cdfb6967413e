//! Session token → who is signed in. The rules come from Clerk's guide to manual verification
//! (<https://clerk.com/docs/guides/sessions/manual-jwt-verification>).

use std::convert::Infallible;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use cookie::Cookie;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{AUTHORIZATION, COOKIE, WWW_AUTHENTICATE},
};
use jsonwebtoken::{
    Algorithm, Validation, decode, decode_header, errors::ErrorKind, get_current_timestamp,
};
use serde::Deserialize;
use serde_json::Value;
use user_sync_core::{
    clerk::{
        ClerkTime, ClerkUserId,
        backend_api::{BackendApi, ClerkError},
    },
    config::{Unset, Variable, Variables, list},
    problem::{Problem, ProblemType},
    upstream::Deadline,
};

use crate::session_keys::SessionKeys;

/// `CLERK_AUTHORIZED_PARTIES`.
pub const AUTHORIZED_PARTIES: Variable = Variable {
    names: &["CLERK_AUTHORIZED_PARTIES"],
    holds: "the origins whose sessions count, separated by commas, such as `https://app.example.com`; advised",
    unset: Unset::Optional("any origin"),
};

/// `CLERK_PUBLISHABLE_KEY`, or the name that most Next.js projects use.
pub const PUBLISHABLE_KEY: Variable = Variable {
    names: &["CLERK_PUBLISHABLE_KEY", "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY"],
    holds: "the instance's publishable key, `pk_…`, to find its cookie where one domain has several",
    unset: Unset::Optional("the cookie `__session`"),
};

/// What a verified session token says.
#[derive(Debug, PartialEq)]
pub struct Session {
    /// Who is signed in.
    pub user_id: ClerkUserId,
    /// When Clerk last changed the user, if the session token has the custom claim `updated_at`.
    pub user_changed_at: Option<ClerkTime>,
}

/// Verifies the session tokens of one Clerk instance.
pub struct SessionVerifier {
    keys: SessionKeys,
    authorized_parties: Vec<String>,
    cookie_names: Vec<String>,
}

impl SessionVerifier {
    /// Reads [`AUTHORIZED_PARTIES`], [`PUBLISHABLE_KEY`], and what [`SessionKeys`] needs.
    pub fn configure(variables: &mut Variables, api: Option<&BackendApi>) -> Option<Self> {
        let keys = SessionKeys::configure(variables, api);
        let parties = variables.get(&AUTHORIZED_PARTIES, |text| {
            Ok::<_, Infallible>(parse_origins(text))
        });
        let publishable_key = variables.get(&PUBLISHABLE_KEY, parse_publishable_key);
        Some(Self::new(
            keys?,
            parties.unwrap_or_default(),
            publishable_key.as_deref(),
        ))
    }

    /// `authorized_parties` are the origins whose tokens are accepted: any origin if it is empty.
    fn new(
        keys: SessionKeys,
        authorized_parties: Vec<String>,
        publishable_key: Option<&str>,
    ) -> Self {
        let mut cookie_names = vec!["__session".to_owned()];
        cookie_names.splice(0..0, publishable_key.map(suffixed_cookie_name));
        Self {
            keys,
            authorized_parties,
            cookie_names,
        }
    }

    /// What it uses, for the log.
    pub fn describe(&self) -> String {
        let parties = match self.authorized_parties.as_slice() {
            [] => "any origin (CLERK_AUTHORIZED_PARTIES is not set)".to_owned(),
            parties => parties.join(", "),
        };
        format!("sessions of {parties}, verified {}", self.keys.describe())
    }

    /// Verifies the token of a request, from `Authorization: Bearer` or from Clerk's cookie.
    pub async fn verify(
        &self,
        headers: &HeaderMap,
        deadline: Deadline,
    ) -> Result<Session, SessionError> {
        let token = self.token(headers).ok_or(SessionError::Missing)?;
        let header = decode_header(&token)?;
        // OAuth access tokens are signed with the same key, but are not sessions.
        if header.typ.as_deref() != Some("JWT") {
            return Err(SessionError::Invalid("its type is not JWT"));
        }
        let key = self
            .keys
            .get_or_fetch(header.kid.as_deref(), deadline)
            .await?
            .ok_or(SessionError::Invalid("its key is unknown"))?;
        let claims = decode::<Claims>(&token, &key, &validation())?.claims;
        self.check(&claims)
    }

    fn token(&self, headers: &HeaderMap) -> Option<String> {
        // Another scheme is not for us: it may be the password of a staging site.
        let bearer = headers.get(AUTHORIZATION).and_then(|authorization| {
            let (scheme, token) = authorization.to_str().ok()?.split_once(' ')?;
            let is_bearer = scheme.eq_ignore_ascii_case("bearer");
            is_bearer.then(|| token.trim().to_owned())
        });
        bearer.or_else(|| self.cookie(headers))
    }

    fn cookie(&self, headers: &HeaderMap) -> Option<String> {
        let cookies: Vec<_> = headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(Cookie::split_parse)
            .flatten()
            .collect();
        self.cookie_names.iter().find_map(|name| {
            let cookie = cookies.iter().find(|cookie| cookie.name() == name)?;
            Some(cookie.value().to_owned())
        })
    }

    fn check(&self, claims: &Claims) -> Result<Session, SessionError> {
        if claims.sid.is_none() {
            return Err(SessionError::Invalid("it has no session id"));
        }
        if claims.sts.as_deref() == Some("pending") {
            return Err(SessionError::Invalid("its session is pending"));
        }
        if claims.iat > get_current_timestamp() + CLOCK_SKEW_SECONDS {
            return Err(SessionError::Invalid("it was issued in the future"));
        }
        let is_authorized = |party| self.authorized_parties.contains(party);
        if !self.authorized_parties.is_empty() && !claims.azp.as_ref().is_some_and(is_authorized) {
            return Err(SessionError::Invalid(
                "its origin is not one of CLERK_AUTHORIZED_PARTIES",
            ));
        }
        Ok(Session {
            user_id: ClerkUserId::parse(&claims.sub)
                .map_err(|_| SessionError::Invalid("its subject is not a user id"))?,
            user_changed_at: claims.user_changed_at(),
        })
    }
}

/// Why a request has no signed-in user.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The request has no token. The user signs in.
    #[error("the request has no session token")]
    Missing,
    /// The token is damaged or expired, or it has another kind, instance or origin. The caller gets
    /// a new one from Clerk.
    #[error("the session token is not valid: {0}")]
    Invalid(&'static str),
    /// The key that verifies the token could not be read. The caller tries again later.
    #[error(transparent)]
    Clerk(#[from] ClerkError),
}

impl From<SessionError> for Problem {
    fn from(error: SessionError) -> Self {
        let detail = error.to_string();
        let kind = match error {
            SessionError::Missing => ProblemType {
                status: StatusCode::UNAUTHORIZED,
                code: "session_missing",
                title: "There is no session token",
            },
            SessionError::Invalid(_) => ProblemType {
                status: StatusCode::UNAUTHORIZED,
                code: "session_invalid",
                title: "The session token is not valid",
            },
            SessionError::Clerk(error) => return error.into(),
        };
        Self {
            header: Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            ..Self::new(kind, detail)
        }
    }
}

/// In our own words: the library's messages quote the token, so anybody could write into the log.
impl From<jsonwebtoken::errors::Error> for SessionError {
    fn from(error: jsonwebtoken::errors::Error) -> Self {
        Self::Invalid(match error.kind() {
            ErrorKind::ExpiredSignature => "it has expired",
            ErrorKind::ImmatureSignature => "it is not valid yet",
            ErrorKind::InvalidSignature => "it is signed with another key",
            ErrorKind::InvalidAlgorithm => "its algorithm is not RS256",
            ErrorKind::MissingRequiredClaim(_) => "it lacks a claim",
            _ => "it is damaged",
        })
    }
}

/// How far two clocks may differ. Clerk's own SDKs allow the same.
const CLOCK_SKEW_SECONDS: u64 = 5;

#[derive(Deserialize)]
struct Claims {
    sub: String,
    iat: u64,
    sid: Option<String>,
    azp: Option<String>,
    sts: Option<String>,
    updated_at: Option<Value>,
}

impl Claims {
    /// Somebody typed this custom claim into a dashboard. A value that is not a time, or is later
    /// than the token, is ignored; the token stays valid.
    fn user_changed_at(&self) -> Option<ClerkTime> {
        let number = match self.updated_at.as_ref()? {
            Value::String(text) => text.parse().ok()?,
            value => value.as_i64()?,
        };
        let issued_at = i64::try_from(self.iat + CLOCK_SKEW_SECONDS).ok()?;
        let changed_at = ClerkTime::from_seconds_or_milliseconds(number);
        let possible = ClerkTime::EPOCH..=ClerkTime::from_seconds_or_milliseconds(issued_at);
        possible.contains(&changed_at).then_some(changed_at)
    }
}

fn validation() -> Validation {
    let mut validation = Validation::new(Algorithm::RS256);
    validation.leeway = CLOCK_SKEW_SECONDS;
    validation.validate_nbf = true;
    // A session token may carry a custom `aud` for another service; Clerk's SDKs ignore it too.
    validation.validate_aud = false;
    validation.set_required_spec_claims(&["exp", "nbf", "sub"]);
    validation
}

/// Removes the slash at the end of a copied URL: an origin has none.
fn parse_origins(text: &str) -> Vec<String> {
    list(text)
        .map(|origin| origin.trim_end_matches('/').to_owned())
        .collect()
}

fn parse_publishable_key(text: &str) -> Result<String, &'static str> {
    if text.starts_with("pk_") {
        Ok(text.to_owned())
    } else {
        Err("must begin with `pk_`")
    }
}

/// The name of the cookie with the second copy of the token. Clerk sets it for browsers that have
/// sessions of several instances.
fn suffixed_cookie_name(publishable_key: &str) -> String {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, publishable_key.as_bytes());
    let suffix: String = BASE64_URL_SAFE_NO_PAD
        .encode(hash)
        .chars()
        .take(8)
        .collect();
    format!("__session_{suffix}")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, LazyLock};

    use aws_lc_rs::{
        encoding::{AsDer, Pkcs8V1Der},
        rsa::{KeyPair, KeySize},
        signature::KeyPair as _,
    };
    use jsonwebtoken::{DecodingKey, EncodingKey, encode};
    use serde_json::json;

    use super::*;

    struct Key {
        private: EncodingKey,
        public: Arc<DecodingKey>,
    }

    impl Key {
        fn generate() -> Self {
            let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
            let pkcs8: Pkcs8V1Der = pair.as_der().unwrap();
            let pkcs8 = pem("PRIVATE KEY", pkcs8.as_ref());
            Self {
                private: EncodingKey::from_rsa_pem(pkcs8.as_bytes()).unwrap(),
                public: Arc::new(DecodingKey::from_rsa_der(pair.public_key().as_ref())),
            }
        }
    }

    fn pem(label: &str, der: &[u8]) -> String {
        let base64 = base64::prelude::BASE64_STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n")
    }

    static OURS: LazyLock<Key> = LazyLock::new(Key::generate);
    static FOREIGN: LazyLock<Key> = LazyLock::new(Key::generate);

    const APP: &str = "https://app.example.com";
    const PUBLISHABLE_KEY: &str = "pk_live_Y2xlcmsuZXhhbXBsZS5jb20k";

    fn verifier() -> SessionVerifier {
        let keys = SessionKeys::Given(Arc::clone(&OURS.public));
        SessionVerifier::new(keys, vec![APP.to_owned()], Some(PUBLISHABLE_KEY))
    }

    /// A token as Clerk signs it, with `changes` to its claims (null removes a claim).
    fn token(changes: Value) -> String {
        sign(
            &json!({ "alg": "RS256", "typ": "JWT", "kid": "ins_1" }),
            changes,
            &OURS,
        )
    }

    fn sign(header: &Value, changes: Value, key: &Key) -> String {
        let now = get_current_timestamp();
        let mut claims = json!({
            "azp": APP, "exp": now + 60, "iat": now, "iss": "https://clerk.example.com",
            "nbf": now - 10, "sid": "sess_1", "sts": "active", "sub": "user_1", "v": 2,
        });
        let Value::Object(changes) = changes else {
            unreachable!("claims are an object")
        };
        for (name, value) in changes {
            match value {
                Value::Null => claims.as_object_mut().unwrap().remove(&name),
                value => claims.as_object_mut().unwrap().insert(name, value),
            };
        }
        let header = serde_json::from_value(header.clone()).unwrap();
        encode(&header, &claims, &key.private).unwrap()
    }

    async fn verify(header: &str, value: String) -> Result<Session, String> {
        let mut headers = HeaderMap::new();
        let header: http::HeaderName = header.parse().unwrap();
        headers.insert(header, value.parse().unwrap());
        let verified = verifier().verify(&headers, Deadline::for_a_request()).await;
        verified.map_err(|error| error.to_string())
    }

    async fn is_signed_in(token: String) -> bool {
        verify("authorization", format!("Bearer {token}"))
            .await
            .is_ok()
    }

    #[tokio::test]
    async fn a_session_token_says_who_is_signed_in_and_when_the_user_was_changed() {
        let now = i64::try_from(get_current_timestamp()).unwrap();
        for (claim, milliseconds) in [
            (json!(1_763_000_000_123_i64), Some(1_763_000_000_123)),
            (json!("1763000000123"), Some(1_763_000_000_123)),
            (json!(1_763_000_000), Some(1_763_000_000_000)),
            (json!((now + 4) * 1_000), Some((now + 4) * 1_000)),
            (json!((now + 8) * 1_000), None),
            (json!(-1), None),
            (json!(i64::MAX), None),
            (json!("yesterday"), None),
            (json!({}), None),
            (json!(null), None),
        ] {
            let token = token(json!({ "updated_at": claim }));
            assert_eq!(
                verify("authorization", format!("Bearer {token}")).await,
                Ok(Session {
                    user_id: ClerkUserId::parse("user_1").unwrap(),
                    user_changed_at: milliseconds.map(ClerkTime::from_seconds_or_milliseconds),
                }),
                "{claim}"
            );
        }
    }

    #[tokio::test]
    async fn a_token_cannot_write_into_the_log() {
        let forged = r#"{"alg":"\n[UserSync] ✓ User user_1... synced successfully"}"#;
        let header = BASE64_URL_SAFE_NO_PAD.encode(forged);
        let refused = verify("authorization", format!("Bearer {header}.e30.c2ln")).await;
        assert_eq!(
            refused,
            Err("the session token is not valid: it is damaged".to_owned())
        );
    }

    #[tokio::test]
    async fn each_claim_is_checked_on_both_sides_of_its_limit() {
        let now = get_current_timestamp();
        for (changes, signed_in) in [
            (json!({}), true),
            // The clocks may differ by 5 s. The other seconds leave time for the test to run.
            (json!({ "exp": now - 3 }), true),
            (json!({ "exp": now - 6 }), false),
            (json!({ "exp": null }), false),
            (json!({ "nbf": now + 4 }), true),
            (json!({ "nbf": now + 8 }), false),
            (json!({ "nbf": null }), false),
            (json!({ "iat": now + 4 }), true),
            (json!({ "iat": now + 8 }), false),
            (json!({ "iat": null }), false),
            (json!({ "azp": "https://evil.example.com" }), false),
            (json!({ "azp": null }), false),
            (json!({ "sts": null }), true),
            (json!({ "sts": "pending" }), false),
            (json!({ "sid": null }), false),
            (json!({ "sub": null }), false),
            (json!({ "sub": "mch_1" }), false),
            (json!({ "sub": "user_x,id.neq.y" }), false),
            (json!({ "aud": "another-service" }), true),
        ] {
            assert_eq!(
                is_signed_in(token(changes.clone())).await,
                signed_in,
                "{changes}"
            );
        }
    }

    #[tokio::test]
    async fn any_origin_is_accepted_if_none_is_named() {
        let keys = SessionKeys::Given(Arc::clone(&OURS.public));
        let verifier = SessionVerifier::new(keys, Vec::new(), None);
        let mut headers = HeaderMap::new();
        let token = token(json!({ "azp": null }));
        headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        assert!(
            verifier
                .verify(&headers, Deadline::for_a_request())
                .await
                .is_ok()
        );
    }

    #[tokio::test]
    async fn a_token_of_another_kind_or_with_another_key_is_refused() {
        let jwt = json!({ "alg": "RS256", "typ": "JWT", "kid": "ins_1" });
        assert!(is_signed_in(sign(&jwt, json!({}), &OURS)).await);
        assert!(!is_signed_in(sign(&jwt, json!({}), &FOREIGN)).await);
        for header in [
            json!({ "alg": "RS256", "typ": "at+jwt" }),
            json!({ "alg": "RS256" }),
            json!({ "alg": "RS512", "typ": "JWT" }),
        ] {
            assert!(
                !is_signed_in(sign(&header, json!({}), &OURS)).await,
                "{header}"
            );
        }
        let signed = token(json!({}));
        let (message, _signature) = signed.rsplit_once('.').unwrap();
        let (_header, claims) = message.split_once('.').unwrap();
        let header = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        for unsigned in [
            format!("{message}."),
            format!("{header}.{claims}."),
            "a.b.c".to_owned(),
            String::new(),
        ] {
            assert!(!is_signed_in(unsigned.clone()).await, "{unsigned}");
        }
    }

    #[tokio::test]
    async fn a_token_signed_with_the_public_key_as_a_secret_is_refused() {
        let header = jsonwebtoken::Header::new(Algorithm::HS256);
        let public_key = OURS.public.try_get_as_bytes().unwrap();
        let claims = json!({ "sub": "user_1", "exp": get_current_timestamp() + 60 });
        let token = encode(&header, &claims, &EncodingKey::from_secret(public_key)).unwrap();
        assert!(!is_signed_in(token).await);
    }

    #[tokio::test]
    async fn the_cookie_of_this_instance_comes_first() {
        let (ours, foreign) = (
            token(json!({})),
            sign(
                &json!({ "alg": "RS256", "typ": "JWT" }),
                json!({}),
                &FOREIGN,
            ),
        );
        let suffixed = suffixed_cookie_name(PUBLISHABLE_KEY);
        for (cookies, signed_in) in [
            (format!("__session={ours}"), true),
            (format!("theme=dark; {suffixed}={ours}"), true),
            (format!("__session={foreign}; {suffixed}={ours}"), true),
            (format!("__session={ours}; {suffixed}={foreign}"), false),
            (format!("__session_XXXXXXXX={ours}"), false),
            ("theme=dark".to_owned(), false),
        ] {
            assert_eq!(
                verify("cookie", cookies.clone()).await.is_ok(),
                signed_in,
                "{cookies}"
            );
        }
    }

    #[tokio::test]
    async fn another_scheme_does_not_hide_the_cookie() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, "Basic dTpw".parse().unwrap());
        let cookie = format!("__session={}", token(json!({})));
        headers.insert(COOKIE, cookie.parse().unwrap());
        let deadline = Deadline::for_a_request();
        assert!(verifier().verify(&headers, deadline).await.is_ok());
    }

    #[tokio::test]
    async fn a_missing_token_is_reported_as_missing() {
        for (header, value) in [
            ("accept", "*/*"),
            ("authorization", "Basic dTpw"),
            ("authorization", "Bearer"),
        ] {
            assert_eq!(
                verify(header, value.to_owned()).await,
                Err("the request has no session token".to_owned())
            );
        }
    }

    #[test]
    fn the_cookie_suffix_is_the_one_that_clerks_sdk_computes() {
        // base64url(SHA-1(key)), the first 8 characters, as @clerk/shared's getCookieSuffix does.
        assert_eq!(
            suffixed_cookie_name("pk_test_Zm9vLmV4YW1wbGUuY29tJA"),
            "__session_oWx6S-95"
        );
    }
}

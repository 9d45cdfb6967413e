//! The keys that verify session tokens, and where they come from.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use jsonwebtoken::{
    DecodingKey,
    jwk::{AlgorithmParameters, JwkSet},
};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use user_sync_core::{
    clerk::backend_api::{BackendApi, ClerkError},
    config::{Unset, Variable, Variables},
    upstream::{Deadline, NoAnswer},
};

/// `CLERK_JWT_KEY`.
pub const JWT_KEY: Variable = Variable {
    names: &["CLERK_JWT_KEY"],
    holds: "the instance's public key (PEM, in double quotes), so that verifying a session needs no network; advised",
    unset: Unset::Optional("keys are read from Clerk"),
};

/// The keys of one Clerk instance.
pub enum SessionKeys {
    /// The instance's one key, from `CLERK_JWT_KEY`. It needs no network.
    Given(Arc<DecodingKey>),
    /// The key set that Clerk serves. It is fetched when a token first needs it.
    Fetched(KeySet),
}

impl SessionKeys {
    /// Reads [`JWT_KEY`]. If it is not set, keys are fetched through `api`.
    pub fn configure(variables: &mut Variables, api: Option<&BackendApi>) -> Option<Self> {
        match variables.get(&JWT_KEY, parse_public_key) {
            Some(key) => Some(Self::Given(Arc::new(key))),
            None => Some(Self::Fetched(KeySet::new(api?.clone()))),
        }
    }

    /// Where the keys come from, for the log.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Given(_) => "without network (CLERK_JWT_KEY)",
            Self::Fetched(_) => "with keys read from Clerk (CLERK_JWT_KEY is not set)",
        }
    }

    /// The key for a token. A given key is for all tokens. Otherwise it is the key that the token
    /// names by its id; `None` if it names none, or one that the instance does not have. The id is
    /// not trusted: anybody can send any id.
    pub async fn get_or_fetch(
        &self,
        key_id: Option<&str>,
        deadline: Deadline,
    ) -> Result<Option<Arc<DecodingKey>>, ClerkError> {
        match self {
            Self::Given(key) => Ok(Some(Arc::clone(key))),
            Self::Fetched(set) => match key_id {
                Some(key_id) => set.get_or_fetch(key_id, deadline).await,
                None => Ok(None),
            },
        }
    }
}

/// A cached JWK set. It is fetched again after an hour, so that a withdrawn key stops working, and
/// when a token names an unknown key, so that a new key works at once.
pub struct KeySet {
    api: BackendApi,
    fetched: RwLock<Option<Fetched>>,
    fetching: Mutex<()>,
}

struct Fetched {
    keys: HashMap<String, Arc<DecodingKey>>,
    at: Instant,
}

impl KeySet {
    /// Clerk's own SDKs keep a key set for the same time.
    const MAX_AGE: Duration = Duration::from_hours(1);

    /// Tokens with made-up key ids cause one request in this time, not one each.
    const PAUSE_AFTER_MISS: Duration = Duration::from_secs(30);

    fn new(api: BackendApi) -> Self {
        Self {
            api,
            fetched: RwLock::new(None),
            fetching: Mutex::new(()),
        }
    }

    async fn get_or_fetch(
        &self,
        key_id: &str,
        deadline: Deadline,
    ) -> Result<Option<Arc<DecodingKey>>, ClerkError> {
        if let Cached::Fresh(found) = self.look_up(key_id) {
            return Ok(found);
        }
        let _only_one_fetches = timeout(deadline.remaining(), self.fetching.lock())
            .await
            .map_err(|_| NoAnswer::TimedOut)?;
        // The request that held the lock may have fetched this key.
        if let Cached::Fresh(found) = self.look_up(key_id) {
            return Ok(found);
        }
        let fetched = Fetched {
            keys: parse(&self.api.session_keys(deadline).await?)?,
            at: Instant::now(),
        };
        let found = fetched.keys.get(key_id).cloned();
        *self.fetched.write().unwrap_or_else(PoisonError::into_inner) = Some(fetched);
        Ok(found)
    }

    fn look_up(&self, key_id: &str) -> Cached {
        let fetched = self.fetched.read().unwrap_or_else(PoisonError::into_inner);
        let Some(fetched) = fetched.as_ref() else {
            return Cached::Expired;
        };
        let age = fetched.at.elapsed();
        match fetched.keys.get(key_id) {
            Some(key) if age < Self::MAX_AGE => Cached::Fresh(Some(Arc::clone(key))),
            None if age < Self::PAUSE_AFTER_MISS => Cached::Fresh(None),
            Some(_) | None => Cached::Expired,
        }
    }
}

/// What the cached set says about a key id.
enum Cached {
    /// The key, or `None` if the instance has no key with this id.
    Fresh(Option<Arc<DecodingKey>>),
    /// The set is missing or too old: only Clerk knows.
    Expired,
}

/// Parses the PEM that Clerk's dashboard shows. Some environment files write its line breaks as
/// `\n`.
fn parse_public_key(pem: &str) -> Result<DecodingKey, &'static str> {
    DecodingKey::from_rsa_pem(pem.replace("\\n", "\n").as_bytes()).map_err(
        |_| "must be the PEM of an RSA public key, starting with `-----BEGIN PUBLIC KEY-----`",
    )
}

/// Parses a JWK set, and keeps its RSA keys: session tokens are RS256, and a set may also contain
/// other keys.
fn parse(json: &str) -> Result<HashMap<String, Arc<DecodingKey>>, ClerkError> {
    let set: JwkSet = serde_json::from_str(json)
        .map_err(|error| ClerkError::Unreadable(format!("the key set is malformed: {error}")))?;
    let rsa_keys = set
        .keys
        .iter()
        .filter(|jwk| matches!(jwk.algorithm, AlgorithmParameters::RSA(_)));
    Ok(rsa_keys
        .filter_map(|jwk| {
            let key = DecodingKey::from_jwk(jwk).ok()?;
            Some((jwk.common.key_id.clone()?, Arc::new(key)))
        })
        .collect())
}

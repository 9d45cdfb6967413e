//! The environment variables → the parts that a function is built of.
//!
//! Each method reads what its doc comment names. What is missing or malformed is noted and the
//! reading goes on, so that a person mends all of it in one go.

use std::{fmt, sync::Arc, time::Duration};

use http::HeaderValue;
use jsonwebtoken::DecodingKey;

use crate::{
    clerk::{
        keys::{KeySet, SessionKeys},
        session::Sessions,
        users::{BackendApi, SecretKey},
        webhook::{SigningSecret, WebhookVerifier},
    },
    log::LogFormat,
    supabase::{Supabase, SupabaseKey},
    upstream::HttpClient,
};

/// The environment of a function, and what was found wrong with it so far.
pub struct Variables<'a> {
    look_up: &'a dyn Fn(&str) -> Option<String>,
    mistakes: Vec<String>,
}

/// Everything that is wrong with the environment, a line each. Values are not quoted: most of
/// them are secrets.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    mistakes: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("cannot start, the configuration needs mending:")?;
        for mistake in &self.mistakes {
            write!(formatter, "\n  {mistake}")?;
        }
        Ok(())
    }
}

impl Variables<'_> {
    /// Builds something from the variables that `look_up` knows.
    pub fn read<T>(
        look_up: impl Fn(&str) -> Option<String>,
        build: impl FnOnce(&mut Variables) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let mut variables = Variables {
            look_up: &look_up,
            mistakes: Vec::new(),
        };
        let result = build(&mut variables);
        let mistakes = variables.mistakes;
        result
            .filter(|_| mistakes.is_empty())
            .ok_or(ConfigError { mistakes })
    }

    /// `LOG_FORMAT`: `text` (default) or `json`.
    pub(crate) fn log_format(&mut self) -> Option<LogFormat> {
        match self.optional(&["LOG_FORMAT"]) {
            Some((name, text)) => self.check(name, text.parse()),
            None => Some(LogFormat::default()),
        }
    }

    /// `USER_SYNC_MAX_AGE`: how long a row counts without being confirmed. Seconds, or a number
    /// with a unit such as `90s`, `15m`, `24h` (default), `7d`.
    pub(crate) fn user_sync_max_age(&mut self) -> Option<Duration> {
        match self.optional(&["USER_SYNC_MAX_AGE"]) {
            Some((name, text)) => self.check(name, parse_max_age(&text)),
            None => Some(Duration::from_hours(24)),
        }
    }

    /// The client that all calls of a function share. No variable is read.
    pub(crate) fn http_client(&mut self) -> Option<HttpClient> {
        self.check("The HTTP client", HttpClient::new())
    }

    /// `SUPABASE_URL`, or `NEXT_PUBLIC_SUPABASE_URL`, which a Next.js project mostly has; and
    /// `SUPABASE_SECRET_KEY`, or `SUPABASE_SERVICE_ROLE_KEY` where there is the older kind.
    pub(crate) fn supabase(&mut self, http: Option<&HttpClient>) -> Option<Supabase> {
        let url = self.required(
            &["SUPABASE_URL", "NEXT_PUBLIC_SUPABASE_URL"],
            "the project's URL, https://….supabase.co",
            parse_base_url,
        );
        let key = self.required(
            &["SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY"],
            "the project's secret key, sb_secret_…",
            SupabaseKey::parse,
        );
        Some(Supabase::new(http?.clone(), url?, key?))
    }

    /// `CLERK_SECRET_KEY`, and `CLERK_API_URL` where Clerk is reached at another address.
    pub(crate) fn clerk_backend_api(&mut self, http: Option<&HttpClient>) -> Option<BackendApi> {
        let key = self.required(
            &["CLERK_SECRET_KEY"],
            "the instance's secret key, sk_…",
            SecretKey::parse,
        );
        let url = match self.optional(&["CLERK_API_URL"]) {
            Some((name, text)) => self.check(name, parse_base_url(&text)),
            None => Some("https://api.clerk.com".to_owned()),
        };
        Some(BackendApi::new(http?.clone(), url?, key?))
    }

    /// `CLERK_JWT_KEY` (without it the keys are read from Clerk), `CLERK_AUTHORIZED_PARTIES`
    /// and `CLERK_PUBLISHABLE_KEY` or `NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY`, none of which is
    /// required.
    pub(crate) fn clerk_sessions(&mut self, api: Option<&BackendApi>) -> Option<Sessions> {
        let keys = match self.optional(&["CLERK_JWT_KEY"]) {
            Some((name, pem)) => self
                .check(name, parse_public_key(&pem))
                .map(|key| SessionKeys::Given(Arc::new(key))),
            None => api.map(|api| SessionKeys::Fetched(KeySet::new(api.clone()))),
        };
        let authorized_parties = self.optional(&["CLERK_AUTHORIZED_PARTIES"]);
        let authorized_parties = authorized_parties.map(|(_, list)| list).unwrap_or_default();
        let names = ["CLERK_PUBLISHABLE_KEY", "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY"];
        let publishable_key = match self.optional(&names) {
            Some((name, key)) if !key.starts_with("pk_") => {
                self.mistake(name, "must begin with `pk_`");
                None
            }
            set => set.map(|(_, key)| key),
        };
        Some(Sessions::new(
            keys?,
            // An origin ends with its host; people copy URLs.
            list(&authorized_parties)
                .map(|party| party.trim_end_matches('/').to_owned())
                .collect(),
            publishable_key.as_deref(),
        ))
    }

    /// `CLERK_WEBHOOK_SIGNING_SECRET`: one secret or, while it is being rotated, several.
    pub(crate) fn clerk_webhooks(&mut self) -> Option<WebhookVerifier> {
        let secrets = self.required(
            &["CLERK_WEBHOOK_SIGNING_SECRET"],
            "the endpoint's signing secret, whsec_…",
            parse_signing_secrets,
        );
        Some(WebhookVerifier::new(secrets?))
    }

    /// The first of `names` that is set, and its value.
    fn optional(&self, names: &[&'static str]) -> Option<(&'static str, String)> {
        let set = |name| {
            let value = (self.look_up)(name)?.trim().to_owned();
            (!value.is_empty()).then_some((name, value))
        };
        names.iter().copied().find_map(set)
    }

    fn required<T, E: fmt::Display>(
        &mut self,
        names: &[&'static str],
        what: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let Some((name, value)) = self.optional(names) else {
            self.mistake(&names.join(" or "), &format!("is missing: {what}"));
            return None;
        };
        self.check(name, parse(&value))
    }

    fn check<T, E: fmt::Display>(&mut self, name: &str, parsed: Result<T, E>) -> Option<T> {
        parsed
            .map_err(|error| self.mistake(name, &error.to_string()))
            .ok()
    }

    fn mistake(&mut self, name: &str, what: &str) {
        self.mistakes.push(format!("{name} {what}"));
    }
}

/// Items apart by commas or white space.
fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ', '\n', '\t'])
        .filter(|item| !item.is_empty())
}

/// A path is refused: with the `/v1` that Clerk's documentation shows, or Supabase's `/rest/v1`,
/// every call would answer 404, which means something else.
fn parse_base_url(text: &str) -> Result<String, &'static str> {
    let url = reqwest::Url::parse(text).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.ok_or("must be a URL that begins with `https://`")?;
    if url.path() != "/" || url.query().is_some() {
        return Err("must end with the host: nothing may follow it");
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// A header value that does not show in `Debug`.
pub fn secret_header(text: &str) -> Result<HeaderValue, &'static str> {
    let mut value = HeaderValue::from_str(text).map_err(|_| "holds characters of no key")?;
    value.set_sensitive(true);
    Ok(value)
}

/// The header value that carries a key as a Bearer.
pub fn bearer(key: &str) -> Result<HeaderValue, &'static str> {
    secret_header(&format!("Bearer {key}"))
}

/// Reads the PEM that Clerk's dashboard shows. Many an environment file keeps its line breaks
/// as `\n`.
fn parse_public_key(pem: &str) -> Result<DecodingKey, &'static str> {
    DecodingKey::from_rsa_pem(pem.replace("\\n", "\n").as_bytes())
        .map_err(|_| "must be the PEM of an RSA public key, from `-----BEGIN PUBLIC KEY-----` on")
}

fn parse_signing_secrets(text: &str) -> Result<Vec<SigningSecret>, &'static str> {
    let secrets: Vec<_> = list(text)
        .map(SigningSecret::parse)
        .collect::<Result<_, _>>()?;
    if secrets.is_empty() {
        return Err("holds commas alone; the signing secret begins with `whsec_`");
    }
    Ok(secrets)
}

/// Longer than this a row is as good as never refreshed, and PostgreSQL can still count it.
const LONGEST_MAX_AGE: Duration = Duration::from_hours(24 * 3_650);

fn parse_max_age(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().map(Duration::from_secs).ok();
    seconds
        .or_else(|| humantime::parse_duration(text).ok())
        .filter(|age| *age <= LONGEST_MAX_AGE)
        .ok_or("must be seconds or a time such as `24h`, of ten years at most")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClerkWebhook, Function, UserSync};

    const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn mistakes<F: Function>(variables: &[(&str, &str)]) -> Vec<String> {
        let look_up = |name: &str| {
            let (_, value) = variables.iter().find(|(set, _)| *set == name)?;
            Some((*value).to_owned())
        };
        match Variables::read(look_up, F::configure) {
            Ok(_) => Vec::new(),
            Err(error) => error.mistakes,
        }
    }

    #[test]
    fn all_that_is_missing_is_named_at_once_and_nothing_else() {
        assert_eq!(
            mistakes::<UserSync>(&[]),
            [
                "CLERK_SECRET_KEY is missing: the instance's secret key, sk_…",
                "SUPABASE_URL or NEXT_PUBLIC_SUPABASE_URL is missing: the project's URL, https://….supabase.co",
                "SUPABASE_SECRET_KEY or SUPABASE_SERVICE_ROLE_KEY is missing: the project's secret key, sb_secret_…",
            ]
        );
        assert_eq!(
            mistakes::<ClerkWebhook>(&[]),
            [
                "CLERK_WEBHOOK_SIGNING_SECRET is missing: the endpoint's signing secret, whsec_…",
                "SUPABASE_URL or NEXT_PUBLIC_SUPABASE_URL is missing: the project's URL, https://….supabase.co",
                "SUPABASE_SECRET_KEY or SUPABASE_SERVICE_ROLE_KEY is missing: the project's secret key, sb_secret_…",
            ]
        );
    }

    #[test]
    fn a_whole_environment_is_accepted() {
        let supabase = [
            ("SUPABASE_URL", "https://abc.supabase.co/"),
            ("SUPABASE_SECRET_KEY", "sb_secret_abc"),
        ];
        let two_secrets = format!("{WEBHOOK_SECRET},{WEBHOOK_SECRET}");
        let webhook = [("CLERK_WEBHOOK_SIGNING_SECRET", two_secrets.as_str())];
        assert!(mistakes::<ClerkWebhook>(&[&supabase[..], &webhook[..]].concat()).is_empty());
        let clerk = [("CLERK_SECRET_KEY", "sk_test_abc")];
        assert!(mistakes::<UserSync>(&[&supabase[..], &clerk[..]].concat()).is_empty());
    }

    #[test]
    fn what_a_next_js_project_has_already_counts_where_the_plain_names_are_not_set() {
        let key = ("SUPABASE_SECRET_KEY", "sb_secret_abc");
        let url = ("NEXT_PUBLIC_SUPABASE_URL", "https://public.supabase.co");
        let plain_url = ("SUPABASE_URL", "https://plain.supabase.co");
        for (variables, used) in [
            (vec![key, url], "https://public.supabase.co"),
            (vec![key, url, plain_url], "https://plain.supabase.co"),
        ] {
            let look_up = |name: &str| {
                let (_, value) = variables.iter().find(|(set, _)| *set == name)?;
                Some((*value).to_owned())
            };
            let supabase = Variables::read(look_up, |variables| {
                let http = variables.http_client();
                variables.supabase(http.as_ref())
            });
            assert!(supabase.unwrap().describe().contains(used));
        }
    }

    #[test]
    fn a_malformed_value_is_named_and_not_quoted() {
        for (name, value) in [
            ("SUPABASE_URL", "abc.supabase.co"),
            ("SUPABASE_SECRET_KEY", "sb_publishable_hunter2"),
            ("SUPABASE_SECRET_KEY", "hunter2"),
            ("SUPABASE_SERVICE_ROLE_KEY", "hunter2"),
            ("SUPABASE_URL", "https://hunter2.supabase.co/rest/v1"),
            ("CLERK_SECRET_KEY", "pk_test_hunter2"),
            ("CLERK_SECRET_KEY", "sk_hunter2\u{7f}"),
            ("CLERK_API_URL", "ftp://hunter2"),
            ("CLERK_API_URL", "https://api.clerk.com/v1"),
            ("CLERK_JWT_KEY", "hunter2"),
            ("CLERK_PUBLISHABLE_KEY", "hunter2"),
            ("NEXT_PUBLIC_SUPABASE_URL", "hunter2"),
            ("NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY", "sk_hunter2"),
            ("USER_SYNC_MAX_AGE", "hunter2"),
            ("USER_SYNC_MAX_AGE", "3651d"),
        ] {
            let mistakes = mistakes::<UserSync>(&[(name, value)]);
            assert!(
                mistakes.iter().any(|line| line.starts_with(name)),
                "{mistakes:?}"
            );
            assert!(!mistakes.concat().contains("hunter2"), "{mistakes:?}");
        }
        for value in [",", "hunter2", "whsec_", "whsec_***"] {
            let mistakes = mistakes::<ClerkWebhook>(&[("CLERK_WEBHOOK_SIGNING_SECRET", value)]);
            assert!(
                mistakes[0].starts_with("CLERK_WEBHOOK_SIGNING_SECRET holds")
                    || mistakes[0].starts_with("CLERK_WEBHOOK_SIGNING_SECRET must"),
                "{mistakes:?}"
            );
        }
    }

    #[test]
    fn a_max_age_is_seconds_or_has_a_unit() {
        for (text, seconds) in [
            ("0", 0),
            ("90", 90),
            ("90s", 90),
            ("24h", 86_400),
            ("7d", 604_800),
            ("3650d", 315_360_000),
        ] {
            assert_eq!(
                parse_max_age(text),
                Ok(Duration::from_secs(seconds)),
                "{text}"
            );
        }
    }
}

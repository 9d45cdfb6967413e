//! Log lines on standard output, where the platform collects them. A line is a message for people,
//! and may also count something.

use std::{fmt, io, str::FromStr, time::Duration};

use tracing_subscriber::fmt::{MakeWriter, format};

use crate::config::{Unset, Variable};

/// `LOG_FORMAT`, read by [`crate::function::build`].
pub const FORMAT: Variable = Variable {
    names: &["LOG_FORMAT"],
    holds: "the shape of a log line: `text` or `json`",
    unset: Unset::Default("text"),
};

/// The shape of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line, for machines.
    Json,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("must be `text` or `json`"),
        }
    }
}

/// What a line counts. A text line does not show it; CloudWatch makes metrics of it.
#[derive(Clone, Copy, Debug)]
pub enum Count {
    /// A missing user was written, this long after the request arrived.
    UserHealed(Duration),
    /// A user in doubt was confirmed or updated, this long after the request arrived.
    UserRefreshed(Duration),
    /// An event got its final answer, with this outcome.
    WebhookEvent(&'static str),
    /// A request failed because of this service.
    UpstreamError(Service),
}

/// An outside service.
#[derive(Clone, Copy, Debug)]
pub enum Service {
    /// Clerk's Backend API.
    Clerk,
    /// Supabase's REST API.
    Supabase,
}

/// The names of a line's fields, apart from its message.
pub mod field {
    /// 1 if a missing user was written, otherwise 0.
    pub const USERS_HEALED: &str = "users_healed";
    /// 1 if a user in doubt was confirmed or updated, otherwise 0.
    pub const USERS_REFRESHED: &str = "users_refreshed";
    /// How long that took, in milliseconds.
    pub const SYNC_DURATION_MS: &str = "sync_duration_ms";
    /// An event's outcome, in one word.
    pub const WEBHOOK_OUTCOME: &str = "webhook_outcome";
    /// `clerk` or `supabase`.
    pub const UPSTREAM_ERROR: &str = "upstream_error";
}

#[derive(Default)]
struct Fields {
    users_healed: Option<u64>,
    users_refreshed: Option<u64>,
    sync_duration_ms: Option<u64>,
    webhook_outcome: Option<&'static str>,
    upstream_error: Option<&'static str>,
}

impl Count {
    fn fields(self) -> Fields {
        let synced = |healed: bool, duration: Duration| Fields {
            users_healed: Some(u64::from(healed)),
            users_refreshed: Some(u64::from(!healed)),
            sync_duration_ms: u64::try_from(duration.as_millis()).ok(),
            ..Fields::default()
        };
        match self {
            Self::UserHealed(duration) => synced(true, duration),
            Self::UserRefreshed(duration) => synced(false, duration),
            Self::WebhookEvent(outcome) => Fields {
                webhook_outcome: Some(outcome),
                ..Fields::default()
            },
            Self::UpstreamError(service) => Fields {
                upstream_error: Some(match service {
                    Service::Clerk => "clerk",
                    Service::Supabase => "supabase",
                }),
                ..Fields::default()
            },
        }
    }
}

/// How urgent a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Normal work.
    Info,
    /// Worth a look if it happens often.
    Warn,
    /// Somebody must act if it does not stop.
    Error,
}

/// Writes a line with what it counts.
pub fn write(level: Level, count: Option<Count>, line: fmt::Arguments<'_>) {
    let fields = count.map(Count::fields).unwrap_or_default();
    macro_rules! write_at {
        ($level:ident) => {
            tracing::$level!(
                { field::USERS_HEALED } = fields.users_healed,
                { field::USERS_REFRESHED } = fields.users_refreshed,
                { field::SYNC_DURATION_MS } = fields.sync_duration_ms,
                { field::WEBHOOK_OUTCOME } = fields.webhook_outcome,
                { field::UPSTREAM_ERROR } = fields.upstream_error,
                "{line}"
            )
        };
    }
    match level {
        Level::Info => write_at!(info),
        Level::Warn => write_at!(warn),
        Level::Error => write_at!(error),
    }
}

/// Sends all log lines of the process to standard output. Call it once, at the start.
pub fn init(format: LogFormat) {
    init_with(format, io::stdout);
}

/// Like [`init`], but writes to another place.
pub fn init_with(format: LogFormat, writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static) {
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_target(false)
        .with_writer(writer);
    match format {
        LogFormat::Text => {
            let message = format::debug_fn(|line, field, value| match field.name() {
                "message" => write!(line, "{value:?}"),
                _ => Ok(()),
            });
            subscriber.fmt_fields(message).init();
        }
        LogFormat::Json => subscriber.json().init(),
    }
}
